"""Quantised activations, and the ``constexpr_`` operations that unpack compressed weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


def _along_axis(parameter: Tensor | None, x: Tensor, axis: Tensor | None) -> Tensor | float:
    """A scale or zero point as float32 that broadcasts along ``axis`` of ``x``; absent means 0."""
    if parameter is None:
        return 0.0
    if parameter.dim() == 0 or axis is None:
        return parameter.float()
    return parameter.float().reshape(-1, *[1] * (x.dim() - 1 - int(axis) % x.dim()))


def _quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """clip(round(input / scale) + zero_point), ties to even."""
    levels = torch.round(input / _along_axis(scale, input, axis)) + _along_axis(zero_point, input, axis)
    return levels.clamp(*_RANGES[output_dtype])


def _dequantize(input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: Tensor | None = None) -> Tensor:
    return _along_axis(scale, input, axis) * (input.float() - _along_axis(zero_point, input, axis))


def _affine_dequantize(quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: Tensor) -> Tensor:
    return _dequantize(quantized_data, scale, zero_point, axis)


def _repeat_to(parameter: Tensor, shape: torch.Size) -> Tensor:
    """Repeats each entry over its block, so that the parameter gets ``shape``."""
    for axis, size in enumerate(shape):
        if parameter.shape[axis] not in (1, size):  # a single block, or one entry per element, broadcasts
            parameter = parameter.repeat_interleave(size // parameter.shape[axis], axis)
    return parameter


def _blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    shift = 0.0 if offset is None else _repeat_to(offset.float(), data.shape)
    return _repeat_to(scale, data.shape) * (data.float() - shift)


def _unpack_bits(packed: Tensor, bits: int, count: int) -> Tensor:
    """The first ``count`` unsigned numbers of ``bits`` bits, the least significant bit first."""
    stream = np.unpackbits(packed.numpy(), bitorder="little")[: count * bits].reshape(count, bits)
    return torch.from_numpy(stream.astype(np.int64) @ (1 << np.arange(bits)))


def _lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Tensor | None = None, vector_axis: Tensor | None = None
) -> Tensor:
    """Looks weights up: iOS 16 packs the indices of one table, iOS 18 has a table of vectors per block."""
    if shape is not None:
        sizes = [int(size) for size in shape.tolist()]
        return lut[_unpack_bits(indices, int(math.log2(lut.numel())), math.prod(sizes))].reshape(sizes)
    block = torch.zeros(indices.shape, dtype=torch.long)  # which table each index belongs to
    for axis, (size, tables) in enumerate(zip(indices.shape, lut.shape[:-2], strict=True)):
        place = torch.arange(size) // (size // tables)
        block = block * tables + place.reshape(-1, *[1] * (indices.dim() - axis - 1))
    vectors = lut.reshape(-1, *lut.shape[-2:])[block, indices.long()]  # (*indices.shape, vector size)
    if vector_axis is None:
        return vectors.squeeze(-1)
    axis = int(vector_axis) % indices.dim()
    return vectors.movedim(-1, axis + 1).flatten(axis, axis + 1)


def _sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Tensor | None = None) -> Tensor:
    """Puts values where the mask is set: iOS 16 packs the mask's bits, iOS 18 keeps one entry per element."""
    if shape is not None:
        sizes = [int(size) for size in shape.tolist()]
        mask = _unpack_bits(mask, 1, math.prod(sizes)).reshape(sizes)
    dense = torch.zeros(mask.shape, dtype=nonzero_data.dtype)
    dense[mask != 0] = nonzero_data
    return dense


def _lut_to_sparse(
    indices_mask: Tensor, indices_nonzero_data: Tensor, lut: Tensor, vector_axis: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    dense = _lut_to_dense(_sparse_to_dense(indices_nonzero_data, indices_mask), lut, None, vector_axis)
    mask = indices_mask
    if vector_axis is not None:
        mask = mask.repeat_interleave(lut.shape[-1], int(vector_axis))
    return mask, dense[mask != 0]


def _sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    dense = _blockwise_shift_scale(_sparse_to_dense(nonzero_data, data_mask), scale, offset)
    return data_mask, dense[data_mask != 0]


def _constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    del output_dtype  # fp32, the only one there is, and fp16 is held as float32
    return source_val


QUANT_OPERATIONS: dict[str, Callable[..., Any]] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_cast": _constexpr_cast,
    "constexpr_lut_to_dense": _lut_to_dense,
    "constexpr_lut_to_sparse": _lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": _sparse_blockwise_shift_scale,
    "constexpr_sparse_to_dense": _sparse_to_dense,
    "dequantize": _dequantize,
    "quantize": _quantize,
}
