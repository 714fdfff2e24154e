"""Finds the first operation at which a model leaves another model or a PyTorch network.

Two packages of one network are compared operation by operation, by name. A PyTorch network has no such names: every
tensor that it computes is kept, and an operation agrees if one of them has its shape and its numbers. Operations that
the conversion made up, such as parts of a rewritten activation, match nothing and are no fault as long as what follows
from them agrees.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sdk_build.errors import BadInput
from sdk_build.mil.compare import OpSqnr, base_name, sqnr_db
from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.executor import OpTrace
from sdk_build.mil.program import MilOperation, walk


@dataclass(frozen=True)
class Comparison:
    """Operations in their order, with what they agree to.

    Attributes:
        entries: Name, type and decibels; NaN where nothing of that shape was computed on the other side.
        first: The first operation that differs, None if none does.
        last_equal: The last one before it that agrees.
    """

    entries: tuple[OpSqnr, ...]
    first: str | None
    last_equal: str | None

    @property
    def compared(self) -> int:
        """How many operations had something to be compared with."""
        return sum(not math.isnan(entry.sqnr_db) for entry in self.entries)

    def to_json(self) -> dict[str, Any]:
        """For a JSON document, which has no infinity and no NaN."""
        return {
            "first_difference": self.first,
            "last_equal": self.last_equal,
            "operations": [
                {
                    "name": e.name,
                    "type": e.op_type,
                    "sqnr_db": round(e.sqnr_db, 2) if math.isfinite(e.sqnr_db) else str(e.sqnr_db),
                }
                for e in self.entries
            ],
        }


def compare_with_model(
    model: EmulatedCoreML, other: EmulatedCoreML, inputs: Mapping[str, Any], limit_db: float
) -> Comparison:
    """Compares operations that have the same name, type and shape in both, and else by their numbers.

    All values of ``other`` are held at once: not for volumes.

    Raises:
        BadInput: The models share neither names nor numbers.
    """
    named: dict[tuple[str, str], list[np.ndarray]] = {}
    values = _Values()

    def remember(trace: OpTrace) -> None:
        named[base_name(trace.name), trace.op_type] = list(trace.outputs.values())
        for array in trace.outputs.values():
            values.add(array)

    def level(trace: OpTrace) -> float:
        arrays = named.get((base_name(trace.name), trace.op_type), [])
        pairs = list(zip(arrays, trace.outputs.values(), strict=False))
        if pairs and all(a.shape == b.shape for a, b in pairs):
            return min(sqnr_db(a, b) for a, b in pairs)
        return math.nan

    other.predict(inputs, remember)
    by_name = _compared(model, inputs, limit_db, level)
    if by_name.compared * 2 >= len(by_name.entries):
        return by_name
    by_value = _compared(model, inputs, limit_db, values.level)
    if not by_value.compared:
        raise BadInput(
            f"{model.program.name} and {other.program.name} have no values in common; "
            "allowed: two models of one network"
        )
    return by_value


def compare_with_network(
    model: EmulatedCoreML, network: torch.nn.Module, inputs: Mapping[str, Any], limit_db: float
) -> Comparison:
    """Compares with every tensor that a PyTorch network computes; it takes the model's inputs in their order.

    Raises:
        BadInput: The network doesn't take these inputs, or computes nothing of these shapes.
    """
    tensors = [torch.from_numpy(np.array(_network_input(inputs[tensor.name]))) for tensor in model.inputs]
    values = _Values()
    try:
        with torch.no_grad(), _Keep(values):
            network(*tensors)
    except (RuntimeError, TypeError, ValueError) as error:
        raise BadInput(f"the reference can't compute the model's inputs: {str(error).splitlines()[0]}") from error
    found = _compared(model, inputs, limit_db, values.level)
    if not found.compared:
        raise BadInput(
            f"the reference computes nothing of the shapes of {model.program.name}; compare the same network"
        )
    return found


def _network_input(array: np.ndarray) -> np.ndarray:
    """A picture as (1, C, H, W) float32, as a program's own first operation sees it."""
    if array.dtype != np.uint8:
        return array
    return np.moveaxis(array[..., None] if array.ndim == 2 else array, -1, 0)[None].astype(np.float32)


class _Values:
    """Arrays by shape."""

    def __init__(self) -> None:
        self._by_shape: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)

    def add(self, array: np.ndarray) -> None:
        if array.dtype.kind == "f" and array.size:
            self._by_shape[array.shape].append(array)

    def level(self, trace: OpTrace) -> float:
        """The best agreement of an operation's first output with any array of its shape."""
        array = next(iter(trace.outputs.values()), None)
        if array is None or array.dtype.kind != "f" or array.shape not in self._by_shape:
            return math.nan
        return max(sqnr_db(candidate, array) for candidate in self._by_shape[array.shape])


class _Keep(TorchDispatchMode):
    """Copies every tensor that is computed under it; copied, because a later operation may change it in place."""

    def __init__(self, values: _Values) -> None:
        super().__init__()
        self._values = values

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(part, torch.Tensor) and part.is_floating_point():
                self._values.add(part.detach().float().numpy().copy())
        return result


def _compared(
    model: EmulatedCoreML, inputs: Mapping[str, Any], limit_db: float, level: Callable[[OpTrace], float]
) -> Comparison:
    entries: list[OpSqnr] = []
    model.predict(inputs, lambda trace: entries.append(OpSqnr(trace.name, trace.op_type, level(trace))))
    is_good = _good_operations(list(walk(model.program.operations)), {e.name: e.sqnr_db >= limit_db for e in entries})
    first = next((place for place, e in enumerate(entries) if not is_good[e.name] and not math.isnan(e.sqnr_db)), None)
    if first is None:
        return Comparison(tuple(entries), None, None)
    before = [entry.name for entry in entries[:first] if entry.sqnr_db >= limit_db]
    return Comparison(tuple(entries), entries[first].name, before[-1] if before else None)


def _good_operations(operations: Sequence[MilOperation], agrees: Mapping[str, bool]) -> dict[str, bool]:
    """An operation is good if it agrees, or if one that reads what it writes is good."""
    good: dict[str, bool] = {}
    needed: set[str] = set()  # values that a good operation reads
    for operation in reversed(operations):
        is_good = agrees.get(operation.name, False) or any(output.name in needed for output in operation.outputs)
        good[operation.name] = is_good
        if is_good:
            needed.update(operation.references())
    return good
