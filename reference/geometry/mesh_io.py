"""Meshes as files: the ending decides which reader and writer is taken."""

from collections.abc import Callable
from pathlib import Path

from reference.errors import BadInput
from reference.geometry.mesh import Mesh
from reference.geometry.mesh_glb import read_glb, write_glb
from reference.geometry.mesh_ply import read_ply, write_ply
from reference.geometry.mesh_text import read_obj, read_off, write_obj, write_off
from reference.geometry.mesh_trimesh import read_stl, write_stl

__all__ = ["MESH_SUFFIXES", "read_mesh", "read_obj", "read_ply", "write_mesh", "write_obj", "write_ply"]

_READERS: dict[str, Callable[[Path], Mesh]] = {
    ".ply": read_ply, ".obj": read_obj, ".glb": read_glb, ".stl": read_stl, ".off": read_off,
}  # fmt: skip
_WRITERS: dict[str, Callable[[Mesh, Path], None]] = {
    ".ply": write_ply, ".obj": write_obj, ".glb": write_glb, ".stl": write_stl, ".off": write_off,
}  # fmt: skip
MESH_SUFFIXES = tuple(_READERS)


def read_mesh(path: Path) -> Mesh:
    """Reads a .ply, .obj, .glb, .stl or .off file, with its vertices and faces in the file's order.

    Raises:
        BadInput: another ending, no such file, damaged, or without a triangle; the message names the file.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise BadInput(f"{path} is no mesh file; allowed: {', '.join(MESH_SUFFIXES)}; export it as one of them")
    if not path.is_file():
        raise BadInput(f"no mesh {path}; give a .ply, .obj, .glb, .stl or .off file")
    try:
        return reader(path)
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error}); give a readable file") from error
    except BadInput as error:
        message = str(error)
        raise BadInput(message if path.name in message else f"{path.name}: {message}") from error


def write_mesh(mesh: Mesh, path: Path) -> None:
    """Writes a .ply, .obj, .glb, .stl or .off file; the last two keep no colours.

    Raises:
        BadInput: another ending.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise BadInput(f"{path} is no mesh file; allowed: {', '.join(MESH_SUFFIXES)}; give it one of these endings")
    writer(mesh, path)
