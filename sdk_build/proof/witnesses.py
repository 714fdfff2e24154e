"""Two witnesses of one network: OnPar's emulation of Core ML and Apple's interpreter of Core AI.

Both artifacts are made from the same network by different converters and run by programs that share no code. Each was
held to the reference on the golden inputs; here they are held to each other, there and on one of them mirrored, of
which no file holds an answer. Where they disagree, at least one of them is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from reference.spec import ModelSpec
from sdk_build.backends import Tensors
from sdk_build.proof.metrics import known_metrics
from sdk_build.proof.parity import REPORTED, Check, compare

WITNESSES = ("coreml", "coreai")
STAGE = "between_witnesses"
# Two errors of opposite sign add up: twice the amplitude, which is 6.02 dB.
BOTH_ERRORS = 2.0


def mirrored(inputs: Tensors) -> Tensors:
    """Inputs as likely as the golden ones, and that no golden file answers: left and right exchanged."""
    return {name: np.array(tensor[..., ::-1] if tensor.ndim else tensor, order="C") for name, tensor in inputs.items()}


def witness_inputs(golden: Sequence[Tensors]) -> list[Tensors]:
    """The golden inputs, and the first of them mirrored: a run of a volume in Apple's interpreter takes seconds."""
    return [*golden, *map(mirrored, golden[:1])]


def mutual_limits(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """What two artifacts may differ by, of which each keeps its own limits against the reference.

    The task's own metric is left out: a class or a box may flip between two answers that are both close enough.
    """
    limits = {}
    for name in REPORTED:
        metric = known_metrics()[name]
        given = [limit[name] for limit in (first, second) if name in limit]
        if not given:
            continue
        if metric.unit == "dB":
            limits[name] = min(given) - 20 * math.log10(BOTH_ERRORS)
        elif metric.larger_is_better:
            limits[name] = 1 - BOTH_ERRORS**2 * (1 - min(given))  # a cosine falls with the square of the error
        else:
            limits[name] = BOTH_ERRORS * max(given)
    return limits


def compare_witnesses(
    names: Sequence[str],
    spec: ModelSpec,
    limits: Mapping[str, float],
    first: Sequence[Tensors],
    second: Sequence[Tensors],
) -> list[Check]:
    """Checks of the first witness's outputs against the second's; the worst input counts.

    Args:
        names: of the two, as :func:`sdk_build.backends.execution_name` has them.
        limits: of :func:`mutual_limits`.
        first, second: outputs for the same inputs, in the same order.
    """
    pairs = list(zip(first, second, strict=True))
    return [check for check in compare(" and ".join(names), STAGE, spec, limits, pairs) if check.metric in REPORTED]
