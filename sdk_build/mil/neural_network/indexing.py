"""Layers whose shapes or places are values: filling, ranges, slices, scattering, sorting, boxes, random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdk_build.mil.ops.boxes import BOX_OPERATIONS
from sdk_build.mil.ops.index import INDEX_OPERATIONS
from sdk_build.mil.ops.math import MATH_OPERATIONS
from sdk_build.mil.ops.random import RANDOM_OPERATIONS
from sdk_build.mil.ops.sizes import checked
from sdk_build.mil.ops.tensor import TENSOR_OPERATIONS

Number = Tensor | float
Whole = Tensor | int
Flag = Tensor | bool


def _sizes(value: Tensor) -> list[int]:
    return checked([int(size) for size in value.reshape(-1).tolist()])


# Shapes


def _fill_dynamic(values: list[Tensor], value: Number = 0.0) -> Tensor:
    return torch.full(_sizes(values[0]), float(value))


def _broadcast_to_dynamic(values: list[Tensor]) -> Tensor:
    return values[0].expand(_sizes(values[1]))


def _range(
    values: list[Tensor], endValue: Number = 0.0, startValue: Number = 0.0, stepSizeValue: Number = 0.0
) -> Tensor:
    """Inputs, where there are any, come before the settings: end, start, step."""
    settings = [float(setting) for setting in (endValue, startValue, stepSizeValue)]
    end, start, step = [float(value) for value in values] + settings[len(values) :]
    count = math.ceil((end - start) / step) if step else -1
    return start + step * torch.arange(*checked([max(count, 0) if step else -1]), dtype=torch.float32)


def _sliding_windows(values: list[Tensor], axis: Whole = 0, windowSize: Whole = 0, step: Whole = 0) -> Tensor:
    windows: Tensor = TENSOR_OPERATIONS["sliding_windows"](values[0], axis, windowSize, step)
    return windows


# Slices


def _slice_dynamic(
    values: list[Tensor],
    endIds: Tensor | None = None,
    strides: Tensor | None = None,
    beginMasks: Tensor | None = None,
    endMasks: Tensor | None = None,
    squeezeMasks: Tensor | None = None,
) -> Tensor:
    """The second input says where slices begin; what further inputs say goes before the settings.

    coremltools' builder writes settings for five dimensions, however many there are.
    """
    stated = (endIds, strides, beginMasks, endMasks, squeezeMasks)
    settings = [None if setting is None else setting[: values[0].dim()] for setting in stated]
    begin = values[1].long()
    given: list[Tensor | None] = [value.long() for value in values[2:]]
    ends, steps, *masks = given + settings[len(given) :]
    if ends is None:
        raise ValueError("slices without an end")
    masks = [None if mask is None else mask != 0 for mask in masks]
    sliced: Tensor = INDEX_OPERATIONS["slice_by_index"](values[0], begin, ends, steps, *masks)
    return sliced


def _slice_by_size(values: list[Tensor], size: Whole = 0, axis: Whole = 0) -> Tensor:
    x, dim = values[0], int(axis)
    return x.narrow(dim, int(values[1]) % x.shape[dim], int(size))


# Gathering and scattering


def _gather_nd(values: list[Tensor]) -> Tensor:
    gathered: Tensor = INDEX_OPERATIONS["gather_nd"](values[0], values[1])
    return gathered


def _gather_along_axis(values: list[Tensor], axis: Whole = 0) -> Tensor:
    gathered: Tensor = INDEX_OPERATIONS["gather_along_axis"](values[0], values[1], axis)
    return gathered


def _mode(name: str) -> str:
    """``SCATTER_ADD`` is what ML programs call ``add``."""
    return name.removeprefix("SCATTER_").lower()


def _scatter(values: list[Tensor], axis: Whole = 0, mode: str = "SCATTER_UPDATE") -> Tensor:
    """Indices of any rank; the updates have their dimensions in the place of ``axis``."""
    data, indices, updates = values
    dim = int(axis) % data.dim()
    rows = updates.reshape(*data.shape[:dim], indices.numel(), *data.shape[dim + 1 :])
    scattered: Tensor = INDEX_OPERATIONS["scatter"](data, indices.reshape(-1), rows, dim, _mode(mode))
    return scattered


def _scatter_nd(values: list[Tensor], mode: str = "SCATTER_UPDATE") -> Tensor:
    scattered: Tensor = INDEX_OPERATIONS["scatter_nd"](*values, _mode(mode))
    return scattered


def _scatter_along_axis(values: list[Tensor], axis: Whole = 0, mode: str = "SCATTER_UPDATE") -> Tensor:
    scattered: Tensor = INDEX_OPERATIONS["scatter_along_axis"](*values, axis, _mode(mode))
    return scattered


def _reverse_sequence(values: list[Tensor], batchAxis: Whole = 0, sequenceAxis: Whole = 0) -> Tensor:
    turned: Tensor = TENSOR_OPERATIONS["reverse_sequence"](values[0], values[1], sequenceAxis, batchAxis)
    return turned


def _where_non_zero(values: list[Tensor]) -> Tensor:
    return torch.nonzero(values[0]).float()


def _one_hot(
    values: list[Tensor], oneHotVectorSize: Whole = 0, axis: Whole = 0, onValue: Number = 0.0, offValue: Number = 0.0
) -> Tensor:
    checked([*values[0].shape, int(oneHotVectorSize)])
    marked: Tensor = TENSOR_OPERATIONS["one_hot"](values[0], oneHotVectorSize, axis, float(onValue), float(offValue))
    return marked.float()


# Sorting, sums, triangles


def _arg_sort(values: list[Tensor], axis: Whole = 0, descending: Flag = False) -> Tensor:
    places: Tensor = INDEX_OPERATIONS["argsort"](values[0], axis, not bool(descending))
    return places.float()


def _cum_sum(values: list[Tensor], axis: Whole = 0, excludeFinalSum: Flag = False, reverse: Flag = False) -> Tensor:
    dim = int(values[1]) if len(values) > 1 else axis
    sums: Tensor = MATH_OPERATIONS["cumsum"](values[0], dim, excludeFinalSum, reverse)
    return sums


def _band_part(values: list[Tensor], numLower: Whole = 0, numUpper: Whole = 0) -> Tensor:
    band: Tensor = MATH_OPERATIONS["band_part"](values[0], numLower, numUpper)
    return band


def _upper(values: list[Tensor], k: Whole = 0) -> Tensor:
    return torch.triu(values[0], int(k))


def _lower(values: list[Tensor], k: Whole = 0) -> Tensor:
    return torch.tril(values[0], int(k))


def _non_maximum_suppression(
    values: list[Tensor],
    iouThreshold: Number = 0.0,
    scoreThreshold: Number = 0.0,
    maxBoxes: Whole = 0,
    perClassSuppression: Flag = False,
) -> tuple[Tensor, ...]:
    """Boxes, scores, and up to three inputs that go before the settings."""
    settings = [torch.as_tensor(setting) for setting in (iouThreshold, scoreThreshold, maxBoxes)]
    iou, score, count = values[2:] + settings[len(values) - 2 :]
    checked([values[0].shape[0], int(count), values[1].shape[-1]])
    boxes, scores, places, found = BOX_OPERATIONS["non_maximum_suppression"](
        values[0], values[1], iou, count, score, perClassSuppression
    )
    return boxes, scores, places.float(), found.float()


# Random numbers, by where the shape comes from

_DRAWN: dict[str, Callable[[list[int], dict[str, Any]], Tensor]] = {
    "Bernoulli": lambda shape, s: RANDOM_OPERATIONS["random_bernoulli"](torch.tensor(shape), s["prob"], s["seed"]),
    "Normal": lambda shape, s: RANDOM_OPERATIONS["random_normal"](
        torch.tensor(shape), s["mean"], s["stdDev"], s["seed"]
    ),
    "Uniform": lambda shape, s: RANDOM_OPERATIONS["random_uniform"](
        torch.tensor(shape), s["minVal"], s["maxVal"], s["seed"]
    ),
}


def _random(kind: str, source: str) -> Callable[..., Tensor]:
    def draw(
        values: list[Tensor],
        seed: Whole = 0,
        prob: Number = 0.0,
        mean: Number = 0.0,
        stdDev: Number = 0.0,
        minVal: Number = 0.0,
        maxVal: Number = 0.0,
        outputShape: Tensor | None = None,
    ) -> Tensor:
        settings = {"seed": seed, "prob": prob, "mean": mean, "stdDev": stdDev, "minVal": minVal, "maxVal": maxVal}
        if source == "Like":
            shape = list(values[0].shape)
        else:
            shape = _sizes(values[0] if source == "Dynamic" or outputShape is None else outputShape)
        return _DRAWN[kind](shape, settings)

    return draw


def _categorical(
    values: list[Tensor],
    seed: Whole = 0,
    numSamples: Whole = 0,
    isLogits: Flag = False,
    eps: Number = 0.0,
    temperature: Number = 0.0,
) -> Tensor:
    """Zero stands for Apple's defaults: eps 1e-10, temperature 1."""
    x = values[0]
    logits = x if bool(isLogits) else torch.log(x + (float(eps) or 1e-10))
    checked([*x.shape[:-1], int(numSamples)])
    drawn: Tensor = RANDOM_OPERATIONS["random_categorical"](
        logits / (float(temperature) or 1.0), "logits", numSamples, seed
    )
    return drawn


INDEXING_LAYERS: dict[str, Callable[..., Any]] = {
    "NonMaximumSuppression": _non_maximum_suppression,
    "argSort": _arg_sort,
    "broadcastToDynamic": _broadcast_to_dynamic,
    "categoricalDistribution": _categorical,
    "cumSum": _cum_sum,
    "fillDynamic": _fill_dynamic,
    "gatherAlongAxis": _gather_along_axis,
    "gatherND": _gather_nd,
    "lowerTriangular": _lower,
    "matrixBandPart": _band_part,
    "oneHot": _one_hot,
    "rangeDynamic": _range,
    "rangeStatic": _range,
    "reverseSeq": _reverse_sequence,
    "scatter": _scatter,
    "scatterAlongAxis": _scatter_along_axis,
    "scatterND": _scatter_nd,
    "sliceBySize": _slice_by_size,
    "sliceDynamic": _slice_dynamic,
    "slidingWindows": _sliding_windows,
    "upperTriangular": _upper,
    "whereNonZero": _where_non_zero,
    **{f"random{kind}{source}": _random(kind, source) for kind in _DRAWN for source in ("Like", "Static", "Dynamic")},
}
