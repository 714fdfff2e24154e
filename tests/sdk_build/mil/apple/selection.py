"""Which of Apple's tests a run takes. Standard library only."""

from __future__ import annotations

import random
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Selection:
    """A share of the parameters of every test function.

    Attributes:
        stride: one of so many; 1 takes all.
        least: of every function at least so many.
        shard, shards: whole functions, those of one of ``shards`` equal parts.
    """

    stride: int = 1
    least: int = 1
    shard: int = 0
    shards: int = 1

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Of ``STRIDE:LEAST:SHARD/SHARDS``."""
        stride, least, part = text.split(":")
        shard, shards = part.split("/")
        return cls(int(stride), int(least), int(shard), int(shards))

    def __str__(self) -> str:
        return f"{self.stride}:{self.least}:{self.shard}/{self.shards}"


def choose(ids: Iterable[str], selection: Selection) -> list[str]:
    """One id from each of equal stretches of a function's list, at a place that follows from the function's name.

    Even, but never in step with the periods of the parameters.
    """
    functions: dict[str, list[str]] = defaultdict(list)
    for name in ids:
        functions[name.split("[")[0]].append(name)
    chosen = []
    for function, names in functions.items():
        seed = zlib.crc32(function.encode())
        if seed % selection.shards != selection.shard:
            continue
        draw = random.Random(seed)
        count = min(len(names), max(selection.least, round(len(names) / selection.stride)))
        for i in range(count):
            start, end = i * len(names) // count, (i + 1) * len(names) // count
            chosen.append(names[draw.randrange(start, end)])
    return chosen
