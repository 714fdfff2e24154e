"""What trimesh reads and writes of meshes, with one error for everything that it raises; STL files."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from reference.errors import BadInput
from reference.geometry.mesh import Mesh

# Raised by its readers about files that are cut short or hold something else; HeaderError of STL is none of them.
_UNREADABLE = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, NameError, AssertionError)

_SILENT = logging.NullHandler()  # it logs tracebacks about what it goes on without


def loaded(path: Path, content: bytes, load: Callable[[io.BytesIO], dict[str, Any]]) -> dict[str, Any]:
    """What one of trimesh's readers makes of a file's content: vertices, faces and more by name.

    Raises:
        BadInput: it can't be read.
    """
    from trimesh.exchange.stl import HeaderError

    logging.getLogger("trimesh").addHandler(_SILENT)
    try:
        with warnings.catch_warnings():
            # numpy before 2.3 only warns where text isn't numbers, and takes what came before.
            warnings.filterwarnings("error", "string or file could not be read", DeprecationWarning)
            return load(io.BytesIO(content))
    except (*_UNREADABLE, HeaderError, DeprecationWarning) as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise BadInput(f"{path.name} doesn't hold what its header says ({reason}); re-export it") from error


def export(mesh: Mesh, kind: str, **options: Any) -> bytes:
    """The bytes of a file of that kind."""
    from trimesh import Trimesh

    # process=False: every vertex and face as it is.
    shape = Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colors, process=False)
    content: Any = shape.export(file_type=kind, **options)
    return content if isinstance(content, bytes) else content.encode("ascii")


def write_stl(mesh: Mesh, path: Path) -> None:
    """Writes a binary STL file: three corners for each face, no colours."""
    path.write_bytes(export(mesh, "stl"))


def read_stl(path: Path) -> Mesh:
    """Reads an STL file, binary or text; each face has three vertices of its own, as the format has it.

    Raises:
        BadInput: damaged, cut short, or without a face.
    """
    from trimesh.exchange.stl import load_stl

    content = path.read_bytes()
    binary = len(content) == 84 + 50 * int.from_bytes(content[80:84], "little")
    if not binary:  # another encoding, of a name, would ask for one more library
        content = content.decode("utf-8", "replace").encode()
    read = loaded(path, content, load_stl)
    solids = list(read.get("geometry", {"": read}).values())
    if not solids:
        raise BadInput(f"{path.name} holds no whole solid; allowed: an STL file, binary or text; export it again")
    corners = np.concatenate([solid["vertices"] for solid in solids])
    promised = len(re.findall(rb"(?mi)^[ \t]*facet\b", content))
    if not binary and promised * 3 != len(corners):
        raise BadInput(f"{path.name} holds {len(corners) // 3} of its {promised} faces whole; export it again")
    return Mesh(corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3))
