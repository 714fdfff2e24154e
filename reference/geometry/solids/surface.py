"""From a solid on a grid of rays to a mesh before the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.geometry.mesh import Mesh, select_vertices
from reference.geometry.solids.camera import Camera, Placement
from reference.geometry.solids.fusion import Fused

Floats = NDArray[np.float32]

_SMALLEST_PART = 0.1
_SMOOTHING = 12
_RISE = 0.4  # of the distance behind the front
_SPREADING = 25  # rounds in which colours of places that were not seen take their neighbours' mean
_ON_FRONT = 0.35  # slices: what is nearer than this to the measured front lies on it


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed surface before a camera.

    Attributes:
        mesh: millimetres, x right, y up, z towards the viewer, the origin at the camera.
        pixels: (N, 3) column, row and distance of each vertex in the depth map, the first pixel's centre at (0, 0).
        measured: (N,) bool: the vertex lies on the measured front; ``sure``: and not near an edge of it.
    """

    mesh: Mesh
    pixels: NDArray[np.float64]
    measured: NDArray[np.bool_]
    sure: NDArray[np.bool_]


def extract(fused: Fused, camera: Camera) -> Solid:
    """The surface at which the signed distance is 0; smoothed where nothing was measured, without crumbs beside it."""
    from skimage.measure import marching_cubes  # a heavy import that only this function needs

    outside = float(fused.inside_mm.min())
    # A border closes the surface where the solid touches the grid's sides.
    points, faces, _, _ = marching_cubes(
        np.pad(fused.inside_mm, 1, constant_values=outside), 0.0, allow_degenerate=False
    )
    d, row, column = (points - 1).T.astype(np.float64)
    pixels = np.stack([_at(fused.columns, column), _at(fused.rows, row), _at(fused.distances, d)], axis=1)
    faces = _largest_parts(faces.astype(np.int32), len(points))
    used = np.zeros(len(points), bool)
    used[faces] = True
    pixels = pixels[used]
    mesh = Mesh(camera.to_points(*pixels.T), select_vertices(faces, used))
    measured, sure = _on_front(fused, d[used], row[used], column[used])
    mesh = smooth_free(mesh, ~measured)
    return Solid(mesh, camera.to_pixels(mesh.vertices), measured, sure)


def _at(places: NDArray[np.float64], index: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places of fractional numbers on an even scale, beyond its ends too."""
    step = places[1] - places[0] if len(places) > 1 else 1.0
    return places[0] + index * step


def _largest_parts(faces: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Faces (M', 3) of the parts that have at least a tenth of the largest part's vertices."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = (np.ones(2 * len(faces), np.int8), (faces[:, :2].T.ravel(), faces[:, 1:].T.ravel()))
    _, labels = connected_components(coo_matrix(pairs, shape=(count, count)), directed=False)
    sizes = np.bincount(labels)
    keep = sizes[labels] >= _SMALLEST_PART * sizes.max()
    return faces[keep[faces[:, 0]]]


def _on_front(
    fused: Fused, d: NDArray[np.float64], row: NDArray[np.float64], column: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the vertices, given by their places on the grid, lie on the measured front, and on its sure part."""
    height, width = fused.front_mm.shape
    y, x = np.clip(np.rint(row), 0, height - 1).astype(int), np.clip(np.rint(column), 0, width - 1).astype(int)
    step = float(fused.distances[1] - fused.distances[0])
    near = np.abs(_at(fused.distances, d) - fused.front_mm[y, x]) < _ON_FRONT * step
    return fused.measured[y, x] & near, fused.sure[y, x] & near


def smooth_free(mesh: Mesh, free: NDArray[np.bool_], rounds: int = _SMOOTHING) -> Mesh:
    """Vertices that are free move to their neighbours and back (Taubin 1995); the others stay."""
    link, degree, numbers = _links(mesh, free)
    moved = mesh.vertices[numbers]
    # Only what is free moves, so that the part of its fixed neighbours stays the same.
    among = link[:, numbers]
    fixed = link @ mesh.vertices - among @ moved
    for factor in (0.5, -0.53) * rounds:
        moved += np.float32(factor) * ((among @ moved + fixed) / degree - moved)
    vertices = mesh.vertices.copy()
    vertices[numbers] = moved
    return replace(mesh, vertices=vertices)


def _links(mesh: Mesh, of: NDArray[np.bool_]) -> tuple[Any, Floats, NDArray[np.int64]]:
    """The neighbours of some vertices as a sparse matrix (n, N) of ones, how many each has (n, 1); their numbers."""
    from scipy.sparse import coo_matrix

    count, numbers = len(mesh.vertices), np.flatnonzero(of)
    place = np.full(count, -1, np.int32)
    place[numbers] = np.arange(len(numbers))
    # On a closed surface each edge comes once from either side.
    a, b = mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel()
    wanted = of[a]
    a, b = place[a[wanted]], b[wanted]
    link = coo_matrix((np.ones(len(a), np.float32), (a, b)), shape=(len(numbers), count)).tocsr()
    degree = np.maximum(np.bincount(a, minlength=len(numbers)), 1).astype(np.float32)[:, None]
    return link, degree, numbers


def color_vertices(solid: Solid, picture: NDArray[np.uint8], scale: tuple[float, float]) -> NDArray[np.uint8]:
    """(N, 3) uint8 RGB: of the picture where the front was measured, elsewhere of the nearest such places.

    Args:
        picture: (H, W, 3) uint8 RGB of the same view.
        scale: its pixels to one of the depth map, across and down.
    """
    from scipy.spatial import cKDTree

    x = ((solid.pixels[:, 0] + 0.5) * scale[0] - 0.5).astype(np.float32)
    y = ((solid.pixels[:, 1] + 0.5) * scale[1] - 0.5).astype(np.float32)
    colors = np.empty((len(x), 3), np.uint8)
    for first in range(0, len(x), 30000):  # OpenCV samples no more places at a time
        part = slice(first, first + 30000)
        taken = cv2.remap(picture, x[None, part], y[None, part], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colors[part] = taken[0]
    seen = solid.sure & trusted(solid)
    if not seen.any() or seen.all():
        return colors
    # Hair reaches lower at the back than at the front: the farther behind, the higher up is a colour looked for.
    places, hidden = solid.mesh.vertices[seen], solid.mesh.vertices[~seen].copy()
    hidden[:, 1] += _RISE * np.maximum(np.median(places[:, 2]) - hidden[:, 2], 0)
    _, near = cKDTree(places).query(hidden)
    values = colors.astype(np.float32)
    values[~seen] = values[seen][near]
    link, degree, numbers = _links(solid.mesh, ~seen)
    among, moved = link[:, numbers], values[numbers]
    known = link @ values - among @ moved
    for _ in range(_SPREADING):
        moved = (among @ moved + known) / degree
    values[numbers] = moved
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def trusted(solid: Solid) -> NDArray[np.bool_]:
    """(N,) vertices whose surface looks towards the camera; at a rim the picture shows what is behind."""
    from reference.geometry.mesh import vertex_normals

    towards = -solid.mesh.vertices / np.linalg.norm(solid.mesh.vertices, axis=1, keepdims=True)
    looks: NDArray[np.bool_] = np.einsum("nx,nx->n", vertex_normals(solid.mesh), towards) > 0.3
    return looks


def to_cube(solid: Solid, place: Placement) -> Mesh:
    """The mesh in the network's cube from -1 to 1, x right, y up, z towards the viewer."""
    return replace(solid.mesh, vertices=place.to_cube(*solid.pixels.T))
