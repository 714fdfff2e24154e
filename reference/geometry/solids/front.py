"""The measured surface of an object, made fit to be the front of a solid.

Sensors err in known ways: between a near and a far surface they invent points in the air (flying pixels), they step
where their resolution ends, and they leave holes at hair, glass and edges. What is measured is smoothed by less than it
is uncertain, what stands alone is left out, and what was not measured is told from what is known to be empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Neighbours of one surface differ by less than so many pixels' widths (a slope of 76 degrees), or these millimetres.
STEEPEST = 4.0
SMALLEST_GATE_MM = 6.0
_EDGE_MM = 15.0
_SURE_MM = 40.0  # of two pixels' distances
_SUPPORT = 3  # of eight neighbours
_KERNEL = np.array([0.1353, 0.6065, 1.0, 0.6065, 0.1353], np.float32)  # a Gaussian of one pixel
_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class Front:
    """What a sensor says about each pixel of a window of its map.

    Attributes:
        distance_mm: (h, w) float32 of the object's surface, 0 where it was not measured.
        outline_px: (h, w) float32 signed distance to what is known not to be the object, negative there; what was not
            measured at all counts as inside.
        left: column of the window's first pixel in the map; ``top`` its row.
        step: pixels of the map to a side of one pixel of the window.
    """

    distance_mm: Floats
    outline_px: Floats
    left: int
    top: int
    step: int = 1

    @property
    def measured(self) -> Mask:
        return self.distance_mm > 0

    def sure(self) -> Mask:
        """(h, w) measured pixels with two measured pixels of the same surface on every side."""
        near = cv2.erode(self.distance_mm, np.ones((5, 5), np.uint8))
        inside: Mask = (near > 0) & (self.distance_mm - near < _SURE_MM) & (self.outline_px > 3)
        return inside

    def columns(self) -> NDArray[np.float64]:
        """(w,) places in the map of the window's columns, the centre of the first pixel at 0."""
        return np.asarray(self.left + (np.arange(self.distance_mm.shape[1]) + 0.5) * self.step - 0.5, np.float64)

    def rows(self) -> NDArray[np.float64]:
        """(h,) places in the map of the window's rows."""
        return np.asarray(self.top + (np.arange(self.distance_mm.shape[0]) + 0.5) * self.step - 0.5, np.float64)


