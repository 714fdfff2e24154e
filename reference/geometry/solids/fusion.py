"""A network's solid behind a measured front: one signed distance, one surface.

The grid follows the camera's rays: a column for each pixel of the sensor, a slice for each slice of the network. So the
front is exact at the sensor's resolution, whatever the network's: along a ray the distance to the measured surface is
linear, and marching cubes finds its zero.

1. the network's solid is moved along the middle ray until its front agrees with the measured one (:func:`place_solid`);
2. its occupancy becomes a signed distance, sampled slice by slice (the rays spread, the network's don't);
3. the front is what was measured; in holes it is the network's, moved as its surroundings are (:func:`whole_front`);
4. a cell is inside if it lies behind the front, before the network's back, and not where the sensor saw past the
   object; between front and network nothing stays open, and where the network is narrower than the measured outline
   its thickness goes on to it.

Distances are in millimetres; positive is inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.solids.camera import Camera, Placement
from reference.geometry.solids.front import Front

Floats = NDArray[np.float32]

_BLURS = 2  # three-tap means along each axis
_SIGMA = 1.15  # voxels, of the blur above
_SPARE = 2  # slices before and behind
_OUTLINE_PERCENTILE = 90
_MOST_SLICES = 160
SHELL_MM = 12.0  # thinnest that a solid is behind a measured surface
THICKEST_MM = 100.0  # far from all that the network has
MOST_MM = 400.0
_FILL_SHARE = 0.06  # of the window's longer side: how far a front's correction reaches into holes


@dataclass(frozen=True, eq=False)
class Fused:
    """A solid on a grid of rays.

    Attributes:
        inside_mm: (D, h, w) float32 signed distance, positive inside.
        distances: (D,) of the slices from the camera; ``columns`` (w,) and ``rows`` (h,) of the depth map.
        front_mm: (h, w) distance of the front, 0 where there is none.
        measured: (h, w) bool: the front was measured there; ``sure``: and two pixels around.
    """

    inside_mm: Floats
    distances: NDArray[np.float64]
    columns: NDArray[np.float64]
    rows: NDArray[np.float64]
    front_mm: Floats
    measured: NDArray[np.bool_]
    sure: NDArray[np.bool_]


def place_solid(
    occupancy: Floats, threshold: float, front: Front, region: tuple[float, float, float, float], camera: Camera
) -> Placement:
    """Where the network's cube lies, so that its front agrees with what was measured.

    Args:
        occupancy: (S, S, S) slices from the viewer away, rows down, columns right.
        region: left, top, width and height of what the network saw, in pixels from the map's outer corner.
    """
    left, top, width, height = region
    distances = front.distance_mm[front.measured]
    # Its outline decides how wide an object looks, and lies behind most of its front.
    reference = float(np.percentile(distances, _OUTLINE_PERCENTILE))
    half = reference * width / 2 / camera.focal_px
    center = (left + width / 2 - 0.5, top + height / 2 - 0.5)
    place = Placement(center, (width / 2, height / 2), reference, 0.0, half)
    filled = occupancy >= threshold
    first = np.where(filled.any(axis=0), filled.argmax(axis=0), -1)
    rows, columns = np.nonzero(front.measured)
    cube = place.to_cube(front.columns()[columns], front.rows()[rows], distances)
    size = len(occupancy)
    column, row = ((cube[:, 0] + 1) / 2 * size).astype(int), ((1 - cube[:, 1]) / 2 * size).astype(int)
    seen = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    slices = np.where(seen, first[np.clip(row, 0, size - 1), np.clip(column, 0, size - 1)], -1)
    both = slices >= 0
    if both.any():
        near = float(np.median(distances[both] - slices[both] * (2 * half / size)))
    else:
        near = float(np.percentile(distances, 1)) - 2 * half * 0.05
    return Placement(center, place.half_px, reference, near, half)


def fuse(occupancy: Floats, threshold: float, front: Front, place: Placement) -> Fused:
    """The union of a network's solid and a measured front.

    Raises:
        BadInput: nothing is inside.
    """
    slice_mm = 2 * place.half_mm / len(occupancy)
    distances = _slices(front, place, slice_mm)
    columns, rows = front.columns(), front.rows()
    network = _sample(_signed_distance(occupancy, threshold) * np.float32(slice_mm), place, distances, columns, rows)
    ahead, filled = whole_front(front, network, distances)
    pixel_mm = place.reference_mm * front.step * _pixel_share(place)
    inside = _join(network, distances, ahead, front, pixel_mm, slice_mm)
    if not (inside > 0).any():
        raise BadInput("nothing of the network's solid and of the measured surface is left; choose another box")
    return Fused(inside, distances, columns, rows, np.where(filled, ahead, 0), front.measured, front.sure())


def _pixel_share(place: Placement) -> float:
    """Width of a pixel in distances."""
    return place.half_mm / (place.half_px[0] * place.reference_mm)


def _slices(front: Front, place: Placement, slice_mm: float) -> NDArray[np.float64]:
    """(D,) distances of slices at the network's own, and as far before and behind it as the front reaches."""
    measured = front.distance_mm[front.measured]
    before = max(0, int(np.ceil((place.near_mm - float(measured.min())) / slice_mm)))
    depth = max(2 * place.half_mm, float(measured.max()) + THICKEST_MM - place.near_mm)
    count = before + int(np.ceil(depth / slice_mm)) + 2 * _SPARE
    step = slice_mm * max(1.0, count / _MOST_SLICES)
    start = place.near_mm - (before + _SPARE - 0.5) * slice_mm
    return np.asarray(start + step * np.arange(min(count, _MOST_SLICES)), np.float64)


