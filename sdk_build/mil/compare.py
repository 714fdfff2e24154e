"""Compares two packages of one network operation by operation: where does a number format lose precision?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sdk_build.errors import BadInput
from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.executor import OpTrace

# What coremltools' fp16 pass appends to the name of every operation that it converts.
_FP16_SUFFIX = "_cast_fp16"


@dataclass(frozen=True)
class OpSqnr:
    """How far one operation's output is from the reference; ``sqnr_db`` is inf where they are equal."""

    name: str
    op_type: str
    sqnr_db: float


def base_name(name: str) -> str:
    """An operation's name without what fp16 conversion appends."""
    return name.removesuffix(_FP16_SUFFIX)


def sqnr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Signal to quantisation noise ratio, 10 log10(sum of reference^2 / sum of difference^2), in float64.

    Args:
        reference: Any shape and number dtype.
        other: The same shape.

    Returns:
        Decibels; inf if the arrays are equal, -inf if ``other`` is not finite or the reference is all zero.
    """
    signal = reference.astype(np.float64)
    noise = other.astype(np.float64) - signal
    signal_power, noise_power = float(np.sum(signal**2)), float(np.sum(noise**2))
    if noise_power == 0.0:
        return math.inf
    if signal_power == 0.0 or not math.isfinite(noise_power):
        return -math.inf
    return 10 * math.log10(signal_power / noise_power)


def compare_traces(reference: EmulatedCoreML, other: EmulatedCoreML, inputs: Mapping[str, np.ndarray]) -> list[OpSqnr]:
    """Runs both programs on one input and compares the operations that have the same name, type and shape.

    The suffix that coremltools' fp16 conversion adds to names is ignored. All values of the reference are
    held at once: not for volumes.

    Args:
        reference: Usually the fp32 package.
        other: Usually the fp16 or the quantised package of the same network.
        inputs: What both programs take.

    Returns:
        One entry per operation that both have, the worst first.

    Raises:
        BadInput: The programs have no operation in common.
    """
    expected: dict[str, tuple[str, list[np.ndarray]]] = {}

    def remember(trace: OpTrace) -> None:
        expected[base_name(trace.name)] = (trace.op_type, list(trace.outputs.values()))

    found: list[OpSqnr] = []

    def compare(trace: OpTrace) -> None:
        name = base_name(trace.name)
        op_type, arrays = expected.pop(name, ("", []))
        pairs = list(zip(arrays, trace.outputs.values(), strict=False))
        if op_type == trace.op_type and pairs and all(a.shape == b.shape for a, b in pairs):
            found.append(OpSqnr(name, op_type, min(sqnr_db(a, b) for a, b in pairs)))

    reference.predict(inputs, remember)
    other.predict(inputs, compare)
    if not found:
        raise BadInput(
            f"{reference.program.name} and {other.program.name} share no operation; "
            "allowed: two packages of one network; convert both from the same exported program"
        )
    return sorted(found, key=lambda entry: entry.sqnr_db)
