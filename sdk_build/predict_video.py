"""Video files and folders of frames through a bundle, frame by frame (document I, row I7)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference.postprocess import Result
    from reference.video import Verdict
    from sdk_build.bundle import Bundle
    from sdk_build.predict_faces import Helpers

    Picture = NDArray[np.uint8]


def _describe(documents: list[dict[str, Any]]) -> str:
    for key in ("results", "faces"):
        if documents and key in documents[0]:
            return f"{sum(len(d[key]) for d in documents)} faces"
    return f"{len(documents)} masks"


@dataclass(frozen=True)
class FrameResult:
    """One frame's result.

    Attributes:
        results: one, or a face each.
        verdict: what counts, for a classifier; None for other models, whose frames stand for themselves.
        of_faces: the results are faces, of which there may be none.
    """

    number: int
    picture: Picture
    results: tuple[Result, ...]
    verdict: Verdict | None
    of_faces: bool = False

    def to_json(self) -> dict[str, Any]:
        """The entry of ``predict --json``."""
        if self.of_faces:
            document: dict[str, Any] = {"frame": self.number, "results": [result.to_json() for result in self.results]}
        else:
            document = {"frame": self.number, **self.results[0].to_json()}
        if self.verdict is not None:
            document |= {"status": self.verdict.status, "shown_label": self.verdict.label}
        return document


def run_video(
    bundle: Bundle, path: Path, runtime: str, save: Path | None, frames: int, unconfirmed: str, as_json: bool,
    helpers: Helpers | None = None,
) -> int:  # fmt: skip
    """Predict every frame, print and save what counts; returns the exit code.

    Args:
        save: a video file to write, or a folder for PNG frames.
        frames: how many frames in a row must agree before a class counts.
        unconfirmed: ``suppress`` or ``mark`` what does not count.
        helpers: bundles that a keypoint model works with.

    Raises:
        BadInput: the model has no video mode, or the video can't be used or written.
    """
    from sdk_build.build import execution_name

    if bundle.manifest.task == "depth_to_voxels":
        raise BadInput(f"{bundle.manifest.id} takes single pictures; give picture files instead of {path}")
    documents: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    last: str | None = None
    with _Writer(save, path) as writer:
        for frame in predict_frames(bundle, path, runtime, frames, unconfirmed, helpers):
            documents.append(frame.to_json())
            writer.add(frame)
            if frame.verdict is not None:
                counts[frame.verdict.status] = counts.get(frame.verdict.status, 0) + 1
                if not as_json and frame.verdict.status == "confirmed" and frame.verdict.label != last:
                    last = frame.verdict.label
                    print(f"frame {frame.number:>5}  {last}")
    if as_json:
        name = execution_name(runtime)
        print(json.dumps({"bundle": bundle.manifest.id, "file": str(path), "runtime": name, "frames": documents}))
        return 0
    shown = ", ".join(f"{n} {status}" for status, n in counts.items()) or _describe(documents)
    print(f"{path}: {len(documents)} frames, {shown}  ({execution_name(runtime)})")
    if save is not None:
        print(f"saved {save}")
    return 0


def predict_frames(
    bundle: Bundle, path: Path, runtime: str, frames: int, unconfirmed: str, helpers: Helpers | None = None
) -> Iterator[FrameResult]:
    """Every frame with its results, in order; artifacts are loaded once, in child processes."""
    from rich.console import Console
    from rich.progress import track

    from reference.video import Agreement, agree, read_frames

    agree(Agreement(), "", frames, unconfirmed)  # refuses wrong options before anything starts
    bar = Console(stderr=True)
    pictures = track(read_frames(path), "frames", console=bar, transient=True, disable=not sys.stderr.isatty())
    if bundle.manifest.task == "face_keypoints":
        return _follow_faces(bundle, runtime, helpers, pictures, path)
    if helpers is not None and helpers.detector_refined is not None:
        return _detect_each(bundle, runtime, helpers.detector_refined, pictures)
    return _predict_each(bundle, runtime, pictures, frames, unconfirmed)


def _predict_each(
    bundle: Bundle, runtime: str, pictures: Iterable[Picture], frames: int, unconfirmed: str
) -> Iterator[FrameResult]:
    """Frame by frame; only a classifier remembers."""
    from reference.postprocess import Classification, postprocess
    from reference.preprocess import preprocess_picture
    from reference.video import Agreement, agree
    from sdk_build.predict import choose_runtime
    from sdk_build.sandbox import ArtifactProcess

    spec = bundle.manifest.spec
    _, artifact = choose_runtime(bundle, runtime)
    state = Agreement()
    with ArtifactProcess(runtime, artifact, spec) as process:
        for number, picture in enumerate(pictures):
            tensor, region = preprocess_picture(picture, spec.preprocess)
            result = postprocess(process.run({spec.input.name: tensor}), spec, region)
            verdict = None
            if isinstance(result, Classification):
                state, verdict = agree(state, result.label, frames, unconfirmed)
            yield FrameResult(number, picture, (result,), verdict)


def _detect_each(bundle: Bundle, runtime: str, second: Bundle, pictures: Iterable[Picture]) -> Iterator[FrameResult]:
    from sdk_build.predict_faces import open_detector

    with open_detector(bundle, runtime, second) as look:
        for number, picture in enumerate(pictures):
            yield FrameResult(number, picture, (look(picture),), None)


def _follow_faces(
    bundle: Bundle, runtime: str, helpers: Helpers | None, pictures: Iterable[Picture], path: Path
) -> Iterator[FrameResult]:
    """Track faces from frame to frame; the detector runs only when one is lost or a check is due."""
    from reference.video import frame_rate
    from sdk_build.predict_faces import Helpers, as_result, open_pipeline

    step = 1000 / frame_rate(path)
    with open_pipeline(bundle, runtime, helpers or Helpers()) as pipeline:
        for number, picture in enumerate(pictures):
            faces = pipeline.detect_for_video(picture, number * step)
            yield FrameResult(number, picture, tuple(as_result(face) for face in faces), None, of_faces=True)


class _Writer:
    """Annotated frames as a video file, as PNG files in a folder, or nowhere."""

    def __init__(self, save: Path | None, source: Path) -> None:
        from reference.video import VIDEOS

        self.save, self.source = save, source
        self.video: Any = None
        if save is not None and save.suffix and save.suffix.lower() not in VIDEOS:
            raise BadInput(f"--save is {save} for a video; give a folder for frames, or a name ending in .mp4")
        if save is not None and save.resolve() == source.resolve():
            raise BadInput(f"--save would overwrite the input {save}; give another name")

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.video is not None:
            self.video.release()

    def add(self, frame: FrameResult) -> None:
        if self.save is None:
            return
        drawn = draw_frame(frame)
        try:
            if self.save.suffix:
                self._append(drawn)
            else:
                from PIL import Image

                self.save.mkdir(parents=True, exist_ok=True)
                Image.fromarray(drawn).save(self.save / f"{frame.number:05d}.png")
        except OSError as error:
            raise BadInput(f"can't write {self.save} ({error}); give a writable place") from error

    def _append(self, drawn: Picture) -> None:
        import cv2

        from reference.video import frame_rate

        assert self.save is not None
        height, width = (side // 2 * 2 for side in drawn.shape[:2])  # the encoder takes even sides only
        if self.video is None:
            self.save.parent.mkdir(parents=True, exist_ok=True)
            code = cv2.VideoWriter.fourcc(*("MJPG" if self.save.suffix.lower() == ".avi" else "mp4v"))
            self.video = cv2.VideoWriter(str(self.save), code, frame_rate(self.source), (width, height))
            if not self.video.isOpened():
                raise OSError("no encoder for it")
        self.video.write(drawn[:height, :width, ::-1].copy())


def draw_frame(frame: FrameResult) -> Picture:
    """The frame with its class (grey and with a question mark while unconfirmed), its mask or its faces."""
    import numpy as np

    from sdk_build.draw import draw, draw_label, draw_points, enlarge

    if frame.of_faces:
        return draw_points(frame.picture, frame.results)
    if frame.verdict is None:
        return draw(frame.picture, frame.results)
    canvas, _ = enlarge(frame.picture)
    if frame.verdict.label is not None:
        certain = frame.verdict.status != "marked"
        draw_label(canvas, frame.verdict.label if certain else f"{frame.verdict.label} ?", certain)
    return np.array(canvas)
