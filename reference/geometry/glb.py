"""The container of binary glTF 2.0 (GLB): a JSON part, a binary part, and arrays in it."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

Array = NDArray[np.float64]

MAGIC = 0x46546C67
LARGEST_BYTES = 200_000_000
_COMPRESSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
_READ_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_NORMALIZED = {5120: 127.0, 5121: 255.0, 5122: 32767.0, 5123: 65535.0}
_WRITE_TYPES = {"float32": 5126, "uint8": 5121, "uint16": 5123, "uint32": 5125}
_SHAPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (16,): "MAT4"}
ARRAY_BUFFER, ELEMENT_BUFFER = 34962, 34963


@dataclass(frozen=True, eq=False)
class Glb:
    """An opened file: its JSON part and its binary part."""

    name: str
    document: dict[str, Any]
    binary: bytes


def read_glb(path: Path, what: str = "motion", wanted: str = "a .bvh or .glb file") -> Glb:
    """Opens a GLB file.

    Args:
        what: what the file is for, in a message about a missing one.
        wanted: what else could be given, likewise.

    Raises:
        BadInput: another format or version, damaged, or compressed.
    """
    if not path.is_file():
        raise BadInput(f"no {what} {path}; give {wanted}")
    if path.stat().st_size > LARGEST_BYTES:
        raise BadInput(f"{path.name} has {path.stat().st_size} bytes; allowed: up to {LARGEST_BYTES}; cut it")
    content = path.read_bytes()
    try:
        magic, version, _, length, kind = struct.unpack_from("<IIIII", content)
        if magic != MAGIC or version != 2 or kind != 0x4E4F534A:
            raise ValueError("no binary glTF 2.0")
        document = json.loads(content[20 : 20 + length])
        if not isinstance(document, dict):
            raise ValueError("its JSON part is no object")
        binary = b""
        if len(content) >= 28 + length:
            (size,) = struct.unpack_from("<I", content, 20 + length)
            binary = content[28 + length : 28 + length + size]
    except (ValueError, struct.error, RecursionError) as error:
        raise BadInput(f"{path.name} can't be read ({error}); allowed: binary glTF 2.0 (.glb); export it so") from error
    used = [*document.get("extensionsRequired", []), *document.get("extensionsUsed", [])]
    for extension in _COMPRESSED:
        if extension in used:
            raise BadInput(
                f"{path.name} is compressed ({extension}); allowed: uncompressed GLB; export it without compression, "
                "or run `npx @gltf-transform/cli copy IN OUT`"
            )
    return Glb(path.name, document, binary)


def accessor(glb: Glb, index: int) -> NDArray[Any]:
    """The values of an accessor, (N, width); normalised integers become float64.

    Raises:
        BadInput: outside the file, in another file, or of an unknown type.
    """
    values = stored(glb, index)
    entry = glb.document["accessors"][index]
    if not entry.get("normalized"):
        return values
    try:
        return np.maximum(values.astype(np.float64) / _NORMALIZED[entry["componentType"]], -1.0)
    except KeyError as error:
        raise BadInput(f"{glb.name} lacks the data of accessor {index} ({error!r}); it is damaged") from error


def stored(glb: Glb, index: int) -> NDArray[Any]:
    """The values of an accessor as they are stored, (N, width): sparse ones whole, integers as integers.

    Raises:
        BadInput: outside the file, in another file, or of an unknown type.
    """
    try:
        entry = glb.document["accessors"][index]
        kind, width = np.dtype(_READ_TYPES[entry["componentType"]]), _WIDTHS[entry["type"]]
        if "bufferView" in entry:
            values = _rows(glb, entry, entry["count"], kind, width)
        elif "sparse" in entry:
            values = np.zeros((entry["count"], width), kind)
        else:
            raise ValueError("no bufferView")
        return _with_sparse(glb, entry, values) if "sparse" in entry else values
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise BadInput(f"{glb.name} lacks the data of accessor {index} ({error!r}); it is damaged") from error


def _rows(glb: Glb, place: dict[str, Any], count: int, kind: np.dtype[Any], width: int) -> NDArray[Any]:
    """(count, width) values of a place: a view and an offset in it."""
    view = glb.document["bufferViews"][place["bufferView"]]
    if view.get("buffer", 0) != 0 or "uri" in glb.document.get("buffers", [{}])[0]:
        raise BadInput(f"{glb.name} keeps its values in another file; allowed: a GLB file that holds all; export it so")
    start = view.get("byteOffset", 0) + place.get("byteOffset", 0)
    stride = view.get("byteStride", kind.itemsize * width)
    return np.ndarray((count, width), kind, glb.binary, start, (stride, kind.itemsize)).copy()


def _with_sparse(glb: Glb, entry: dict[str, Any], values: NDArray[Any]) -> NDArray[Any]:
    """``values`` with those that the accessor lists by number in their place."""
    sparse = entry["sparse"]
    try:
        count, numbers = sparse["count"], sparse["indices"]
        kind = np.dtype(_READ_TYPES[numbers["componentType"]])
        where = _rows(glb, numbers, count, kind, 1)[:, 0].astype(np.int64)
        if kind.kind != "u":
            raise ValueError(f"numbers as {kind}")
        values[where] = _rows(glb, sparse["values"], count, values.dtype, values.shape[1])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{glb.name} stores values sparsely, without them ({error!r}); it is damaged") from error
    return values


def node_matrix(node: dict[str, Any]) -> Array:
    """The (4, 4) local matrix of a node."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    return compose(
        np.array([node.get("translation", (0, 0, 0))], np.float64),
        np.array([node.get("rotation", (0, 0, 0, 1))], np.float64),
        np.array([node.get("scale", (1, 1, 1))], np.float64),
    )[0]


