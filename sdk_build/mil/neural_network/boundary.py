"""Between the caller and the layers: shapes of inputs and outputs, preprocessing of pictures, labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdk_build.errors import UnsupportedOperation


def _input(values: list[Tensor], is_rank5: Tensor, rank: Tensor | int = 0) -> Tensor:
    """Layers of the first three specification versions see (sequence, batch, C, H, W).

    Args:
        rank: That the model states; an input of two more dimensions has sequence and batch in front.
    """
    x = values[0].float()
    if not bool(is_rank5) or x.dim() == 5:
        return x
    if x.dim() == 3 and int(rank) == 1:
        return x.reshape(*x.shape, 1, 1)
    if x.dim() in (3, 4):
        return x.reshape([1] * (5 - x.dim()) + list(x.shape))
    if x.dim() in (0, 1):
        return x.reshape(1, 1, -1, 1, 1)
    raise UnsupportedOperation(f"an input of rank {x.dim()} has no place among five dimensions; allowed: 1, 3, 4, 5")


def _scaler(values: list[Tensor], scale: Tensor, biases: Tensor) -> Tensor:
    return values[0] * scale + biases.reshape(-1, 1, 1)


def _mean_image(values: list[Tensor], mean: Tensor) -> Tensor:
    """Subtracts a picture of the input's own size, or one number per channel."""
    x = values[0]
    return x - (mean.reshape(-1, 1, 1) if mean.numel() == x.shape[-3] else mean.reshape(x.shape[-3:]))


def _classify(values: list[Tensor], labels: np.ndarray) -> tuple[Any, dict[Any, float]]:
    scores = values[0].reshape(-1).tolist()
    names = labels.tolist()
    if len(scores) != len(names):
        raise ValueError(f"{len(scores)} probabilities for {len(names)} labels")
    return names[int(np.argmax(scores))], dict(zip(names, scores, strict=True))


def _output(values: list[Tensor], form: str, shape: Tensor | None = None) -> Tensor:
    """The caller's shape: as described where that fits; else without the ones that five dimensions add."""
    x = values[0]
    if form == "image":
        return x.reshape(1, *x.shape[-3:])
    if form == "number":
        return x.reshape(())
    if shape is not None and int(torch.prod(shape)) == x.numel():
        return x.reshape(shape.tolist())
    if form == "exact":
        return x
    sizes = list(x.shape)
    while len(sizes) > 3 and sizes[0] == 1:
        sizes.pop(0)
    while len(sizes) > 1 and sizes[-1] == 1:
        sizes.pop()
    return x.reshape(sizes)


BOUNDARY_LAYERS: dict[str, Callable[..., Any]] = {
    "classify": _classify,
    "input": _input,
    "meanImage": _mean_image,
    "output": _output,
    "scaler": _scaler,
}
