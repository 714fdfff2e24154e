"""Splitting, turning and repeating as slices, reshapes and concatenations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdk_build.lowering.graph.inline import constant

_MOST_COPIES = 8  # more are a product with ones
_MOST_ONES = 1 << 16


def split_with_sizes(x: Tensor, sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """One slice a part."""
    ends = np.cumsum(sizes).tolist()
    return tuple(torch.ops.aten.slice.Tensor(x, dim, end - n, end) for end, n in zip(ends, sizes, strict=True))


def split(x: Tensor, size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of one size, the last one smaller."""
    n = x.shape[dim]
    return split_with_sizes(x, [min(size, n - start) for start in range(0, n, size)], dim)


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """As many parts as PyTorch makes, which may be fewer."""
    return split(x, -(-x.shape[dim] // chunks), dim)


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Each place along an axis."""
    return tuple(select(x, dim, place) for place in range(x.shape[dim]))


def select(x: Tensor, dim: int, index: int) -> Tensor:
    """One place along an axis, which goes."""
    dim, index = dim % x.dim(), index % x.shape[dim]
    piece = x if x.shape[dim] == 1 else torch.ops.aten.slice.Tensor(x, dim, index, index + 1)
    return piece.reshape([*x.shape[:dim], *x.shape[dim + 1 :]])


def strided_slice(x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """Every step-th place: blocks of ``step`` of which the first is taken."""
    if step == 1:
        return NotImplemented
    dim = dim % x.dim()
    first, last, _ = slice(start, end, step).indices(x.shape[dim])
    count = len(range(first, last, step))
    if count == 0:
        return NotImplemented
    beyond = first + count * step - x.shape[dim]
    if beyond > 0:
        x = F.pad(x, [0, 0] * (x.dim() - 1 - dim) + [0, beyond])
    if (first, first + count * step) != (0, x.shape[dim]):
        x = torch.ops.aten.slice.Tensor(x, dim, first, first + count * step)
    before, after = x.shape[:dim], x.shape[dim + 1 :]
    blocks = x.reshape(*before, count, step, *after)
    return torch.ops.aten.slice.Tensor(blocks, dim + 1, 0, 1).reshape(*before, count, *after)


def squeeze(x: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Axes of one place gone."""
    axes = range(x.dim()) if dim is None else [d % x.dim() for d in ([dim] if isinstance(dim, int) else dim)]
    return x.reshape([n for axis, n in enumerate(x.shape) if n != 1 or axis not in axes])


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """An axis of one place more."""
    dim = dim % (x.dim() + 1)
    return x.reshape(*x.shape[:dim], 1, *x.shape[dim:])


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """A concatenation along a new axis."""
    return torch.cat([unsqueeze(x, dim % (x.dim() + 1)) for x in tensors], dim)


def roll(x: Tensor, shifts: Sequence[int], dims: Sequence[int] = ()) -> Tensor:
    """Two slices an axis, in the other order."""
    if not dims:
        return roll(x.reshape(-1), shifts, [0]).reshape(x.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        n = x.shape[dim]
        if cut := -shift % n:
            parts = torch.ops.aten.slice.Tensor(x, dim, cut, n), torch.ops.aten.slice.Tensor(x, dim, 0, cut)
            x = torch.cat(parts, dim)
    return x


def repeat(x: Tensor, repeats: Sequence[int]) -> Tensor:
    """Copies along each axis."""
    x = x.reshape(*[1] * (len(repeats) - x.dim()), *x.shape)
    for dim, count in enumerate(repeats):
        if count > _MOST_COPIES or count < 1:
            return NotImplemented
        x = x if count == 1 else torch.cat([x] * count, dim)
    return x


def repeat_interleave(x: Tensor, repeats: int, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each place several times in a row."""
    del output_size
    if not 1 <= repeats <= _MOST_COPIES:
        return NotImplemented
    x, dim = (x.reshape(-1), 0) if dim is None else (x, dim % x.dim())
    wide = torch.cat([unsqueeze(x, dim + 1)] * repeats, dim + 1)
    return wide.reshape(*x.shape[:dim], x.shape[dim] * repeats, *x.shape[dim + 1 :])


def same(x: Tensor) -> Tensor:
    """The tensor itself, of which some converters have no second name."""
    return x


def expand(x: Tensor, size: Sequence[int], *, implicit: bool = False) -> Tensor:
    """Copies where a size is 1, or a product with ones where these are many."""
    del implicit
    x = x.reshape(*[1] * (len(size) - x.dim()), *x.shape)
    copies = [want // have if want != -1 else 1 for want, have in zip(size, x.shape, strict=True)]
    if max(copies, default=1) <= _MOST_COPIES:
        return repeat(x, copies)
    if np.prod([n * c for n, c in zip(x.shape, copies, strict=True)]) > _MOST_ONES or not x.is_floating_point():
        return NotImplemented
    return x * constant(np.ones([n * c for n, c in zip(x.shape, copies, strict=True)]), x)


def glu(x: Tensor, dim: int = -1) -> Tensor:
    """The first half times the second one's sigmoid."""
    first, second = chunk(x, 2, dim)
    return first * torch.sigmoid(second)
