"""What Core AI's converter lacks or gets wrong, written in operations that it has.

``coreai-torch`` 0.4.3 takes what it converts from a table of decompositions. This one adds to it:

- ``elu``, ``grid_sampler_2d`` and ``adaptive_max_pool2d``, which it refuses, as PyTorch itself writes them;
- ``remainder`` by a number, ``var`` and ``var_mean``, which it refuses too;
- nearest resizing by other than whole factors, for which it silently takes the neighbour that ``nearest-exact`` would
  take (largest error as large as the picture's range);
- average pooling that leaves padding out of the mean, where it silently divides by the whole window, and average
  pooling with ``ceil_mode``, on which it fails;
- linear layers of many inputs in half precision, whose products Apple's interpreter (coreai-core 1.0.0b3) adds up one
  by one in half precision: 3,136 inputs keep 40 dB; in short sums that are added up in float32 they keep 60.

Each can go with a release that converts it right; the tests say which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sdk_build.errors import LoweringError

aten = torch.ops.aten
LONG_SUM, SHORT_SUM = 512, 32
_AVG_POOL: dict[int, Callable[..., Tensor]] = {2: F.avg_pool2d, 3: F.avg_pool3d}


def decompositions(table: dict[Any, Callable[..., Any]]) -> dict[Any, Callable[..., Any]]:
    """The converter's own table with the entries of this module."""
    from torch._decomp import get_decompositions

    lacking = [aten.elu.default, aten.grid_sampler_2d.default, aten.adaptive_max_pool2d.default]
    return {
        **table,
        **get_decompositions(lacking),
        aten.linear.default: _linear_beside(table[aten.linear.default]),
        aten.remainder.Scalar: _remainder,
        aten.var.correction: _var,
        aten.var_mean.correction: _var_mean,
        aten.upsample_nearest2d.vec: _nearest,
        aten.avg_pool2d.default: _average_pool,
        aten.avg_pool3d.default: _average_pool,
    }


def _linear_beside(usual: Callable[..., Any]) -> Callable[..., Any]:
    """Long sums in half precision in parts; every other linear layer as the converter's table has it."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
        count = x.shape[-1]
        part = next((n for n in range(SHORT_SUM, 3, -1) if count % n == 0), None)
        if x.dtype != torch.float16 or count < LONG_SUM or part is None:
            return usual(x, weight, bias)
        pieces = x.reshape(-1, count // part, part).transpose(0, 1)
        matrix = weight.t().reshape(count // part, part, -1)
        total = torch.bmm(pieces, matrix).float().sum(0)
        result = (total if bias is None else total + bias.float()).half()
        return result.reshape(*x.shape[:-1], weight.shape[0])

    return linear


def _remainder(x: Tensor, divisor: float) -> Tensor:
    return torch.remainder(x, torch.full((), divisor, dtype=x.dtype))


def _var_mean(
    x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    axes = list(dim) if dim else list(range(x.dim()))
    count = int(np.prod([x.shape[axis] for axis in axes]))
    mean = x.mean(axes, keepdim=True)
    total = (x - mean).square().sum(axes, keepdim=keepdim)
    divisor = max(0.0, count - (1 if correction is None else correction))
    return total / divisor, mean if keepdim else x.mean(axes)


def _var(
    x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    return _var_mean(x, dim, correction=correction, keepdim=keepdim)[0]


def _nearest(x: Tensor, size: Sequence[int] | None, scales: Sequence[float] | None) -> Any:
    """Rows and columns by their places; where every place repeats a whole number of times, Core AI's own is right."""
    spatial = x.shape[2:]
    sizes = list(size) if size is not None else [int(n * s) for n, s in zip(spatial, scales or (), strict=True)]
    factors = [None] * len(sizes) if scales is None else list(scales)
    for n, out, factor in zip(spatial, sizes, factors, strict=True):
        if factor and out in (n, 2 * n) and factor != out / n:
            raise LoweringError(
                f"nearest resizing of {n} by {factor:g} gives {out}, where PyTorch takes one neighbour or the other by "
                "the memory's layout; give the size instead of the factor"
            )
    places = [nearest_places(*given) for given in zip(spatial, sizes, factors, strict=True)]
    if all(out % n == 0 and (p == np.repeat(np.arange(n), out // n)).all() for n, out, p in
           zip(spatial, sizes, places, strict=True)):  # fmt: skip
        return NotImplemented
    for axis, (n, out, factor) in enumerate(zip(spatial, sizes, factors, strict=True), start=2):
        # Computed in the graph, because a decomposition can't bring constants along.
        rows = torch.arange(out, dtype=torch.float32) * _step(n, out, factor)
        x = x.index_select(axis, rows.to(torch.int64).clamp(max=n - 1))
    return x


def nearest_places(n: int, out: int, factor: float | None) -> NDArray[np.int64]:
    """The place (out,) in 0 to n - 1 that PyTorch's nearest resizing takes for each result.

    Args:
        factor: the scale that the caller gave, which PyTorch then uses instead of ``out / n``.
    """
    places = np.arange(out, dtype=np.float32) * np.float32(_step(n, out, factor))
    return np.minimum(places.astype(np.int64), n - 1)


def _step(n: int, out: int, factor: float | None) -> float:
    """In float32, as PyTorch has it."""
    return float(np.float32(1 / factor) if factor else np.float32(n) / np.float32(out))


def _average_pool(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Zeros are padded by hand, and the mean of the window is divided by the share of it that counts."""
    rank = len(kernel)
    pads = list(padding) * (rank // len(padding))
    steps = list(stride) if stride else list(kernel)
    if divisor_override is not None and not ceil_mode:
        return NotImplemented
    if not ceil_mode and (count_include_pad or not any(pads)):
        return NotImplemented
    spatial = x.shape[-rank:]
    extra = [_beyond(*given) if ceil_mode else 0 for given in zip(spatial, kernel, steps, pads, strict=True)]
    widths = [w for p, e in zip(reversed(pads), reversed(extra), strict=True) for w in (p, p + e)]
    means = _AVG_POOL[rank](F.pad(x, widths), kernel, steps, divisor_override=divisor_override)
    if divisor_override is not None:
        return means
    ones = torch.ones([1] * (x.dim() - rank) + list(spatial), dtype=x.dtype)
    if count_include_pad:  # padding counts, but not what ceil_mode adds behind it
        ones = F.pad(ones, [p for p in reversed(pads) for _ in range(2)], value=1.0)
        widths = [w for e in reversed(extra) for w in (0, e)]
    return means / _AVG_POOL[rank](F.pad(ones, widths), kernel, steps)


def _beyond(n: int, kernel: int, stride: int, pad: int) -> int:
    """Places behind the padding that the last window of ``ceil_mode`` reaches."""
    windows = -(-(n + 2 * pad - kernel) // stride) + 1
    if (windows - 1) * stride >= n + pad:  # as in PyTorch, a window starts inside the input or its front padding
        windows -= 1
    return max(0, (windows - 1) * stride + kernel - n - 2 * pad)
