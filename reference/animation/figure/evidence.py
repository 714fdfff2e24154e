"""What a figure's outline and skeleton say about what it moves on: a dozen plain measures, each between about -3 and 3.

Nothing here decides; :mod:`reference.animation.topology` weighs the measures together with the fit of the mapping and
the class that a network saw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.animation.figure.mask import Bits
from reference.animation.figure.medial import Medial
from reference.animation.motion.skeleton import Array, Skeleton

SHAPE = (
    "wide", "filled", "solid", "round", "core_upright", "upright", "symmetric", "legs", "tops", "base", "stance",
    "heavy_low", "lopsided", "ends", "standing", "raised", "sideways", "reach", "forks",
)  # fmt: skip


def shape_evidence(grid: Bits, medial: Medial, skeleton: Skeleton) -> dict[str, float]:
    """The measures named in SHAPE, of a figure's mask on the working grid and of its skeleton.

    - wide, filled, solid, round: log of width by height; area in the box, in the hull; thickness of the thickest part;
    - core_upright, upright: direction of the thick core's and of the whole area's long axis, from -1 (lies) to 1
      (stands), times how long it is;
    - symmetric: overlap with the mirror image; lopsided: how far the mass lies from the middle;
    - legs, tops: separate parts that a level cuts near the ground and near the top; base, stance: how wide the lowest
      part is, filled and from end to end;
    - ends, standing, raised, sideways, reach, forks: limbs in all, near the ground, near the top, at the sides, length
      of the longest, joints where branches meet.
    """
    rows, columns = np.flatnonzero(grid.any(axis=1)), np.flatnonzero(grid.any(axis=0))
    cut = grid[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return {**_of_area(cut), **_of_levels(cut), **_of_skeleton(skeleton, medial)}


def _of_area(cut: Bits) -> dict[str, float]:
    import cv2
    from scipy import ndimage

    height, width = cut.shape
    points, _ = cv2.findContours(cut.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.contourArea(cv2.convexHull(np.concatenate(points)))
    distance = ndimage.distance_transform_edt(np.pad(cut, 1))[1:-1, 1:-1]
    middle = np.argwhere(cut).mean(axis=0)
    return {
        "wide": float(np.log(width / height)),
        "filled": float(cut.mean()),
        "solid": float(cut.sum() / max(hull, 1.0)),
        "round": float(distance.max() / np.sqrt(cut.sum() / np.pi)),
        "core_upright": _upright(distance > 0.5 * distance.max()),
        "upright": _upright(cut),
        "symmetric": symmetry(cut),
        "heavy_low": float(middle[0] / height - 0.5) * 4,
        "lopsided": float(abs(middle[1] / width - 0.5)) * 4,
    }


def _upright(bits: Bits) -> float:
    """Elongation times cos of twice the angle between the long axis and the vertical."""
    points = np.argwhere(bits).astype(np.float64)
    if len(points) < 3:
        return 0.0
    (a, b), (_, d) = np.cov(points.T)
    return float((a - d) / max(a + d, 1e-9)) if np.isfinite(b) else 0.0


def symmetry(cut: Bits) -> float:
    """Best overlap (intersection over union) with the mirror image about an upright axis near the mass's middle."""
    best = 0.0
    width = cut.shape[1]
    centre = 2 * float(np.argwhere(cut)[:, 1].mean())
    for shift in (-0.04, 0.0, 0.04):
        axis = round(centre + shift * width)
        low, high = max(0, axis - width + 1), min(width - 1, axis)
        part = cut[:, low : high + 1]
        mirrored = part[:, ::-1]
        outside = cut.sum() - part.sum()
        union = (part | mirrored).sum() + 2 * outside
        best = max(best, float((part & mirrored).sum() / max(union, 1)))
    return best


def lean(cut: Bits) -> float:
    """Which way the upper half leans against the lower: -1 to 1, above 0 where what is high lies on the right.

    Mean of x times y over the figure, both from -1 to 1 over its box. An animal seen from the side holds its head up.
    """
    rows, columns = np.nonzero(cut)

    def from_the_middle(places: NDArray[np.intp]) -> Array:
        low, high = int(places.min()), int(places.max())
        return np.asarray((2 * places - low - high) / max(high - low, 1), dtype=np.float64)

    return -float((from_the_middle(columns) * from_the_middle(rows)).mean())


def _of_levels(cut: Bits) -> dict[str, float]:
    height, width = cut.shape

    def runs(low: float, high: float) -> float:
        band = cut[int(low * height) : max(int(high * height), int(low * height) + 1)]
        return float((np.diff(np.pad(band, ((0, 0), (1, 0))).astype(np.int8), axis=1) == 1).sum(axis=1).mean())

    lowest = np.flatnonzero(cut[int(0.88 * height) :].any(axis=0))
    return {
        "legs": runs(0.78, 0.95),
        "tops": runs(0.05, 0.22),
        "base": float(len(lowest) / width),
        "stance": float((lowest[-1] - lowest[0] + 1) / width),
    }


def _of_skeleton(skeleton: Skeleton, medial: Medial) -> dict[str, float]:
    places: Array = skeleton.positions[:, :2]
    leaves = skeleton.leaves
    ends: NDArray[np.float64] = places[leaves]
    half = max(float(np.abs(places[:, 0]).max()), 1e-9)
    ways = skeleton.lengths_from_root
    return {
        "ends": min(len(leaves), 12) / 4,
        "standing": min(int((ends[:, 1] < 0.2).sum()), 6) / 2,
        "raised": min(int((ends[:, 1] > 0.8).sum()), 6) / 2,
        "sideways": min(int(((np.abs(ends[:, 0]) > 0.7 * half) & (ends[:, 1] > 0.25)).sum()), 6) / 2,
        "reach": float(min(ways.max() / max(float(medial.radii.max()), 1e-9), 20.0)) if len(ways) else 0.0,
        "forks": min(int((skeleton.degrees > 2).sum()), 8) / 2,
    }
