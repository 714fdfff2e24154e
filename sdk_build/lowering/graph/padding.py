"""Padding with what lies inside, as slices joined to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_MOST_SLICES = 16  # reflected places come one by one


def pad(x: Tensor, widths: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """``reflect``, ``replicate`` and ``circular``; zeros stay an operation of their own."""
    del value
    if mode == "constant" or any(w < 0 for w in widths) or sum(widths) > _MOST_SLICES:
        return NotImplemented
    for number in range(len(widths) // 2):
        axis = x.dim() - 1 - number
        before, after = widths[2 * number : 2 * number + 2]
        if before or after:
            x = torch.cat(_sides(x, axis, before, after, mode), axis)
    return x


def reflect(x: Tensor, widths: Sequence[int]) -> Tensor:
    """The operation that ``pad`` becomes."""
    return pad(x, widths, "reflect")


def replicate(x: Tensor, widths: Sequence[int]) -> Tensor:
    """The operation that ``pad`` becomes."""
    return pad(x, widths, "replicate")


def _sides(x: Tensor, axis: int, before: int, after: int, mode: str) -> list[Tensor]:
    n = x.shape[axis]

    def piece(start: int, end: int) -> Tensor:
        return torch.ops.aten.slice.Tensor(x, axis, start, end)

    if mode == "circular":
        ends = [piece(n - before, n)] if before else [], [piece(0, after)] if after else []
    elif mode == "replicate":
        ends = [piece(0, 1)] * before, [piece(n - 1, n)] * after
    else:
        ends = [piece(i, i + 1) for i in range(before, 0, -1)], [piece(n - 2 - i, n - 1 - i) for i in range(after)]
    return [*ends[0], x, *ends[1]]