def _signed_distance(occupancy: Floats, threshold: float) -> Floats:
    """(S, S, S) about the distance to the solid's surface in voxels, positive inside, right near the surface only."""
    values = np.clip(occupancy - np.float32(threshold) + np.float32(0.5), 0, 1)
    for _ in range(_BLURS):
        for axis in range(3):
            values = _three_tap(values, axis)
    return np.asarray((values - 0.5) * (np.sqrt(2 * np.pi) * _SIGMA), np.float32)


def _three_tap(values: Floats, axis: int) -> Floats:
    """The mean of each value and its two neighbours along an axis; 0 beyond the border."""
    padded = np.pad(values, [(1, 1) if i == axis else (0, 0) for i in range(values.ndim)])
    total = padded.copy()
    cut = [slice(None)] * values.ndim
    cut[axis] = slice(1, None)
    back = [slice(None)] * values.ndim
    back[axis] = slice(None, -1)
    total[tuple(cut)] += padded[tuple(back)]
    total[tuple(back)] += padded[tuple(cut)]
    middle = [slice(1, -1) if i == axis else slice(None) for i in range(values.ndim)]
    return np.asarray(total[tuple(middle)] / np.float32(3))


def _sample(
    values: Floats,
    place: Placement,
    distances: NDArray[np.float64],
    columns: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> Floats:
    """(D, h, w) values (S, S, S) of the cube on the grid of rays, linear in all three directions."""
    size = len(values)
    outside = float(values.min())
    result = np.empty((len(distances), len(rows), len(columns)), np.float32)
    step_x, step_y = columns[1] - columns[0] if len(columns) > 1 else 1.0, rows[1] - rows[0] if len(rows) > 1 else 1.0
    for number, distance in enumerate(distances):
        z = (distance - place.near_mm) / (2 * place.half_mm) * size - 0.5
        low = int(np.floor(z))
        share = np.float32(z - low)
        first, second = (values[k] if 0 <= k < size else None for k in (low, low + 1))
        if first is None and second is None:
            result[number] = outside
            continue
        empty = np.full((size, size), outside, np.float32)
        plane = (1 - share) * (empty if first is None else first) + share * (empty if second is None else second)
        widening = distance / place.reference_mm * size / 2
        x_scale, y_scale = widening / place.half_px[0], widening / place.half_px[1]
        matrix = np.array(
            [
                [x_scale * step_x, 0, (columns[0] - place.center_px[0]) * x_scale + (size - 1) / 2],
                [0, y_scale * step_y, (rows[0] - place.center_px[1]) * y_scale + (size - 1) / 2],
            ]
        )
        result[number] = cv2.warpAffine(
            plane, matrix, (len(columns), len(rows)), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT, borderValue=outside,
        )  # fmt: skip
    return result


def first_crossing(inside: Floats, distances: NDArray[np.float64]) -> tuple[Floats, NDArray[np.bool_]]:
    """(h, w) where a signed distance (D, h, w) first becomes positive, between slices; and where it does at all."""
    found = inside > 0
    some = found.any(axis=0)
    number = found.argmax(axis=0)
    now = np.take_along_axis(inside, number[None], 0)[0]
    before = np.take_along_axis(inside, np.maximum(number - 1, 0)[None], 0)[0]
    back = np.where(number > 0, now / np.maximum(now - before, 1e-6), 0)
    step = distances[1] - distances[0]
    return (distances[number] - back * step).astype(np.float32), np.asarray(some, bool)


def whole_front(front: Front, network: Floats, distances: NDArray[np.float64]) -> tuple[Floats, NDArray[np.bool_]]:
    """(h, w) distance of the solid's front and where there is one: measured, or the network's, moved as around it."""
    own, solid = first_crossing(network, distances)
    measured = front.measured
    both = measured & solid
    sigma = max(1.0, _FILL_SHARE * max(measured.shape))
    moved = own + (_spread(front.distance_mm - own, both, sigma) if both.any() else 0)
    ahead = np.where(measured, front.distance_mm, np.where(solid, moved, 0)).astype(np.float32)
    return ahead, measured | solid


def _join(
    network: Floats, distances: NDArray[np.float64], ahead: Floats, front: Front, pixel_mm: float, slice_mm: float
) -> Floats:
    """(D, h, w) signed distance of the whole solid."""
    there = ahead > 0
    outline = front.outline_px * np.float32(pixel_mm)
    behind, limit = _backs(network, distances, ahead, outline, max(1.0, _FILL_SHARE * max(there.shape)))
    z = distances.astype(np.float32)[:, None, None]
    # What lies between the front and the first of the network behind it is filled.
    inner = (network > 0) & (z >= ahead)
    first = np.where(inner.any(axis=0), distances[inner.argmax(axis=0)], 0).astype(np.float32)
    thinnest = ahead + np.clip(outline, 0, SHELL_MM)
    reach = np.maximum(first, np.where(front.measured, np.maximum(behind, thinnest), 0))
    nearest = np.where(there, ahead, -np.inf).astype(np.float32)
    most = np.float32(4 * slice_mm)
    inside = np.maximum(network, reach - z)
    for other in (limit - z, z - nearest, outline, most):
        np.minimum(inside, other, out=inside)
    return np.maximum(inside, -most, out=inside)


def _backs(
    network: Floats, distances: NDArray[np.float64], ahead: Floats, outline: Floats, sigma: float
) -> tuple[Floats, Floats]:
    """Two distances (h, w) of a solid's back: as far as a measured surface reaches, and where at the latest it ends.

    The network's solid seldom has the measured outline. Where it is narrower, its thickness goes on to the outline;
    where it is wider, it ends. Towards the outline both round off like a ball.
    """
    there = ahead > 0
    level = _spread(ahead, there, sigma)
    filled = network > 0
    last = distances[len(distances) - 1 - filled[::-1].argmax(axis=0)]
    solid = filled.any(axis=0) & there
    within = cv2.erode(solid.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(1, round(sigma))) > 0
    thick = _spread((last - level).astype(np.float32), within, 2 * sigma)
    thick = np.clip(np.where(within.any(), thick, THICKEST_MM), SHELL_MM, MOST_MM)
    thick = np.where(
        cv2.GaussianBlur(within.astype(np.float32), (0, 0), 4 * sigma) > 1e-2, thick, np.minimum(thick, THICKEST_MM)
    )
    # The largest ball inside the outline; without any outline there is nothing to round off to.
    radius: float = min(float(np.where(there, outline, 0).max()), MOST_MM)
    rounded = 2 * np.sqrt(2 * radius * np.maximum(outline, 0))
    share = 1 - np.clip(outline / max(float(radius), 1e-3), 0, 1)
    behind = level + thick * np.sqrt(1 - share * share)
    limit = np.where(there & (outline < radius), level + np.maximum(rounded, 2), 1e5)
    return behind.astype(np.float32), limit.astype(np.float32)


def _spread(values: Floats, where: NDArray[np.bool_], sigma: float) -> Floats:
    """(h, w) a Gaussian mean of the values where they count."""
    share = where.astype(np.float32)
    weight = cv2.GaussianBlur(share, (0, 0), sigma)
    total = cv2.GaussianBlur(np.where(where, values, 0).astype(np.float32), (0, 0), sigma)
    # Far from all that counts the widest mean is left.
    middle = np.float32(values[where].mean()) if where.any() else np.float32(0)
    return np.asarray((total + middle * 1e-6) / (weight + 1e-6), np.float32)
