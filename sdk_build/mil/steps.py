"""Operations made ready to run: constants resolved once, names of what changes, and what may be released."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

import sdk_build.mil.dtypes as dtypes
from sdk_build.errors import BadInput, LoweringError, UnsupportedOperation
from sdk_build.mil.ops import specialised
from sdk_build.mil.program import MilBlock, MilOperation, MilTensor, Ref, Value

Operations = Mapping[str, Callable[..., Any]]
Values = dict[str, Any]
Observer = Callable[[MilOperation, Mapping[str, Any]], None]
# What a function of sdk_build.mil.ops raises where a program's numbers don't fit each other.
_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def is_constant(operation: MilOperation) -> bool:
    """Whether the operation only holds or unpacks numbers that the file stores."""
    return operation.op_type == "const" or operation.op_type.startswith("constexpr_")


def check_supported(program: str, operation: MilOperation, operations: Operations) -> None:
    """Refuses an unknown operation, and a parameter that an emulated one would ignore.

    Raises:
        UnsupportedOperation: The emulation lacks the operation or the parameter.
    """
    place = f"{program} operation '{operation.name}'"
    function = operations.get(operation.op_type)
    if function is None:
        raise UnsupportedOperation(
            f"{place}: type '{operation.op_type}' is not emulated; allowed: {', '.join(sorted(operations))}; "
            "rewrite the layer, or add the operation to sdk_build/mil/ops"
        )
    known = inspect.signature(function).parameters
    for parameter in operation.inputs:
        if parameter not in known:
            raise UnsupportedOperation(
                f"{place} ({operation.op_type}): parameter '{parameter}' is not emulated; "
                f"allowed: {', '.join(known)}; export for an older deployment target"
            )


class Step:
    """One operation, ready to be called again and again.

    Args:
        place: The operation's name and type, for messages.
        operation: What to run; its blocks are built before.
        function: From :mod:`sdk_build.mil.ops`.
        constants: The values that don't change, by name.
        blocks: The operation's blocks, ready to run.
    """

    def __init__(
        self,
        place: str,
        operation: MilOperation,
        function: Callable[..., Any],
        constants: Values,
        blocks: Sequence[Block] = (),
    ) -> None:
        self.operation = operation
        self._place = place
        self._blocks = blocks
        self._fixed: dict[str, Any] = {}
        self._named: list[tuple[str, str]] = []
        self._listed: list[tuple[str, list[tuple[str | None, Any]]]] = []
        for parameter, value in operation.inputs.items():
            self._sort(parameter, value, constants)
        fast = None if blocks else specialised(operation.op_type, function, self._fixed)
        self._function, self._fixed = (function, self._fixed) if fast is None else (fast, {})
        self._fixed_tensors = [part for value in self._fixed.values() for part in tensors_in(value)]
        self._writes = [(output.name, output, dtypes.held_as(output.dtype)) for output in operation.outputs]

    def _sort(self, parameter: str, value: Value, constants: Values) -> None:
        if isinstance(value, tuple):
            parts = [self._part(part, constants) for part in value]
            if all(name is None for name, _ in parts):
                self._fixed[parameter] = [constant for _, constant in parts]
            else:
                self._listed.append((parameter, parts))
        else:
            name, constant = self._part(value, constants)
            if name is None:
                self._fixed[parameter] = constant
            else:
                self._named.append((parameter, name))

    def _part(self, value: Value, constants: Values) -> tuple[str | None, Any]:
        if isinstance(value, Ref):
            return (None, constants[value.name]) if value.name in constants else (value.name, None)
        is_number = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        return None, dtypes.from_numpy(value) if is_number else value  # type: ignore[arg-type]

    def run(self, values: Values, observe: Observer | None = None) -> None:
        """Computes the operation on ``values`` and writes its outputs there.

        Raises:
            UnsupportedOperation: A setting that is not emulated.
            LoweringError: The operation failed, or gave another shape than the program states.
        """
        arguments = self._arguments(values)
        if self._blocks:
            arguments["blocks"] = [block.bind(values, observe) for block in self._blocks]
        try:
            results = self._function(**arguments)
        except UnsupportedOperation as error:
            raise UnsupportedOperation(f"{self._place}: {error}") from None
        except (BadInput, LoweringError):  # from inside a block, which has named its own operation
            raise
        except _FAULTS as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise LoweringError(f"{self._place} failed: {reason}; check the input, or export it again") from error
        made = results if isinstance(results, tuple) else (results,)
        if len(made) != len(self._writes):
            raise LoweringError(f"{self._place} gives {len(made)} results, the program wants {len(self._writes)}")
        for result, (name, output, held) in zip(made, self._writes, strict=True):
            values[name] = self._stored(result, output, held, arguments)
        if observe is not None:
            observe(self.operation, {name: values[name] for name, _, _ in self._writes})

    def _arguments(self, values: Values) -> dict[str, Any]:
        arguments = self._fixed.copy()
        try:
            for parameter, name in self._named:
                arguments[parameter] = values[name]
            for parameter, parts in self._listed:
                arguments[parameter] = [constant if name is None else values[name] for name, constant in parts]
        except KeyError as error:
            raise LoweringError(f"{self._place} reads {error}, which only a branch that didn't run writes") from None
        return arguments

    def _stored(self, result: Any, output: MilTensor, held: Any, arguments: Mapping[str, Any]) -> Any:
        """Rounds a result to its stated dtype and holds it against its stated shape."""
        if not isinstance(result, Tensor):
            return result
        if result.shape != output.shape:
            self._check_shape(result, output)
        if result.dtype is held and output.dtype != "fp16":
            return result
        inputs = self._fixed_tensors + [part for value in arguments.values() for part in tensors_in(value)]
        return dtypes.store(result, output.dtype, inputs)

    def _check_shape(self, result: Tensor, output: MilTensor) -> None:
        shape = tuple(result.shape)
        if not output.is_ranked or (
            len(shape) == len(output.shape)
            and all(wanted is None or wanted == size for size, wanted in zip(shape, output.shape, strict=True))
        ):
            return
        raise LoweringError(
            f"{self._place}: output '{output.name}' has shape {shape}, the program states {output.shape}; "
            "the emulation differs from MIL here, report it"
        )


class Block:
    """Steps in order, with the values that may be released after each.

    Args:
        program: The program's name, for messages.
        block: Operations and the names of what they give back.
        operations: Type -> function.
        constants: Values from around the block that don't change.
    """

    def __init__(self, program: str, block: MilBlock, operations: Operations, constants: Values) -> None:
        self.inputs, self.outputs, self._is_shared = block.inputs, block.outputs, block.is_shared
        self.constants = dict(constants)
        # A name that is bound anew inside hides a constant of the same name around it.
        for name in (*block.inputs, *(o.name for op in block.operations if not is_constant(op) for o in op.outputs)):
            self.constants.pop(name, None)
        self.steps: list[Step] = []
        for operation in block.operations:
            check_supported(program, operation, operations)
            place = f"{program} operation '{operation.name}' ({operation.op_type})"
            inner = [Block(program, nested, operations, self.constants) for nested in operation.blocks]
            step = Step(place, operation, operations[operation.op_type], self.constants, inner)
            if is_constant(operation):
                step.run(self.constants)
            else:
                self.steps.append(step)
        self._release = _releases([step.operation for step in self.steps], block.outputs)

    def forget_unused_constants(self) -> None:
        """Keeps of the constants only what the block gives back: the steps hold the others that they need."""
        self.constants = {name: value for name, value in self.constants.items() if name in self.outputs}
        for step in self.steps:
            for block in step._blocks:
                block.forget_unused_constants()

    def run(self, values: Values, observe: Observer | None = None) -> list[Any]:
        """Runs every step on ``values``, which is used up, and returns the outputs."""
        for step, names in zip(self.steps, self._release, strict=True):
            step.run(values, observe)
            for name in names:
                values.pop(name, None)
        return [values[name] if name in values else self.constants[name] for name in self.outputs]

    def _run_shared(self, values: Values, observe: Observer | None) -> list[Any]:
        """Runs every step on the values around the block, where what it writes stays."""
        for step in self.steps:
            step.run(values, observe)
        return [values[name] for name in self.outputs]

    def bind(self, around: Values, observe: Observer | None) -> Callable[..., list[Any]]:
        """The block as a function of its inputs, over the values around its operation."""
        if self._is_shared:
            return lambda: self._run_shared(around, observe)
        return lambda *given: self.run({**around, **dict(zip(self.inputs, given, strict=True))}, observe)


def _releases(operations: Sequence[MilOperation], kept: Iterable[str]) -> list[list[str]]:
    """For each operation, the names that nothing reads after it."""
    last: dict[str, int] = {}
    for number, operation in enumerate(operations):
        last.update(dict.fromkeys((output.name for output in operation.outputs), number))
        last.update(dict.fromkeys(operation.references(), number))
    released: list[list[str]] = [[] for _ in operations]
    for name, number in last.items():
        if name not in kept:
            released[number].append(name)
    return released


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of an argument."""
    parts = value if isinstance(value, list) else [value]
    return [part for part in parts if isinstance(part, Tensor)]