def take_front(
    object_mm: Floats, raw_mm: Floats, window: tuple[int, int, int, int], pixel_share: float, most: int
) -> Front:
    """The front of an object in a window of a depth map.

    Args:
        object_mm: (H, W) distances of the object alone, 0 elsewhere.
        raw_mm: (H, W) the whole map; what is farther than the object is known to be empty before it.
        window: first column and row, and those behind the last.
        pixel_share: width of a pixel in distances: 1 / focal length.
        most: pixels to a side of the window; more are joined to blocks.
    """
    left, top, right, bottom = window
    own, whole = object_mm[top:bottom, left:right], raw_mm[top:bottom, left:right]
    farthest = float(own.max())
    empty = (whole > farthest) if farthest > 0 else np.zeros(own.shape, bool)
    own, empty = even_edges(own, empty)
    own = drop_flying(own, pixel_share)
    step = max(1, -(-max(own.shape) // most))
    if step > 1:
        own, empty = _join_blocks(own, step, pixel_share), _any_block(empty, step)
        empty &= own == 0
    own = smooth_surface(own, pixel_share * step)
    return Front(own, _outline(own > 0, empty), left, top, step)


def even_edges(distance_mm: Floats, empty: Mask) -> tuple[Floats, Mask]:
    """Edges of an object (h, w) by majority: a pixel takes the median of the 25 around it if that is far from its own.

    Args:
        distance_mm: 0 where the object was not measured.
        empty: where the sensor saw past the object.
    """
    beyond = np.float32(
        2 * distance_mm.max() + 1
    )  # of three kinds of pixels, holes lie before and the background behind
    marked = np.where(empty, beyond, distance_mm).astype(np.float32)
    middle = cv2.medianBlur(marked, 5)
    result = np.where(np.abs(middle - marked) > _EDGE_MM, middle, marked)
    past = result == beyond
    return np.where(past, 0, result).astype(np.float32), past


def drop_flying(distance_mm: Floats, pixel_share: float) -> Floats:
    """Distances (h, w) without pixels that fewer than three of their eight neighbours stand beside."""
    padded = np.pad(distance_mm, 1)
    gate = _gate(distance_mm, pixel_share)
    support = np.zeros(distance_mm.shape, np.int8)
    for dy, dx in _NEIGHBOURS:
        other = padded[1 + dy : 1 + dy + distance_mm.shape[0], 1 + dx : 1 + dx + distance_mm.shape[1]]
        support += (other > 0) & (np.abs(other - distance_mm) <= gate)
    return np.where((distance_mm > 0) & (support >= _SUPPORT), distance_mm, 0).astype(np.float32)


_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


def smooth_surface(distance_mm: Floats, pixel_share: float, rounds: int = _ROUNDS) -> Floats:
    """Distances (h, w) as weighted means of the pixels around that lie on the same surface; holes stay holes."""
    height, width = distance_mm.shape
    reach = len(_KERNEL) // 2
    current = distance_mm
    for _ in range(rounds):
        padded = np.pad(current, reach)
        gate = _gate(current, pixel_share)
        total, weight = np.zeros_like(current), np.zeros_like(current)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                other = padded[reach + dy : reach + dy + height, reach + dx : reach + dx + width]
                share = _KERNEL[reach + dy] * _KERNEL[reach + dx]
                alike = (np.abs(other - current) <= gate * max(1, abs(dy), abs(dx))) & (other > 0)
                total += np.where(alike, share * other, 0)
                weight += np.where(alike, share, 0)
        current = np.where(current > 0, total / np.maximum(weight, 1e-6), 0).astype(np.float32)
    return current


def _gate(distance_mm: Floats, pixel_share: float) -> Floats:
    """(h, w) how far apart neighbours of one surface may be."""
    return np.maximum(np.float32(SMALLEST_GATE_MM), np.float32(STEEPEST * pixel_share) * distance_mm)


def _outline(measured: Mask, empty: Mask) -> Floats:
    """Signed distance in pixels to what is empty; smoothed, for sensors have ragged edges."""
    size = float(sum(measured.shape))
    if not empty.any():
        return np.full(measured.shape, size, np.float32)
    inside = cv2.distanceTransform((~empty).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(empty.astype(np.uint8), cv2.DIST_L2, 5)
    signed = np.where(empty, 0.5 - outside, inside - 0.5)
    return np.asarray(cv2.GaussianBlur(np.clip(signed, -8, size), (0, 0), 1.5), np.float32)


def _join_blocks(distance_mm: Floats, step: int, pixel_share: float) -> Floats:
    """Means of blocks of step x step pixels over what lies at the block's nearest surface."""
    blocks = _blocks(distance_mm, step)
    nearest = np.where(blocks > 0, blocks, np.inf).min(axis=-1)
    gate = np.maximum(SMALLEST_GATE_MM, STEEPEST * pixel_share * step * np.where(np.isfinite(nearest), nearest, 0))
    alike = (blocks > 0) & (blocks <= (nearest + gate)[..., None])
    count = alike.sum(axis=-1)
    mean = np.where(alike, blocks, 0).sum(axis=-1) / np.maximum(count, 1)
    return np.where(2 * count >= 1, mean, 0).astype(np.float32)


def _any_block(mask: Mask, step: int) -> Mask:
    found: Mask = _blocks(mask.astype(np.float32), step).max(axis=-1) > 0
    return found


def _blocks(values: Floats, step: int) -> Floats:
    """(h, w, step * step) the pixels of each block; beyond the border zeros."""
    height, width = (-(-side // step) for side in values.shape)
    padded = np.pad(values, ((0, height * step - values.shape[0]), (0, width * step - values.shape[1])))
    parts = padded.reshape(height, step, width, step).swapaxes(1, 2)
    return parts.reshape(height, width, step * step)
