"""Layers over (..., C, H, W): convolution, pooling, padding, resizing, normalisation, inner products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sdk_build.errors import UnsupportedOperation
from sdk_build.mil.ops.conv import CONV_OPERATIONS
from sdk_build.mil.ops.image import IMAGE_OPERATIONS, resize_linear, resize_nearest
from sdk_build.mil.ops.math import MATH_OPERATIONS
from sdk_build.mil.ops.tensor import TENSOR_OPERATIONS

Number = Tensor | float
Flag = Tensor | bool
_ONES = torch.tensor([1, 1])
_THREES = torch.tensor([3, 3])
_GRIDS = {
    "STRICT_ALIGN_ENDPOINTS_MODE": "STRICT_ALIGN_CORNERS",
    "ALIGN_ENDPOINTS_MODE": "ALIGN_CORNERS",
    "UPSAMPLE_MODE": "DEFAULT",
    "ROI_ALIGN_MODE": "OFFSET_CORNERS",
}


def as_batch(x: Tensor) -> Tensor:
    """(..., C, H, W) -> (B, C, H, W): all leading dimensions count as batch."""
    return x.reshape(-1, *x.shape[-3:])


def take(weights: Tensor, *sizes: int) -> Tensor:
    """As many weights as the sizes say, in that shape."""
    return weights.reshape(-1)[: math.prod(sizes)].reshape(sizes)


def as_int8(x: Tensor) -> Tensor:
    """What is left of an input that a layer quantises while it runs: 255 levels over its own range."""
    step = float(x.abs().max()) / 127 if x.numel() else 0.0
    return torch.round(x / step) * step if step else x


def _as_before(y: Tensor, x: Tensor) -> Tensor:
    return y.reshape(*x.shape[:-3], *y.shape[-3:])


def _pad_type(is_same: Flag, mode: str, amounts: Tensor | None) -> dict[str, Any]:
    if bool(is_same):
        return {"pad_type": "same_lower" if mode == "TOP_LEFT_HEAVY" else "same"}
    return {"pad_type": "valid"} if amounts is None else {"pad_type": "custom", "pad": amounts.reshape(-1)}


def _convolution(
    values: list[Tensor],
    outputChannels: Tensor,
    kernelChannels: Tensor | int = 0,
    nGroups: Tensor | int = 1,
    kernelSize: Tensor = _THREES,
    stride: Tensor = _ONES,
    dilationFactor: Tensor = _ONES,
    valid: Flag = False,
    valid_paddingAmounts: Tensor | None = None,
    same: Flag = False,
    same_asymmetryMode: str = "BOTTOM_RIGHT_HEAVY",
    isDeconvolution: Flag = False,
    hasBias: Flag = False,
    weights: Tensor | None = None,
    bias: Tensor | None = None,
    outputShape: Tensor | None = None,
) -> Tensor:
    """Weights are a setting, or the second input."""
    del valid, kernelChannels
    x, groups, out = values[0], int(nGroups), int(outputChannels)
    source = values[1] if weights is None else weights
    first, second = (x.shape[-3], out // groups) if bool(isDeconvolution) else (out, x.shape[-3] // groups)
    weight = take(source, first, second, *kernelSize.tolist())
    settings: dict[str, Any] = {
        "bias": take(bias, out) if bool(hasBias) and bias is not None else None,
        "strides": stride,
        "groups": groups,
        **_pad_type(same, same_asymmetryMode, valid_paddingAmounts),
    }
    if bool(isDeconvolution):
        y = CONV_OPERATIONS["conv_transpose"](as_batch(x), weight, **settings)
        if outputShape is not None and list(y.shape[-2:]) != outputShape.tolist():
            raise UnsupportedOperation(
                f"outputShape {outputShape.tolist()} is not emulated; allowed: {tuple(y.shape[-2:])}"
            )
    else:
        y = CONV_OPERATIONS["conv"](as_batch(x), weight, dilations=dilationFactor, **settings)
    return _as_before(y, x)


def _pooling(
    values: list[Tensor],
    type: str = "MAX",
    kernelSize: Tensor = _THREES,
    stride: Tensor = _ONES,
    valid: Flag = False,
    valid_paddingAmounts: Tensor | None = None,
    same: Flag = False,
    same_asymmetryMode: str = "BOTTOM_RIGHT_HEAVY",
    includeLastPixel: Flag = False,
    includeLastPixel_paddingAmounts: Tensor | None = None,
    avgPoolExcludePadding: Flag = False,
    globalPooling: Flag = False,
) -> Tensor:
    del valid
    x = values[0]
    settings = _pad_type(same, same_asymmetryMode, valid_paddingAmounts)
    if bool(globalPooling):
        kernelSize, stride, settings = torch.tensor(x.shape[-2:]), _ONES, {"pad_type": "valid"}
    elif bool(includeLastPixel):
        amounts = [0, 0] if includeLastPixel_paddingAmounts is None else includeLastPixel_paddingAmounts.tolist()
        settings = {"pad_type": "custom", "pad": torch.tensor([amounts[0]] * 2 + [amounts[1]] * 2), "ceil_mode": True}
    name = {"MAX": "max_pool", "AVERAGE": "avg_pool", "L2": "l2_pool"}[type]
    if type == "AVERAGE":
        settings["exclude_padding_from_average"] = avgPoolExcludePadding
    return _as_before(CONV_OPERATIONS[name](as_batch(x), kernel_sizes=kernelSize, strides=stride, **settings), x)


def _padding(
    values: list[Tensor],
    paddingAmounts: Tensor | None = None,
    constant: Flag = False,
    constant_value: Number = 0.0,
    reflection: Flag = False,
    replication: Flag = False,
) -> Tensor:
    if paddingAmounts is None:
        return values[0]
    mode = "reflect" if bool(reflection) else "replicate" if bool(replication) else "constant"
    del constant
    padded: Tensor = TENSOR_OPERATIONS["pad"](values[0], paddingAmounts.reshape(-1), mode, constant_value)
    return padded


def _crop(values: list[Tensor], cropAmounts: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
    """By amounts, or to the size of the second input from an offset."""
    x = values[0]
    if len(values) == 2:
        top, left = (0, 0) if offset is None else offset.tolist()
        return x[..., top : top + values[1].shape[-2], left : left + values[1].shape[-1]]
    if cropAmounts is None:
        return x
    (top, bottom), (left, right) = cropAmounts.tolist()
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def _upsample(
    values: list[Tensor],
    scalingFactor: Tensor | None = None,
    fractionalScalingFactor: Tensor | None = None,
    mode: str = "NN",
    linearUpsampleMode: str = "DEFAULT",
) -> Tensor:
    factors = fractionalScalingFactor if scalingFactor is None else scalingFactor
    x = values[0]
    sizes = (
        list(x.shape[-2:])
        if factors is None
        else [math.floor(float(n * factor)) for n, factor in zip(x.shape[-2:], factors, strict=True)]
    )
    if mode == "NN":
        return resize_nearest(x, sizes, offset=0.0)
    grids = {
        "DEFAULT": "DEFAULT",
        "ALIGN_CORNERS_TRUE": "STRICT_ALIGN_CORNERS",
        "ALIGN_CORNERS_FALSE": "UNALIGN_CORNERS",
    }
    return resize_linear(x, sizes, grids[linearUpsampleMode])


def _resize_bilinear(
    values: list[Tensor], targetSize: Tensor = _ONES, mode_samplingMethod: str = "STRICT_ALIGN_ENDPOINTS_MODE"
) -> Tensor:
    return resize_linear(values[0], [int(size) for size in targetSize.tolist()], _GRIDS[mode_samplingMethod])


def _crop_resize(
    values: list[Tensor],
    targetSize: Tensor = _ONES,
    normalizedCoordinates: Flag = False,
    mode_samplingMethod: str = "STRICT_ALIGN_ENDPOINTS_MODE",
    boxIndicesMode_boxMode: str = "CORNERS_HEIGHT_FIRST",
    spatialScale: Number = 1.0,
) -> Tensor:
    """Boxes are the second input, (N, 1, 4, 1, 1), or 5 with the index of the picture in front."""
    height, width = targetSize.tolist()
    crops: Tensor = IMAGE_OPERATIONS["crop_resize"](
        as_batch(values[0]),
        roi=values[1],
        target_height=height,
        target_width=width,
        normalized_coordinates=normalizedCoordinates,
        spatial_scale=spatialScale,
        box_coordinate_mode=boxIndicesMode_boxMode,
        sampling_mode=_GRIDS[mode_samplingMethod],
    )
    return crops


def _inner_product(
    values: list[Tensor],
    inputChannels: Tensor,
    outputChannels: Tensor,
    weights: Tensor,
    hasBias: Flag = False,
    bias: Tensor | None = None,
    int8DynamicQuantize: Flag = False,
) -> Tensor:
    """Ranks 1 to 3 multiply the last dimension, ranks 4 and 5 the last three, which become (C, 1, 1)."""
    x = as_int8(values[0]) if bool(int8DynamicQuantize) else values[0]
    rows = x.reshape(*x.shape[:-3], -1) if x.dim() > 3 else x
    matrix = take(weights, int(outputChannels), int(inputChannels))
    y = F.linear(rows, matrix, take(bias, int(outputChannels)) if bool(hasBias) and bias is not None else None)
    return y.reshape(*y.shape, 1, 1) if x.dim() > 3 else y


def _embedding(
    values: list[Tensor],
    inputDim: Tensor,
    outputChannels: Tensor,
    weights: Tensor,
    hasBias: Flag = False,
    bias: Tensor | None = None,
) -> Tensor:
    x = values[0]
    table = take(weights, int(outputChannels), int(inputDim)).T
    y = table[x.reshape(x.shape[:-3]).long()]
    y = y + take(bias, int(outputChannels)) if bool(hasBias) and bias is not None else y
    return y.reshape(*y.shape, 1, 1)


def _batchnorm(
    values: list[Tensor],
    channels: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
    epsilon: Number = 1e-5,
    computeMeanVar: Flag = False,
    instanceNormalization: Flag = False,
) -> Tensor:
    del channels
    x = as_batch(values[0])
    if bool(computeMeanVar):
        axes = (2, 3) if bool(instanceNormalization) else (0, 2, 3)
        spread, centre = torch.var_mean(x, dim=axes, keepdim=True, correction=0)
    else:
        assert mean is not None and variance is not None
        spread, centre = variance.reshape(-1, 1, 1), mean.reshape(-1, 1, 1)
    y = (x - centre) / torch.sqrt(spread + epsilon) * gamma.reshape(-1, 1, 1) + beta.reshape(-1, 1, 1)
    return _as_before(y, values[0])


def _mvn(
    values: list[Tensor], acrossChannels: Flag = False, normalizeVariance: Flag = False, epsilon: Number = 1e-6
) -> Tensor:
    axes = (-3, -2, -1) if bool(acrossChannels) else (-2, -1)
    spread, centre = torch.var_mean(values[0], dim=axes, keepdim=True, correction=0)
    centred = values[0] - centre
    return centred / torch.sqrt(spread + epsilon) if bool(normalizeVariance) else centred


def _l2_normalize(values: list[Tensor], epsilon: Number = 1e-6) -> Tensor:
    return values[0] / torch.sqrt(values[0].square().sum(dim=(-3, -2, -1), keepdim=True) + epsilon)


def _softmax(values: list[Tensor]) -> Tensor:
    return torch.softmax(values[0], dim=-3)


def _lrn(values: list[Tensor], localSize: Tensor, alpha: Number = 0.0, beta: Number = 0.0, k: Number = 1.0) -> Tensor:
    y = MATH_OPERATIONS["local_response_norm"](as_batch(values[0]), localSize, alpha, beta, k)
    return _as_before(y, values[0])


def _shaped(parameter: Tensor, shape: Tensor) -> Tensor:
    """[1], [C], [1, H, W] or [C, H, W] so that it broadcasts over (..., C, H, W)."""
    sizes = [int(shape), 1, 1] if shape.numel() == 1 else shape.tolist()
    return take(parameter, *sizes)


def _scale(
    values: list[Tensor],
    shapeScale: Tensor,
    scale: Tensor,
    hasBias: Flag = False,
    shapeBias: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    y = values[0] * _shaped(scale, shapeScale)
    if not bool(hasBias) or bias is None or shapeBias is None:
        return y
    return y + _shaped(bias, shapeBias)


def _bias(values: list[Tensor], shape: Tensor, bias: Tensor) -> Tensor:
    return values[0] + _shaped(bias, shape)


def _dot(values: list[Tensor], cosineSimilarity: Flag = False) -> Tensor:
    x, y = values
    if bool(cosineSimilarity):
        x, y = (value / value.square().sum(-3, keepdim=True).sqrt() for value in (x, y))
    return (x * y).sum(dim=-3, keepdim=True)


def _reorganize(values: list[Tensor], blockSize: Tensor, mode: str = "SPACE_TO_DEPTH") -> Tensor:
    name, argument = {
        "SPACE_TO_DEPTH": ("space_to_depth", "block_size"),
        "DEPTH_TO_SPACE": ("depth_to_space", "block_size"),
        "PIXEL_SHUFFLE": ("pixel_shuffle", "upscale_factor"),
    }[mode]
    return _as_before(IMAGE_OPERATIONS[name](as_batch(values[0]), **{argument: blockSize}), values[0])


SPATIAL_LAYERS: dict[str, Callable[..., Any]] = {
    "batchnorm": _batchnorm,
    "bias": _bias,
    "convolution": _convolution,
    "crop": _crop,
    "cropResize": _crop_resize,
    "dot": _dot,
    "embedding": _embedding,
    "innerProduct": _inner_product,
    "l2normalize": _l2_normalize,
    "lrn": _lrn,
    "mvn": _mvn,
    "padding": _padding,
    "pooling": _pooling,
    "reorganizeData": _reorganize,
    "resizeBilinear": _resize_bilinear,
    "scale": _scale,
    "softmax": _softmax,
    "upsample": _upsample,
}
