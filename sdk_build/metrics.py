"""How far an output is from the reference; each function has a known-answer test.

All take ``actual`` and ``expected`` of one shape and compute in float64. A value that is not finite in ``actual``
counts as infinitely wrong; it never disappears in a mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
CAP_DB = 200.0  # exact agreement; JSON has no infinity
OUTER_EYES = (36, 45)


def max_abs_of_range(actual: Array, expected: Array) -> float:
    """Largest absolute difference as a share of the expected output's range (its own size if it is constant)."""
    a, e = _float64(actual, expected)
    span = float(np.ptp(e)) or float(np.abs(e).max()) or 1.0
    difference = float(np.abs(a - e).max())
    return difference / span if np.isfinite(difference) else float("inf")


def sqnr_db(actual: Array, expected: Array) -> float:
    """Signal to quantisation noise ratio: power of ``expected`` over power of the difference, in dB."""
    a, e = _float64(actual, expected)
    return _decibel(float(np.square(e).mean()), a - e)


def psnr_db(actual: Array, expected: Array) -> float:
    """Peak signal to noise ratio: squared range of ``expected`` over power of the difference, in dB."""
    a, e = _float64(actual, expected)
    return _decibel(float(np.ptp(e)) ** 2, a - e)


def cosine(actual: Array, expected: Array) -> float:
    """Cosine of the angle between the two, taken as vectors; 0 if one of them is zero."""
    a, e = (x.ravel() for x in _float64(actual, expected))
    if not np.isfinite(a).all():
        return -1.0
    norm = float(np.linalg.norm(a) * np.linalg.norm(e))
    return float(a @ e) / norm if norm else 0.0


def top1_agreement(actual: Array, expected: Array) -> float:
    """Share of rows of (N, classes) whose largest entry is in the same place."""
    a, e = _float64(actual, expected)
    return float((a.argmax(-1) == e.argmax(-1)).mean()) if np.isfinite(a).all() else 0.0


def nme_percent(actual: Array, expected: Array) -> float:
    """Mean distance of (N, P, 2 or 3) points in percent of the expected distance of the outer eye corners.

    The first 68 points are the landmarks in 300-W order.
    """
    a, e = _float64(actual, expected)
    distance = np.linalg.norm(a - e, axis=-1).mean(-1)
    eyes = np.linalg.norm(e[..., OUTER_EYES[0], :] - e[..., OUTER_EYES[1], :], axis=-1)
    value = float(100 * (distance / np.maximum(eyes, 1e-12)).mean())
    return value if np.isfinite(value) else float("inf")


def iou(actual: Array, expected: Array, threshold: float = 0.5) -> float:
    """Intersection over union of the voxels or pixels at or above ``threshold``; 1 if both are empty."""
    a, e = (x >= threshold for x in _float64(actual, expected))
    union = int((a | e).sum())
    return int((a & e).sum()) / union if union else 1.0


def face_agreement(actual: Array, expected: Array, threshold: float = 0.3) -> float:
    """How alike the faces of two detectors' outputs are: mean IoU over all faces that either of them finds.

    A face that only one of them finds counts 0; 1 if neither finds one.

    Args:
        actual, expected: (1, N, 15) as :mod:`reference.face_detector` puts out.
        threshold: score from which a box counts.
    """
    a, e = (_faces(x[0], threshold) for x in _float64(actual, expected))
    if len(a) == 0 or len(e) == 0:
        return float(len(a) == len(e))
    both = np.minimum(a[:, None, 2:], e[None, :, 2:]) - np.maximum(a[:, None, :2], e[None, :, :2])
    shared = np.maximum(both, 0).prod(-1)
    area_a, area_e = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, e))
    table = shared / (area_a[:, None] + area_e[None] - shared)
    # Best pairs first; boxes of one picture hardly overlap, so that no better pairing is lost.
    total, pairs = 0.0, 0
    while table.max(initial=0) > 0:
        i, j = np.unravel_index(table.argmax(), table.shape)
        total, pairs = total + float(table[i, j]), pairs + 1
        table[i], table[:, j] = 0, 0
    return total / (len(a) + len(e) - pairs)


def _faces(faces: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Boxes (N, 4) that count; a value that is not finite is no face."""
    from reference.postprocess import find_faces
    from reference.preprocess import Region

    return find_faces(faces.astype(np.float32), Region(0, 0, 1, 1), threshold).boxes_px.astype(np.float64)


def _float64(actual: Array, expected: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if actual.shape != expected.shape:
        raise ValueError(f"shapes are {actual.shape} and {expected.shape}; both must be equal")
    return np.asarray(actual, np.float64), np.asarray(expected, np.float64)


def _decibel(signal: float, difference: NDArray[np.float64]) -> float:
    noise = float(np.square(difference).mean())
    if not np.isfinite(noise):
        return -CAP_DB
    if noise == 0:
        return CAP_DB
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -CAP_DB, CAP_DB))


@dataclass(frozen=True)
class Metric:
    """A metric with the side on which its limit lies.

    Attributes:
        larger_is_better: the limit is a lower bound; otherwise an upper one.
        unit: shown behind a value.
    """

    function: Callable[[Array, Array], float]
    larger_is_better: bool
    unit: str = ""

    def passes(self, value: float, limit: float) -> bool:
        """True if the value keeps the limit."""
        return value >= limit if self.larger_is_better else value <= limit


METRICS = {
    "max_abs_of_range": Metric(max_abs_of_range, False),
    "sqnr_db": Metric(sqnr_db, True, "dB"),
    "psnr_db": Metric(psnr_db, True, "dB"),
    "cosine": Metric(cosine, True),
    "top1_agreement": Metric(top1_agreement, True),
    "nme_percent": Metric(nme_percent, False, "%"),
    "voxel_iou": Metric(iou, True),
    "mask_iou": Metric(iou, True),
    "face_agreement": Metric(face_agreement, True),
}
# What a task adds, on the first output only.
TASK_METRICS = {
    "image_classification": "top1_agreement",
    "salient_object_detection": "mask_iou",
    "face_detection": "face_agreement",
    "face_keypoints": "nme_percent",
    "depth_to_voxels": "voxel_iou",
    # The first 68 vertices are the landmarks, so that the outer eye corners have their usual numbers.
    "face_reconstruction": "nme_percent",
}
