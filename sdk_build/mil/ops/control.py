"""What isn't a function of tensors alone: branches, loops, lists and states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import sdk_build.mil.dtypes as dtypes

Run = Callable[..., list[Any]]
# Core ML has no limit; a loop that a damaged constant keeps running must end some time.
MAX_ITERATIONS = 100_000
MAX_LIST = 1_000_000


@dataclass
class State:
    """A value that outlives a prediction; writing replaces the tensor, so that what was read before stays."""

    tensor: Tensor


@dataclass(frozen=True)
class MilList:
    """A list value; an entry that nothing was written to reads as zeros of the element's shape.

    Attributes:
        entries: The elements; None where nothing was written.
        dtype: MIL's dtype of the elements.
        shape: The elements' sizes; None for one that is known only when an element is written.
        is_growing: Whether writing behind the end makes the list longer.
    """

    entries: tuple[Tensor | None, ...]
    dtype: str
    shape: tuple[int | None, ...]
    is_growing: bool


def _cond(pred: Tensor, blocks: list[Run]) -> tuple[Any, ...]:
    return tuple(blocks[0 if bool(pred) else 1]())


def _while_loop(loop_vars: list[Any], blocks: list[Run]) -> tuple[Any, ...]:
    """Runs the second block while the first gives true; both take the loop's variables."""
    condition, body = blocks
    for _ in range(MAX_ITERATIONS):
        if not bool(condition(*loop_vars)[0]):
            return tuple(loop_vars)
        loop_vars = body(*loop_vars)
    raise ValueError(f"more than {MAX_ITERATIONS} iterations")


def _make_list(
    elem_shape: list[Any],
    init_length: Tensor | int = 1,
    dynamic_length: Tensor | bool = True,
    dtype: str = "fp32",
) -> MilList:
    shape: list[int | None] = []
    for size in elem_shape:  # a text names a size that is known at run time; one 1-D tensor holds all sizes
        shape.extend([None] if isinstance(size, str) else torch.as_tensor(size).reshape(-1).tolist())
    return MilList((None,) * _checked_length(int(init_length)), dtype, tuple(shape), bool(dynamic_length))


def _checked_length(length: int) -> int:
    if not 0 <= length <= MAX_LIST:
        raise ValueError(f"a list of {length} elements; allowed: 0 to {MAX_LIST}")
    return length


def _list_length(ls: MilList) -> Tensor:
    return torch.tensor(len(ls.entries), dtype=torch.int32)


def _list_write(ls: MilList, index: Tensor, value: Tensor) -> MilList:
    return _written(ls, [int(index)], [value])


def _list_scatter(ls: MilList, indices: Tensor, value: Tensor) -> MilList:
    return _written(ls, [int(index) for index in indices.tolist()], list(value))


def _written(ls: MilList, indices: list[int], values: list[Tensor]) -> MilList:
    last = max(indices, default=-1)
    if min(indices, default=0) < 0 or (last >= len(ls.entries) and not ls.is_growing):
        raise IndexError(f"indices from {min(indices)} to {last} of a list of {len(ls.entries)}")
    entries = [*ls.entries, *[None] * (_checked_length(last + 1) - len(ls.entries))]
    for index, value in zip(indices, values, strict=True):
        entries[index] = value
    return MilList(tuple(entries), ls.dtype, ls.shape, ls.is_growing)


def _list_read(ls: MilList, index: Tensor) -> Tensor:
    place = int(index)
    if not 0 <= place < len(ls.entries):
        raise IndexError(f"index {place} of a list of {len(ls.entries)}")
    found = ls.entries[place]
    return _zeros_of(ls) if found is None else found


def _zeros_of(ls: MilList) -> Tensor:
    written = next((entry.shape for entry in ls.entries if entry is not None), None)
    if written is None and None in ls.shape:
        raise ValueError("an element that was never written has no known shape")
    return dtypes.zeros(tuple(written or [size or 0 for size in ls.shape]), ls.dtype)


def _list_gather(ls: MilList, indices: Tensor) -> Tensor:
    return torch.stack([_list_read(ls, index) for index in indices])


def _read_state(input: State) -> Tensor:
    return input.tensor


def _write_state(input: State, data: Tensor) -> tuple[()]:
    if data.shape != input.tensor.shape:
        raise ValueError(f"a state of shape {tuple(input.tensor.shape)} can't hold {tuple(data.shape)}")
    input.tensor = data.to(input.tensor.dtype)
    return ()


def _coreml_update_state(state: State, value: Tensor) -> Tensor:
    _write_state(state, value)
    return state.tensor


CONTROL_OPERATIONS: dict[str, Callable[..., Any]] = {
    "cond": _cond,
    "coreml_update_state": _coreml_update_state,
    "list_gather": _list_gather,
    "list_length": _list_length,
    "list_read": _list_read,
    "list_scatter": _list_scatter,
    "list_write": _list_write,
    "make_list": _make_list,
    "read_state": _read_state,
    "while_loop": _while_loop,
    "write_state": _write_state,
}
