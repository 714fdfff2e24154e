"""Video files and folders of frames through a bundle, frame by frame (document I, row I7)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from reference.errors import BadInput
from reference.pipelines.video import VIDEOS, Agreement, agree, even_frames, frame_times, read_timed
from sdk_build.backends import execution_name
from sdk_build.predict.base import Clip, FrameResult, Picture, Request, View


def run_video(
    view: View, request: Request, path: Path, save: Path | None, frames: int, unconfirmed: str, as_json: bool
) -> int:
    """Predict every frame, print and save what counts; returns the exit code.

    Args:
        save: a video file to write, or a folder for PNG frames.
        frames: how many frames in a row must agree before a class counts.
        unconfirmed: ``suppress`` or ``mark`` what does not count.

    Raises:
        BadInput: the model has no video mode, or the video can't be used or written.
    """
    bundle = request.bundle.manifest.id
    documents: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    last: str | None = None
    found = read_video(view, request, path, frames, unconfirmed)
    with _Writer(save, path, view.draw_frame) as writer:
        for frame in found:
            documents.append(frame.to_json())
            writer.add(frame)
            if frame.verdict is not None:
                counts[frame.verdict.status] = counts.get(frame.verdict.status, 0) + 1
                if not as_json and frame.verdict.status == "confirmed" and frame.verdict.label != last:
                    last = frame.verdict.label
                    print(f"frame {frame.number:>5}  {last}")
    name = execution_name(request.runtime)
    if as_json:
        print(json.dumps({"bundle": bundle, "file": str(path), "runtime": name, "frames": documents}))
        return 0
    shown = ", ".join(f"{n} {status}" for status, n in counts.items()) or _describe(documents)
    print(f"{path}: {len(documents)} frames, {shown}  ({name})")
    if save is not None:
        print(f"saved {save}")
    return 0


def read_video(view: View, request: Request, path: Path, frames: int, unconfirmed: str) -> Iterator[FrameResult]:
    """Every frame with its results, in order; artifacts are loaded once, in child processes.

    Raises:
        BadInput: the model has no video mode, an option is wrong, or the video can't be used.
    """
    if view.frames is None:
        raise BadInput(f"{request.bundle.manifest.id} takes single pictures; give picture files instead of {path}")
    agree(Agreement(), "", frames, unconfirmed)  # refuses wrong options before anything starts
    bar = Console(stderr=True)
    pictures = track(read_timed(path), "frames", console=bar, transient=True, disable=not sys.stderr.isatty())
    return view.frames(request, Clip(pictures, frames, unconfirmed))


def _describe(documents: list[dict[str, Any]]) -> str:
    for key in ("results", "faces"):
        if documents and key in documents[0]:
            return f"{sum(len(d[key]) for d in documents)} faces"
    return f"{len(documents)} masks"


class _Writer:
    """Annotated frames as a video file, as PNG files in a folder, or nowhere.

    OpenCV writes files of a constant rate: where the source has another, frames are repeated so that they keep their
    times. Its times are read before the first frame is written.
    """

    def __init__(self, save: Path | None, source: Path, draw: Callable[[FrameResult], Picture] | None) -> None:
        self.save, self.source, self.draw = save, source, draw
        self.video: Any = None
        self.repeats: list[int] = []
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
        assert self.draw is not None
        drawn = self.draw(frame)
        try:
            if self.save.suffix:
                self._append(frame.number, drawn)
            else:
                from PIL import Image

                self.save.mkdir(parents=True, exist_ok=True)
                Image.fromarray(drawn).save(self.save / f"{frame.number:05d}.png")
        except OSError as error:
            raise BadInput(f"can't write {self.save} ({error}); give a writable place") from error

    def _append(self, number: int, drawn: Picture) -> None:
        import cv2

        assert self.save is not None
        height, width = (side // 2 * 2 for side in drawn.shape[:2])  # the encoder takes even sides only
        if self.video is None:
            self.save.parent.mkdir(parents=True, exist_ok=True)
            code = cv2.VideoWriter.fourcc(*("MJPG" if self.save.suffix.lower() == ".avi" else "mp4v"))
            rate, self.repeats = even_frames(frame_times(self.source))
            self.video = cv2.VideoWriter(str(self.save.absolute()), code, rate, (width, height))
            if not self.video.isOpened():
                raise OSError("no encoder for it")
        for _ in range(self.repeats[number]):
            self.video.write(drawn[:height, :width, ::-1].copy())
