"""Folders of meshes as training and validation data of the voxel networks (document V, row V3).

Any folder with .ply, .obj, .glb, .stl and .off files, at any depth; no unit, position or size is expected, because
every mesh is fitted into the canonical cube. One mesh in ten, chosen by the name of its file, is never trained on.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.data.heads import HEAD_LOADERS, depth_and_voxels, posed_pair
from reference.errors import BadInput
from reference.geometry.mesh import Mesh, fit_to_cube, transform
from reference.geometry.mesh_io import MESH_SUFFIXES, read_mesh

HELD_OUT = 10  # one in so many
# Below this share of the cube a shape is thinner than a voxel nearly everywhere: it teaches noise.
THINNEST = 0.004
# Objects are stretched by up to this along each axis, so that a few hundred stand for more.
STRETCH = 1.35


@dataclass(frozen=True, eq=False)
class Objects:
    """Meshes to draw training samples from, each fitted into the cube.

    Attributes:
        chances: (N,) of each mesh; they sum to 1.
    """

    meshes: tuple[Mesh, ...]
    chances: NDArray[np.float64]

    def pair(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A random object, stretched, from a random side: see :func:`reference.data.heads.posed_pair`."""
        mesh = self.meshes[int(rng.choice(len(self.meshes), p=self.chances))]
        stretch = np.diag([*STRETCH ** rng.uniform(-1, 1, 3), 1.0])
        return posed_pair(transform(mesh, stretch), rng, size, True, any_yaw=True)


def find_meshes(folder: Path) -> list[Path]:
    """Every mesh file below a folder, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in MESH_SUFFIXES and p.is_file())


def no_shapes(folder: Path) -> BadInput:
    """The error for a folder that holds neither a head model nor a mesh."""
    needed = f"{' or '.join(HEAD_LOADERS)}, or {', '.join(MESH_SUFFIXES)} files"
    return BadInput(f"no head model and no mesh in {folder}; needed: {needed}")


def is_held_out(path: Path) -> bool:
    """Whether a mesh is kept from training, by its file name alone, so that no list is needed."""
    return zlib.crc32(path.name.encode()) % HELD_OUT == 0


def load_fitted(path: Path) -> Mesh:
    """A mesh of a file, fitted into the cube.

    Raises:
        BadInput: it can't be read, is empty, or has no extent.
    """
    mesh = read_mesh(path)
    try:
        return fit_to_cube(mesh)
    except BadInput as error:
        raise BadInput(f"{path.name}: {error}") from error


def load_objects(folder: Path, size: int = 32) -> Objects:
    """The meshes of a folder that may be trained on, without those that are too thin for voxels.

    A folder in it counts by the square root of its meshes: a dozen sculptures are seen beside hundreds of crates.

    Raises:
        BadInput: a file can't be used, or nothing is left.
    """
    paths = [path for path in find_meshes(folder) if not is_held_out(path)]
    meshes = [(path.relative_to(folder).parts[0], load_fitted(path)) for path in paths]
    kept = [(group, mesh) for group, mesh in meshes if depth_and_voxels(mesh, size)[1].mean() >= THINNEST]
    if not kept:
        raise BadInput(
            f"no mesh to train on in {folder} ({len(paths)} files of {', '.join(MESH_SUFFIXES)}, none solid enough);"
            " give a folder with solid objects"
        )
    groups = [group if (folder / group).is_dir() else "" for group, _ in kept]
    chances = np.array([Counter(groups)[group] ** -0.5 for group in groups])
    return Objects(tuple(mesh for _, mesh in kept), chances / chances.sum())


def front_view(path: Path, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A mesh as it stands, seen along -z: the network's input and target."""
    return depth_and_voxels(load_fitted(path), size)


def chosen_meshes(folder: Path, held_out: bool) -> Sequence[Path]:
    """The mesh files of a folder to evaluate: all, or those that training leaves out.

    Raises:
        BadInput: there are none.
    """
    found = find_meshes(folder)
    chosen = [path for path in found if is_held_out(path)] if held_out else found
    if not chosen:
        which = f"none of the {len(found)} mesh files in {folder} is held out" if found else f"no mesh in {folder}"
        raise BadInput(f"{which}; allowed: {', '.join(MESH_SUFFIXES)} files; give a folder with more of them")
    return chosen
