"""Which weights of an artifact are not the network's, seen from the bytes that a file holds.

A runtime that shows nothing of its inside still stores weights as numbers in a row: those that a new export of the
same network holds and a file does not are the ones that differ. Only for weights in float32 and float16; quantised ones
are scaled and packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

_ORDERS: dict[int, list[tuple[int, ...]]] = {2: [(0, 1), (1, 0)], 4: [(0, 1, 2, 3), (0, 2, 3, 1), (1, 2, 3, 0)]}
_FEWEST = 8  # fewer numbers may be anywhere by chance


def changed_parameters(network: nn.Module, fresh: Path, given: Path) -> tuple[str, ...]:
    """Names of parameters and buffers that a new export holds and a given artifact does not, in the network's order."""
    new, old = _content(fresh), _content(given)
    found = []
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.is_floating_point() and tensor.numel() >= _FEWEST:
            stored = [form for form in _forms(tensor.detach().float().numpy()) if form in new]
            if stored and not any(form in old for form in stored):
                found.append(name)
    return tuple(found)


def _content(path: Path) -> bytes:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return b"".join(file.read_bytes() for file in files)


def _forms(weight: NDArray[Any]) -> Iterator[bytes]:
    """A weight as converters lay it out: as it is, transposed, channels last, and depthwise."""
    for kind in (np.float32, np.float16):
        for order in _ORDERS.get(weight.ndim, [tuple(range(weight.ndim))]):
            yield np.ascontiguousarray(weight.transpose(order), kind).tobytes()
