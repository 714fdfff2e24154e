"""Matrix products, attention, normalisation, softmax and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Axes = tuple[int, ...]


def _axes(axes: Tensor | None, x: Tensor) -> Axes:
    """The axes as non-negative ints; all of them where the program states none."""
    if axes is None:
        return tuple(range(x.dim()))
    return tuple(int(axis) % x.dim() for axis in axes.tolist())


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if x.is_floating_point():
        return F.linear(x, weight, bias)
    product = torch.matmul(x, weight.to(x.dtype).T)
    return product if bias is None else product + bias.to(x.dtype)


def _matmul(x: Tensor, y: Tensor, transpose_x: Tensor | bool = False, transpose_y: Tensor | bool = False) -> Tensor:
    x = x.transpose(-1, -2) if bool(transpose_x) and x.dim() > 1 else x
    y = y.transpose(-1, -2) if bool(transpose_y) and y.dim() > 1 else y
    if x.is_floating_point() != y.is_floating_point():  # int32 beside float, from iOS 17 on
        x, y = x.float(), y.float()
    return torch.matmul(x, y)


def _einsum(values: list[Tensor], equation: str) -> Tensor:
    return torch.einsum(equation, *values)


def _scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """(B, *, L, E), (B, *, S, E), (B, *, S, EV) -> (B, *, L, EV); a bool mask keeps, a float mask adds."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        is_bool = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if is_bool else scores + attn_mask
    return torch.softmax(scores, dim=-1) @ value


def _softmax(x: Tensor, axis: Tensor | int = -1) -> Tensor:
    return torch.softmax(x, dim=int(axis))


def _batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | float = 1e-5,
) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=float(epsilon))


def _normalize(x: Tensor, axes: Axes, epsilon: Tensor | float) -> Tensor:
    variance, mean = torch.var_mean(x, dim=axes, keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + epsilon)


def _scale_shift(y: Tensor, gamma: Tensor | None, beta: Tensor | None, shape: list[int]) -> Tensor:
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def _instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Tensor | float = 1e-5
) -> Tensor:
    y = _normalize(x, tuple(range(2, x.dim())), epsilon)
    return _scale_shift(y, gamma, beta, [-1, *[1] * (x.dim() - 2)])


def _layer_norm(
    x: Tensor,
    axes: Tensor | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | float = 1e-5,
) -> Tensor:
    """Over any axes, not only the last ones as in torch."""
    chosen = _axes(axes, x)
    shape = [size if axis in chosen else 1 for axis, size in enumerate(x.shape)]
    return _scale_shift(_normalize(x, chosen, epsilon), gamma, beta, shape)


def _l2_norm(x: Tensor, epsilon: Tensor | float = 1e-6) -> Tensor:
    """Divides by the norm over the last three dimensions; epsilon is added below the root."""
    return x / torch.sqrt(x.square().sum(dim=(-3, -2, -1), keepdim=True) + epsilon)


def _local_response_norm(
    x: Tensor,
    size: Tensor,
    alpha: Tensor | float = 1e-4,
    beta: Tensor | float = 0.75,
    k: Tensor | float = 1.0,
) -> Tensor:
    """Channels are the third dimension from the right, also in rank 3, where torch would take the second."""
    images = x.reshape(-1, *x.shape[-3:])
    return F.local_response_norm(images, int(size), float(alpha), float(beta), float(k)).reshape(x.shape)


def _reduction(function: Callable[[Tensor, Axes, bool], Tensor]) -> Callable[..., Tensor]:
    """Wraps ``function(x, axes, keep_dims)``; a sum or mean of integers is computed in float64, exactly."""

    def reduce(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | bool = False) -> Tensor:
        y = x if x.is_floating_point() else x.double()
        return function(y, _axes(axes, x), bool(keep_dims))

    return reduce


def _prod(x: Tensor, axes: Axes, keep_dims: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):  # torch multiplies along one axis at a time
        x = x.prod(dim=axis, keepdim=keep_dims)
    return x


def _arg_reduction(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(
        x: Tensor, axis: Tensor | int = -1, keep_dims: Tensor | bool = False, output_dtype: str = "int32"
    ) -> Tensor:
        del output_dtype  # the program states the same dtype for the output
        return function(x, dim=int(axis), keepdim=bool(keep_dims))

    return reduce


def _cumsum(
    x: Tensor, axis: Tensor | int = 0, exclusive: Tensor | bool = False, reverse: Tensor | bool = False
) -> Tensor:
    dim = int(axis) % x.dim()
    x = x.flip(dim) if bool(reverse) else x
    sums = torch.cumsum(x, dim)
    if bool(exclusive):
        sums = torch.cat([torch.zeros_like(sums.narrow(dim, 0, 1)), sums.narrow(dim, 0, x.shape[dim] - 1)], dim)
    return sums.flip(dim) if bool(reverse) else sums


def _band_part(x: Tensor, lower: Tensor | int = -1, upper: Tensor | int = -1) -> Tensor:
    """Keeps a band around the diagonal of the innermost matrices; negative keeps the whole triangle."""
    below = torch.arange(x.shape[-2]).unsqueeze(1) - torch.arange(x.shape[-1])
    keep = torch.ones_like(below, dtype=torch.bool)
    keep = keep if int(lower) < 0 else keep & (below <= int(lower))
    keep = keep if int(upper) < 0 else keep & (-below <= int(upper))
    return torch.where(keep, x, torch.zeros_like(x))


MATH_OPERATIONS: dict[str, Callable[..., Any]] = {
    "band_part": _band_part,
    "batch_norm": _batch_norm,
    "cumsum": _cumsum,
    "einsum": _einsum,
    "instance_norm": _instance_norm,
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "local_response_norm": _local_response_norm,
    "matmul": _matmul,
    "reduce_argmax": _arg_reduction(torch.argmax),
    "reduce_argmin": _arg_reduction(torch.argmin),
    "reduce_l1_norm": _reduction(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "reduce_l2_norm": _reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "reduce_log_sum": _reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "reduce_log_sum_exp": _reduction(lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep)),
    "reduce_max": _reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "reduce_mean": _reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "reduce_min": _reduction(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "reduce_prod": _reduction(_prod),
    "reduce_sum": _reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "reduce_sum_square": _reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
    "scaled_dot_product_attention": _scaled_dot_product_attention,
    "softmax": _softmax,
}
