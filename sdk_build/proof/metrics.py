"""How far an output is from the reference; each function has a known-answer test.

All take ``actual`` and ``expected`` of one shape and compute in float64. A value that is not finite in ``actual``
counts as infinitely wrong; it never disappears in a mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.tasks import TASKS
from reference.tasks.base import Array, Metric, same_shape

CAP_DB = 200.0  # exact agreement; JSON has no infinity


def max_abs_of_range(actual: Array, expected: Array) -> float:
    """Largest absolute difference as a share of the expected output's range (its own size if it is constant)."""
    a, e = same_shape(actual, expected)
    span = float(np.ptp(e)) or float(np.abs(e).max()) or 1.0
    difference = float(np.abs(a - e).max())
    return difference / span if np.isfinite(difference) else float("inf")


def sqnr_db(actual: Array, expected: Array) -> float:
    """Signal to quantisation noise ratio: power of ``expected`` over power of the difference, in dB."""
    a, e = same_shape(actual, expected)
    return _decibel(float(np.square(e).mean()), a - e)


def psnr_db(actual: Array, expected: Array) -> float:
    """Peak signal to noise ratio: squared range of ``expected`` over power of the difference, in dB."""
    a, e = same_shape(actual, expected)
    return _decibel(float(np.ptp(e)) ** 2, a - e)


def cosine(actual: Array, expected: Array) -> float:
    """Cosine of the angle between the two, taken as vectors; 0 if one of them is zero."""
    a, e = (x.ravel() for x in same_shape(actual, expected))
    if not np.isfinite(a).all():
        return -1.0
    norm = float(np.linalg.norm(a) * np.linalg.norm(e))
    return float(a @ e) / norm if norm else 0.0


def exact_share(actual: Array, expected: Array) -> float:
    """Share of the elements that are the same: for whole numbers, which are right or wrong."""
    a, e = same_shape(actual, expected)
    return float((a == e).mean())


def _decibel(signal: float, difference: NDArray[np.float64]) -> float:
    noise = float(np.square(difference).mean())
    if not np.isfinite(noise):
        return -CAP_DB
    if noise == 0:
        return CAP_DB
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -CAP_DB, CAP_DB))


GENERAL = {
    metric.name: metric
    for metric in (
        Metric("max_abs_of_range", max_abs_of_range, False),
        Metric("sqnr_db", sqnr_db, True, "dB"),
        Metric("psnr_db", psnr_db, True, "dB"),
        Metric("cosine", cosine, True),
        Metric("exact_share", exact_share, True),
    )
}


def known_metrics() -> dict[str, Metric]:
    """The general metrics and what each task adds, by name."""
    return GENERAL | {task.agreement.name: task.agreement for task in TASKS.values()}
