"""Random numbers: reproducible where the program states a seed, other numbers each time where it doesn't.

The numbers are torch's, not those of a device: only their distribution is Core ML's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdk_build.errors import UnsupportedOperation
from sdk_build.mil.ops.sizes import checked


def _generator(seed: Tensor | int) -> torch.Generator:
    """A negative seed asks for other numbers at every call."""
    generator = torch.Generator()
    if int(seed) < 0:
        generator.seed()
    else:
        generator.manual_seed(int(seed))
    return generator


def _random_bernoulli(shape: Tensor, prob: Tensor | float = 0.5, seed: Tensor | int = -1) -> Tensor:
    # rand is below 1, so that a probability of 1 gives ones alone and 0 gives none.
    return (torch.rand(checked(shape.tolist()), generator=_generator(seed)) < float(prob)).float()


def _random_normal(
    shape: Tensor, mean: Tensor | float = 0.0, stddev: Tensor | float = 1.0, seed: Tensor | int = -1
) -> Tensor:
    return float(mean) + float(stddev) * torch.randn(checked(shape.tolist()), generator=_generator(seed))


def _random_uniform(
    shape: Tensor, low: Tensor | float = 0.0, high: Tensor | float = 1.0, seed: Tensor | int = -1
) -> Tensor:
    return float(low) + (float(high) - float(low)) * torch.rand(checked(shape.tolist()), generator=_generator(seed))


def _random_categorical(x: Tensor, mode: str = "logits", size: Tensor | int = 1, seed: Tensor | int = -1) -> Tensor:
    """Indices into the last dimension, drawn with replacement: (*D, K) -> (*D, size)."""
    if mode not in ("logits", "probs"):
        raise UnsupportedOperation(f"mode '{mode}' is not emulated; allowed: logits, probs")
    probabilities = torch.softmax(x, dim=-1) if mode == "logits" else x
    rows = probabilities.reshape(-1, x.shape[-1])
    drawn = torch.multinomial(rows, int(size), replacement=True, generator=_generator(seed))
    return drawn.reshape(*x.shape[:-1], int(size)).float()


RANDOM_OPERATIONS: dict[str, Callable[..., Any]] = {
    "random_bernoulli": _random_bernoulli,
    "random_categorical": _random_categorical,
    "random_normal": _random_normal,
    "random_uniform": _random_uniform,
}
