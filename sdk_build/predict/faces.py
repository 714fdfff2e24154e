"""Faces and their keypoints in pictures and videos: bundles that work together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput

JUDGED = ("face", "background")
FINDERS = ("--detector", "--detector-refined")

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference.pipelines.face_search import Look
    from reference.pipelines.faces import FaceKeypointDetector, FindCrops, FindFaces, PointNetwork
    from reference.tasks.face_detection import FaceBoxes
    from sdk_build.bundle.files import Bundle

    Picture = NDArray[np.uint8]
    GivenBundles = Mapping[str, Path]


@dataclass(frozen=True)
class FaceOptions:
    """How faces are looked for and followed.

    Attributes:
        any_roll: the detector looks at four quarter turns of the picture; the surest one counts.
        tiles: parts a side that it looks at beside the whole picture; 1: none.
        smooth: steady the points of videos.
    """

    any_roll: bool = False
    tiles: int = 1
    smooth: bool = True

    def check(self, detector: bool) -> None:
        """Refuse what needs our own detector's points or scores.

        Raises:
            BadInput: there is none, or too many tiles.
        """
        from reference.pipelines.face_search import MOST_TILES

        given = [name for name, on in (("--any-roll", self.any_roll), ("--tiles", self.tiles != 1)) if on]
        if given and not detector:
            raise BadInput(f"{given[0]} needs a detector of ours; give --detector BUNDLE, or leave it out")
        if not 1 <= self.tiles <= MOST_TILES:
            raise BadInput(f"--tiles is {self.tiles}; allowed: 1 to {MOST_TILES}")


DEFAULT = FaceOptions()


@dataclass(frozen=True)
class Helpers:
    """Bundles that work with a keypoint bundle, or with a detector.

    Attributes:
        detector: finds the faces; None: OpenCV's frontal cascade.
        refined: the second network of the keypoints' cascade; None: the first one looks twice.
        detector_refined: the second network of the detector's cascade; None: the detector's word counts.
    """

    detector: Bundle | None = None
    refined: Bundle | None = None
    detector_refined: Bundle | None = None

    @classmethod
    def open(cls, detector: Path | None, refined: Path | None, detector_refined: Path | None) -> Helpers:
        """Open the bundles of a keypoint bundle.

        Raises:
            BadInput: one is of another task, or the detector's second network has no first.
        """
        if detector_refined is not None and detector is None:
            raise BadInput("--detector-refined goes with --detector; give both, or neither for OpenCV's cascade")
        return cls(
            _open("--detector", detector, "face_detection"),
            _open("--refined", refined, "face_keypoints"),
            open_judge("--detector-refined", detector_refined),
        )


def open_judge(option: str, path: Path | None) -> Bundle | None:
    """Open a second network of the detector's cascade.

    Raises:
        BadInput: it is something else.
    """
    bundle = _open(option, path, "image_classification")
    if bundle is not None and bundle.manifest.labels != JUDGED:
        raise BadInput(
            f"{option} is {bundle.manifest.id}, which does not tell {' from '.join(JUDGED)}; give one that does"
        )
    return bundle


def _open(option: str, path: Path | None, task: str) -> Bundle | None:
    from sdk_build.bundle.files import open_bundle

    if path is None:
        return None
    bundle = open_bundle(path)
    if bundle.manifest.task != task:
        raise BadInput(f"{option} is {bundle.manifest.id}, a model for {bundle.manifest.task}; give one for {task}")
    return bundle


@contextmanager
def open_pipeline(
    bundle: Bundle, runtime: str, helpers: Helpers, options: FaceOptions = DEFAULT
) -> Iterator[FaceKeypointDetector]:
    """The face pipeline over artifacts, each loaded once in a child process of its own."""
    from reference.pipelines.face_boxes import find_faces
    from reference.pipelines.faces import FaceKeypointDetector

    options.check(helpers.detector is not None)
    with ExitStack() as stack:
        first = _points_of(stack, bundle, runtime)
        second = _points_of(stack, helpers.refined, runtime) if helpers.refined else None
        find = _crops_of(stack, helpers, runtime, options) if helpers.detector else find_faces
        size = bundle.manifest.spec.sampling.size[0]
        yield FaceKeypointDetector(find, first, second, size, smooth=options.smooth)


@contextmanager
def open_finder(helpers: Helpers, runtime: str) -> Iterator[FindFaces]:
    """Squares around the faces of a picture, the largest first: by the detector's bundles, or OpenCV's cascade."""
    from reference.pipelines.face_boxes import find_faces

    with ExitStack() as stack:
        if helpers.detector is None:
            yield find_faces
            return
        find = _squares_of(_look_of(stack, helpers, runtime))
        yield lambda picture: sorted(find(picture), key=lambda square: -square.width)


def open_detectors(given: GivenBundles) -> Helpers:
    """The detector and its second network, of what was given.

    Raises:
        BadInput: one is of another task, or the second network has no first.
    """
    return Helpers.open(given.get("--detector"), None, given.get("--detector-refined"))


def _points_of(stack: ExitStack, bundle: Bundle, runtime: str) -> PointNetwork:
    process, spec = _start(stack, bundle, runtime)

    def points(tensor: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        outputs = process.run({spec.input.name: tensor})
        found = [outputs[t.name][0] for t in spec.outputs]
        return found[0], found[-1]

    return points


def _crops_of(stack: ExitStack, helpers: Helpers, runtime: str, options: FaceOptions) -> FindCrops:
    from reference.pipelines.face_search import at_any_roll

    look = _look_of(stack, helpers, runtime, options)
    return at_any_roll(look) if options.any_roll else _squares_of(look)


def _look_of(stack: ExitStack, helpers: Helpers, runtime: str, options: FaceOptions = DEFAULT) -> Look:
    from reference.pipelines.face_search import in_tiles

    assert helpers.detector is not None
    whole = stack.enter_context(open_detector(helpers.detector, runtime, helpers.detector_refined))
    return in_tiles(whole, options.tiles)


def _squares_of(look: Look) -> FindFaces:
    from reference.inputs.square import square_of_box

    return lambda picture: [square_of_box(*(float(v) for v in box)) for box in look(picture).boxes_px]


@contextmanager
def open_detector(detector: Bundle, runtime: str, second: Bundle | None) -> Iterator[Callable[[Picture], FaceBoxes]]:
    """The faces that a detector, and if given its second network, find; each is loaded once in a child process."""
    from reference.inputs.preprocess import preprocess_picture
    from reference.tasks.face_detection import find_faces, refine

    with ExitStack() as stack:
        process, spec = _start(stack, detector, runtime)
        judge, judged = _start(stack, second, runtime) if second else (None, spec)
        threshold = judged.postprocess.threshold
        lowest = threshold**2 if second else threshold

        def look(picture: Picture) -> FaceBoxes:
            tensor, region = preprocess_picture(picture, spec.sampling)
            outputs = process.run({spec.input.name: tensor})
            found = find_faces(outputs[spec.outputs[0].name][0], region, lowest)
            if judge is None:
                return found
            logits = judged.outputs[0].name
            return refine(
                found, picture, lambda crop: judge.run({judged.input.name: crop})[logits][0],
                judged.preprocess.size[0], threshold,
            )  # fmt: skip

        yield look


def _start(stack: ExitStack, bundle: Bundle, runtime: str) -> Any:
    from sdk_build.bundle.files import choose_runtime
    from sdk_build.proof.sandbox import ArtifactProcess

    held = [entry.runtime for entry in bundle.manifest.model_files]
    chosen, artifact = choose_runtime(bundle, runtime if runtime in held else None)
    spec = bundle.manifest.spec
    return stack.enter_context(ArtifactProcess(chosen, artifact, spec)), spec
