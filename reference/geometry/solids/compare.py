"""How well a solid agrees with what a depth camera measured: distance, silhouette, and the face's relief."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.geometry.mesh import Mesh
from reference.geometry.raster import rasterize
from reference.geometry.solids.camera import Camera

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_NEAREST = 8  # triangles that are looked at for each point
_LEAST_PIXELS = 50  # of a face; a quadric has six numbers
_NEARER_MM = 1e6


def draw_distance(mesh: Mesh, camera: Camera, height: int, width: int) -> Floats:
    """(H, W) float32 distance of a mesh's nearest surface along the optical axis in millimetres, 0 beside it.

    Args:
        mesh: millimetres before the camera, x right, y up, z towards the viewer.
    """
    pixels = camera.to_pixels(mesh.vertices)
    # The inverse of the distance is linear over the picture.
    points = np.stack([pixels[:, 0] + 0.5, pixels[:, 1] + 0.5, _NEARER_MM / pixels[:, 2]], axis=1)
    nearness, face, _ = rasterize(points, mesh.faces, height, width)
    return np.where(face >= 0, _NEARER_MM / np.where(face >= 0, nearness, 1), 0).astype(np.float32)


def surface_distances(points: NDArray[np.floating], mesh: Mesh) -> NDArray[np.float64]:
    """(P,) distances of (P, 3) points from the surface of a mesh, in its unit.

    Exact for the triangles whose middles are nearest; on meshes of even triangles these hold the nearest place.
    """
    from scipy.spatial import cKDTree

    corners = mesh.vertices[mesh.faces].astype(np.float64)  # (M, 3, 3)
    count = min(_NEAREST, len(corners))
    _, near = cKDTree(corners.mean(axis=1)).query(points, k=count)
    near = np.asarray(near).reshape(len(points), count)
    best = np.full(len(points), np.inf)
    for column in near.T:
        best = np.minimum(best, _to_triangles(np.asarray(points, np.float64), corners[column]))
    return best


def _to_triangles(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) distance of each point from its triangle (P, 3, 3)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    unit = normal / np.maximum(length, 1e-12)[:, None]
    height = np.einsum("px,px->p", points - a, unit)
    foot = points - height[:, None] * unit
    inside = length > 0
    for start, end in ((a, b), (b, c), (c, a)):
        inside &= np.einsum("px,px->p", np.cross(end - start, foot - start), unit) >= 0
    edges = np.min([_to_segment(points, *pair) for pair in ((a, b), (b, c), (c, a))], axis=0)
    return np.where(inside, np.abs(height), edges)


def _to_segment(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    along = end - start
    share = np.einsum("px,px->p", points - start, along) / np.maximum(np.einsum("px,px->p", along, along), 1e-12)
    return np.asarray(np.linalg.norm(points - start - np.clip(share, 0, 1)[:, None] * along, axis=1))


def silhouette_iou(drawn: Mask, measured: Mask, known: Mask) -> float:
    """Shared over joint area of two silhouettes (H, W), where something is ``known``; 1 where both are empty."""
    joint = int((known & (drawn | measured)).sum())
    return int((known & drawn & measured).sum()) / joint if joint else 1.0


def relief(found_mm: Floats, measured_mm: Floats, where: Mask) -> tuple[float, float] | None:
    """Gain and correlation of a face's relief: of the depth beyond a quadric.

    To each of both depths a quadric of the pixels' places is fitted; what is left is the relief. The gain is the slope
    of the found one over the measured one, 1 where both are alike and 0 where the found one is smooth.

    Args:
        found_mm: (H, W) distance of the solid, 0 beside it.
        measured_mm: (H, W) distance that was measured, 0 in holes.
        where: (H, W) the face.

    Returns:
        Gain and correlation, or None where too few pixels have both depths.
    """
    both = where & (found_mm > 0) & (measured_mm > 0)
    if int(both.sum()) < _LEAST_PIXELS:
        return None
    rows, columns = np.nonzero(both)
    x = (columns - columns.mean()) / max(float(np.ptp(columns)), 1)
    y = (rows - rows.mean()) / max(float(np.ptp(rows)), 1)
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    found, measured = (_beyond(basis, depth[both].astype(np.float64)) for depth in (found_mm, measured_mm))
    power = float(measured @ measured)
    if power == 0:
        return None
    shared = float(found @ measured)
    return shared / power, shared / max(float(np.sqrt(power * float(found @ found))), 1e-12)


def _beyond(basis: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    weights, *_ = np.linalg.lstsq(basis, values, rcond=None)
    return np.asarray(values - basis @ weights)


def ellipse_in(box: tuple[float, float, float, float], height: int, width: int) -> Mask:
    """(H, W) the ellipse inside a box x0, y0, x1, y1 in pixels: about a face's outline."""
    x0, y0, x1, y1 = box
    across = (np.arange(width) + 0.5 - (x0 + x1) / 2) / max((x1 - x0) / 2, 1e-6)
    down = (np.arange(height) + 0.5 - (y0 + y1) / 2) / max((y1 - y0) / 2, 1e-6)
    inside: Mask = across[None] ** 2 + down[:, None] ** 2 <= 1
    return inside
