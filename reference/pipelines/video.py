"""Predictions on video: a class counts once several frames in a row agree (document I, row I7).

A state machine without a clock or a camera: :func:`smooth` takes the probabilities so far and one frame's,
:func:`agree` a state and one frame's class, and each gives the next state; :func:`agree` also says what to show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.camera import upright
from reference.inputs.display_matrix import display_orientation
from reference.inputs.preprocess import PICTURE_SUFFIXES, load_picture

SUPPRESS, MARK = "suppress", "mark"
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
FOLDER_RATE = 10.0  # frames a second of what states none
FASTEST_GRID = 60.0
EVEN_MS = 10.0  # what a frame may be early or late by before it is worth a finer grid; also a quarter of a step
KEPT = 0.6  # of the probabilities so far, when a frame comes in: a single frame can't turn a clear answer
Picture = NDArray[np.uint8]


def smooth(before: Mapping[str, float] | None, now: Mapping[str, float], kept: float = KEPT) -> dict[str, float]:
    """Probabilities of the classes over the frames so far: an exponential mean, in which the first frame counts fully.

    Args:
        before: what this returned for the frame before; None at the first.
        now: the frame's own probabilities, of the same classes.
        kept: share of ``before`` in the result, in [0, 1).
    """
    if before is None:
        return dict(now)
    return {label: kept * before[label] + (1 - kept) * score for label, score in now.items()}


@dataclass(frozen=True)
class Agreement:
    """What the frames so far agree on.

    Attributes:
        label: class of the latest frame; None where it shows none of them.
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
        status: ``confirmed``: the frame's class counts; ``suppressed``: it does not, the last confirmed class may be
            shown as what was last seen, never as what is seen; ``marked``: it does not, and is shown as unconfirmed.
        label: the class to show; None where there is nothing to show.
    """

    status: str
    label: str | None


def agree(state: Agreement, label: str | None, frames: int, unconfirmed: str = SUPPRESS) -> tuple[Agreement, Verdict]:
    """Take in one frame.

    Args:
        label: the frame's most probable class; None where it shows none of them, which no number of frames confirms.
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
    if count >= frames and label is not None:
        return Agreement(label, count, label), Verdict("confirmed", label)
    shown = Verdict("suppressed", state.confirmed) if unconfirmed == SUPPRESS else Verdict("marked", label)
    return Agreement(label, count, state.confirmed), shown


def is_video(path: Path) -> bool:
    """True for a folder of frames or a file with a video's suffix."""
    return path.is_dir() or path.suffix.lower() in VIDEOS


def read_frames(path: Path) -> Iterator[Picture]:
    """The frames of a video, see :func:`read_timed`, without their times."""
    return (frame for _, frame in read_timed(path))


def read_timed(path: Path) -> Iterator[tuple[float, Picture]]:
    """The frames of a video file, or of a folder of pictures in the order of their names, upright.

    Yields:
        Milliseconds since the first frame, which grow from frame to frame, and (H, W, 3) uint8 RGB.

    Raises:
        BadInput: no frame can be read, a frame has another size than the first, or the picture is to be shown aslant.
    """
    size: tuple[int, ...] | None = None
    for number, (time_ms, frame) in enumerate(_folder(path) if path.is_dir() else _file(path)):
        if size is not None and frame.shape[:2] != size:
            raise BadInput(
                f"frame {number + 1} of {path} is {frame.shape[1]}x{frame.shape[0]}, the first is {size[1]}x{size[0]}; "
                "all frames of a video need one size"
            )
        size = frame.shape[:2]
        yield time_ms, frame
    if size is None:
        raise BadInput(f"{path} has no frames; give a video file, or a folder of pictures named in their order")


def frame_rate(path: Path) -> float:
    """Frames a second that a video file states, an average; 10 for a folder or where nothing is stated."""
    if path.is_dir():
        return FOLDER_RATE
    with closing(_Capture(path)) as capture:
        return capture.rate


def frame_times(path: Path) -> list[float]:
    """Milliseconds of each frame since the first, as :func:`read_timed` gives them, without making pictures."""
    if path.is_dir():
        return [1000 * number / FOLDER_RATE for number, _ in enumerate(_pictures(path))]
    times: list[float] = []
    with closing(_Capture(path)) as capture:
        while capture.video.grab():
            times.append(capture.time_ms())
    return times


def even_frames(times_ms: Sequence[float]) -> tuple[float, list[int]]:
    """A constant frame rate for frames at any times, and how often each is repeated (0: left out) to keep them.

    Frames that are as good as even (``EVEN_MS``) are not repeated. Others are put on a grid of the shortest step, or of
    a part of it where that comes closer, of at most ``FASTEST_GRID`` frames a second.
    """
    times = np.asarray(times_ms, np.float64)
    if len(times) < 2:
        return FOLDER_RATE, [1] * len(times)
    steps = np.diff(times)
    mean = float(times[-1] - times[0]) / len(steps)
    if np.abs(times - times[0] - mean * np.arange(len(times))).max() <= min(mean / 4, EVEN_MS):
        return round(1000 / mean, 2), [1] * len(times)  # as fine as the encoder of .mp4 takes
    shortest = max(float(steps.min()), 1000 / FASTEST_GRID)
    rates = [round(1000 * part / shortest, 2) for part in range(1, int(FASTEST_GRID * shortest / 1000 + 1e-6) + 1)]
    rate = min(rates, key=lambda rate: (round(_off_grid_ms(times, rate)), rate))
    slots = np.round((times - times[0]) * rate / 1000).astype(int)
    last = max(1, round(float(np.median(steps)) * rate / 1000))
    return rate, [int(count) for count in np.diff(slots, append=slots[-1] + last)]


def _off_grid_ms(times: NDArray[np.float64], rate: float) -> float:
    slots = (times - times[0]) * rate / 1000
    return float(np.abs(slots - np.round(slots)).max()) * 1000 / rate


class _Capture:
    """OpenCV's reader, with ``close`` under the name that the standard library expects, and times that grow."""

    def __init__(self, path: Path) -> None:
        # Absolute: FFmpeg takes what stands before a colon for a protocol.
        self.video = cv2.VideoCapture(str(path.absolute()))
        rate = float(self.video.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 0 < rate < 1000 else FOLDER_RATE
        self._first: float | None = None
        self._last = 0.0

    def time_ms(self) -> float:
        """Of the frame that was read last; where the file has no time for it, one step of the stated rate later."""
        stamp = float(self.video.get(cv2.CAP_PROP_POS_MSEC))
        if self._first is None:
            self._first = stamp
            return 0.0
        time = stamp - self._first
        self._last = time if time > self._last else self._last + 1000 / self.rate
        return self._last

    def close(self) -> None:
        self.video.release()


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)


def _folder(path: Path) -> Iterator[tuple[float, Picture]]:
    for number, file in enumerate(_pictures(path)):
        yield 1000 * number / FOLDER_RATE, load_picture(file)


def _file(path: Path) -> Iterator[tuple[float, Picture]]:
    if not path.is_file():
        raise BadInput(f"no video {path}; give a video file, or a folder of pictures")
    orientation = display_orientation(path)
    with closing(_Capture(path)) as capture:
        if orientation is not None:
            capture.video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        while True:
            good, frame = capture.video.read()
            if not good:
                return
            yield capture.time_ms(), upright(np.asarray(frame[..., ::-1], np.uint8), orientation or 1)
