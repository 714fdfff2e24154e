"""Convolutions and pooling over one to three spatial dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sdk_build.errors import UnsupportedOperation
from sdk_build.mil.ops.sizes import checked

Kernel = Callable[..., Tensor]
Pairs = list[tuple[int, int]]

CONV_KERNELS: dict[int, Kernel] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE_KERNELS: dict[int, Kernel] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_AVG_POOL: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_MAX_POOL: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


_PADDED_AT_MOST, _PADDED_AT_LEAST = 64, 1 << 20


def ints(values: Tensor | None, rank: int) -> list[int]:
    """The values as ints; ones where the program states none."""
    return [1] * rank if values is None else [int(value) for value in values.tolist()]


def _same_split(total: int, pad_type: str) -> tuple[int, int]:
    """Splits a padding: the odd element goes behind for ``same``, in front for ``same_lower``."""
    small = total // 2
    return (total - small, small) if pad_type == "same_lower" else (small, total - small)


def padding_of(
    pad_type: str, pad: Tensor | None, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]
) -> Pairs:
    """(before, after) per spatial dimension; ``kernel`` is dilated, ``pad`` matters for ``custom`` alone."""
    if pad_type == "valid" or (pad_type == "custom" and pad is None):
        return [(0, 0)] * len(sizes)
    if pad_type == "custom":
        assert pad is not None
        flat = [int(value) for value in pad.tolist()]
        return list(zip(flat[::2], flat[1::2], strict=True))
    if pad_type in ("same", "same_lower"):
        totals = [max(0, (math.ceil(n / s) - 1) * s + k - n) for n, k, s in zip(sizes, kernel, strides, strict=True)]
        return [_same_split(total, pad_type) for total in totals]
    raise UnsupportedOperation(f"pad_type '{pad_type}' is not emulated; allowed: valid, same, same_lower, custom")


def pad_spatial(x: Tensor, pairs: Pairs, value: float = 0.0) -> Tensor:
    """Pads the last ``len(pairs)`` dimensions; torch wants the last dimension first."""
    if not any(before or after for before, after in pairs):
        return x
    _check_padded(x.shape[: x.dim() - len(pairs)], x.shape[x.dim() - len(pairs) :], pairs)
    return F.pad(x, [size for pair in reversed(pairs) for size in pair], value=value)


def _check_padded(leading: Sequence[int], sizes: Sequence[int], pairs: Pairs) -> None:
    """Refuses padding that no network has a use for: a damaged number must not take the machine's memory.

    Args:
        leading: Sizes that are not padded.
        sizes: Those that are, before.
    """
    padded = checked([*leading, *(max(0, n + sum(pair)) for n, pair in zip(sizes, pairs, strict=True))])
    if math.prod(padded) > max(_PADDED_AT_LEAST, _PADDED_AT_MOST * math.prod([*leading, *sizes])):
        raise ValueError(f"padding to shape {tuple(padded)}; allowed: up to {_PADDED_AT_MOST} times what is padded")


def dilated(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """What a kernel spans with its gaps."""
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]


def convolve(
    kernel: Kernel,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    strides: Tensor | None,
    pad_type: str,
    pad: Tensor | None,
    dilations: Tensor | None,
    groups: Tensor | int,
) -> Tensor:
    """MIL's convolution around a function with the arguments of torch's ``conv1d``, ``conv2d`` or ``conv3d``."""
    rank = x.dim() - 2
    steps, spread = ints(strides, rank), ints(dilations, rank)
    window = dilated(weight.shape[2:], spread)
    pairs = padding_of(pad_type, pad, x.shape[2:], window, steps)
    if any(max(pair) > size for pair, size in zip(pairs, window, strict=True)):  # which no network has a use for
        _check_padded([len(x), max(x.shape[1], len(weight))], x.shape[2:], pairs)
    symmetric = [before for before, _ in pairs]
    if any(before != after for before, after in pairs):
        x, symmetric = pad_spatial(x, pairs), [0] * rank
    return kernel(x, weight, bias, steps, symmetric, spread, int(groups))


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
    kernel = CONV_KERNELS[x.dim() - 2]
    return convolve(kernel, x, weight, bias, strides, pad_type, pad, dilations, groups)


def _conv_quantized(
    x: Tensor,
    weight: Tensor,
    quantization_type: str,
    quant_scale: Tensor,
    quant_bias: Tensor,
    nbits: Tensor | int = 8,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | int = 1,
) -> Tensor:
    """A convolution whose weights are levels: ``weight * quant_scale + quant_bias``, both per output channel."""
    if quantization_type != "linear" or int(nbits) != 8:
        raise UnsupportedOperation(
            f"quantization_type '{quantization_type}' of {int(nbits)} bits is not emulated; allowed: linear of 8 bits"
        )
    shape = [-1, *[1] * (weight.dim() - 1)]
    unpacked = weight.float() * quant_scale.reshape(shape) + quant_bias.reshape(shape)
    return _conv(x, unpacked, bias, strides, pad_type, pad, dilations, groups)


def convolve_transposed(
    kernel_of: Kernel,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    pad: Tensor | None,
    output_shape: Tensor | None,
    pad_type: str,
    strides: Tensor | None,
    dilations: Tensor | None,
    groups: Tensor | int,
) -> Tensor:
    """The full transposed convolution, cropped at the front by the padding, then to the stated size.

    torch crops both sides through ``padding`` and adds ``output_padding``; MIL states the output size
    instead.
    """
    if pad_type not in ("valid", "same", "custom"):
        raise UnsupportedOperation(f"pad_type '{pad_type}' is not emulated; allowed: valid, same, custom")
    rank = x.dim() - 2
    steps, spread = ints(strides, rank), ints(dilations, rank)
    kernel = dilated(weight.shape[2:], spread)
    full = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], steps, kernel, strict=True)]
    if output_shape is not None:
        sizes = [int(value) for value in output_shape.tolist()][2:]
    elif pad_type == "same":
        sizes = [n * s for n, s in zip(x.shape[2:], steps, strict=True)]
    else:
        sizes = [n - sum(p) for n, p in zip(full, padding_of(pad_type, pad, full, kernel, steps), strict=True)]
    # 'same' is the gradient of a 'same' convolution that reads the output.
    pairs = padding_of(pad_type, pad, sizes, kernel, steps)
    fronts = [before for before, _ in pairs]
    for spatial in (full, sizes):
        checked([len(x), weight.shape[1] * int(groups), *(max(0, size) for size in spatial)])
    # What is cropped on both sides is never computed: it matters for volumes.
    both = [max(0, min(front, n - front - size)) for front, n, size in zip(fronts, full, sizes, strict=True)]
    y = kernel_of(x, weight, None, steps, both, 0, int(groups), spread)
    for axis, (front, cropped, size) in enumerate(zip(fronts, both, sizes, strict=True), start=2):
        y = y.narrow(axis, front - cropped, min(size, y.shape[axis] - front + cropped))
    y = pad_spatial(y, [(0, size - n) for size, n in zip(sizes, y.shape[2:], strict=True)])
    # In place: y is fresh, and a volume must not exist twice.
    return y if bias is None else y.add_(bias.reshape(-1, *[1] * rank))


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
    kernel = CONV_TRANSPOSE_KERNELS[x.dim() - 2]
    return convolve_transposed(kernel, x, weight, bias, pad, output_shape, pad_type, strides, dilations, groups)


def _ceil_extra(n: int, pair: tuple[int, int], kernel: int, stride: int) -> int:
    """How far the last window of a ``ceil_mode`` pooling reaches beyond the padded input."""
    padded = n + sum(pair)
    count = (padded - kernel + stride - 1) // stride + 1
    # As in torch: the last window must start inside the input or its front padding.
    if (count - 1) * stride >= n + pair[0] and sum(pair) > 0:
        count -= 1
    return max(0, (count - 1) * stride + kernel - padded)


def _pool_geometry(
    x: Tensor, kernel_sizes: Tensor, strides: Tensor | None, pad_type: str, pad: Tensor | None, ceil_mode: Any
) -> tuple[list[int], list[int], Pairs, Pairs]:
    """Kernel, strides, the stated padding and the extra (0, after) that ``ceil_mode`` needs."""
    rank = x.dim() - 2
    kernel, steps = ints(kernel_sizes, rank), ints(strides, rank)
    pairs = padding_of(pad_type, pad, x.shape[2:], kernel, steps)
    extra = [(0, 0)] * rank
    if bool(ceil_mode):
        extra = [(0, _ceil_extra(*args)) for args in zip(x.shape[2:], pairs, kernel, steps, strict=True)]
    return kernel, steps, pairs, extra


def _avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    pad_type: str,
    strides: Tensor | None = None,
    pad: Tensor | None = None,
    ceil_mode: Tensor | bool = False,
    exclude_padding_from_average: Tensor | bool = False,
) -> Tensor:
    """Means over windows; what ``ceil_mode`` adds beyond the padding never counts, as in torch."""
    kernel, steps, pairs, extra = _pool_geometry(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    pool = _AVG_POOL[len(kernel)]
    means = pool(pad_spatial(pad_spatial(x, pairs), extra), kernel, steps)
    if not any(sum(pair) for pair in pairs + extra):
        return means
    inside = torch.ones(1, 1, *x.shape[2:])
    outside = 0.0 if bool(exclude_padding_from_average) else 1.0
    counted = pad_spatial(pad_spatial(inside, pairs, outside), extra)
    return means / pool(counted, kernel, steps)


def _max_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    pad_type: str,
    strides: Tensor | None = None,
    pad: Tensor | None = None,
    ceil_mode: Tensor | bool = False,
) -> Tensor:
    kernel, steps, pairs, extra = _pool_geometry(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    padded = pad_spatial(pad_spatial(x, pairs, -math.inf), extra, -math.inf)
    return _MAX_POOL[len(kernel)](padded, kernel, steps)


def _l2_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    pad_type: str,
    strides: Tensor | None = None,
    pad: Tensor | None = None,
    ceil_mode: Tensor | bool = False,
) -> Tensor:
    """The square root of the windows' sums (not means) of squares."""
    kernel, steps, pairs, extra = _pool_geometry(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    squares = pad_spatial(pad_spatial(x.square(), pairs), extra)
    return torch.sqrt(_AVG_POOL[len(kernel)](squares, kernel, steps) * math.prod(kernel))


CONV_OPERATIONS: dict[str, Callable[..., Any]] = {
    "avg_pool": _avg_pool,
    "conv": _conv,
    "conv_quantized": _conv_quantized,
    "conv_transpose": _conv_transpose,
    "l2_pool": _l2_pool,
    "max_pool": _max_pool,
}
