"""Weight files of ML programs: MILBlob's storage format, version 2, mapped from disk.

A file is a header of 64 bytes (count of entries, version), then entries at multiples of 64: a table of 64 bytes (mark,
type, size in bytes, place of the data, padding in bits) and the data.

Source: coremltools, mlmodel/src/MILBlob/Blob/StorageFormat.hpp.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from sdk_build.errors import BadInput
from sdk_build.mil.files.values import NUMBERS, bytes_of, check_names, unpack

_HEADER = struct.Struct("<II")
_ENTRY = struct.Struct("<IIQQQ")
_MARK, _VERSION = 0xDEADBEEF, 2
# BlobDataType by MIL's dtype names.
_KINDS = {
    "fp16": 1,
    "fp32": 2,
    "uint8": 3,
    "int8": 4,
    "int16": 6,
    "uint16": 7,
    "int4": 8,
    "uint1": 9,
    "uint2": 10,
    "uint4": 11,
    "uint3": 12,
    "uint6": 13,
    "int32": 14,
    "uint32": 15,
}


class BlobFiles:
    """The weight files beside a model, each mapped when first read.

    Args:
        folder: What ``@model_path`` stands for: the folder of the .mlmodel.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, np.ndarray] = {}

    def read(self, name: str, offset: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        """One entry as an array; a view of the file where its numbers have whole bytes.

        Raises:
            BadInput: The file or the entry is absent, or holds something else than the program states.
        """
        content = self._open(name)
        if offset % 64 or offset + 64 > len(content):
            raise BadInput(f"{name} has no entry at byte {offset} of {len(content)}")
        mark, kind, size, start, _ = _ENTRY.unpack(content[offset : offset + _ENTRY.size].tobytes())
        if mark != _MARK or start + size > len(content):
            raise BadInput(f"{name} has no entry at byte {offset} of {len(content)}")
        wanted = bytes_of(dtype, shape)
        if dtype not in NUMBERS or kind != _KINDS.get(dtype) or size != wanted:
            raise BadInput(f"{name} at byte {offset} holds type {kind} in {size} bytes, the program {dtype} {shape}")
        return unpack(content[start : start + size], dtype, shape)

    def _open(self, name: str) -> np.ndarray:
        check_names(name)
        if name not in self._files:
            relative = Path(name.removeprefix("@model_path").lstrip("/"))
            path = self._folder / relative
            if relative.is_absolute() or ".." in relative.parts or not path.is_file() or path.is_symlink():
                raise BadInput(f"weight file {name} is not in the package")
            if path.stat().st_size < 64:
                raise BadInput(f"weight file {name} is shorter than its header")
            content = np.memmap(path, np.uint8, mode="r")
            version = _HEADER.unpack(content[: _HEADER.size].tobytes())[1]
            if version != _VERSION:
                raise BadInput(f"weight file {name} has version {version}; allowed: {_VERSION}")
            self._files[name] = content
        return self._files[name]