def compose(translation: Array, quaternion: Array, scale: Array) -> Array:
    """(F, 4, 4) from (F, 3), (F, 4) x y z w, (F, 3)."""
    from scipy.spatial.transform import Rotation

    result = np.zeros((len(translation), 4, 4))
    result[:, :3, :3] = Rotation.from_quat(quaternion).as_matrix() * scale[:, None]
    result[:, :3, 3], result[:, 3, 3] = translation, 1
    return result


def pack(document: dict[str, Any], binary: bytes) -> bytes:
    """The bytes of a GLB file."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    head = struct.pack("<III", MAGIC, 2, 12 + 8 + len(text) + 8 + len(binary))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary


class Buffers:
    """Collects arrays into one binary part, with their views and accessors."""

    def __init__(self) -> None:
        self.binary = b""
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, content: bytes, target: int | None = None) -> int:
        """The number of a new view of these bytes."""
        self.binary += b"\0" * (-len(self.binary) % 4)
        entry: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)}
        self.views.append(entry if target is None else {**entry, "target": target})
        self.binary += content
        return len(self.views) - 1

    def add(self, values: NDArray[Any], target: int | None = None, bounds: bool = False) -> int:
        """An accessor for rows of ``values``; ``bounds`` where glTF asks for the smallest and largest values."""
        view = self.view(np.ascontiguousarray(values).tobytes(), target)
        entry: dict[str, Any] = {
            "bufferView": view,
            "componentType": _WRITE_TYPES[values.dtype.name],
            "count": len(values),
            "type": _SHAPES[values.shape[1:]],
        }
        if bounds:
            entry["min"] = np.atleast_1d(values.min(axis=0)).tolist()
            entry["max"] = np.atleast_1d(values.max(axis=0)).tolist()
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def add_sparse(self, values: NDArray[Any]) -> int:
        """An accessor for (n, 3) float32 rows of which most are 0: only the others are stored (glTF 2.0, 3.6.2.3)."""
        some = np.flatnonzero(values.any(axis=1))
        entry: dict[str, Any] = {
            "componentType": _WRITE_TYPES["float32"],
            "count": len(values),
            "type": _SHAPES[(3,)],
            "min": values.min(axis=0).tolist(),
            "max": values.max(axis=0).tolist(),
        }
        if len(some):
            indices = {
                "bufferView": self.view(some.astype(np.uint16).tobytes()),
                "componentType": _WRITE_TYPES["uint16"],
            }
            content = {"bufferView": self.view(np.ascontiguousarray(values[some], np.float32).tobytes())}
            entry["sparse"] = {"count": len(some), "indices": indices, "values": content}
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def document(self) -> dict[str, Any]:
        """The entries of the JSON part that belong to the collected arrays."""
        return {
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.binary) + -len(self.binary) % 4}],
        }
