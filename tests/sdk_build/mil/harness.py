"""Builds one-operation programs by hand, to test an operation through the executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.program import MilOperation, MilProgram, MilTensor


@dataclass(frozen=True)
class Case:
    """One operation, its arguments, and what it must give.

    ``expected`` is a tuple for several outputs; ``dtype`` is what the program states for the first output.
    """

    op_type: str
    label: str
    arguments: dict[str, Any]
    expected: Any
    dtype: str = "fp32"

    @property
    def id(self) -> str:
        return f"{self.op_type}-{self.label}"


def array(*values: Any, dtype: Any = np.float32) -> np.ndarray:
    return np.array(values, dtype=dtype)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def scalar(value: Any) -> np.ndarray:
    """A 0-d array: float32, int32 or bool by the type of ``value``."""
    kinds = {bool: np.bool_, int: np.int32, float: np.float32}
    return np.array(value, dtype=kinds[type(value)])


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def t(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values)


def _dtype_name(values: np.ndarray) -> str:
    return {"float32": "fp32", "float16": "fp16", "int64": "int32"}.get(values.dtype.name, values.dtype.name)


def program_of(op_type: str, arguments: dict[str, Any], outputs: tuple[MilTensor, ...]) -> MilProgram:
    operation = MilOperation(op_type, "op", arguments, outputs)
    return MilProgram("hand.mlpackage", (operation,), (), outputs)


def run_case(case: Case) -> list[Any]:
    """Runs the operation; the program states the expected shapes, so the executor checks them."""
    expected = case.expected if isinstance(case.expected, tuple) else (case.expected,)
    outputs = []
    for number, value in enumerate(expected):
        shape = tuple(value.shape) if hasattr(value, "shape") else ()
        dtype = case.dtype if number == 0 else _dtype_name(np.asarray(value))
        outputs.append(MilTensor(f"out{number}", shape, dtype))
    model = EmulatedCoreML(program_of(case.op_type, case.arguments, tuple(outputs)))
    results = model.predict({})
    return [results[output.name] for output in outputs]


def check_case(case: Case) -> None:
    expected = case.expected if isinstance(case.expected, tuple) else (case.expected,)
    for got, wanted in zip(run_case(case), expected, strict=True):
        if isinstance(wanted, (str, dict)):
            assert got == wanted
        else:
            np.testing.assert_allclose(got, np.asarray(wanted), rtol=2e-5, atol=2e-6)
