"""Elementwise operations: activations, unary functions, arithmetic, comparisons, casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import sdk_build.mil.dtypes as dtypes
from sdk_build.errors import UnsupportedOperation


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x: function(x)


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x, y: function(x, y)


def _per_channel(parameter: Tensor, x: Tensor) -> Tensor:
    """Shapes ``(C,)`` so that it broadcasts along dimension 1 of ``x``."""
    return parameter.reshape(-1, *[1] * (x.dim() - 2))


def _clamped_relu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.minimum(torch.where(x >= 0, x, alpha * x), beta)


def _elu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x > 0, x, alpha * torch.expm1(x))


def _gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    if mode == "EXACT":
        return F.gelu(x)
    if mode == "TANH_APPROXIMATION":
        return F.gelu(x, approximate="tanh")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise UnsupportedOperation(
        f"mode '{mode}' is not emulated; allowed: EXACT, TANH_APPROXIMATION, SIGMOID_APPROXIMATION"
    )


def _leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, alpha * x)


def _prelu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x > 0, x, _per_channel(alpha, x) * x)


def _softplus(x: Tensor) -> Tensor:
    # torch's softplus returns x itself above a threshold of 20; logaddexp is exact everywhere.
    return torch.logaddexp(x, torch.zeros_like(x))


def _softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return _per_channel(alpha, x) * _softplus(_per_channel(beta, x) * x)


def _sigmoid_hard(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.clamp(alpha * x + beta, 0, 1)


def _linear_activation(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return alpha * x + beta


def _scaled_tanh(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return alpha * torch.tanh(beta * x)


def _thresholded_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """Keeps ``x`` where it is >= alpha, else 0; torch's threshold keeps only what is > alpha."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))


def _threshold(x: Tensor, alpha: Tensor) -> Tensor:
    """A lower bound, not torch's threshold."""
    return torch.maximum(x, alpha)


def _clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, alpha), beta)


# The default epsilons are coremltools' own; a program that coremltools wrote always states them.
def _log(x: Tensor, epsilon: Tensor | float = 1e-45) -> Tensor:
    return torch.log(x + epsilon)


def _rsqrt(x: Tensor, epsilon: Tensor | float = 1e-12) -> Tensor:
    return torch.rsqrt(x + epsilon)


def _inverse(x: Tensor, epsilon: Tensor | float = 1e-4) -> Tensor:
    return 1 / (x + epsilon)


def _cast(x: Tensor, dtype: str) -> Tensor:
    return dtypes.cast(x, dtype)


def _select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond, a, b)


def _floor_div(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode="floor")


def _pow(x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point():
        return torch.pow(x, y)
    # torch has no negative integer powers; MIL states an integer result, so the fraction goes in store().
    return torch.pow(x.double(), y.double())


def _exp2(x: Tensor) -> Tensor:
    return torch.exp2(x.float())


ELEMENTWISE_OPERATIONS: dict[str, Callable[..., Any]] = {
    "abs": _unary(torch.abs),
    "acos": _unary(torch.acos),
    "add": _binary(torch.add),
    "asin": _unary(torch.asin),
    "atan": _unary(torch.atan),
    "atanh": _unary(torch.atanh),
    "cast": _cast,
    "ceil": _unary(torch.ceil),
    "clamped_relu": _clamped_relu,
    "clip": _clip,
    "cos": _unary(torch.cos),
    "cosh": _unary(torch.cosh),
    "elu": _elu,
    "equal": _binary(torch.eq),
    "erf": _unary(torch.erf),
    "exp": _unary(torch.exp),
    "exp2": _exp2,
    "floor": _unary(torch.floor),
    "floor_div": _floor_div,
    "gelu": _gelu,
    "greater": _binary(torch.gt),
    "greater_equal": _binary(torch.ge),
    "inverse": _inverse,
    "leaky_relu": _leaky_relu,
    "less": _binary(torch.lt),
    "less_equal": _binary(torch.le),
    "linear_activation": _linear_activation,
    "log": _log,
    "logical_and": _binary(torch.logical_and),
    "logical_not": _unary(torch.logical_not),
    "logical_or": _binary(torch.logical_or),
    "logical_xor": _binary(torch.logical_xor),
    "maximum": _binary(torch.maximum),
    "minimum": _binary(torch.minimum),
    "mod": _binary(torch.remainder),
    "mul": _binary(torch.mul),
    "not_equal": _binary(torch.ne),
    "pow": _pow,
    "prelu": _prelu,
    "real_div": _binary(torch.true_divide),
    "relu": _unary(torch.relu),
    "relu6": _unary(F.relu6),
    "round": _unary(torch.round),
    "rsqrt": _rsqrt,
    "scaled_tanh": _scaled_tanh,
    "select": _select,
    "sigmoid": _unary(torch.sigmoid),
    "sigmoid_hard": _sigmoid_hard,
    "sign": _unary(torch.sign),
    "silu": _unary(F.silu),
    "sin": _unary(torch.sin),
    "sinh": _unary(torch.sinh),
    "softplus": _softplus,
    "softplus_parametric": _softplus_parametric,
    "softsign": _unary(F.softsign),
    "sqrt": _unary(torch.sqrt),
    "square": _unary(torch.square),
    "sub": _binary(torch.sub),
    "tan": _unary(torch.tan),
    "tanh": _unary(torch.tanh),
    "threshold": _threshold,
    "thresholded_relu": _thresholded_relu,
}
