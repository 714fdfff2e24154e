"""A z-buffer in numpy: which triangle is seen at which pixel, and how far away it is."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from reference.geometry.mesh import Mesh

# Candidate pixels per step. About 150 bytes of temporaries each, hence some 80 MB at most.
_PIXELS_PER_CHUNK = 1 << 19


def depth_image(mesh: Mesh, size: int) -> NDArray[np.float32]:
    """(size, size) float32: z in [-1, 1] of the surface nearest to the viewer, NaN where there is none."""
    z_buffer, _, _ = rasterize(to_pixels(mesh.vertices, size), mesh.faces, size, size)
    return np.where(np.isneginf(z_buffer), np.float32(np.nan), z_buffer)


def to_pixels(vertices: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Canonical cube (N, 3) to x and y in pixels of a size x size picture (y down); z stays as it is."""
    half = np.float32(size / 2)
    x, y, z = vertices.T
    return np.stack([(x + 1) * half, (1 - y) * half, z], axis=1)


def rasterize(
    vertices_px: NDArray[np.floating], faces: NDArray[np.int32], height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    """Finds the nearest triangle at each pixel centre; both sides of a triangle are visible.

    A pixel centre on an edge belongs to both triangles. At equal z the lower face number wins.
    Orthographic: z and the barycentric weights are linear over the picture.

    Args:
        vertices_px: (N, 3) x and y in pixels (y down, pixel centres at i + 0.5), larger z is nearer.
        faces: (M, 3) int32.
        height: rows of the picture.
        width: columns of the picture.

    Returns:
        (H, W) float32 z, -inf where empty; (H, W) int32 face number, -1 where empty; and (H, W, 3) float32
        weights of the face's corners, which sum to 1, or 0 where empty.
    """
    # float64 keeps products of float32 coordinates exact enough that neighbours agree on their common edge.
    points = vertices_px.astype(np.float64)
    z_buffer = np.full(height * width, -np.inf)
    face_index = np.full(height * width, -1, np.int32)
    for pixel, face, z in _candidates(points, faces, height, width):
        nearer = z > z_buffer[pixel]
        pixel, face, z = pixel[nearer], face[nearer], z[nearer]
        np.maximum.at(z_buffer, pixel, z)
        won = np.flatnonzero(z == z_buffer[pixel])[::-1]
        # Of repeated indices numpy keeps the last, which is the lowest face number in this reversed order.
        face_index[pixel[won]] = face[won]
    weights = _barycentric(points, faces, face_index, width)
    shape = (height, width)
    return z_buffer.astype(np.float32).reshape(shape), face_index.reshape(shape), weights.reshape(*shape, 3)


def _candidates(
    points: NDArray[np.float64], faces: NDArray[np.int32], height: int, width: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Yields chunks of (pixel number, face number, z), all (P,), for each pixel centre inside each triangle.

    Face numbers ascend. A triangle expands to the rows of its bounding box, and a row to its pixels, so that
    the memory depends on neither the largest triangle nor the number of triangles.
    """
    x, y, z = ([axis[faces[:, corner]] for corner in range(3)] for axis in points.T)
    first_col, last_col = _pixel_range(x, width)
    first_row, last_row = _pixel_range(y, height)
    double_area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    seen = np.flatnonzero((last_col >= first_col) & (last_row >= first_row) & (double_area != 0))
    owner, row = _expand(first_row[seen], (last_row - first_row + 1)[seen])
    owner = seen[owner]
    columns = (last_col - first_col + 1)[owner]
    ends = np.cumsum(columns)
    start = 0
    while start < len(owner):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PIXELS_PER_CHUNK, side="right")))
        face_of_row, row_of_row = owner[start:stop], row[start:stop]
        item, col = _expand(first_col[face_of_row], columns[start:stop])
        face, pixel_row = face_of_row[item], row_of_row[item]
        orientation = np.sign(double_area)[face_of_row]
        inside = np.ones(len(item), bool)
        weights = []
        for i, j in ((1, 2), (2, 0), (0, 1)):
            # The edge function is linear along a row: its value at column 0 and its slope serve all pixels.
            dx = (x[j] - x[i])[face_of_row] * orientation
            dy = (y[j] - y[i])[face_of_row] * orientation
            at_zero = dx * (row_of_row + 0.5 - y[i][face_of_row]) + dy * x[i][face_of_row]
            weight = at_zero[item] - dy[item] * (col + 0.5)
            inside &= weight >= 0
            weights.append(weight)
        hit = np.flatnonzero(inside)
        face = face[hit]
        w0, w1, w2 = (weight[hit] for weight in weights)
        depth = (w0 * z[0][face] + w1 * z[1][face] + w2 * z[2][face]) / (w0 + w1 + w2)
        yield pixel_row[hit] * width + col[hit], face, depth
        start = stop


def _pixel_range(corners: list[NDArray[np.float64]], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last pixel whose centre each triangle spans along one axis; three corners of (M,) each."""
    low = np.minimum(np.minimum(corners[0], corners[1]), corners[2])
    high = np.maximum(np.maximum(corners[0], corners[1]), corners[2])
    first = np.clip(np.ceil(low - 0.5), 0, count).astype(np.int64)
    last = np.clip(np.floor(high - 0.5), -1, count - 1).astype(np.int64)
    return first, last


def _expand(first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs first, first + 1, ... of the given lengths (K,): each value's run and the value, both (sum,)."""
    owner = np.repeat(np.arange(len(counts)), counts)
    run_start = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) + (first - run_start)[owner]


def _barycentric(
    points: NDArray[np.float64], faces: NDArray[np.int32], face_index: NDArray[np.int32], width: int
) -> NDArray[np.float32]:
    """(H*W, 3) float32 weights of the seen face's corners at each pixel; ``face_index`` is (H*W,)."""
    result = np.zeros((len(face_index), 3), np.float32)
    pixel = np.flatnonzero(face_index >= 0)
    corners = points[faces[face_index[pixel]], :2]
    offset = corners - np.stack([pixel % width + 0.5, pixel // width + 0.5], axis=1)[:, None]
    x, y = offset[..., 0], offset[..., 1]
    weights = np.stack([x[:, i] * y[:, j] - x[:, j] * y[:, i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=1)
    result[pixel] = weights / weights.sum(axis=1, keepdims=True)
    return result
