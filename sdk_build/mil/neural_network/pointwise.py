"""Layers that work number by number: activations, unary functions, arithmetic of several inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sdk_build.mil.ops.elementwise import ELEMENTWISE_OPERATIONS

Number = Tensor | float


def _along_channels(parameter: Tensor, x: Tensor) -> Tensor:
    """(C,) or (1,) so that it broadcasts along the third dimension from the right."""
    return parameter.reshape(-1, 1, 1) if x.dim() >= 3 else parameter


def _simple(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda values: function(values[0])


def _linear(values: list[Tensor], alpha: Number = 0.0, beta: Number = 0.0) -> Tensor:
    return alpha * values[0] + beta


def _leaky_relu(values: list[Tensor], alpha: Number = 0.0) -> Tensor:
    return torch.where(values[0] >= 0, values[0], alpha * values[0])


def _prelu(values: list[Tensor], alpha: Tensor) -> Tensor:
    x = values[0]
    return torch.where(x > 0, x, _along_channels(alpha, x) * x)


def _elu(values: list[Tensor], alpha: Number = 0.0) -> Tensor:
    return torch.where(values[0] > 0, values[0], alpha * torch.expm1(values[0]))


def _thresholded_relu(values: list[Tensor], alpha: Number = 0.0) -> Tensor:
    return torch.where(values[0] >= alpha, values[0], torch.zeros_like(values[0]))


def _scaled_tanh(values: list[Tensor], alpha: Number = 0.0, beta: Number = 0.0) -> Tensor:
    return alpha * torch.tanh(beta * values[0])


def _sigmoid_hard(values: list[Tensor], alpha: Number = 0.0, beta: Number = 0.0) -> Tensor:
    return torch.clamp(alpha * values[0] + beta, 0, 1)


def _parametric_softplus(values: list[Tensor], alpha: Tensor, beta: Tensor) -> Tensor:
    x = values[0]
    return _along_channels(alpha, x) * torch.logaddexp(_along_channels(beta, x) * x, torch.zeros_like(x))


def _clamped_relu(values: list[Tensor], alpha: Number = 0.0, beta: Number = 0.0) -> Tensor:
    x = values[0]
    return torch.minimum(torch.where(x >= 0, x, alpha * x), torch.as_tensor(beta, dtype=x.dtype))


def _clip(values: list[Tensor], minVal: Number = 0.0, maxVal: Number = 0.0) -> Tensor:
    return torch.clamp(values[0], float(minVal), float(maxVal))


_UNARY: dict[str, Callable[[Tensor, Number, Number], Tensor]] = {
    "SQRT": lambda x, alpha, epsilon: torch.sqrt(x),
    "RSQRT": lambda x, alpha, epsilon: torch.rsqrt(x + epsilon),
    "INVERSE": lambda x, alpha, epsilon: 1 / (x + epsilon),
    "POWER": lambda x, alpha, epsilon: torch.pow(x, alpha),
    "EXP": lambda x, alpha, epsilon: torch.exp(x),
    "LOG": lambda x, alpha, epsilon: torch.log(x),
    "ABS": lambda x, alpha, epsilon: torch.abs(x),
    "THRESHOLD": lambda x, alpha, epsilon: torch.maximum(x, torch.as_tensor(alpha, dtype=x.dtype)),
}


def _unary(
    values: list[Tensor],
    type: str = "SQRT",
    alpha: Number = 0.0,
    epsilon: Number = 1e-6,
    shift: Number = 0.0,
    scale: Number = 1.0,
) -> Tensor:
    return _UNARY[type](values[0] * scale + shift, alpha, epsilon)


def _joined(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Any number of inputs, one after the other; they broadcast."""
    return lambda values: functools.reduce(function, values)


def _add(values: list[Tensor], alpha: Number = 0.0) -> Tensor:
    return values[0] + alpha if len(values) == 1 else functools.reduce(torch.add, values)


def _multiply(values: list[Tensor], alpha: Number = 0.0) -> Tensor:
    return values[0] * alpha if len(values) == 1 else functools.reduce(torch.mul, values)


def _average(values: list[Tensor]) -> Tensor:
    return functools.reduce(torch.add, values) / len(values)


def _compared(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """With another input, or with ``alpha`` where there is none."""

    def compare(values: list[Tensor], alpha: Number = 0.0) -> Tensor:
        other = values[1] if len(values) > 1 else torch.as_tensor(alpha, dtype=values[0].dtype)
        return function(values[0], other).float()

    return compare


def _logical(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda values: function(*[value != 0 for value in values]).float()


def _gelu(values: list[Tensor], mode: str = "EXACT") -> Tensor:
    gelu: Tensor = ELEMENTWISE_OPERATIONS["gelu"](values[0], mode)
    return gelu


def _copy(x: Tensor) -> Tensor:
    return x


POINTWISE_LAYERS: dict[str, Callable[..., Any]] = {
    "activation.ELU": _elu,
    "activation.PReLU": _prelu,
    "activation.ReLU": _simple(torch.relu),
    "activation.leakyReLU": _leaky_relu,
    "activation.linear": _linear,
    "activation.parametricSoftplus": _parametric_softplus,
    "activation.scaledTanh": _scaled_tanh,
    "activation.sigmoid": _simple(torch.sigmoid),
    "activation.sigmoidHard": _sigmoid_hard,
    "activation.softplus": _simple(lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    "activation.softsign": _simple(F.softsign),
    "activation.tanh": _simple(torch.tanh),
    "activation.thresholdedReLU": _thresholded_relu,
    "add": _add,
    "average": _average,
    "clampedReLU": _clamped_relu,
    "clip": _clip,
    "copy": _simple(_copy),
    "gelu": _gelu,
    "max": _joined(torch.maximum),
    "min": _joined(torch.minimum),
    "multiply": _multiply,
    "unary": _unary,
    "addBroadcastable": _joined(torch.add),
    "divideBroadcastable": _joined(torch.true_divide),
    "floorDivBroadcastable": _joined(torch.floor_divide),
    "maxBroadcastable": _joined(torch.maximum),
    "minBroadcastable": _joined(torch.minimum),
    "modBroadcastable": _joined(torch.remainder),
    "multiplyBroadcastable": _joined(torch.mul),
    "powBroadcastable": _joined(torch.pow),
    "subtractBroadcastable": _joined(torch.sub),
    "equal": _compared(torch.eq),
    "greaterEqual": _compared(torch.ge),
    "greaterThan": _compared(torch.gt),
    "lessEqual": _compared(torch.le),
    "lessThan": _compared(torch.lt),
    "notEqual": _compared(torch.ne),
    "logicalAnd": _logical(torch.logical_and),
    "logicalNot": _logical(torch.logical_not),
    "logicalOr": _logical(torch.logical_or),
    "logicalXor": _logical(torch.logical_xor),
    **{
        name: _simple(getattr(torch, name))
        for name in ("acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "exp2", "floor")
    },
    **{name: _simple(getattr(torch, name)) for name in ("round", "sign", "sin", "sinh", "tan", "tanh")},
}
