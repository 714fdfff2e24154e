"""Rendered pairs on disk: a pair is made once and read in every later pass, mirrored in every second one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

Pair = tuple[NDArray[np.float32], NDArray[np.bool_]]


class PairCache:
    """Pairs of depth (S, S) in [0, 1] and voxels (S, S, S), made when they are first asked for.

    A file ``pairs-S-KEY.bin`` of records: one byte that says whether the record is there, the depth in half precision,
    the voxels in bits: 40 kB at 64, 145 kB at 100. A pair that is asked for by two processes at once is made by both,
    alike.

    Args:
        folder: where the file lies; made if it is not there.
        size: S.
        count: pairs in all.
        key: what the pairs depend on beside their number; another key is another file.
        make: gives the pair of a number, the same each time.
    """

    def __init__(self, folder: Path, size: int, count: int, key: str, make: Callable[[int], Pair]) -> None:
        self.size, self.count, self.make = size, count, make
        self._depth_bytes = 2 * size * size
        length = 1 + self._depth_bytes + (size**3 + 7) // 8
        name = hashlib.sha256(f"{size} {count} {key}".encode()).hexdigest()[:12]
        path = folder / f"pairs-{size}-{name}.bin"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.truncate(count * length)  # sparse: what was not made takes no place
            self._records = np.memmap(path, np.uint8, "r+", shape=(count, length))
        except OSError as error:
            raise BadInput(f"can't keep pairs in {path}: {error.strerror}; give another --cache") from error

    def __getitem__(self, number: int) -> Pair:
        """The pair of ``number`` modulo the count."""
        number %= self.count
        record = self._records[number]
        if not record[0]:
            return self._store(number, *self.make(number))
        depth = record[1 : 1 + self._depth_bytes].view(np.float16).reshape(self.size, self.size)
        bits = np.unpackbits(record[1 + self._depth_bytes :], count=self.size**3)
        return depth.astype(np.float32), bits.reshape((self.size,) * 3).astype(bool)

    def _store(self, number: int, depth: NDArray[np.float32], voxels: NDArray[np.bool_]) -> Pair:
        record = self._records[number]
        half = depth.astype(np.float16)
        record[1 : 1 + self._depth_bytes] = half.reshape(-1).view(np.uint8)
        record[1 + self._depth_bytes :] = np.packbits(voxels.reshape(-1))
        record[0] = 1  # last, so that a process that is stopped leaves no half record
        return half.astype(np.float32), voxels


def mirrored(pair: Pair) -> Pair:
    """The pair seen in a mirror: left and right change places."""
    depth, voxels = pair
    return np.ascontiguousarray(depth[:, ::-1]), np.ascontiguousarray(voxels[:, :, ::-1])
