"""Keypoints of every face in pictures and videos: a keypoint bundle with, if given, a detector and a second network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference.face_pipeline import DetectedFace, FaceKeypointDetector, FindFaces, PointNetwork
    from reference.postprocess import Keypoints
    from reference.preprocess import Region
    from sdk_build.bundle import Bundle

    Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Helpers:
    """Bundles that work with a keypoint bundle.

    Attributes:
        detector: finds the faces; None: OpenCV's frontal cascade.
        refined: the second network of the cascade; None: the first one looks twice.
    """

    detector: Bundle | None = None
    refined: Bundle | None = None

    @classmethod
    def open(cls, detector: Path | None, refined: Path | None) -> Helpers:
        """Open the bundles.

        Raises:
            BadInput: one is of another task.
        """
        return cls(_open("--detector", detector, "face_detection"), _open("--refined", refined, "face_keypoints"))


def _open(option: str, path: Path | None, task: str) -> Bundle | None:
    from sdk_build.bundle import open_bundle

    if path is None:
        return None
    bundle = open_bundle(path)
    if bundle.manifest.task != task:
        raise BadInput(f"{option} is {bundle.manifest.id}, a model for {bundle.manifest.task}; give one for {task}")
    return bundle


@contextmanager
def open_pipeline(bundle: Bundle, runtime: str, helpers: Helpers) -> Iterator[FaceKeypointDetector]:
    """The face pipeline over artifacts, each loaded once in a child process of its own."""
    from reference.face_boxes import find_faces
    from reference.face_pipeline import FaceKeypointDetector

    with ExitStack() as stack:
        first = _points_of(stack, bundle, runtime)
        second = _points_of(stack, helpers.refined, runtime) if helpers.refined else None
        find = _boxes_of(stack, helpers.detector, runtime) if helpers.detector else find_faces
        yield FaceKeypointDetector(find, first, second, bundle.manifest.spec.preprocess.size[0])


def _points_of(stack: ExitStack, bundle: Bundle, runtime: str) -> PointNetwork:
    process, spec = _start(stack, bundle, runtime)

    def points(tensor: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        outputs = process.run({spec.input.name: tensor})
        found = [outputs[t.name][0] for t in spec.outputs]
        return found[0], found[-1]

    return points


def _boxes_of(stack: ExitStack, bundle: Bundle, runtime: str) -> FindFaces:
    from reference.face_pipeline import square_of_box
    from reference.postprocess import FaceBoxes, postprocess
    from reference.preprocess import preprocess_picture

    process, spec = _start(stack, bundle, runtime)

    def find(picture: Picture) -> list[Region]:
        tensor, region = preprocess_picture(picture, spec.preprocess)
        result = postprocess(process.run({spec.input.name: tensor}), spec, region)
        assert isinstance(result, FaceBoxes)
        return [square_of_box(*(float(v) for v in box)) for box in result.boxes_px]

    return find


def _start(stack: ExitStack, bundle: Bundle, runtime: str) -> Any:
    from sdk_build.predict import choose_runtime
    from sdk_build.sandbox import ArtifactProcess

    held = [entry.runtime for entry in bundle.manifest.model_files]
    chosen, artifact = choose_runtime(bundle, runtime if runtime in held else None)
    spec = bundle.manifest.spec
    return stack.enter_context(ArtifactProcess(chosen, artifact, spec)), spec


def predict_faces(
    bundle: Bundle,
    runtime: str,
    helpers: Helpers,
    files: Sequence[Path],
    box: tuple[float, float, float, float] | None,
) -> list[tuple[tuple[Keypoints, ...], Picture]]:
    """Keypoints of every face of every picture, and the pictures.

    Args:
        box: look at this box only, in pixels, instead of searching.

    Raises:
        BadInput: a picture or the box can't be used.
    """
    from reference.preprocess import choose_region, load_picture

    pictures = [load_picture(file) for file in files]
    results: list[tuple[Keypoints, ...]] = []
    with open_pipeline(bundle, runtime, helpers) as pipeline:
        for picture in pictures:
            if box is None:
                faces = pipeline.detect(picture)
            else:
                spec = bundle.manifest.spec.preprocess
                face = pipeline.at(picture, choose_region(picture.shape[1], picture.shape[0], spec, box))
                faces = [] if face is None else [face]
            results.append(tuple(as_result(face) for face in faces))
    return list(zip(results, pictures, strict=True))


def as_result(face: DetectedFace) -> Keypoints:
    """The typed result; its region is the crop's square with the turn left out."""
    from reference.postprocess import Keypoints
    from reference.preprocess import Region

    square = face.square
    left, top = square.x + 0.5 - square.side / 2, square.y + 0.5 - square.side / 2
    return Keypoints(face.points_px, face.template_points_px, Region(left, top, square.side, square.side))
