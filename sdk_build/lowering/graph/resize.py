"""Resizing as one constant matrix an axis, where runtimes have another rule, or none.

PyTorch's own resizing of the identity gives the matrix, so every rule of it (half pixels, antialiasing, the scale that
was given instead of the size) is in it by construction.
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
from sdk_build.lowering.graph.inline import constant

aten = torch.ops.aten


def resample(x: Tensor, rows: NDArray[Any], columns: NDArray[Any]) -> Tensor:
    """(B, C, H, W) to (B, C, H', W').

    Args:
        rows, columns: (H', H) and (W', W).
    """
    for matrix, axis in ((columns, 3), (rows, 2)):
        if matrix.shape[0] == matrix.shape[1] and (matrix == np.eye(len(matrix))).all():
            continue
        moved = x if axis == 3 else x.transpose(2, 3)
        moved = F.linear(moved, constant(matrix, x))
        x = moved if axis == 3 else moved.transpose(2, 3)
    return x


def nearest(x: Tensor, size: Sequence[int] | None, scales: Sequence[float] | None = None) -> Tensor:
    """``nearest``, not ``nearest-exact``, at ratios that are not whole."""
    matrices = _matrices(aten.upsample_nearest2d.vec, x, size, scales)
    for n, matrix, scale in zip(x.shape[2:], matrices, scales or (None, None), strict=True):
        if scale and len(matrix) in (n, 2 * n) and scale != len(matrix) / n:
            raise LoweringError(
                f"nearest resizing of {n} by {scale:g} gives {len(matrix)}, where PyTorch takes one neighbour or the "
                "other by the memory's layout; give the size instead of the factor"
            )
    if all(_repeats(matrix) for matrix in matrices):
        return NotImplemented
    return resample(x, *matrices)


def nearest_as_copies(x: Tensor, size: Sequence[int] | None, scales: Sequence[float] | None = None) -> Tensor:
    """At whole ratios every pixel's channels are joined with themselves, which is a row of equal pixels in memory."""
    given = nearest(x, size, scales)
    if given is not NotImplemented:
        return given
    outs = [len(matrix) for matrix in _matrices(aten.upsample_nearest2d.vec, x, size, scales)]
    down, across = (out // n for out, n in zip(outs, x.shape[2:], strict=True))
    batch, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1)
    if across > 1:
        pixels = torch.cat([pixels] * across, 3).reshape(batch, height, width * across, channels)
    if down > 1:
        rows = pixels.reshape(batch, height, 1, width * across * channels)
        pixels = torch.cat([rows] * down, 2).reshape(batch, height * down, width * across, channels)
    return pixels.permute(0, 3, 1, 2)


def _repeats(matrix: NDArray[Any]) -> bool:
    """True if every place is taken the same whole number of times, in order."""
    out, n = matrix.shape
    return out % n == 0 and bool((matrix == np.repeat(np.eye(n), out // n, axis=0)).all())


def bilinear_antialiased(
    x: Tensor, size: Sequence[int] | None, align_corners: bool, scales: Sequence[float] | None = None
) -> Tensor:
    """The triangle filter that widens where the picture shrinks."""
    return resample(x, *_matrices(aten._upsample_bilinear2d_aa.vec, x, size, scales, align_corners))


def bicubic_antialiased(
    x: Tensor, size: Sequence[int] | None, align_corners: bool, scales: Sequence[float] | None = None
) -> Tensor:
    """The cubic filter (a = -0.5) that widens where the picture shrinks."""
    return resample(x, *_matrices(aten._upsample_bicubic2d_aa.vec, x, size, scales, align_corners))


def bicubic(
    x: Tensor, size: Sequence[int] | None, align_corners: bool, scales: Sequence[float] | None = None
) -> Tensor:
    """Four taps (a = -0.75) an axis."""
    return resample(x, *_matrices(aten.upsample_bicubic2d.vec, x, size, scales, align_corners))


def _matrices(
    operation: Callable[..., Tensor],
    x: Tensor,
    size: Sequence[int] | None,
    scales: Sequence[float] | None,
    *flags: bool,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What an operation does along rows and columns, in the precision in which the network does it."""
    with torch._C._DisableTorchDispatch():  # not part of the traced graph
        return _along(operation, x, size, scales, 0, flags), _along(operation, x, size, scales, 1, flags)


def _along(
    operation: Callable[..., Tensor],
    x: Tensor,
    size: Sequence[int] | None,
    scales: Sequence[float] | None,
    axis: int,
    flags: Sequence[bool],
) -> NDArray[Any]:
    n = x.shape[2 + axis]
    # Rows are resized whatever the axis is; columns stay as many as they are, which every rule leaves unchanged.
    identity = torch.eye(n, dtype=x.dtype).reshape(1, 1, n, n)
    sizes = None if size is None else [size[axis], n]
    factors = None if scales is None else [scales[axis], 1.0]
    return operation(identity, sizes, *flags, factors).reshape(-1, n).numpy()
