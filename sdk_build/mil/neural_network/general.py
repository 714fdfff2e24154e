"""Layers of any rank: shapes, joining and splitting, slicing, gathering, reductions, products."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdk_build.mil.neural_network.spatial import as_int8, take
from sdk_build.mil.ops.index import INDEX_OPERATIONS
from sdk_build.mil.ops.sizes import checked
from sdk_build.mil.ops.tensor import TENSOR_OPERATIONS

Number = Tensor | float
Flag = Tensor | bool
Sizes = Tensor
_AXES = {"CHW": (-3, -2, -1), "HW": (-2, -1), "C": (-3,), "H": (-2,), "W": (-1,)}
_LAST = {"CHANNEL_AXIS": -3, "HEIGHT_AXIS": -2, "WIDTH_AXIS": -1}


def _ints(values: Tensor | None) -> list[int]:
    return [] if values is None else [int(value) for value in values.reshape(-1).tolist()]


# Shapes


def _flatten(values: list[Tensor], mode: str = "CHANNEL_FIRST") -> Tensor:
    x = values[0] if mode == "CHANNEL_FIRST" else values[0].movedim(-3, -1)
    return x.reshape(*x.shape[:-3], -1, 1, 1)


def _reshape(values: list[Tensor], targetShape: Sizes, mode: str = "CHANNEL_FIRST") -> Tensor:
    """(Seq, B, C, H, W) to the last three sizes, or four with the sequence in front."""
    x, sizes = values[0], _ints(targetShape)
    lead = [sizes[0], x.shape[1]] if len(sizes) == 4 else list(x.shape[:2])
    channels, height, width = sizes[-3:]
    if mode == "CHANNEL_FIRST":
        return x.reshape(*lead, channels, height, width)
    return x.movedim(-3, -1).reshape(*lead, height, width, channels).movedim(-1, -3)


def _permute(values: list[Tensor], axis: Sizes | None = None) -> Tensor:
    """Four of the five dimensions, (Seq, C, H, W); the batch stays where it is."""
    places = [0, 2, 3, 4]
    order = [places[n] for n in (_ints(axis) or [0, 1, 2, 3])]
    return values[0].permute(order[0], 1, *order[1:])


def _transpose(values: list[Tensor], axes: Sizes) -> Tensor:
    """Fewer axes than dimensions are the last ones: pictures come with a batch of 1 in front."""
    lead = values[0].dim() - axes.numel()
    return values[0].permute(*range(lead), *[lead + axis % axes.numel() for axis in _ints(axes)])


def _squeeze(values: list[Tensor], axes: Sizes | None = None, squeezeAll: Flag = False) -> Tensor:
    return values[0].squeeze() if bool(squeezeAll) else values[0].squeeze(tuple(_ints(axes)))


def _expand_dims(values: list[Tensor], axes: Sizes) -> Tensor:
    expanded: Tensor = TENSOR_OPERATIONS["expand_dims"](values[0], axes)
    return expanded


def _reshape_static(values: list[Tensor], targetShape: Sizes) -> Tensor:
    return values[0].reshape(_ints(targetShape))


def _reshape_dynamic(values: list[Tensor]) -> Tensor:
    return values[0].reshape(_ints(values[1]))


def _reshape_like(values: list[Tensor]) -> Tensor:
    return values[0].reshape(values[1].shape)


def _rank_preserving_reshape(values: list[Tensor], targetShape: Sizes) -> Tensor:
    x = values[0]
    return x.reshape([wanted or old for wanted, old in zip(_ints(targetShape), x.shape, strict=True)])


def _flatten_to_2d(values: list[Tensor], axis: Tensor | int = 0) -> Tensor:
    rank = values[0].dim()
    flat: Tensor = TENSOR_OPERATIONS["flatten2d"](values[0], int(axis) + rank if int(axis) < 0 else axis)
    return flat


def _broadcast_static(values: list[Tensor], targetShape: Sizes) -> Tensor:
    return values[0].expand(checked(_ints(targetShape)))


def _broadcast_like(values: list[Tensor]) -> Tensor:
    return values[0].expand(values[1].shape)


def _get_shape(values: list[Tensor]) -> Tensor:
    return torch.tensor(values[0].shape, dtype=torch.float32)


# Joining and splitting


def _concat(values: list[Tensor], sequenceConcat: Flag = False) -> Tensor:
    return torch.cat(values, -5 if bool(sequenceConcat) else -3)


def _concat_nd(values: list[Tensor], axis: Tensor | int = 0, interleave: Flag = False) -> Tensor:
    joined: Tensor = TENSOR_OPERATIONS["concat"](values, torch.as_tensor(axis), interleave)
    return joined


def _stack(values: list[Tensor], axis: Tensor | int = 0) -> Tensor:
    return torch.stack(values, int(axis))


def _split(values: list[Tensor], nOutputs: Tensor, count: Tensor) -> tuple[Tensor, ...]:
    del nOutputs
    return values[0].chunk(int(count), -3)


def _split_nd(
    values: list[Tensor],
    count: Tensor,
    axis: Tensor | int = 0,
    numSplits: Tensor | None = None,
    splitSizes: Sizes | None = None,
) -> tuple[Tensor, ...]:
    del numSplits
    if splitSizes is not None:
        return torch.split(values[0], _ints(splitSizes), int(axis))
    return values[0].tensor_split(int(count), int(axis))


def _sequence_repeat(values: list[Tensor], nRepetitions: Tensor | int = 1) -> Tensor:
    x = values[0]
    checked([*x.shape, int(nRepetitions)])
    return x.repeat(int(nRepetitions), *[1] * (x.dim() - 1))


def _tile(values: list[Tensor], reps: Sizes | None = None) -> Tensor:
    """Fewer repetitions than dimensions are those of the last ones."""
    given = _ints(values[1] if reps is None else reps)
    counts = [1] * (values[0].dim() - len(given)) + given
    tiled: Tensor = TENSOR_OPERATIONS["tile"](values[0], torch.tensor(counts))
    return tiled


# Slicing and gathering


def _slice(
    values: list[Tensor],
    startIndex: Tensor | int = 0,
    endIndex: Tensor | int = 0,
    stride: Tensor | int = 1,
    axis: str = "CHANNEL_AXIS",
) -> Tensor:
    x, dim = values[0], _LAST[axis]
    positions = range(*slice(int(startIndex), int(endIndex), int(stride)).indices(x.shape[dim]))
    return x.index_select(dim, torch.tensor(list(positions), dtype=torch.long))


def _slice_static(
    values: list[Tensor],
    beginIds: Sizes,
    endIds: Sizes,
    strides: Sizes,
    beginMasks: Tensor | None = None,
    endMasks: Tensor | None = None,
    squeezeMasks: Tensor | None = None,
) -> Tensor:
    sliced: Tensor = INDEX_OPERATIONS["slice_by_index"](
        values[0], beginIds, endIds, strides, beginMasks, endMasks, squeezeMasks
    )
    return sliced


def _gather(values: list[Tensor], axis: Tensor | int = 0) -> Tensor:
    gathered: Tensor = INDEX_OPERATIONS["gather"](values[0], values[1].long(), axis)
    return gathered


def _reverse(values: list[Tensor], reverseDim: Tensor) -> Tensor:
    return values[0].flip([axis for axis, is_reversed in enumerate(reverseDim.tolist()) if is_reversed])


def _embedding_nd(
    values: list[Tensor],
    vocabSize: Tensor,
    embeddingSize: Tensor,
    weights: Tensor,
    hasBias: Flag = False,
    bias: Tensor | None = None,
) -> Tensor:
    """(..., 1) indices -> (..., embeddingSize)."""
    table = take(weights, int(embeddingSize), int(vocabSize)).T
    y = table[values[0].squeeze(-1).long()]
    return y + take(bias, y.shape[-1]) if bool(hasBias) and bias is not None else y


def _where(values: list[Tensor]) -> Tensor:
    return torch.where(values[0] != 0, values[1], values[2])


def _arg(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(values: list[Tensor], axis: Tensor | int = 0, removeDim: Flag = False) -> Tensor:
        return function(values[0], dim=int(axis), keepdim=not bool(removeDim)).float()

    return reduce


def _top_k(
    values: list[Tensor], axis: Tensor | int = 0, K: Tensor | int = 0, useBottomK: Flag = False
) -> tuple[Tensor, Tensor]:
    count = int(values[1]) if len(values) > 1 else int(K)
    found, places = INDEX_OPERATIONS["topk"](values[0], count, axis, ascending=useBottomK)
    return found, places.float()


# Constants, padding, products


def _load_constant(values: list[Tensor], data: Tensor, shape: Sizes | None = None) -> Tensor:
    del values
    return take(data, *_ints(shape))


def _fill_static(values: list[Tensor], targetShape: Sizes, value: Number = 0.0) -> Tensor:
    del values
    return torch.full(checked(_ints(targetShape)), float(value))


def _fill_like(values: list[Tensor], value: Number = 0.0) -> Tensor:
    return torch.full_like(values[0], float(value))


def _constant_pad(values: list[Tensor], padAmounts: Sizes, value: Number = 0.0) -> Tensor:
    padded: Tensor = TENSOR_OPERATIONS["pad"](values[0], padAmounts, "constant", value)
    return padded


def _batched_matmul(
    values: list[Tensor],
    transposeA: Flag = False,
    transposeB: Flag = False,
    weightMatrixFirstDimension: Tensor | int = 0,
    weightMatrixSecondDimension: Tensor | int = 0,
    hasBias: Flag = False,
    weights: Tensor | None = None,
    bias: Tensor | None = None,
    int8DynamicQuantize: Flag = False,
) -> Tensor:
    """Of two inputs, or of one with a matrix that is stored column by column."""
    if weights is not None:
        x = as_int8(values[0]) if bool(int8DynamicQuantize) else values[0]
        y = x @ take(weights, int(weightMatrixSecondDimension), int(weightMatrixFirstDimension)).T
        return y + take(bias, y.shape[-1]) if bool(hasBias) and bias is not None else y
    x = values[0][None] if values[0].dim() == 1 else values[0]  # the result has two dimensions at least
    y = values[1][:, None] if values[1].dim() == 1 else values[1]
    return torch.matmul(x.mT if bool(transposeA) else x, y.mT if bool(transposeB) else y)


def _softmax_nd(values: list[Tensor], axis: Tensor | int = 0) -> Tensor:
    return torch.softmax(values[0], int(axis))


def _layer_normalization(
    values: list[Tensor], normalizedShape: Sizes, gamma: Tensor, beta: Tensor, eps: Number = 0.0
) -> Tensor:
    shape = _ints(normalizedShape)
    return torch.nn.functional.layer_norm(values[0], shape, gamma.reshape(shape), beta.reshape(shape), float(eps))


# Reductions

_REDUCTIONS: dict[str, Callable[[Tensor, tuple[int, ...], bool], Tensor]] = {
    "SUM": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "AVG": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "PROD": lambda x, axes, keep: functools.reduce(
        lambda y, axis: y.prod(axis, keepdim=keep), sorted((a % x.dim() for a in axes), reverse=True), x
    ),
    "LOGSUM": lambda x, axes, keep: torch.log(x).sum(axes, keepdim=keep),
    "SUMSQUARE": lambda x, axes, keep: x.square().sum(axes, keepdim=keep),
    "L1": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "L2": lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt(),
    "MAX": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "MIN": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "ARGMAX": lambda x, axes, keep: x.argmax(axes[0], keepdim=keep).float(),
    "LOGSUMEXP": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
    "LOGOFSUM": lambda x, axes, keep: torch.log(x.sum(axes, keepdim=keep)),
}


def _reduce(values: list[Tensor], mode: str = "SUM", epsilon: Number = 1e-6, axis: str = "CHW") -> Tensor:
    """Over named dimensions, which stay as ones."""
    if mode == "ARGMAX" and len(_AXES[axis]) > 1:
        raise ValueError(f"ARGMAX over {axis}; allowed: C, H, W")
    x = values[0] + epsilon if mode == "LOGSUM" else values[0]
    return _REDUCTIONS[mode](x, _AXES[axis], True)


def _reduction(mode: str) -> Callable[..., Tensor]:
    def reduce(
        values: list[Tensor], axes: Sizes | None = None, keepDims: Flag = False, reduceAll: Flag = False
    ) -> Tensor:
        chosen = tuple(range(values[0].dim())) if bool(reduceAll) or axes is None else tuple(_ints(axes))
        return _REDUCTIONS[mode](values[0], chosen, bool(keepDims))

    return reduce


GENERAL_LAYERS: dict[str, Callable[..., Any]] = {
    "argMax": _arg(torch.argmax),
    "argMin": _arg(torch.argmin),
    "batchedMatmul": _batched_matmul,
    "broadcastToLike": _broadcast_like,
    "broadcastToStatic": _broadcast_static,
    "concat": _concat,
    "concatND": _concat_nd,
    "constantPad": _constant_pad,
    "embeddingND": _embedding_nd,
    "expandDims": _expand_dims,
    "fillLike": _fill_like,
    "fillStatic": _fill_static,
    "flatten": _flatten,
    "flattenTo2D": _flatten_to_2d,
    "gather": _gather,
    "getShape": _get_shape,
    "layerNormalization": _layer_normalization,
    "loadConstant": _load_constant,
    "loadConstantND": _load_constant,
    "permute": _permute,
    "rankPreservingReshape": _rank_preserving_reshape,
    "reduce": _reduce,
    "reduceL1": _reduction("L1"),
    "reduceL2": _reduction("L2"),
    "reduceLogSum": _reduction("LOGOFSUM"),
    "reduceLogSumExp": _reduction("LOGSUMEXP"),
    "reduceMax": _reduction("MAX"),
    "reduceMean": _reduction("AVG"),
    "reduceMin": _reduction("MIN"),
    "reduceProd": _reduction("PROD"),
    "reduceSum": _reduction("SUM"),
    "reduceSumSquare": _reduction("SUMSQUARE"),
    "reshape": _reshape,
    "reshapeDynamic": _reshape_dynamic,
    "reshapeLike": _reshape_like,
    "reshapeStatic": _reshape_static,
    "reverse": _reverse,
    "sequenceRepeat": _sequence_repeat,
    "slice": _slice,
    "sliceStatic": _slice_static,
    "softmaxND": _softmax_nd,
    "split": _split,
    "splitND": _split_nd,
    "squeeze": _squeeze,
    "stack": _stack,
    "tile": _tile,
    "topK": _top_k,
    "transpose": _transpose,
    "whereBroadcastable": _where,
}
