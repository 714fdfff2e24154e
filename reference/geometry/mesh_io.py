"""Meshes as files: OBJ (text) and PLY (text or binary) here, GLB in :mod:`reference.geometry.mesh_glb`."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.mesh import Mesh
from reference.geometry.mesh_glb import read_glb, write_glb

_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
MESH_SUFFIXES = (".ply", ".obj", ".glb")
_PLY_FORMATS = ("ascii", "binary_little_endian")


def read_mesh(path: Path) -> Mesh:
    """Reads a .ply, .obj or .glb file.

    Raises:
        BadInput: another ending, no such file, damaged, or without a triangle; the message names the file.
    """
    readers = {".ply": read_ply, ".obj": read_obj, ".glb": read_glb}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInput(f"{path} is no mesh file; allowed: {', '.join(MESH_SUFFIXES)}; export it as one of them")
    if not path.is_file():
        raise BadInput(f"no mesh {path}; give a .ply, .obj or .glb file")
    try:
        return reader(path)
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error}); give a readable file") from error
    except BadInput as error:
        message = str(error)
        raise BadInput(message if path.name in message else f"{path.name}: {message}") from error


def write_mesh(mesh: Mesh, path: Path) -> None:
    """Writes a .ply, .obj or .glb file.

    Raises:
        BadInput: another ending.
    """
    writers: dict[str, Callable[[Mesh, Path], None]] = {".ply": write_ply, ".obj": write_obj, ".glb": write_glb}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise BadInput(f"{path} is no mesh file; allowed: {', '.join(MESH_SUFFIXES)}; give it one of these endings")
    writer(mesh, path)


def write_obj(mesh: Mesh, path: Path) -> None:
    """Writes an OBJ file; colours follow the position as three numbers in [0, 1], a common habit."""
    columns: NDArray[np.floating] = mesh.vertices
    if mesh.colors is not None:
        columns = np.concatenate([mesh.vertices, mesh.colors / 255], axis=1)
    lines = ["v " + " ".join(f"{value:.7g}" for value in row) for row in columns.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def read_obj(path: Path) -> Mesh:
    """Reads positions, vertex colours and faces of an OBJ file; polygons are split into triangles."""
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        kind, *words = line.split() or [""]
        try:
            if kind == "v":
                vertices.append([float(word) for word in words])
            elif kind == "f":
                corners = [_obj_corner(word, len(vertices)) for word in words]
                faces += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
        except ValueError as error:
            raise BadInput(f"{path.name} line {number} is '{line[:60]}', allowed are numbers; repair it") from error
    widths = {len(row) for row in vertices}
    if not widths <= {3, 4, 6}:
        raise BadInput(f"{path.name} has vertices of {sorted(widths)} numbers, allowed are 3, 4 or 6; re-export it")
    colors = None
    if widths == {6}:
        colors = np.rint(np.array(vertices)[:, 3:] * 255).astype(np.uint8)
    positions = np.array([row[:3] for row in vertices], np.float32).reshape(-1, 3)
    return Mesh(positions, np.array(faces, np.int32).reshape(-1, 3), colors)


def _obj_corner(word: str, vertices_so_far: int) -> int:
    """Vertex number from 0 of ``7``, ``7/1`` or ``7/1/3``; negative ones count back from the last vertex."""
    number = int(word.split("/")[0])
    return number + vertices_so_far if number < 0 else number - 1


def write_ply(mesh: Mesh, path: Path, binary: bool = True) -> None:
    """Writes a PLY file (little endian if binary), with colours if the mesh has them."""
    fields = [(name, "<f4") for name in "xyz"]
    if mesh.colors is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue")]
    vertices = np.empty(len(mesh.vertices), fields)
    for i, (name, _) in enumerate(fields):
        vertices[name] = mesh.vertices[:, i] if i < 3 or mesh.colors is None else mesh.colors[:, i - 3]
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    kinds = {"<f4": "float", "u1": "uchar"}
    header = [
        "ply",
        f"format {_PLY_FORMATS[binary]} 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {kinds[kind]} {name}" for name, kind in fields),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    with path.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode("ascii"))
        if binary:
            file.write(vertices.tobytes() + faces.tobytes())
            return
        rows = [" ".join(f"{value:.9g}" for value in row) for row in vertices.tolist()]
        rows += [f"3 {a} {b} {c}" for a, b, c in mesh.faces.tolist()]
        file.write(("\n".join(rows) + "\n").encode("ascii"))


def read_ply(path: Path) -> Mesh:
    """Reads a PLY file of triangles, vertices first, in text or little endian, with or without colours.

    Raises:
        BadInput: another format or order, polygons with more than three corners, or a file cut short.
    """
    head, separator, body = path.read_bytes().partition(b"end_header\n")
    lines = head.decode("ascii", "replace").replace("\r", "").splitlines()
    if not separator or lines[:1] != ["ply"]:
        raise BadInput(f"{path.name} has no PLY header, allowed is a PLY file; check the file's type")
    words = [line.split() for line in lines[1:] if not line.startswith(("comment", "obj_info"))]
    binary = _ply_is_binary(path, words)
    counts, vertex_type, face_type = _ply_layout(path, words)
    try:
        if binary:
            vertices = np.frombuffer(body, vertex_type, counts[0])
            faces = np.frombuffer(body, face_type, counts[1], vertices.nbytes)
        else:
            rows = body.decode("ascii").split("\n")
            vertices = np.loadtxt(rows[: counts[0]], vertex_type, ndmin=1)
            corners = np.loadtxt(rows[counts[0] : sum(counts)], np.int32, ndmin=2)
            faces = np.empty(counts[1], face_type)
            faces["count"], faces["corners"] = corners[:, 0], corners[:, 1:]
    except (ValueError, IndexError) as error:
        raise BadInput(f"{path.name} doesn't hold what its header says ({error}); allowed are triangles") from error
    if (faces["count"] != 3).any():
        raise BadInput(f"{path.name} has polygons with other than 3 corners, allowed are triangles; split them first")
    colors = None
    if vertex_type.names and {"red", "green", "blue"} <= set(vertex_type.names):
        colors = np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1)
    return Mesh(np.stack([vertices[name] for name in "xyz"], axis=1), faces["corners"], colors)


def _ply_is_binary(path: Path, words: list[list[str]]) -> bool:
    name = next((line[1] for line in words if line[:1] == ["format"] and len(line) > 1), "none")
    if name not in _PLY_FORMATS:
        raise BadInput(f"{path.name} has format {name}, allowed are {' and '.join(_PLY_FORMATS)}; convert it")
    return name == _PLY_FORMATS[1]


def _ply_layout(path: Path, words: list[list[str]]) -> tuple[list[int], "np.dtype[np.void]", "np.dtype[np.void]"]:
    """Numbers of vertices and faces, and the record types of both."""
    counts: list[int] = []
    names: list[str] = []
    vertex_fields: list[tuple[str, str]] = []
    face_fields: list[tuple[str, str, int]] = []
    try:
        for line in words:
            if line[0] == "element":
                names.append(line[1])
                counts.append(int(line[2]))
            elif line[0] == "property" and len(counts) == 1:
                vertex_fields.append((line[2], "<" + _PLY_TYPES[line[1]]))
            elif line[:2] == ["property", "list"] and len(counts) == 2:
                face_fields += [
                    ("count", "<" + _PLY_TYPES[line[2]], 1),
                    ("corners", "<" + _PLY_TYPES[line[3]], 3),
                ]
    except (KeyError, IndexError, ValueError) as error:
        raise BadInput(
            f"{path.name} has the header entry '{' '.join(line)}', which isn't known; re-export it"
        ) from error
    complete = {"x", "y", "z"} <= {name for name, _ in vertex_fields} and len(face_fields) == 2
    if names[:2] != ["vertex", "face"] or not complete:
        raise BadInput(f"{path.name} lists {names}, allowed are vertex (x, y, z) and then face lists; re-export it")
    (count, count_kind, _), corners = face_fields
    return counts[:2], np.dtype(vertex_fields), np.dtype([(count, count_kind), corners])
