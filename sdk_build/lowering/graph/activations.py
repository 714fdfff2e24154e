"""Activations that delegates have not, or have wrong, in those that they have."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """The form with tanh; ExecuTorch 1.4 takes it for the one with erf (4e-4 apart)."""
    if approximate == "none":
        return NotImplemented
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def softplus(x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + exp(beta x)) / beta without a choice and without overflow."""
    del threshold  # above it PyTorch gives x, which this does, too, to 2e-9
    scaled = x if beta == 1 else x * beta
    result = torch.relu(scaled) + torch.log(torch.exp(-scaled.abs()) + 1)
    return result if beta == 1 else result * (1 / beta)


def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x))."""
    return x * torch.tanh(softplus(x))


def log_sigmoid(x: Tensor) -> Tensor:
    """-softplus(-x)."""
    return -softplus(-x)


def elu(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    """x above 0, alpha (exp(x) - 1) below, as a sum of both parts; also for CELU and SELU."""
    below = -torch.relu(-x)
    below = torch.exp(below if input_scale == 1 else below * input_scale) - 1
    result = torch.relu(x) + (below if alpha == 1 else below * alpha)
    return result if scale == 1 else result * scale


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """ELU with the slope 1 at 0."""
    return elu(x, alpha, 1, 1 / alpha)


def selu(x: Tensor) -> Tensor:
    """ELU with PyTorch's two constants."""
    return elu(x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def power(x: Tensor, exponent: float) -> Tensor:
    """Small whole powers as products, roots as roots."""
    if exponent == 0.5:
        return x.sqrt()
    if exponent == -0.5:
        return x.rsqrt()
    if exponent in (3, 4):
        square = x * x
        return square * x if exponent == 3 else square * square
    return x * x if exponent == 2 else NotImplemented


def whole_power(x: Tensor, exponent: float) -> Tensor:
    """The powers that are products, where a runtime has squares and roots."""
    return power(x, exponent) if exponent in (3, 4) else NotImplemented


def addcmul(x: Tensor, first: Tensor, second: Tensor, *, value: float = 1) -> Tensor:
    """x + value * first * second."""
    product = first * second
    return x + (product if value == 1 else product * value)


def addcdiv(x: Tensor, first: Tensor, second: Tensor, *, value: float = 1) -> Tensor:
    """x + value * first / second."""
    quotient = first / second
    return x + (quotient if value == 1 else quotient * value)
