"""Meshes as text with polygons: OBJ and OFF files.

Read here and not by trimesh (5.2). In OBJ it counts negative numbers from the end of the file instead of from the line
that names them, and reorders vertices; in OFF it sorts faces by their corners, fails with more than four, and takes a
file that is cut short. In both it splits concave polygons outside their outline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.mesh import Mesh
from reference.geometry.mesh_trimesh import export
from reference.geometry.polygons import triangulate_polygons


def write_obj(mesh: Mesh, path: Path) -> None:
    """Writes an OBJ file; colours follow the position as three numbers in [0, 1], a common habit."""
    columns: NDArray[np.floating] = mesh.vertices
    if mesh.colors is not None:
        columns = np.concatenate([mesh.vertices, mesh.colors / 255], axis=1)
    lines = ["v " + " ".join(f"{value:.7g}" for value in row) for row in columns.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def read_obj(path: Path) -> Mesh:
    """Reads positions, vertex colours and faces of an OBJ file; polygons, also concave ones, are split into triangles.

    Vertices and faces keep their order. Texture, normals, lines and materials are left out; no other file is opened.

    Raises:
        BadInput: a line that isn't numbers, a vertex without position, or no face.
    """
    vertices: list[list[float]] = []
    polygons: list[list[int]] = []
    for number, line in _lines(path.read_text(encoding="utf-8-sig", errors="replace")):
        kind, *words = line.split() or [""]
        try:
            if kind == "v":
                vertices.append([float(word) for word in words])
            elif kind == "f":
                polygons.append([_corner(word, len(vertices)) for word in words])
        except ValueError as error:
            raise BadInput(f"{path.name} line {number} is '{line[:60]}', allowed are numbers; repair it") from error
    widths = {len(row) for row in vertices}
    if not widths <= {3, 4, 6}:
        raise BadInput(f"{path.name} has vertices of {sorted(widths)} numbers, allowed are 3, 4 or 6; re-export it")
    colors = _colors(path, np.array(vertices)[:, 3:]) if widths == {6} else None
    positions: NDArray[Any] = np.array([row[:3] for row in vertices], np.float64).reshape(-1, 3)
    return Mesh(positions, triangulate_polygons(positions, polygons), colors)


def _colors(path: Path, given: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(N, 3) of numbers from 0 to 1 or, as some programs write them, from 0 to 255."""
    if not (np.isfinite(given).all() and given.min() >= 0 and given.max() <= 255):
        raise BadInput(f"{path.name} has vertex colours outside 0 to 1 and 0 to 255; re-export it")
    return np.rint(given * (255 if given.max() <= 1 else 1)).astype(np.uint8)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines without comments, with the number of the line that they start on."""
    held, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if "#" in line:
            line = line.partition("#")[0]  # a comment may end in a backslash: a path
        line = line.rstrip()
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        yield start, held + line
        held, start = "", number + 1
    yield start, held


def _corner(word: str, vertices_so_far: int) -> int:
    """Vertex number from 0 of ``7``, ``7/1`` or ``7/1/3``; negative ones count back from the last vertex."""
    number = int(word.split("/")[0])
    return number + vertices_so_far if number < 0 else number - 1


def write_off(mesh: Mesh, path: Path) -> None:
    """Writes an OFF file: text with ten digits after the point, no colours."""
    path.write_bytes(export(mesh, "off"))


def read_off(path: Path) -> Mesh:
    """Reads positions and faces of an OFF or COFF file (text); polygons, also concave ones, are split into triangles.

    Vertices and faces keep their order.

    Raises:
        BadInput: another kind of OFF, damaged or cut short.
    """
    rows = (row.partition(b"#")[0].strip() for row in path.read_bytes().splitlines())
    lines = [row for row in rows if row]
    # Some sets lack the break after the first word: OFF8 6 12.
    head = re.match(rb"C?OFF\s*(\d{1,9})\s+(\d{1,9})(\s+\d+)?\s*$", b"\n".join(lines[:2]), re.MULTILINE)
    if not head:
        raise BadInput(f"{path.name} begins with no 'OFF' and counts, allowed: OFF and COFF as text; export it so")
    vertices, faces = int(head[1]), int(head[2])
    start = len(head[0].splitlines()) + vertices
    polygons = [_polygon(path, line) for line in lines[start : start + faces]]
    if len(polygons) < faces:
        raise BadInput(f"{path.name} holds {len(polygons)} of its {faces} faces; it is cut short: export it again")
    try:
        numbers = [line.split()[:3] for line in lines[start - vertices : start]]
        points: NDArray[Any] = np.array(numbers, np.float64).reshape(vertices, 3)
    except ValueError as error:
        raise BadInput(f"{path.name} has a vertex without three numbers ({error}); export it again") from error
    return Mesh(points, triangulate_polygons(points, polygons))


def _polygon(path: Path, line: bytes) -> list[int]:
    """The corners in a line such as 4 0 1 2 3, which may go on with a colour."""
    try:
        count, *words = line.split()
        corners = [int(word) for word in words[: int(count)]]
    except ValueError as error:
        raise BadInput(f"{path.name} has the face '{line[:60].decode('ascii', 'replace')}'; repair it") from error
    if len(corners) != int(count):
        raise BadInput(f"{path.name} has a face of {len(corners)} instead of {int(count)} corners; export it again")
    return corners
