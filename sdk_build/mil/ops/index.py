"""Slicing, gathering, scattering and sorting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdk_build.errors import UnsupportedOperation

_SCATTER_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _slices(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None,
    begin_mask: Tensor | None,
    end_mask: Tensor | None,
    squeeze_mask: Tensor | None,
) -> tuple[list[range], list[int]]:
    """The positions that each axis keeps, and the axes that are squeezed away."""

    def listed(values: Tensor | None, default: Any) -> list[Any]:
        return [default] * x.dim() if values is None else values.tolist()

    columns = zip(
        x.shape,
        begin.tolist(),
        end.tolist(),
        listed(stride, 1),
        listed(begin_mask, False),
        listed(end_mask, False),
        listed(squeeze_mask, False),
        strict=True,
    )
    kept, squeezed = [], []
    for axis, (n, first, last, step, from_edge, to_edge, single) in enumerate(columns):
        if single:
            squeezed.append(axis)
            position = (0 if from_edge else first) % n
            kept.append(range(position, position + 1))
        else:
            kept.append(range(*slice(None if from_edge else first, None if to_edge else last, step).indices(n)))
    return kept, squeezed


def _take(x: Tensor, axis: int, positions: range) -> Tensor:
    if positions.step == 1:
        return x.narrow(axis, positions.start, len(positions)) if len(positions) else x.narrow(axis, 0, 0)
    if positions.step > 1:
        return x[(slice(None),) * axis + (slice(positions.start, positions.stop, positions.step),)]
    return x.index_select(axis, torch.tensor(list(positions), dtype=torch.long))  # torch has no negative strides


def _slice_by_index(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    kept, squeezed = _slices(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    for axis, positions in enumerate(kept):
        x = _take(x, axis, positions)
    return x.squeeze(tuple(squeezed)) if squeezed else x


def _slice_update(
    x: Tensor,
    update: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    kept, _ = _slices(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    grids = torch.meshgrid(*[torch.tensor(list(positions)) for positions in kept], indexing="ij")
    result = x.clone()
    result[grids] = update.reshape(grids[0].shape)
    return result


def _slice_by_size(x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    """A size of -1 takes the rest of its axis."""
    for axis, (first, count) in enumerate(zip(begin.tolist(), size.tolist(), strict=True)):
        first = first % x.shape[axis]
        x = x.narrow(axis, first, x.shape[axis] - first if count == -1 else count)
    return x


def _positions(indices: Tensor, size: int, validate_indices: Tensor | None) -> Tensor:
    """Indices as int64. Up to iOS 16 negative ones count from the end; from iOS 17 on they are undefined.

    Only the newer operations carry ``validate_indices``; the emulation refuses what Core ML leaves undefined.
    """
    long = indices.long()
    if validate_indices is None:
        long = torch.where(long < 0, long + size, long)
    if long.numel() and (int(long.min()) < 0 or int(long.max()) >= size):
        raise IndexError(f"indices from {int(long.min())} to {int(long.max())}; allowed: 0 to {size - 1}")
    return long


def _gather(
    x: Tensor,
    indices: Tensor,
    axis: Tensor | int = 0,
    batch_dims: Tensor | int = 0,
    validate_indices: Tensor | None = None,
) -> Tensor:
    dim, batches = int(axis) % x.dim(), int(batch_dims)
    index = _positions(indices, x.shape[dim], validate_indices)
    if batches == 0:
        flat = x.index_select(dim, index.reshape(-1))
        return flat.reshape([*x.shape[:dim], *index.shape, *x.shape[dim + 1 :]])
    rows = x.flatten(0, batches - 1)
    chosen = index.reshape(rows.shape[0], *index.shape[batches:])
    picked = [_gather(row, one, dim - batches) for row, one in zip(rows, chosen, strict=True)]
    return torch.stack(picked).reshape(*x.shape[:batches], *picked[0].shape)


def _gather_along_axis(
    x: Tensor, indices: Tensor, axis: Tensor | int = 0, validate_indices: Tensor | None = None
) -> Tensor:
    dim = int(axis)
    return torch.gather(x, dim, _positions(indices, x.shape[dim], validate_indices))


def _flat_index(indices: Tensor, sizes: list[int], validate_indices: Tensor | None) -> Tensor:
    """Turns index vectors (last dimension) into positions in the flattened leading dimensions."""
    flat = torch.zeros(indices.shape[:-1], dtype=torch.long)
    for column, size in enumerate(sizes):
        flat = flat * size + _positions(indices[..., column], size, validate_indices)
    return flat


def _gather_nd(
    x: Tensor, indices: Tensor, batch_dims: Tensor | int = 0, validate_indices: Tensor | None = None
) -> Tensor:
    batches, depth = int(batch_dims), indices.shape[-1]
    if batches > 0:
        rows = zip(x.flatten(0, batches - 1), indices.flatten(0, batches - 1), strict=True)
        picked = [_gather_nd(row, one, 0, validate_indices) for row, one in rows]
        return torch.stack(picked).reshape(*x.shape[:batches], *picked[0].shape)
    flat = _flat_index(indices, list(x.shape[:depth]), validate_indices)
    table = x.reshape(math.prod(x.shape[:depth]), *x.shape[depth:])
    return table[flat]


def _scatter_into(data: Tensor, dim: int, index: Tensor, updates: Tensor, mode: str) -> Tensor:
    """Writes ``updates`` (the shape of ``index``) along ``dim`` of a copy of ``data``."""
    if mode == "update":
        return data.scatter(dim, index, updates)
    if mode == "sub":
        return data.scatter_reduce(dim, index, -updates, "sum")
    if mode == "div":
        return data / torch.ones_like(data).scatter_reduce(dim, index, updates, "prod")
    if mode not in _SCATTER_REDUCTIONS:
        raise UnsupportedOperation(f"mode '{mode}' is not emulated; allowed: update, add, sub, mul, div, max, min")
    return data.scatter_reduce(dim, index, updates, _SCATTER_REDUCTIONS[mode])


def _scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: Tensor | int = 0,
    mode: str = "add",
    validate_indices: Tensor | None = None,
) -> Tensor:
    dim = int(axis) % data.dim()
    index = _positions(indices, data.shape[dim], validate_indices)
    index = index.reshape(-1, *[1] * (data.dim() - dim - 1)).expand_as(updates)
    return _scatter_into(data, dim, index, updates, mode)


def _scatter_along_axis(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: Tensor | int = 0,
    mode: str = "add",
    validate_indices: Tensor | None = None,
) -> Tensor:
    dim = int(axis) % data.dim()
    return _scatter_into(data, dim, _positions(indices, data.shape[dim], validate_indices), updates, mode)


def _scatter_nd(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    mode: str = "add",
    validate_indices: Tensor | None = None,
) -> Tensor:
    depth = indices.shape[-1]
    flat = _flat_index(indices, list(data.shape[:depth]), validate_indices).reshape(-1, 1)
    table = data.reshape(math.prod(data.shape[:depth]), math.prod(data.shape[depth:]))
    rows = updates.reshape(flat.shape[0], table.shape[1])
    return _scatter_into(table, 0, flat.expand_as(rows), rows, mode).reshape(data.shape)


def _topk(
    x: Tensor,
    k: Tensor | int = 1,
    axis: Tensor | int = -1,
    ascending: Tensor | bool = False,
    sort: Tensor | bool = True,
    return_indices: Tensor | bool = True,
    output_indices_dtype: str = "int32",
) -> Any:
    """Ties keep their order, so that the emulation is deterministic; ``sort=False`` allows any order."""
    del sort, output_indices_dtype
    dim = int(axis)
    values, indices = torch.sort(x, dim=dim, descending=not bool(ascending), stable=True)
    count = x.shape[dim] if int(k) == -1 else int(k)
    values, indices = values.narrow(dim, 0, count), indices.narrow(dim, 0, count)
    return (values, indices) if bool(return_indices) else values


def _argsort(x: Tensor, axis: Tensor | int = -1, ascending: Tensor | bool = False) -> Tensor:
    return torch.sort(x, dim=int(axis), descending=not bool(ascending), stable=True).indices


def _non_zero(x: Tensor) -> Tensor:
    return torch.nonzero(x)


INDEX_OPERATIONS: dict[str, Callable[..., Any]] = {
    "argsort": _argsort,
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "gather_nd": _gather_nd,
    "non_zero": _non_zero,
    "scatter": _scatter,
    "scatter_along_axis": _scatter_along_axis,
    "scatter_nd": _scatter_nd,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "slice_update": _slice_update,
    "topk": _topk,
}
