"""Meshes to solid voxels, and the comparisons and size changes of voxel grids."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.mesh import Mesh

Element = TypeVar("Element", bound=np.generic)

# Below half a voxel, no voxel column that a triangle crosses at its centre can be missed.
_SAMPLE_SPACING = 0.5
_POINTS_PER_CHUNK = 1 << 20


def voxelize(mesh: Mesh, size: int) -> NDArray[np.bool_]:
    """(size, size, size) bool [d, row, col] solid of a mesh in the canonical cube; the mesh may have holes.

    A voxel is filled if the surface passes through it, or if it lies between the first and the last surface
    voxel along at least two of the three axes: a hole such as the neck of a head opens only one of them.
    Nothing is filled in front of the visible surface, so that the solid agrees with the depth image where two
    axes alone would close a pit, such as the corner of an eye.

    Neither closed nor manifold surfaces are needed: faces that stand twice, wind the wrong way, meet three at an edge
    or lie inside the solid change nothing, because only the outermost surface voxels of each line count.

    Raises:
        BadInput: the whole mesh lies outside the cube. What lies outside of a mesh that reaches in is left out.
    """
    surface = surface_voxels(mesh, size)
    if not surface.any():
        low, high = mesh.vertices.min(axis=0).round(3).tolist(), mesh.vertices.max(axis=0).round(3).tolist()
        raise BadInput(f"mesh lies outside the volume: {low} to {high}, allowed is -1 to 1; call fit_to_cube() first")
    first, last = _first_and_last(surface)
    position = np.arange(size, dtype=np.int16)
    along = [position[:, None, None], position[None, :, None], position[None, None, :]]
    bounds = [np.expand_dims(edge, axis) for axis, edge in enumerate(first)]
    not_in_front = along[0] >= bounds[0]
    in_depth, in_rows, in_columns = (
        (along[axis] >= bounds[axis]) & (along[axis] <= np.expand_dims(last[axis], axis)) for axis in range(3)
    )
    two_axes = (in_depth & (in_rows | in_columns)) | (in_rows & in_columns & not_in_front)
    filled: NDArray[np.bool_] = two_axes | surface
    return filled


def surface_voxels(mesh: Mesh, size: int) -> NDArray[np.bool_]:
    """(size, size, size) bool [d, row, col]: voxels that the surface passes through, found by sampling it."""
    x, y, z = mesh.vertices.T
    points = np.stack([1 - z, 1 - y, x + 1], axis=1) * np.float32(size / 2)  # (N, 3) d, row, col in voxels
    grid = np.zeros(size**3, bool)
    corners = [points[mesh.faces[:, i]] for i in range(3)]
    longest = np.max([((corners[i] - corners[i - 1]) ** 2).sum(axis=1) for i in range(3)], axis=0)
    parts = np.maximum(np.ceil(np.sqrt(longest) / _SAMPLE_SPACING), 1).astype(np.int64)
    for count in np.unique(parts):
        faces = np.flatnonzero(parts == count)
        weights = _triangle_grid(int(count))
        step = max(1, _POINTS_PER_CHUNK // len(weights))
        for start in range(0, len(faces), step):
            chunk = faces[start : start + step]
            triangles = np.stack([corner[chunk] for corner in corners])  # (3, m, 3)
            samples = (weights @ triangles.reshape(3, -1)).reshape(-1, 3)  # (K * m, 3)
            _mark(grid, samples, size)
    return grid.reshape(size, size, size)


def _triangle_grid(parts: int) -> NDArray[np.float32]:
    """(K, 3) float32 barycentric weights of the regular grid that splits each edge into ``parts``."""
    i, j = np.meshgrid(np.arange(parts + 1), np.arange(parts + 1))
    inside = i + j <= parts
    i, j = i[inside], j[inside]
    return (np.stack([i, j, parts - i - j], axis=1) / parts).astype(np.float32)


def _mark(grid: NDArray[np.bool_], points: NDArray[np.float32], size: int) -> None:
    """Sets the voxels of ``grid`` (size**3,) that hold ``points`` (P, 3) in voxels, unless outside."""
    d, row, col = (np.ascontiguousarray(points[:, i]) for i in range(3))
    inside = (d >= 0) & (d <= size) & (row >= 0) & (row <= size) & (col >= 0) & (col <= size)
    if not inside.all():
        d, row, col = d[inside], row[inside], col[inside]
    # A point on the cube's far side belongs to the last voxel, not to one beyond it.
    d, row, col = (np.minimum(values.astype(np.int32), size - 1) for values in (d, row, col))
    grid[(d * size + row) * size + col] = True


def _first_and_last(
    surface: NDArray[np.bool_],
) -> tuple[list[NDArray[np.int16]], list[NDArray[np.int16]]]:
    """Per axis the (size, size) positions of the first and last surface voxel; first > last if none."""
    size = len(surface)
    d, row, col = np.unravel_index(np.flatnonzero(surface), surface.shape)
    first, last = [], []
    for position, line in ((d, row * size + col), (row, d * size + col), (col, d * size + row)):
        low, high = np.full(size * size, size, np.int16), np.full(size * size, -1, np.int16)
        # flatnonzero ascends along every axis, and of repeated indices numpy keeps the last.
        low[line[::-1]], high[line] = position[::-1], position
        first.append(low.reshape(size, size))
        last.append(high.reshape(size, size))
    return first, last


def crop_or_pad(array: NDArray[Element], size: int) -> NDArray[Element]:
    """Brings each axis to ``size``: a longer one is cut around its centre, a shorter one padded with zeros.

    For depth images (H, W) and voxels (D, H, W) alike (document V, row V4). If the difference is odd, the
    extra row is cut or added at the end.
    """
    if array.ndim not in (2, 3):
        raise BadInput(f"array has {array.ndim} axes, allowed are 2 (depth) or 3 (voxels); drop batch and channels")
    spare = [length - size for length in array.shape]
    cut = tuple(slice(s // 2, s // 2 + size) if s > 0 else slice(None) for s in spare)
    padding = [(-s // 2, -s - -s // 2) if s < 0 else (0, 0) for s in spare]
    return np.pad(array[cut], padding)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Shared over joint volume of two equally large grids, in [0, 1]; two empty grids agree fully."""
    if a.shape != b.shape:
        raise BadInput(f"grids have shapes {a.shape} and {b.shape}, allowed are equal ones; use crop_or_pad")
    joint = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / joint if joint else 1.0
