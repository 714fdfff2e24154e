"""Layers over (..., C, D, H, W): convolution and pooling of volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdk_build.mil.ops.conv import CONV_OPERATIONS

Flag = Tensor | bool
Number = Tensor | int


def _padding(kind: str, amounts: tuple[Number, ...]) -> dict[str, Any]:
    if kind == "CUSTOM":
        return {"pad_type": "custom", "pad": torch.tensor([int(amount) for amount in amounts])}
    return {"pad_type": kind.lower()}


def _three(*numbers: Number) -> Tensor:
    return torch.tensor([int(number) or 1 for number in numbers])


def _convolution3d(
    values: list[Tensor],
    outputChannels: Tensor,
    inputChannels: Tensor,
    kernelDepth: Tensor,
    kernelHeight: Tensor,
    kernelWidth: Tensor,
    weights: Tensor,
    nGroups: Number = 1,
    strideDepth: Number = 1,
    strideHeight: Number = 1,
    strideWidth: Number = 1,
    dilationDepth: Number = 1,
    dilationHeight: Number = 1,
    dilationWidth: Number = 1,
    hasBias: Flag = False,
    bias: Tensor | None = None,
    paddingType: str = "CUSTOM",
    customPaddingFront: Number = 0,
    customPaddingBack: Number = 0,
    customPaddingTop: Number = 0,
    customPaddingBottom: Number = 0,
    customPaddingLeft: Number = 0,
    customPaddingRight: Number = 0,
    isDeconvolution: Flag = False,
) -> Tensor:
    amounts = (
        *(customPaddingFront, customPaddingBack, customPaddingTop),
        *(customPaddingBottom, customPaddingLeft, customPaddingRight),
    )
    first = int(inputChannels) if bool(isDeconvolution) else int(outputChannels)
    weight = weights.reshape(first, -1, int(kernelDepth), int(kernelHeight), int(kernelWidth))
    y: Tensor = CONV_OPERATIONS["conv_transpose" if bool(isDeconvolution) else "conv"](
        values[0],
        weight,
        bias=bias if bool(hasBias) else None,
        strides=_three(strideDepth, strideHeight, strideWidth),
        dilations=_three(dilationDepth, dilationHeight, dilationWidth),
        groups=int(nGroups),
        **_padding(paddingType, amounts),
    )
    return y


def _pooling3d(
    values: list[Tensor],
    kernelDepth: Tensor,
    kernelHeight: Tensor,
    kernelWidth: Tensor,
    type: str = "MAX",
    strideDepth: Number = 1,
    strideHeight: Number = 1,
    strideWidth: Number = 1,
    paddingType: str = "CUSTOM",
    customPaddingFront: Number = 0,
    customPaddingBack: Number = 0,
    customPaddingTop: Number = 0,
    customPaddingBottom: Number = 0,
    customPaddingLeft: Number = 0,
    customPaddingRight: Number = 0,
    countExcludePadding: Flag = False,
) -> Tensor:
    amounts = (
        *(customPaddingFront, customPaddingBack, customPaddingTop),
        *(customPaddingBottom, customPaddingLeft, customPaddingRight),
    )
    settings: dict[str, Any] = _padding(paddingType, amounts)
    if type == "AVERAGE":
        settings["exclude_padding_from_average"] = countExcludePadding
    y: Tensor = CONV_OPERATIONS["max_pool" if type == "MAX" else "avg_pool"](
        values[0],
        kernel_sizes=_three(kernelDepth, kernelHeight, kernelWidth),
        strides=_three(strideDepth, strideHeight, strideWidth),
        **settings,
    )
    return y


def _global_pooling3d(values: list[Tensor], type: str = "MAX") -> Tensor:
    axes = (-3, -2, -1)
    return values[0].amax(axes, keepdim=True) if type == "MAX" else values[0].mean(axes, keepdim=True)


VOLUME_LAYERS: dict[str, Callable[..., Any]] = {
    "convolution3d": _convolution3d,
    "globalPooling3d": _global_pooling3d,
    "pooling3d": _pooling3d,
}
