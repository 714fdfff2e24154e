"""Operations with their settings read once, for those that networks spend their time in.

Each function here gives what the general one gives, to the bit. What a program computes at run time, such as a weight
that is no constant, stays with the general function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import sdk_build.mil.ops.conv as conv

Fixed = Mapping[str, Any]
Function = Callable[..., Any]


def specialised(op_type: str, function: Function, fixed: Fixed) -> Function | None:
    """A function of the arguments that are not in ``fixed``; None where the general one serves.

    Args:
        op_type: MIL's type.
        function: The general function.
        fixed: The constant arguments, by parameter.
    """
    make = _MAKERS.get(op_type)
    return None if make is None or function is not _GENERAL.get(op_type, function) else make(fixed)


def _number(fixed: Fixed, name: str) -> float | None:
    """A constant of one number."""
    value = fixed.get(name)
    return float(value) if isinstance(value, Tensor) and value.numel() == 1 else None


def _has(fixed: Fixed, names: set[str]) -> bool:
    return set(fixed) == names


def _thresholded_relu(fixed: Fixed) -> Function | None:
    alpha = _number(fixed, "alpha")
    if alpha is None or not _has(fixed, {"alpha"}) or not math.isfinite(alpha):
        return None
    # torch keeps what is greater than its threshold, MIL what is greater or equal.
    below = float(np.nextafter(np.float32(alpha), np.float32(-np.inf)))
    return lambda x: F.threshold(x, below, 0.0)


def _sigmoid_hard(fixed: Fixed) -> Function | None:
    alpha, beta = _number(fixed, "alpha"), _number(fixed, "beta")
    if alpha is None or beta is None or not _has(fixed, {"alpha", "beta"}):
        return None
    slope, shift = fixed["alpha"].reshape(()), fixed["beta"].reshape(())
    return lambda x: (x * slope).add_(shift).clamp_(0, 1)


def _clip(fixed: Fixed) -> Function | None:
    low, high = _number(fixed, "alpha"), _number(fixed, "beta")
    if low is None or high is None or not _has(fixed, {"alpha", "beta"}):
        return None
    return lambda x: torch.clamp(x, low, high)


def _conv(fixed: Fixed) -> Function | None:
    if not isinstance(fixed.get("weight"), Tensor) or fixed.get("pad_type", "valid") not in ("valid", "custom"):
        return None
    weight = fixed["weight"].contiguous()
    rank = weight.dim() - 2
    pairs = conv.padding_of(fixed.get("pad_type", "valid"), fixed.get("pad"), [0] * rank, [0] * rank, [0] * rank)
    if rank not in conv.CONV_KERNELS or any(before != after for before, after in pairs) or "x" in fixed:
        return None
    kernel, padding = conv.CONV_KERNELS[rank], [before for before, _ in pairs]
    steps, spread = conv.ints(fixed.get("strides"), rank), conv.ints(fixed.get("dilations"), rank)
    window = conv.dilated(weight.shape[2:], spread)
    if any(pad > size for pad, size in zip(padding, window, strict=True)):  # the general one bounds what it allocates
        return None
    groups = int(fixed.get("groups", 1))
    if "bias" in fixed:
        bias = fixed["bias"]
        return lambda x: kernel(x, weight, bias, steps, padding, spread, groups)
    return lambda x, bias=None: kernel(x, weight, bias, steps, padding, spread, groups)


_MAKERS: dict[str, Callable[[Fixed], Function | None]] = {
    "clip": _clip,
    "conv": _conv,
    "sigmoid_hard": _sigmoid_hard,
    "thresholded_relu": _thresholded_relu,
}
# Only these: a table with other functions, such as sums in half precision, keeps its own.
_GENERAL: dict[str, Function] = {"conv": conv.CONV_OPERATIONS["conv"]}
