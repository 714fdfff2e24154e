"""Meshes as PLY files, read and written by trimesh.

trimesh takes a file as far as it understands it; what it would take wrongly or in part without a word is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reference.errors import BadInput
from reference.geometry.mesh import Mesh
from reference.geometry.mesh_trimesh import export, loaded

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
_CORNERS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class _Layout:
    """What a header promises.

    Attributes:
        vertices: number of them.
        faces: number of them.
        record: of a vertex, little endian.
        corners: name of the list of a face's corners.
        before: numbers in a face before that list.
    """

    vertices: int
    faces: int
    record: np.dtype[np.void]
    corners: str
    before: int


def write_ply(mesh: Mesh, path: Path, binary: bool = True) -> None:
    """Writes a PLY file (little endian if binary), with colours if the mesh has them.

    Positions are exact as binary; as text they have eight digits after the point.
    """
    encoding = "binary" if binary else "ascii"
    path.write_bytes(export(mesh, "ply", encoding=encoding, vertex_normal=False, include_attributes=False))


def read_ply(path: Path) -> Mesh:
    """Reads a PLY file of triangles, vertices first, as text or binary of either byte order, with or without colours.

    Raises:
        BadInput: another format or order, polygons with more than three corners, strips, or a file cut short.
    """
    from trimesh.exchange.ply import load_ply
    from trimesh.visual.color import to_rgba

    header, body = _parts(path)
    layout = _layout(path, header)
    if layout.vertices == 0 or layout.faces == 0:
        raise BadInput(
            f"{path.name}: mesh with {layout.vertices} vertices and {layout.faces} faces, allowed is at least one of"
            " each; export a surface"
        )
    if header[1].split()[1] == "ascii":
        header, body = _as_binary(path, layout, header, body)
    # No comments: they may name textures, which would be looked for, and may stand before the format.
    content = "\n".join([*header, "end_header\n"]).encode() + body
    read = loaded(path, content, lambda file: load_ply(file, fix_texture=False, skip_materials=True))
    data = read["metadata"]["_ply_raw"].get("face", {}).get("data")
    if isinstance(data, np.ndarray) and (data[layout.corners]["f0"] != 3).any():
        raise _polygons(path)
    sizes = [(key, np.shape(read[key])) for key in ("vertices", "faces") if read.get(key) is not None]
    if sizes != [("vertices", (layout.vertices, 3)), ("faces", (layout.faces, 3))]:
        raise _cut(path, "rows are missing")
    colors = read.get("vertex_colors")
    return Mesh(read["vertices"], read["faces"], None if colors is None else to_rgba(colors)[:, :3])


def _cut(path: Path, reason: str) -> BadInput:
    return BadInput(f"{path.name} doesn't hold what its header says ({reason}); allowed are triangles")


def _polygons(path: Path) -> BadInput:
    return BadInput(f"{path.name} has polygons with other than 3 corners, allowed are triangles; split them first")


def _parts(path: Path) -> tuple[list[str], bytes]:
    """The header's lines without comments, from 'ply' on, and what follows it."""
    parts = re.split(rb"(?m)^end_header[ \t]*\r?\n", path.read_bytes(), maxsplit=1)
    lines = [line.strip() for line in parts[0].decode("ascii", "replace").splitlines()]
    if len(parts) < 2 or lines[:1] != ["ply"]:
        raise BadInput(f"{path.name} has no PLY header, allowed is a PLY file; check the file's type")
    known = [line for line in lines if line and not line.startswith(("comment", "obj_info", "format"))]
    formats = [line for line in lines if line.startswith("format ")]
    name = formats[0].split()[1] if formats else "none"
    if name not in _FORMATS:
        raise BadInput(f"{path.name} has format {name}, allowed are {', '.join(_FORMATS)}; convert it")
    return ["ply", f"format {name} 1.0", *known[1:]], parts[1]


def _layout(path: Path, header: list[str]) -> _Layout:
    elements: list[tuple[str, int, list[list[str]]]] = []
    for line in header[2:]:
        match line.split():
            case ["element", name, number] if number.isdecimal():
                elements.append((name, int(number), []))
            case ["property", kind, _] as words if kind in _TYPES and elements:
                elements[-1][2].append(words)
            case ["property", "list", count, kind, _] as words if {count, kind} <= _TYPES.keys() and len(elements) > 1:
                elements[-1][2].append(words)
            case _:
                raise BadInput(f"{path.name} has the header entry '{line[:60]}', which isn't known; re-export it")
    names = [name for name, _, _ in elements]
    if names[:2] == ["vertex", "face"]:
        (_, vertices, columns), (_, faces, fields) = elements[:2]
        lists = [i for i, words in enumerate(fields) if len(words) == 5]
        places = {words[2] for words in columns}
        if {"x", "y", "z"} <= places and len(places) == len(columns) and lists:
            first = fields[lists[0]][4]
            if len(fields) == 1 or first in _CORNERS:
                record = np.dtype([(name, "<" + _TYPES[kind]) for _, kind, name in columns])
                return _Layout(vertices, faces, record, first, lists[0])
    raise BadInput(
        f"{path.name} lists {names}, allowed are vertex (x, y, z) and then face lists (no strips); re-export it"
    )


def _as_binary(path: Path, layout: _Layout, header: list[str], body: bytes) -> tuple[list[str], bytes]:
    """Header and body of the same mesh in binary.

    trimesh takes short and wrong rows of a text as they come, and needs ten times as long for them.
    """
    rows = [row for row in body.decode("ascii", "replace").splitlines() if row.strip()]
    rows, count = rows[: layout.vertices + layout.faces], layout.vertices + layout.faces
    if len(rows) < count:
        raise _cut(path, f"{len(rows)} rows of {count}")
    numbers = range(layout.before, layout.before + 4)
    try:
        vertices = np.loadtxt(rows[: layout.vertices], layout.record, comments=None, ndmin=1)
        corners = np.loadtxt(rows[layout.vertices :], np.int32, comments=None, usecols=numbers, ndmin=2)
    except ValueError as error:
        raise _cut(path, str(error).split(";")[0]) from error
    if (corners[:, 0] != 3).any():
        raise _polygons(path)
    faces = np.empty(layout.faces, [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = corners[:, 0], corners[:, 1:]
    before = header[2 : header.index(f"element face {layout.faces}")]
    face = [f"element face {layout.faces}", f"property list uchar int {layout.corners}"]
    return ["ply", "format binary_little_endian 1.0", *before, *face], vertices.tobytes() + faces.tobytes()
