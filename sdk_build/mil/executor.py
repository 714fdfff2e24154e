"""Runs a saved ML program on any machine: an emulation of Core ML, not Apple's runtime.

Every operation is computed in float32 on torch and rounded to the dtype that the program states. Core ML
itself chooses per operation between CPU, GPU and Neural Engine, which accumulate in other precisions and
orders: the emulation shows whether the saved program is right and what its number formats cost, not the
last bits of a device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sdk_build.mil.dtypes as dtypes
import sdk_build.mil.features as features
from sdk_build.errors import BadInput
from sdk_build.mil.ops import OPERATIONS, State
from sdk_build.mil.ops.accumulate import HALF_OPERATIONS
from sdk_build.mil.program import MilBlock, MilOperation, MilProgram, MilTensor
from sdk_build.mil.steps import Block, Observer

ACCUMULATE = ("fp32", "fp16")


@dataclass(frozen=True)
class OpTrace:
    """What one operation wrote.

    Attributes:
        name: The operation's name.
        op_type: MIL's type, such as ``conv``.
        outputs: Output name -> array (float16 where the program states fp16).
        dtype: The MIL dtype of the first output.
    """

    name: str
    op_type: str
    outputs: Mapping[str, np.ndarray]
    dtype: str


Trace = Callable[[OpTrace], None]


class ModelState:
    """What a stateful model keeps from one prediction to the next; all zero at first, as Core ML's.

    Args:
        declared: The model's states.
    """

    def __init__(self, declared: Sequence[MilTensor]) -> None:
        self._declared = {tensor.name: tensor for tensor in declared}
        self.values = {t.name: State(dtypes.zeros(features.sizes(t), t.dtype)) for t in declared}

    def read_state(self, name: str) -> np.ndarray:
        """A copy of one state, in the dtype that the model states.

        Raises:
            BadInput: There is no state of that name.
        """
        return dtypes.to_numpy(self._known(name).tensor, self._declared[name].dtype)

    def write_state(self, name: str, value: np.ndarray) -> None:
        """Replaces one state.

        Raises:
            BadInput: There is no state of that name, or the shape is another.
        """
        state, declared = self._known(name), self._declared[name]
        array = np.asarray(value)
        if array.shape != tuple(state.tensor.shape) or array.dtype.kind not in "biuf":
            raise BadInput(
                f"state '{name}' given as {array.dtype} {array.shape}; "
                f"allowed: numbers of shape {tuple(state.tensor.shape)}; reshape it"
            )
        state.tensor = dtypes.store(dtypes.cast(dtypes.from_numpy(array), declared.dtype), declared.dtype, [])

    def _known(self, name: str) -> State:
        if name not in self.values:
            raise BadInput(f"state '{name}'; allowed: {', '.join(self.values) or 'none, the model has no states'}")
        return self.values[name]


class ProgramExecutor:
    """Runs one function of an ML program.

    Weights are unpacked once, at construction; ``const`` and ``constexpr_*`` operations don't appear in a
    trace.

    Args:
        program: What :func:`~sdk_build.mil.files.reader.read_program` gives.
        accumulate: ``fp32``, or ``fp16`` for products whose running sums are rounded to half precision.
        operations: Type -> function; those of ML programs by default.

    Raises:
        BadInput: ``accumulate`` is none of the two.
        LoweringError: One of the constants can't be unpacked.
        UnsupportedOperation: The program holds an operation, or a parameter of one, that the emulation lacks.
    """

    def __init__(
        self,
        program: MilProgram,
        accumulate: str = "fp32",
        operations: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        if accumulate not in ACCUMULATE:
            raise BadInput(f"accumulate '{accumulate}'; allowed: {' or '.join(ACCUMULATE)}")
        self.program = program
        table = OPERATIONS if operations is None else operations
        if accumulate == "fp16":
            table = {**table, **HALF_OPERATIONS}
        block = MilBlock((), program.operations, tuple(output.name for output in program.outputs))
        self._block = Block(program.name, block, table, {})
        self._block.forget_unused_constants()

    @property
    def inputs(self) -> tuple[MilTensor, ...]:
        """What :meth:`predict` takes."""
        return self.program.inputs

    @property
    def outputs(self) -> tuple[MilTensor, ...]:
        """What :meth:`predict` returns."""
        return self.program.outputs

    @property
    def states(self) -> tuple[MilTensor, ...]:
        """What :meth:`make_state` makes."""
        return self.program.states

    def make_state(self) -> ModelState:
        """Fresh states, all zero."""
        return ModelState(self.states)

    @torch.no_grad()
    def predict(
        self, inputs: Mapping[str, Any], trace: Trace | None = None, state: ModelState | None = None
    ) -> dict[str, Any]:
        """Runs the program once; see :meth:`sdk_build.mil.EmulatedCoreML.predict`."""
        values: dict[str, Any] = dict(features.to_tensors(self.inputs, inputs))
        values.update((self.make_state() if state is None else state).values)
        results = self._block.run(values, None if trace is None else _observer(trace))
        return {
            output.name: features.from_result(output, result)
            for output, result in zip(self.outputs, results, strict=True)
        }


def _observer(trace: Trace) -> Observer:
    def observe(operation: MilOperation, results: Mapping[str, Any]) -> None:
        arrays = {
            output.name: dtypes.to_numpy(results[output.name], output.dtype)
            for output in operation.outputs
            if isinstance(results[output.name], Tensor)
        }
        dtype = operation.outputs[0].dtype if operation.outputs else ""
        trace(OpTrace(operation.name, operation.op_type, arrays, dtype))

    return observe
