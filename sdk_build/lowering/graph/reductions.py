"""Means and sums along any axes as what XNNPACK has: the mean of a plane, or a product with a row of equal numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdk_build.lowering.graph.inline import constant

_PLANE = (2, 3)


def mean(x: Tensor, dim: Sequence[int] | None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """Over any axes."""
    if dtype not in (None, x.dtype) or x.dim() == 0:
        return NotImplemented
    axes = _axes(x, dim)
    if x.dim() == 4 and axes == _PLANE:
        return NotImplemented if keepdim else x.mean(_PLANE, keepdim=True).reshape(x.shape[:2])
    return _weighted(x, axes, keepdim, 1 / _count(x, axes))


def total(x: Tensor, dim: Sequence[int] | None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """The sum over any axes."""
    if dtype not in (None, x.dtype) or not x.is_floating_point() or x.dim() == 0:
        return NotImplemented
    return _weighted(x, _axes(x, dim), keepdim, 1.0)


def total_of_all(x: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """The sum of everything; Core ML Tools 9.0 fails on one that has no axes behind a permute."""
    return NotImplemented if x.dim() == 0 else x.sum(list(range(x.dim())), dtype=dtype)


def mean_of_all(x: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """The mean of everything."""
    return NotImplemented if x.dim() == 0 else x.mean(list(range(x.dim())), dtype=dtype)


def variance(
    x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    """The mean square of what is left without the mean."""
    axes = _axes(x, dim)
    centred = x - x.mean(axes, keepdim=True)
    count = _count(x, axes)
    divisor = max(0.0, count - (1 if correction is None else correction))
    if divisor == 0:
        return NotImplemented
    square = (centred * centred).mean(axes, keepdim=keepdim)
    return square if divisor == count else square * (count / divisor)


def variance_dim(x: Tensor, dim: Sequence[int] | None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    """The older form, with ``unbiased`` for a correction of 1."""
    return variance(x, dim, correction=int(unbiased), keepdim=keepdim)


def deviation(
    x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    """The root of the variance."""
    found = variance(x, dim, correction=correction, keepdim=keepdim)
    return found if found is NotImplemented else found.sqrt()


def deviation_dim(x: Tensor, dim: Sequence[int] | None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    """The older form."""
    return deviation(x, dim, correction=int(unbiased), keepdim=keepdim)


def maximum(x: Tensor, dim: Sequence[int] = (), keepdim: bool = False) -> Tensor:
    """The largest value of a plane, by pooling."""
    if x.dim() != 4 or _axes(x, dim) != _PLANE:
        return NotImplemented
    largest = F.max_pool2d(x, x.shape[2:])
    return largest if keepdim else largest.reshape(x.shape[:2])


def _axes(x: Tensor, dim: Sequence[int] | int | None) -> tuple[int, ...]:
    given = [dim] if isinstance(dim, int) else dim
    return tuple(sorted(d % x.dim() for d in given)) if given else tuple(range(x.dim()))


def _count(x: Tensor, axes: Sequence[int]) -> int:
    return int(np.prod([x.shape[axis] for axis in axes]))


def _weighted(x: Tensor, axes: Sequence[int], keepdim: bool, weight: float) -> Tensor:
    """The sum over ``axes`` of ``weight`` times x, by one matrix product over them as the last axis."""
    kept = [axis for axis in range(x.dim()) if axis not in axes]
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    shape = shape if keepdim else [x.shape[axis] for axis in kept]
    if list(axes) == [1] and x.dim() == 4:  # channels: a convolution leaves pixels where they are
        return F.conv2d(x, constant(np.full((1, x.shape[1], 1, 1), weight), x)).reshape(shape)
    order = [*kept, *axes]
    moved = x if order == list(range(x.dim())) else x.permute(order)
    rows = moved.reshape(-1, _count(x, axes))
    return F.linear(rows, constant(np.full((1, rows.shape[1]), weight), x)).reshape(shape)
