"""Pooling with odd parameters as pooling without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sdk_build.lowering.graph.inline import constant
from sdk_build.lowering.graph.resize import resample


def average(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Zeros are padded before, and what the window was divided by is made good behind it."""
    kernel, pads = _pair(kernel), _pair(padding)
    steps = _pair(stride) if stride else kernel
    plain = not ceil_mode and divisor_override is None
    if plain and (not count_include_pad):
        return NotImplemented
    if not any(pads) and plain:  # nothing is padded, so nothing of it counts
        return F.avg_pool2d(x, kernel, steps, count_include_pad=False)
    size = x.shape[-2:]
    tails = [_beyond(*given) if ceil_mode else 0 for given in zip(size, kernel, steps, pads, strict=True)]
    widths = [w for p, e in zip(reversed(pads), reversed(tails), strict=True) for w in (p, p + e)]
    padded = F.pad(x, widths) if any(widths) else x
    means = F.avg_pool2d(padded, kernel, steps, count_include_pad=False)
    area = kernel[0] * kernel[1]
    if divisor_override is not None:
        return means * (area / divisor_override)
    sides = zip(size, kernel, steps, pads, tails, strict=True)
    counted = np.outer(*(_counted(n, k, s, p, e, count_include_pad) for n, k, s, p, e in sides))
    share = area / counted
    return means if (share == 1).all() else means * constant(share[None, None], x)


def average_divided(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The same for ``divisor_override`` alone, where a runtime has all other forms."""
    if divisor_override is None:
        return NotImplemented
    return average(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _counted(n: int, kernel: int, stride: int, pad: int, tail: int, with_pad: bool) -> NDArray[np.float64]:
    """How many places of each window count along one axis; what ceil_mode adds never does."""
    inside = np.ones(n)
    inside = np.pad(inside, (pad, pad), constant_values=1.0 if with_pad else 0.0)
    inside = np.pad(inside, (0, tail))
    windows = (len(inside) - kernel) // stride + 1
    return np.array([inside[i * stride : i * stride + kernel].sum() for i in range(windows)])


def _beyond(n: int, kernel: int, stride: int, pad: int) -> int:
    """Places behind the padding that the last window of ``ceil_mode`` reaches."""
    windows = -(-(n + 2 * pad - kernel) // stride) + 1
    if (windows - 1) * stride >= n + pad:  # as in PyTorch, a window starts inside the input or its front padding
        windows -= 1
    return max(0, (windows - 1) * stride + kernel - n - 2 * pad)


def adaptive_average(x: Tensor, size: Sequence[int]) -> Tensor:
    """A mean, a plain pooling where the sizes divide, else a matrix an axis."""
    outs = [n if out is None else out for n, out in zip(x.shape[-2:], size, strict=True)]
    if x.dim() != 4:
        return NotImplemented
    if outs == [1, 1]:
        return x.mean((2, 3), keepdim=True)
    if all(n % out == 0 for n, out in zip(x.shape[-2:], outs, strict=True)):
        kernel = [n // out for n, out in zip(x.shape[-2:], outs, strict=True)]
        return x if kernel == [1, 1] else F.avg_pool2d(x, kernel, kernel, count_include_pad=False)
    matrices = [_means(n, out) for n, out in zip(x.shape[-2:], outs, strict=True)]
    return resample(x, *matrices)


def adaptive_average_uneven(x: Tensor, size: Sequence[int]) -> Tensor:
    """The same for sizes that don't divide alone, where a runtime has the others."""
    outs = [n if out is None else out for n, out in zip(x.shape[-2:], size, strict=True)]
    if all(n % out == 0 for n, out in zip(x.shape[-2:], outs, strict=True)):
        return NotImplemented
    return adaptive_average(x, size)


def _means(n: int, out: int) -> NDArray[np.float64]:
    matrix = np.zeros((out, n))
    for row, (start, end) in enumerate(_windows(n, out)):
        matrix[row, start:end] = 1 / (end - start)
    return matrix


def _windows(n: int, out: int) -> list[tuple[int, int]]:
    return [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]


def adaptive_maximum(x: Tensor, size: Sequence[int]) -> tuple[Tensor | None, ...]:
    """A plain pooling where the sizes divide, else one for each row and column; the places of maxima are not given."""
    if x.dim() != 4:
        return (None, None)
    if all(n % out == 0 for n, out in zip(x.shape[-2:], size, strict=True)):
        kernel = [n // out for n, out in zip(x.shape[-2:], size, strict=True)]
        return (x if kernel == [1, 1] else F.max_pool2d(x, kernel, kernel), None)
    for axis, out in zip((2, 3), size, strict=True):
        n = x.shape[axis]
        bands = [torch.ops.aten.slice.Tensor(x, axis, start, end) for start, end in _windows(n, out)]
        kernels = [(b.shape[2], 1) if axis == 2 else (1, b.shape[3]) for b in bands]
        x = torch.cat([b if max(k) == 1 else F.max_pool2d(b, k, k) for b, k in zip(bands, kernels, strict=True)], axis)
    return (x, None)


def _pair(values: Sequence[int] | int) -> list[int]:
    given = [values] if isinstance(values, int) else list(values)
    return given * (2 // len(given))
