"""How far every operation of an artifact is from PyTorch's, found by their numbers.

Converters rename, fuse and reorder, so names say little. A step of the network agrees as well as the best value of the
artifact that has its numbers in some order of the axes. A step whose result the artifact doesn't hold, since it was
fused into the next one, agrees as well as the best of those that read it.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sdk_build.backends import Inner
from sdk_build.bisect.steps import Step
from sdk_build.mil.compare import sqnr_db

EQUAL_DB = 150.0  # what rounding in float32 leaves, and better
FUSED_DB = 20.0  # below it, the artifact may not hold a step's result at all
RECOVERED_DB = 20.0  # above a limit
_CERTAIN_DB = 100.0  # no other value can be meant
_MOST_AXES = 6


@dataclass(frozen=True)
class Level:
    """What one step agrees to.

    Attributes:
        step: of the PyTorch network.
        value: the artifact's that is nearest to it, as the artifact calls it; empty where it has none of that size.
        operation: what wrote it there.
        own_db: agreement with that value, :data:`EQUAL_DB` at most; NaN without one.
        level_db: that; where it is below :data:`FUSED_DB`, the best of it and of the steps that read its result.
        drop_db: how much worse that is than the worst of what it reads, or than the best that the artifact's precision
            gives: what this operation costs.
    """

    step: Step
    value: str
    operation: str
    own_db: float
    level_db: float
    drop_db: float


Match = tuple[float, Inner | None, NDArray[Any] | None]


def nearest(array: NDArray[Any], inner: Sequence[Inner]) -> Match:
    """How well the nearest value of an artifact agrees in decibels, that value, its numbers as ``array`` has them."""
    best: Match = (math.nan, None, None)
    for candidate in inner:
        for laid_out in _layouts(candidate.value, array.shape):
            level = min(sqnr_db(array, laid_out), EQUAL_DB)
            if best[1] is None or level > best[0]:
                best = (level, candidate, laid_out)
        if best[0] > _CERTAIN_DB:
            break
    return best


def _layouts(value: NDArray[Any], shape: tuple[int, ...]) -> list[NDArray[Any]]:
    """Every order of a value's axes that has the wanted shape; dimensions of one don't count."""
    wanted = tuple(n for n in shape if n != 1)
    squeezed = value.reshape([n for n in value.shape if n != 1])
    if squeezed.size != math.prod(wanted):
        return []
    if sorted(squeezed.shape) != sorted(wanted) or len(wanted) > _MOST_AXES:
        return [value.reshape(shape)]
    orders = itertools.permutations(range(squeezed.ndim))
    return [
        squeezed.transpose(order).reshape(shape)
        for order in orders
        if tuple(squeezed.shape[axis] for axis in order) == wanted
    ]


def measure_levels(
    steps: Sequence[Step],
    cases: Sequence[tuple[Mapping[str, NDArray[Any]], Sequence[Inner]]],
    ceiling: float = EQUAL_DB,
) -> list[Level]:
    """The level of every step, the worst over several inputs.

    Args:
        steps: in their order.
        cases: for each input, PyTorch's values by step and the artifact's.
        ceiling: decibels above which levels are equally good, so that the first rounding is not what costs most.
    """
    own: dict[str, Match] = {}
    for values, inner in cases:
        sizes: dict[int, list[Inner]] = defaultdict(list)
        for one in inner:
            sizes[one.value.size].append(one)
        for step in steps:
            found = nearest(values[step.name], sizes[values[step.name].size])
            if step.name not in own or _worse(found[0], own[step.name][0]):
                own[step.name] = found
    readers: dict[str, list[str]] = defaultdict(list)
    for step in steps:
        for name in step.reads:
            readers[name].append(step.name)
    level: dict[str, float] = {}
    for step in reversed(steps):
        level[step.name] = here = own[step.name][0]
        if math.isnan(here) or here < FUSED_DB:
            known = [here, *(level[name] for name in readers[step.name])]
            level[step.name] = max((v for v in known if not math.isnan(v)), default=math.nan)
    return [_level(step, own[step.name], level, ceiling) for step in steps]


def _worse(new: float, old: float) -> bool:
    return math.isnan(old) or new < old


def _level(step: Step, own: Match, level: Mapping[str, float], ceiling: float) -> Level:
    before = min([ceiling, *(level[name] for name in step.reads if not math.isnan(level[name]))])
    here = level[step.name]
    inner = own[1]
    return Level(
        step, inner.name if inner else "", inner.operation if inner else "", own[0], here, before - min(here, ceiling)
    )


def costliest(levels: Sequence[Level]) -> list[Level]:
    """Steps by what they cost, the worst first; only those that cost anything."""
    known = [entry for entry in levels if entry.drop_db > 0]
    return sorted(known, key=lambda entry: -entry.drop_db)


def first_below(levels: Sequence[Level], limit_db: float) -> Level | None:
    """The first step that agrees to less than a limit; None where all keep it.

    A difference of two nearly equal values agrees badly and does no harm: where what follows agrees to
    :data:`RECOVERED_DB` more than the limit, a step is excused.
    """
    best: dict[str, float] = {}
    for entry in reversed(levels):
        for name in entry.step.reads:
            best[name] = max(best.get(name, -math.inf), entry.level_db, best.get(entry.step.name, -math.inf))

    def excused(entry: Level) -> bool:
        return best.get(entry.step.name, -math.inf) >= limit_db + RECOVERED_DB

    return next((entry for entry in levels if entry.level_db < limit_db and not excused(entry)), None)
