"""Mixed precision: which parts go back to float until a budget holds.

Parts return in the order of their sensitivity, twice as many each time; once the budget holds, halving finds the
fewest. Accuracy need not rise with every part that returns, so the result is a small set that keeps the budget, not
provably the smallest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Trial(Generic[T]):
    """One attempt.

    Attributes:
        keep_float: parts that were float.
        result: whatever the attempt gave, for the report.
        reason: why it does not pass; empty if it does.
        used: share of the budget that it takes, above 1 where it fails by that; infinite where nothing was measured.
    """

    keep_float: tuple[str, ...]
    result: T
    reason: str
    used: float = math.inf

    @property
    def passed(self) -> bool:
        return not self.reason


def search(
    order: Sequence[str],
    always: tuple[str, ...],
    attempt: Callable[[tuple[str, ...]], Trial[T]],
    at_most: int | None = None,
) -> Trial[T]:
    """The trial with few parts in float that passes, or of those that did not the one nearest to its budget.

    Args:
        order: parts, the most sensitive first.
        always: parts that are float in every attempt.
        attempt: makes an artifact with these parts in float and judges it.
        at_most: parts that may return; default half of them, since what is mostly float is no quantisation.
    """
    candidates = [part for part in order if part not in always]
    limit = len(candidates) // 2 if at_most is None else min(at_most, len(candidates))

    def tried(count: int) -> Trial[T]:
        return attempt((*always, *candidates[:count]))

    trial, failed, count = tried(0), 0, 0
    nearest = trial
    while not trial.passed and count < limit:
        failed, count = count, min(max(1, 2 * count), limit)
        trial = tried(count)
        nearest = min(nearest, trial, key=lambda t: t.used)  # accuracy need not rise with every part
    if not trial.passed:
        return nearest
    best = trial
    while count - failed > 1:
        middle = (count + failed) // 2
        trial = tried(middle)
        if trial.passed:
            best, count = trial, middle
        else:
            failed = middle
    return best
