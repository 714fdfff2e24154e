"""Products whose running sums are held in half precision, as a device may hold them.

Core ML doesn't say in which order or precision a device adds up. Here every term is added by itself and the sum is
rounded to fp16 after each: the pessimistic end of what a device can do, where sums of many terms overflow or stop
growing. Terms go by kernel place, then by channel.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sdk_build.mil.ops.conv import convolve, convolve_transposed, pad_spatial

Index = tuple[Any, ...]


def _add(total: Tensor, term: Tensor) -> Tensor:
    """One rounded addition; both are float32 that hold halves, the result too."""
    return (total + term).half().float()


def _half_matmul(x: Tensor, y: Tensor) -> Tensor:
    """(*, M, K) @ (*, K, N) one k after the other."""
    if x.dim() == 1 or y.dim() == 1:
        full = _half_matmul(x.unsqueeze(0) if x.dim() == 1 else x, y.unsqueeze(-1) if y.dim() == 1 else y)
        full = full.squeeze(-1) if y.dim() == 1 else full
        return full.squeeze(-2 if y.dim() > 1 else -1) if x.dim() == 1 else full
    batch = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    total = torch.zeros(*batch, x.shape[-2], y.shape[-1])
    for k in range(x.shape[-1]):
        total = _add(total, x[..., k, None] * y[..., k, None, :])
    return total


def _windows(stride: int, start: int, count: int) -> slice:
    return slice(start, start + (count - 1) * stride + 1, stride)


def _half_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    strides: Sequence[int],
    padding: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> Tensor:
    """torch's convolution with the sum rounded after every term; the bias comes last."""
    x = pad_spatial(x, [(size, size) for size in padding])
    kernel = weight.shape[2:]
    sizes = [(n - (k - 1) * d - 1) // s + 1 for n, k, d, s in zip(x.shape[2:], kernel, dilations, strides, strict=True)]
    ones = [1] * len(kernel)
    grouped = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    filters = weight.reshape(groups, -1, *weight.shape[1:])
    total = torch.zeros(x.shape[0], groups, filters.shape[1], *sizes)
    place: Index
    for place in itertools.product(*map(range, kernel)):
        seen: Index = tuple(_windows(s, p * d, n) for p, d, s, n in zip(place, dilations, strides, sizes, strict=True))
        for channel in range(weight.shape[1]):
            factor: Index = (slice(None), slice(None), channel, *place)
            window: Index = (slice(None), slice(None), channel, *seen)
            total = _add(total, grouped[window].unsqueeze(2) * filters[factor].reshape(1, groups, -1, *ones))
    result = total.reshape(x.shape[0], -1, *sizes)
    return result if bias is None else _add(result, bias.reshape(-1, *ones))


def _half_conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    strides: Sequence[int],
    padding: Sequence[int],
    output_padding: int,
    groups: int,
    dilations: Sequence[int],
) -> Tensor:
    """torch's transposed convolution, scattered term by term into the full output and then cropped."""
    assert bias is None and output_padding == 0  # MIL's padding and bias are applied around it
    kernel, ones = weight.shape[2:], [1] * (x.dim() - 2)
    full = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x.shape[2:], strides, kernel, dilations, strict=True)]
    grouped = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    filters = weight.reshape(groups, -1, *weight.shape[1:])
    total = torch.zeros(x.shape[0], groups, weight.shape[1], *full)
    place: Index
    for place in itertools.product(*map(range, kernel)):
        seen: Index = tuple(
            _windows(s, p * d, n) for p, d, s, n in zip(place, dilations, strides, x.shape[2:], strict=True)
        )
        where: Index = (slice(None), slice(None), slice(None), *seen)
        for channel in range(filters.shape[1]):
            factor: Index = (slice(None), channel, slice(None), *place)
            terms = grouped[:, :, channel].unsqueeze(2) * filters[factor].reshape(1, groups, -1, *ones)
            total[where] = _add(total[where], terms)
    result = total.reshape(x.shape[0], -1, *full)
    kept: Index = (slice(None), slice(None), *(slice(p, n - p) for p, n in zip(padding, full, strict=True)))
    return result[kept].contiguous()


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | int = 1,
) -> Tensor:
    return convolve(_half_conv, x, weight, bias, strides, pad_type, pad, dilations, groups)


def _conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Tensor | None = None,
    output_shape: Tensor | None = None,
    pad_type: str = "valid",
    strides: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | int = 1,
) -> Tensor:
    return convolve_transposed(
        _half_conv_transpose, x, weight, bias, pad, output_shape, pad_type, strides, dilations, groups
    )


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product = _half_matmul(x.float(), weight.float().mT)
    return product if bias is None else _add(product, bias.float())


def _matmul(x: Tensor, y: Tensor, transpose_x: Tensor | bool = False, transpose_y: Tensor | bool = False) -> Tensor:
    x = x.mT if bool(transpose_x) and x.dim() > 1 else x
    y = y.mT if bool(transpose_y) and y.dim() > 1 else y
    return _half_matmul(x.float(), y.float())


HALF_OPERATIONS: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": _linear,
    "matmul": _matmul,
}
