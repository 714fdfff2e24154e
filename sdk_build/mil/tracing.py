"""Every operation's range: where numbers get large, infinite or undefined, and what half precision can't hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.executor import OpTrace

FP16_LARGEST = 65504.0
FP16_SMALLEST = 2.0**-24  # the smallest number above zero; a normal one begins at 2^-14


@dataclass(frozen=True)
class OpRange:
    """What one operation wrote, in numbers.

    Attributes:
        name: The operation's name.
        op_type: Its type.
        dtype: The dtype that it states.
        shape: Of its first output.
        low: The smallest finite number, NaN if there is none.
        high: The largest finite number.
        smallest: The smallest magnitude above zero, NaN if there is none.
        nan: How many numbers are NaN.
        infinite: How many are infinite; in fp16 also those that overflowed.
        beyond_fp16: How many have a magnitude that fp16 rounds to infinity; in fp16 they are infinite already.
        lost_in_fp16: How many are above zero but round to zero in fp16.
    """

    name: str
    op_type: str
    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float
    smallest: float
    nan: int
    infinite: int
    beyond_fp16: int
    lost_in_fp16: int

    @property
    def is_suspicious(self) -> bool:
        """Whether it holds what no healthy network computes on purpose."""
        return self.nan > 0 or self.infinite > 0 or self.beyond_fp16 > 0


def trace_ranges(model: EmulatedCoreML, inputs: Mapping[str, Any]) -> list[OpRange]:
    """Runs a model once and measures every operation that writes floating point numbers, in order."""
    found: list[OpRange] = []

    def measure(trace: OpTrace) -> None:
        arrays = [array for array in trace.outputs.values() if array.dtype.kind == "f" and array.size]
        if arrays:
            found.append(_range_of(trace, arrays))

    model.predict(inputs, measure)
    return found


def _range_of(trace: OpTrace, arrays: list[np.ndarray]) -> OpRange:
    numbers = np.concatenate([array.reshape(-1) for array in arrays]).astype(np.float32)
    finite = numbers[np.isfinite(numbers)]
    sizes = np.abs(finite)
    above_zero = sizes[sizes > 0]
    return OpRange(
        name=trace.name,
        op_type=trace.op_type,
        dtype=trace.dtype,
        shape=arrays[0].shape,
        low=float(finite.min()) if finite.size else math.nan,
        high=float(finite.max()) if finite.size else math.nan,
        smallest=float(above_zero.min()) if above_zero.size else math.nan,
        nan=int(np.isnan(numbers).sum()),
        infinite=int(np.isinf(numbers).sum()),
        # Half a step above the largest number is where rounding to nearest gives infinity.
        beyond_fp16=int((sizes >= FP16_LARGEST + 16).sum()),
        lost_in_fp16=int((above_zero <= FP16_SMALLEST / 2).sum()),
    )
