"""Polygons as triangles, also where they are not convex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

Array = NDArray[np.float64]


def triangulate_polygons(vertices: NDArray[np.floating[Any]], polygons: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """Triangles (M, 3) that cover each polygon and wind as it does, in the polygons' order.

    A polygon is split into a fan around its first corner wherever that stays inside; else by clipping ears. One with
    fewer than three corners gives nothing.

    Args:
        vertices: (N, 3).
        polygons: each a list of vertex numbers from 0.

    Raises:
        BadInput: a number that no vertex has.
    """
    sizes = np.array([len(polygon) for polygon in polygons], np.int64)
    every = [corner for polygon in polygons for corner in polygon]
    if every and (min(every) < 0 or max(every) >= len(vertices)):
        raise BadInput(
            f"mesh faces name vertices {min(every)} to {max(every)}, allowed are 0 to {len(vertices) - 1};"
            " check that numbering starts at 0"
        )
    flat = np.array(every, np.int64)
    # Whoever builds a mesh refuses what float32 can't hold; here it must only do no harm.
    points = np.where(np.abs(vertices) <= np.finfo(np.float32).max, vertices, 0).astype(np.float64)
    first = np.cumsum(sizes) - sizes
    places, triangles = [np.zeros(0, np.int64)], [np.zeros((0, 3), np.int64)]
    for size in np.unique(sizes[sizes >= 3]):
        where = np.flatnonzero(sizes == size)
        corners = flat[first[where][:, None] + np.arange(size)]
        fans, inside = _fans(points, corners)
        triangles.append(fans[inside].reshape(-1, 3))
        places.append(np.repeat(where[inside], size - 2))
        for place, polygon in zip(where[~inside], corners[~inside], strict=True):
            triangles.append(_ears(points, polygon))
            places.append(np.full(len(triangles[-1]), place))
    order = np.argsort(np.concatenate(places), kind="stable")
    return np.concatenate(triangles)[order].astype(np.int32)


def _fans(points: Array, corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(P, K - 2, 3) fans of (P, K) polygons, and (P,) whether no triangle of a fan lies the wrong way round."""
    middle = corners[:, 1:-1]
    fans = np.stack([np.broadcast_to(corners[:, :1], middle.shape), middle, corners[:, 2:]], axis=2)
    a, b, c = (points[fans[:, :, i]] for i in range(3))
    areas = np.cross(b - a, c - a)
    normal = areas.sum(axis=1, keepdims=True)
    along = (areas * normal).sum(axis=2)
    # Corners in a line may round to either side.
    return fans, (along >= -1e-9 * (normal**2).sum(axis=2)).all(axis=1)


def _ears(points: Array, polygon: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T, 3) triangles of one polygon (K,), clipped in the coordinate plane that shows most of it."""
    import mapbox_earcut

    corners = points[polygon]
    normal = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
    axis = int(np.abs(normal).argmax())
    flat = np.ascontiguousarray(np.delete(corners, axis, axis=1))
    parts = mapbox_earcut.triangulate_float64(flat, np.array([len(flat)], np.uint32)).reshape(-1, 3).astype(np.int64)
    a, b, c = (flat[parts[:, i]] for i in range(3))
    turns = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    # Without the y axis the two that are left, x and z, show the plane from behind.
    outward = np.sign(normal[axis]) * (-1 if axis == 1 else 1)
    parts[turns * outward < 0] = parts[turns * outward < 0][:, ::-1]
    return polygon[parts]
