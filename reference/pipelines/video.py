"""Predictions on video: a class counts once several frames in a row agree (document I, row I7).

A state machine without a clock or a camera: :func:`agree` takes a state and one frame's class and gives the next state
and what to show. The apps implement the same few lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import PICTURE_SUFFIXES, load_picture

SUPPRESS, MARK = "suppress", "mark"
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Agreement:
    """What the frames so far agree on.

    Attributes:
        label: class of the latest frame.
        count: how many frames in a row had it.
        confirmed: the class that last reached the wanted count; None before the first.
    """

    label: str | None = None
    count: int = 0
    confirmed: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What one frame shows.

    Attributes:
        status: ``confirmed``: the frame's class counts; ``suppressed``: it does not, the last confirmed class is
            shown instead; ``marked``: it does not, and is shown as unconfirmed.
        label: the class to show; None where there is nothing to show yet.
    """

    status: str
    label: str | None


def agree(state: Agreement, label: str, frames: int, unconfirmed: str = SUPPRESS) -> tuple[Agreement, Verdict]:
    """Take in one frame.

    Args:
        label: the frame's most probable class.
        frames: how many frames in a row must agree (5, 10, ... in the document).
        unconfirmed: ``suppress`` or ``mark`` what does not count.

    Raises:
        BadInput: ``frames`` is below 1, or ``unconfirmed`` is neither.
    """
    if frames < 1:
        raise BadInput(f"frames that must agree: {frames}; allowed: 1 or more")
    if unconfirmed not in (SUPPRESS, MARK):
        raise BadInput(f"unconfirmed is {unconfirmed!r}; allowed: {SUPPRESS}, {MARK}")
    count = min(frames, state.count + 1) if label == state.label else 1
    if count >= frames:
        return Agreement(label, count, label), Verdict("confirmed", label)
    shown = Verdict("suppressed", state.confirmed) if unconfirmed == SUPPRESS else Verdict("marked", label)
    return Agreement(label, count, state.confirmed), shown


def is_video(path: Path) -> bool:
    """True for a folder of frames or a file with a video's suffix."""
    return path.is_dir() or path.suffix.lower() in VIDEOS


def read_frames(path: Path) -> Iterator[Picture]:
    """The frames of a video file, or of a folder of pictures in the order of their names: (H, W, 3) uint8 RGB.

    Raises:
        BadInput: no frame can be read, or a frame has another size than the first.
    """
    size: tuple[int, ...] | None = None
    for number, frame in enumerate(_folder(path) if path.is_dir() else _file(path)):
        if size is not None and frame.shape[:2] != size:
            raise BadInput(
                f"frame {number + 1} of {path} is {frame.shape[1]}x{frame.shape[0]}, the first is {size[1]}x{size[0]}; "
                "all frames of a video need one size"
            )
        size = frame.shape[:2]
        yield frame
    if size is None:
        raise BadInput(f"{path} has no frames; give a video file, or a folder of pictures named in their order")


def frame_rate(path: Path) -> float:
    """Frames a second that a video file states; 10 for a folder or where nothing is stated."""
    if path.is_dir():
        return 10.0
    with closing(_Capture(path)) as capture:
        rate = float(capture.video.get(cv2.CAP_PROP_FPS))
    return rate if 0 < rate < 1000 else 10.0


class _Capture:
    """OpenCV's reader, with ``close`` under the name that the standard library expects."""

    def __init__(self, path: Path) -> None:
        self.video = cv2.VideoCapture(str(path))

    def close(self) -> None:
        self.video.release()


def _folder(path: Path) -> Iterator[Picture]:
    for file in sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES):
        yield load_picture(file)


def _file(path: Path) -> Iterator[Picture]:
    if not path.is_file():
        raise BadInput(f"no video {path}; give a video file, or a folder of pictures")
    with closing(_Capture(path)) as capture:
        while True:
            good, frame = capture.video.read()
            if not good:
                return
            yield np.ascontiguousarray(frame[..., ::-1], np.uint8)
