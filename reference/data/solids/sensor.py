"""What a depth camera does to a normalised depth image: steps, ragged edges, flying pixels, holes.

Sizes follow structured-light sensors at a head's distance: steps of 2 to 8 mm of the 300 mm that a crop spans, edges
that are a pixel off, pixels that hang between a surface and what lies behind it, spots that return nothing (hair, eyes,
grazing surfaces).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.geometry.depth import FARTHEST_VALUE

SPAN_MM = 300.0  # from a crop's nearest to its farthest measurement
_STEPS_MM = (2.0, 8.0)
_EDGE = 0.08  # neighbours that differ by more stand on different surfaces
_FLYING = 0.25  # of the pixels at edges
_MOST_SPOTS = 5

Depth = NDArray[np.float32]


def through_sensor(depth: Depth, rng: np.random.Generator) -> Depth:
    """A normalised depth image (H, W), 0 in holes, as a camera would have measured it; each fault comes by chance."""
    for fault in (_ragged_edges, _flying_pixels, _low_noise, _steps, _spots):
        if rng.random() < 0.6:
            depth = fault(depth, rng)
    return depth


def _ragged_edges(depth: Depth, rng: np.random.Generator) -> Depth:
    """Each pixel is measured up to a pixel beside its place; neighbours go the same way."""
    height, width = depth.shape
    row, column = np.mgrid[:height, :width]
    moves = [np.rint(0.8 * _smooth_noise(depth.shape, rng, 1.0)).astype(int) for _ in range(2)]
    return depth[np.clip(row + moves[0], 0, height - 1), np.clip(column + moves[1], 0, width - 1)]


def _flying_pixels(depth: Depth, rng: np.random.Generator) -> Depth:
    """At an edge some pixels lie between the two surfaces."""
    kernel = np.ones((3, 3), np.uint8)
    near = cv2.dilate(depth, kernel)
    far = cv2.erode(depth, kernel)
    flying = (near - far > _EDGE) & (depth > 0) & (rng.random(depth.shape) < _FLYING)
    between = far + (near - far) * rng.random(depth.shape)
    return np.where(flying, np.maximum(between, FARTHEST_VALUE), depth).astype(np.float32)


def _low_noise(depth: Depth, rng: np.random.Generator) -> Depth:
    """Waves of a few millimetres that are some pixels long."""
    waves = rng.uniform(0.5, 4.0) / SPAN_MM * _smooth_noise(depth.shape, rng, rng.uniform(0.7, 2.5))
    return np.where(depth > 0, np.clip(depth + waves, FARTHEST_VALUE, 1), 0).astype(np.float32)


def _steps(depth: Depth, rng: np.random.Generator) -> Depth:
    """Distances are whole steps."""
    step = rng.uniform(*_STEPS_MM) / SPAN_MM
    return np.where(depth > 0, np.clip(np.rint(depth / step) * step, FARTHEST_VALUE, 1), 0).astype(np.float32)


def _spots(depth: Depth, rng: np.random.Generator) -> Depth:
    """Small blobs return nothing."""
    height, width = depth.shape
    row, column = np.mgrid[:height, :width]
    hole = np.zeros(depth.shape, bool)
    for _ in range(int(rng.integers(1, _MOST_SPOTS + 1))):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        high, wide = rng.uniform(0.01, 0.06, 2) * (height, width)
        hole |= ((row - y) / high) ** 2 + ((column - x) / wide) ** 2 < rng.uniform(0.5, 1.2)
    return np.where(hole, np.float32(0), depth)


def _smooth_noise(shape: tuple[int, ...], rng: np.random.Generator, sigma: float) -> Depth:
    """Noise of variance 1 whose neighbours are alike."""
    noise = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), sigma)
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def measure(true_mm: Depth, wall_mm: float, of_hair: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.uint16]:
    """What a structured-light camera measures at its full resolution, in millimetres.

    Args:
        true_mm: (H, W) distances, 0 where the wall behind is seen.
        wall_mm: its distance.
        of_hair: (H, W) where light is swallowed in patches.

    Returns:
        (H, W) uint16 millimetres, 0 in holes.
    """
    height, width = true_mm.shape
    behind = np.where(true_mm > 0, true_mm, np.float32(wall_mm)).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    far, near = cv2.dilate(behind, kernel), cv2.erode(behind, kernel)
    row, column = np.mgrid[:height, :width]
    moves = [np.rint(0.8 * _smooth_noise(true_mm.shape, rng, 2.5)).astype(int) for _ in range(2)]
    measured = behind[np.clip(row + moves[0], 0, height - 1), np.clip(column + moves[1], 0, width - 1)]
    farther = (measured / 1000) ** 2  # errors grow with the square of the distance
    measured = measured + 1.2 * farther * _smooth_noise(true_mm.shape, rng, 1.5)
    step = np.maximum(0.35 * rng.uniform(*_STEPS_MM) * farther, 1)
    measured = np.rint(measured / step) * step
    flying = (far - near > 60) & (rng.random(true_mm.shape) < 0.08)
    measured = np.where(flying, near + (far - near) * rng.random(true_mm.shape), measured)
    # The lamp stands beside the camera: what is near throws a shadow on the wall to its left.
    edge = np.roll(behind, -1, axis=1) < behind - 60
    for shift in range(int(rng.integers(2, 7))):
        measured[np.roll(edge, -shift, axis=1) & (true_mm == 0)] = 0
    measured[of_hair & (_smooth_noise(true_mm.shape, rng, 4) > 1.35)] = 0
    return np.clip(np.rint(measured), 0, 65535).astype(np.uint16)
