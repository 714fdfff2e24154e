"""Points that stand still where a face does: the One Euro filter (Casiez, Roussel and Vogel, CHI 2012).

A first-order low-pass filter whose cutoff frequency grows with speed: slow points are smoothed, fast ones followed.
Speeds are in sizes of the face a second, so that neither the picture's size nor the distance matters.

Differs from the source: the speed is in two parts, the whole face's (the mean over its points, which hardly holds
noise: it counts from a low speed on) and what a point moves beside it (which holds most of the noise). So a moving head
is followed at once, where the paper's one speed for each coordinate lets it lag or the points tremble.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

Floats = NDArray[np.float32]

MIN_CUTOFF = 0.5  # Hz, of a point at rest
BETA = 60.0  # growth of the cutoff in Hz for each size of the face a second
SPEED_CUTOFF = 2.0  # Hz, of the speed's own filter
FACE_REST = 0.2  # sizes a second up to which the face counts as still: noise alone gives that
POINT_REST = 0.4  # likewise of a point beside the face


@dataclass(frozen=True)
class Steady:
    """A face's points so far.

    Attributes:
        points_px: (N, 2) float32, smoothed.
        speed: (N, 2) float32, filtered, in pixels a second.
        time_ms: of the last frame.
    """

    points_px: Floats
    speed: Floats
    time_ms: float


def steady(before: Steady | None, points_px: Floats, time_ms: float, size: float) -> Steady:
    """Take in one frame.

    Args:
        before: what this returned for the frame before; None at a face's first.
        points_px: (N, 2) of this frame.
        time_ms: later than ``before``'s.
        size: of the face in pixels, e.g. the distance of its outer eye corners; below 1 it counts as 1.

    Raises:
        BadInput: the time is not later, or there are other points than before.
    """
    points = points_px.astype(np.float64)
    if before is None:
        return Steady(points_px.astype(np.float32), np.zeros_like(points_px, np.float32), time_ms)
    seconds = (time_ms - before.time_ms) / 1000
    if not seconds > 0:
        raise BadInput(f"timestamp is {time_ms} ms after {before.time_ms} ms; frames must come in order")
    if points.shape != before.points_px.shape:
        raise BadInput(f"{len(points)} points after {len(before.points_px)}; a face keeps its number of points")
    last = before.points_px.astype(np.float64)
    speed = before.speed + _share(SPEED_CUTOFF, seconds) * ((points - last) / seconds - before.speed)
    whole = speed.mean(0)
    face, own = (np.linalg.norm(v, axis=-1, keepdims=True) / max(1.0, size) for v in (whole, speed - whole))
    cutoff = MIN_CUTOFF + BETA * (np.maximum(0, face - FACE_REST) + np.maximum(0, own - POINT_REST))
    smoothed = last + _share(cutoff, seconds) * (points - last)
    return Steady(smoothed.astype(np.float32), speed.astype(np.float32), time_ms)


def _share(cutoff: float | NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Share of the new value in a low-pass filter's output, of a cutoff frequency in Hz."""
    ratio = 2 * math.pi * np.asarray(cutoff) * seconds
    return np.asarray(ratio / (1 + ratio))
