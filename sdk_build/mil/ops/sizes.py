"""A bound on what an operation allocates at the word of a constant."""

from __future__ import annotations

import math
from collections.abc import Sequence

# 4 GB of float32: twice the largest tensor of any network here; a damaged size must not take a machine's memory.
MAX_ELEMENTS = 1 << 30


def checked(sizes: Sequence[int]) -> list[int]:
    """The sizes as they are.

    Raises:
        ValueError: They are negative, or stand for more numbers than any device holds in one tensor.
    """
    found = [int(size) for size in sizes]
    if min(found, default=0) < 0 or math.prod(found) > MAX_ELEMENTS:
        raise ValueError(f"a tensor of shape {tuple(found)}; allowed: up to {MAX_ELEMENTS} numbers")
    return found
