"""Runs a saved .mlpackage on any machine: an emulation of Core ML, not Apple's runtime.

Every operation is computed in float32 on torch and rounded to the dtype that the program states. Core ML
itself chooses per operation between CPU, GPU and Neural Engine, which accumulate in other precisions and
orders: the emulation shows whether the saved program is right and what its number formats cost, not the
last bits of a device.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sdk_build.mil.dtypes as dtypes
import sdk_build.mil.features as features
from sdk_build.errors import LoweringError, UnsupportedOperation
from sdk_build.mil.ops import OPERATIONS
from sdk_build.mil.program import MilOperation, MilProgram, MilTensor, Ref, Value
from sdk_build.mil.reader import read_program


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


class EmulatedCoreML:
    """Runs a saved .mlpackage; an emulation of Core ML with the interface of coremltools' ``MLModel``.

    Weights are unpacked once, at construction; ``const`` and ``constexpr_*`` operations don't appear in a
    trace.

    Args:
        source: An .mlpackage folder, or a program that was read before.

    Raises:
        BadInput: The package is absent or damaged.
        LoweringError: The program can't be rebuilt, or one of its constants can't be unpacked.
        UnsupportedOperation: The program holds an operation, or a parameter of one, that the emulation lacks.
    """

    def __init__(self, source: Path | MilProgram) -> None:
        self.program = source if isinstance(source, MilProgram) else read_program(source)
        for operation in self.program.operations:
            _check_supported(self.program.name, operation)
        self._steps = [operation for operation in self.program.operations if not _is_constant(operation)]
        self._last_use = _last_uses(self._steps, {output.name for output in self.program.outputs})
        self._constants = self._fold_constants()

    @property
    def inputs(self) -> tuple[MilTensor, ...]:
        """What :meth:`predict` takes."""
        return self.program.inputs

    @property
    def outputs(self) -> tuple[MilTensor, ...]:
        """What :meth:`predict` returns."""
        return self.program.outputs

    @property
    def precision(self) -> str:
        """``fp16`` or ``fp32``: the dtype that most of the float operations write."""
        return self.program.precision

    def op_counts(self) -> dict[str, int]:
        """How often each operation type occurs, the commonest first, constants left out."""
        return self.program.op_counts()

    @torch.no_grad()
    def predict(
        self, inputs: Mapping[str, np.ndarray], trace: Callable[[OpTrace], None] | None = None
    ) -> dict[str, Any]:
        """Runs the program once.

        Args:
            inputs: One array per input. A picture is (H, W, 3) uint8 RGB (also for a program that wants BGR) or
                (H, W); scale and bias are part of the program.
            trace: Called after every operation, in order.

        Returns:
            One array per output, in the dtype that the program states. A classifier returns its label and a
            dictionary of probabilities, as coremltools does.

        Raises:
            BadInput: An input has another name, shape or dtype than the program declares.
            UnsupportedOperation: An operation has a setting that the emulation lacks.
            LoweringError: An operation failed, or gave another shape than the program states.
        """
        values: dict[str, Any] = dict(features.to_tensors(self.program.inputs, inputs))
        for number, operation in enumerate(self._steps):
            results = self._compute(operation, values)
            if trace is not None:
                trace(_trace_of(operation, results))
            values.update(results)
            del results
            for name in {*operation.references(), *(output.name for output in operation.outputs)}:
                if self._last_use.get(name, number) <= number:
                    values.pop(name, None)
        return {output.name: features.from_result(output, self._lookup(output.name, values)) for output in self.outputs}

    def _fold_constants(self) -> dict[str, Any]:
        """Unpacks the weights, and keeps only what a step or an output reads."""
        self._constants = {}
        for operation in self.program.operations:
            if _is_constant(operation):
                self._constants.update(self._compute(operation, {}))
        needed = {name for step in self._steps for name in step.references()}
        needed.update(output.name for output in self.program.outputs)
        return {name: value for name, value in self._constants.items() if name in needed}

    def _compute(self, operation: MilOperation, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = {name: self._resolve(value, values) for name, value in operation.inputs.items()}
        place = f"{self.program.name} operation '{operation.name}' ({operation.op_type})"
        try:
            results = OPERATIONS[operation.op_type](**arguments)
        except UnsupportedOperation as error:
            raise UnsupportedOperation(f"{place}: {error}") from None
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise LoweringError(f"{place} failed: {reason}; check the input, or export it again") from error
        parts = results if isinstance(results, tuple) else (results,)
        tensors = [part for value in arguments.values() for part in _tensors_in(value)]
        stored = {}
        for part, output in zip(parts, operation.outputs, strict=True):
            stored[output.name] = _store(part, output, tensors, place)
        return stored

    def _resolve(self, value: Value, values: Mapping[str, Any]) -> Any:
        if isinstance(value, tuple):
            return [self._resolve(part, values) for part in value]
        if isinstance(value, Ref):
            return self._lookup(value.name, values)
        is_number = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        return dtypes.from_numpy(value) if is_number else value  # type: ignore[arg-type]

    def _lookup(self, name: str, values: Mapping[str, Any]) -> Any:
        return values[name] if name in values else self._constants[name]


def _check_supported(program: str, operation: MilOperation) -> None:
    """Refuses an unknown operation, and a parameter that an emulated one would ignore."""
    place = f"{program} operation '{operation.name}'"
    function = OPERATIONS.get(operation.op_type)
    if function is None:
        raise UnsupportedOperation(
            f"{place}: type '{operation.op_type}' is not emulated; allowed: {', '.join(sorted(OPERATIONS))}; "
            "rewrite the layer, or add the operation to sdk_build/mil/ops.py"
        )
    known = inspect.signature(function).parameters
    for parameter in operation.inputs:
        if parameter not in known:
            raise UnsupportedOperation(
                f"{place} ({operation.op_type}): parameter '{parameter}' is not emulated; "
                f"allowed: {', '.join(known)}; export for an older deployment target"
            )


def _is_constant(operation: MilOperation) -> bool:
    return operation.op_type == "const" or operation.op_type.startswith("constexpr_")


def _last_uses(steps: list[MilOperation], kept: set[str]) -> dict[str, int]:
    """The number of the last step that reads each value; outputs of the program are never released."""
    last = {name: number for number, step in enumerate(steps) for name in step.references()}
    return {**last, **dict.fromkeys(kept, len(steps))}


def _tensors_in(value: Any) -> list[Tensor]:
    parts = value if isinstance(value, list) else [value]
    return [part for part in parts if isinstance(part, Tensor)]


def _store(result: Any, output: MilTensor, inputs: list[Tensor], place: str) -> Any:
    """Rounds a result to its stated dtype and holds it against its stated shape."""
    if not isinstance(result, Tensor):
        return result
    shape = tuple(result.shape)
    if len(shape) != len(output.shape) or not all(
        w is None or w == n for n, w in zip(shape, output.shape, strict=True)
    ):
        raise LoweringError(
            f"{place}: output '{output.name}' has shape {shape}, the program states {output.shape}; "
            "the emulation differs from MIL here, report it"
        )
    return dtypes.store(result, output.dtype, inputs)


def _trace_of(operation: MilOperation, results: Mapping[str, Any]) -> OpTrace:
    arrays = {
        output.name: dtypes.to_numpy(results[output.name], output.dtype)
        for output in operation.outputs
        if isinstance(results[output.name], Tensor)
    }
    return OpTrace(operation.name, operation.op_type, arrays, operation.outputs[0].dtype)
