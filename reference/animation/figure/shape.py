"""From a mask to its contour and to an inflated mesh with front and back (document I, row I9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.animation.figure.mask import Bits
from reference.animation.motion.skeleton import Array
from reference.errors import BadInput

GRID = 384  # the figure's longer side in pixels of the working grid
SPACING = 1 / 64  # edge length of the mesh, in the figure's longer side
STIFFEST = 20.0  # weight of an edge beside a sliver, which would be infinite
REFINEMENTS = 8  # of the outline, at most
FLATTEST = 1e-6  # of a triangle's two areas, in squared edge lengths of the mesh
THICKNESS = 0.55  # of the inflated mesh, relative to a round cross-section


@dataclass(frozen=True, eq=False)
class Contours:
    """Outlines of a figure on the working grid.

    Attributes:
        grid: (h, w) bool, the smoothed figure with a margin; its longer side is GRID pixels.
        lines: closed polygons (N, 2), x then y in grid pixels, the outline first, then holes.
        scale: picture pixels per grid pixel.
        origin_px: picture position (x, y) of the grid's (0, 0).
    """

    grid: Bits
    lines: tuple[Array, ...]
    scale: float
    origin_px: Array

    def to_picture(self, points: Array) -> Array:
        """Grid points (N, 2) in picture pixels, the centre of the first pixel at (0, 0)."""
        return points * self.scale + self.origin_px


@dataclass(frozen=True, eq=False)
class Body:
    """An inflated figure.

    Attributes:
        vertices: (V, 3) float64, x right, y up, z to the viewer; the figure's outline is one unit tall, its lowest
            point at y = 0, centred in x.
        faces: (M, 3) int32, counter-clockwise from outside.
        pixels: (V, 2) float64, where each vertex lies in the picture.
        flat_faces: (M/2, 3) int32: the front's triangles, whose vertex numbers run from 0 to ``front`` - 1.
        front: number of vertices on the front, outline included.
        twin: (V,) int32: vertex of the front that lies at the same place of the picture.
        unit_px: picture pixels per unit.
        foot_px: picture position (x, y) of the frame's origin.
    """

    vertices: Array
    faces: NDArray[np.int32]
    pixels: Array
    flat_faces: NDArray[np.int32]
    front: int
    twin: NDArray[np.int32]
    unit_px: float
    foot_px: Array

    def to_frame(self, pixels: Array) -> Array:
        """Picture pixels (N, 2) to points (N, 3) of the frame in the plane z = 0."""
        flat = (pixels - self.foot_px) / self.unit_px * [1, -1]
        return np.concatenate([flat, np.zeros((len(flat), 1))], axis=1)

    def to_pixels(self, points: Array) -> Array:
        """Points (..., 3) of the frame to picture pixels (..., 2)."""
        return points[..., :2] * [1, -1] * self.unit_px + self.foot_px


def find_contours(mask: Bits) -> Contours:
    """Smooths a mask on the working grid and traces its outline and its holes.

    Raises:
        BadInput: the mask is empty.
    """
    import cv2
    from scipy import ndimage
    from skimage.measure import find_contours as trace

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise BadInput("the mask is empty; allowed: white where the figure is; give another --mask")
    top, left = int(rows[0]), int(columns[0])
    cut = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    scale = max(cut.shape) / GRID
    size = (max(4, round(cut.shape[1] / scale)), max(4, round(cut.shape[0] / scale)))
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    level = np.pad(cv2.resize(cut.astype(np.float32), size, interpolation=method), 6)
    level = ndimage.gaussian_filter(np.maximum(level, _thin_lines(level > 0.3)), 1.2)
    grid = _largest(level > 0.5)
    level = np.where(ndimage.binary_dilation(grid, iterations=2), level, 0.0)
    lines = [line[:-1, ::-1].copy() for line in trace(level, 0.5) if len(line) > 12 and (line[0] == line[-1]).all()]
    lines.sort(key=lambda line: -abs(_area(line)))
    lines = [line for i, line in enumerate(lines) if i == 0 or abs(_area(line)) > 0.01 * grid.sum()]
    # Centre of grid pixel i lies at (i - 6 + 0.5) * scale of the cut's edge, half a pixel left of its first centre.
    origin = np.array([left, top]) + (0.5 - 6) * scale - 0.5
    return Contours(grid, tuple(lines), scale, origin)


def _thin_lines(grid: Bits) -> Array:
    """Lines too thin for the mesh, such as limbs of stick figures, at the least width that it can hold."""
    import cv2
    from scipy import ndimage

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)) > 0
    rest = grid & ~ndimage.binary_opening(grid, disc)
    labels, _ = ndimage.label(rest, np.ones((3, 3)))
    long = np.bincount(labels.ravel()) > 15  # less is a corner of the outline
    long[0] = False
    return ndimage.binary_dilation(long[labels], disc).astype(np.float64)


def _largest(bits: Bits) -> Bits:
    from scipy import ndimage

    labels, count = ndimage.label(bits)
    return bits if count < 2 else np.asarray(labels == 1 + int(np.bincount(labels.ravel())[1:].argmax()))


def _area(line: Array) -> float:
    x, y = line.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def inflate(contours: Contours) -> Body:
    """A closed mesh: the triangulated figure twice, pushed apart by the square root of a membrane's height.

    The membrane solves Poisson's equation over the figure with its outline held down; a disc becomes an ellipsoid.
    """
    spacing = SPACING * GRID
    points, delaunay, lines = _conforming(_sampled_lines(contours, spacing), _inner_points(contours, spacing))
    triangles = _inside(points, delaunay, lines, spacing)
    points, triangles, rim = _split_bridges(*_used(points, triangles))
    height = _membrane(points, triangles, rim)
    return _two_sided(contours, points, triangles, rim, height)


def _sampled_lines(contours: Contours, spacing: float) -> list[Array]:
    parts = []
    for line in contours.lines:
        closed = np.concatenate([line, line[:1]])
        way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
        number = max(8, round(way[-1] / spacing))
        stops = np.linspace(0, way[-1], number, endpoint=False)
        parts.append(np.stack([np.interp(stops, way, axis) for axis in closed.T], axis=1))
    return parts


def _inner_points(contours: Contours, spacing: float) -> Array:
    """A triangular lattice inside, not too near to the outline."""
    from scipy import ndimage

    distance = ndimage.distance_transform_edt(contours.grid)
    height, width = contours.grid.shape
    step = spacing * np.sqrt(3) / 2
    rows = np.arange(0, height - 1, step)
    lattice = np.concatenate(
        [np.stack([np.arange(spacing / 2 * (i % 2), width - 1, spacing), np.full_like(
            np.arange(spacing / 2 * (i % 2), width - 1, spacing), y)], axis=1) for i, y in enumerate(rows)]
    )  # fmt: skip
    nearest = np.round(lattice).astype(int)
    return lattice[distance[nearest[:, 1], nearest[:, 0]] > 0.7 * spacing]


def _conforming(lines: list[Array], inside: Array) -> tuple[Array, Any, list[Array]]:
    """Points, their Delaunay triangles, and the lines with points added until these are edges of triangles.

    Where a limb is thinner than the mesh is fine, triangles would else join its two sides across what lies outside.
    """
    from scipy.spatial import Delaunay

    for left in reversed(range(REFINEMENTS)):
        points = np.concatenate([*lines, inside])
        delaunay = Delaunay(points)
        corners = np.sort(delaunay.simplices[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1).astype(np.int64)
        edges = corners[:, 0] * len(points) + corners[:, 1]
        start, missed, finer = 0, 0, []
        for line in lines:
            number = start + np.arange(len(line))
            after = start + (np.arange(len(line)) + 1) % len(line)
            missing = ~np.isin(np.minimum(number, after) * len(points) + np.maximum(number, after), edges)
            middles = (line + np.roll(line, -1, axis=0))[missing] / 2
            finer.append(np.insert(line, np.flatnonzero(missing) + 1, middles, axis=0))
            start, missed = start + len(line), missed + int(missing.sum())
        if not missed or not left:
            break
        lines = finer
    return points, delaunay, lines


def _inside(points: Array, delaunay: Any, lines: list[Array], spacing: float) -> NDArray[np.int32]:
    """The triangles whose centre lies within the lines, of the largest part that hangs together by edges."""
    from skimage.measure import points_in_poly

    triangles = delaunay.simplices
    corners = points[triangles]
    kept = np.zeros(len(triangles), bool)
    for line in lines:
        kept ^= points_in_poly(corners.mean(axis=1), line)
    a, b, c = np.swapaxes(corners, 0, 1)
    double_area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    turned = np.where((double_area > 0)[:, None], triangles, triangles[:, ::-1])
    kept &= np.abs(double_area) > FLATTEST * spacing**2
    return turned[_one_part(kept, delaunay.neighbors)].astype(np.int32)


def _one_part(kept: Bits, neighbors: NDArray[np.int32]) -> Bits:
    """The largest part of the kept triangles that hangs together by edges; (M, 3) neighbours, -1 for none."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first = np.repeat(np.arange(len(kept)), 3)
    second = neighbors.ravel()
    linked = (second >= 0) & kept[first] & kept[second]
    graph = coo_matrix((np.ones(linked.sum()), (first[linked], second[linked])), (len(kept), len(kept)))
    _, label = connected_components(graph, directed=False)
    return kept & (label == np.bincount(label[kept]).argmax())


def _used(points: Array, triangles: NDArray[np.int32]) -> tuple[Array, NDArray[np.int32], Bits]:
    """Drops unused points; True for points on the rim: on an edge that only one triangle has."""
    numbers, renumbered = np.unique(triangles, return_inverse=True)
    triangles = np.asarray(renumbered.reshape(-1, 3), np.int32)
    edges = np.sort(np.concatenate([triangles[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))]), axis=1)
    single, counts = np.unique(edges, axis=0, return_counts=True)
    rim = np.zeros(len(numbers), bool)
    rim[single[counts == 1].ravel()] = True
    return points[numbers], triangles, rim


def _split_bridges(points: Array, triangles: NDArray[np.int32], rim: Bits) -> tuple[Array, NDArray[np.int32], Bits]:
    """Puts a point in the middle of every inner edge whose ends both lie on the rim.

    Front and back share the rim: with such an edge they would touch along it, and a thin limb would have no thickness.
    """
    corners = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2)  # (M, 3 edges, 2)
    low, high = np.sort(corners, axis=2).transpose(2, 0, 1).astype(np.int64)
    keys, number, counts = np.unique(low * len(points) + high, return_inverse=True, return_counts=True)
    first, second = keys // len(points), keys % len(points)
    split = (counts == 2) & rim[first] & rim[second]
    middle = np.full(len(keys), -1)
    middle[split] = len(points) + np.arange(split.sum())
    parts = [_parts(t, m) for t, m in zip(triangles.tolist(), middle[number.reshape(-1, 3)].tolist(), strict=True)]
    added = (points[first[split]] + points[second[split]]) / 2
    faces = np.array([face for part in parts for face in part], np.int32)
    return np.concatenate([points, added]), faces, np.concatenate([rim, np.zeros(len(added), bool)])


def _parts(triangle: list[int], middle: list[int]) -> list[tuple[int, int, int]]:
    """A triangle cut at the middles of its edges (-1: not cut); edge i runs from corner i to the next."""
    cut = [i for i in range(3) if middle[i] >= 0]
    if not cut:
        return [(triangle[0], triangle[1], triangle[2])]
    if len(cut) == 3:
        a, b, c = middle
        return [(triangle[0], a, c), (triangle[1], b, a), (triangle[2], c, b), (a, b, c)]
    start = cut[0] if len(cut) == 1 or (cut[0] + 1) % 3 == cut[1] else cut[1]
    p, q, r = (triangle[(start + i) % 3] for i in range(3))
    m = middle[start]
    if len(cut) == 1:
        return [(p, m, r), (m, q, r)]
    n = middle[(start + 1) % 3]  # the second cut edge runs from q to r
    return [(p, m, r), (m, n, r), (m, q, n)]


def laplacian(points: Array, triangles: NDArray[np.int32]) -> tuple[object, Array]:
    """The cotangent Laplacian (V, V), sparse and positive semi-definite, and each vertex's area (V,).

    Negative weights of obtuse corners are cut off, so that whatever it smooths stays between its extremes.
    """
    from scipy.sparse import coo_matrix, diags

    rows, columns, values = [], [], []
    corners = points[triangles]
    area = np.zeros(len(points))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        u, v = corners[:, j] - corners[:, i], corners[:, k] - corners[:, i]
        cross = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
        rows.append(triangles[:, j])
        columns.append(triangles[:, k])
        values.append(np.clip((u * v).sum(axis=1) / np.maximum(cross, 1e-12) / 2, -STIFFEST, STIFFEST))
        area += np.bincount(triangles[:, i], cross / 6, len(points))
    shape = (len(points), len(points))
    half = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape).tocsr()
    weights = (half + half.T).maximum(0)
    return (diags(np.asarray(weights.sum(axis=1)).ravel()) - weights).tocsc(), area


def _membrane(points: Array, triangles: NDArray[np.int32], rim: Bits) -> Array:
    from scipy.sparse.linalg import spsolve

    matrix, area = laplacian(points, triangles)
    inner = np.flatnonzero(~rim)
    height = np.zeros(len(points))
    if len(inner):
        # A disc of radius r has the membrane (r^2 - d^2) / 4 and should become a ball of radius r.
        height[inner] = 4 * spsolve(matrix[inner][:, inner], area[inner])  # type: ignore[index]
    return THICKNESS * np.sqrt(np.maximum(height, 0))


def _two_sided(contours: Contours, points: Array, triangles: NDArray[np.int32], rim: Bits, height: Array) -> Body:
    inner = np.flatnonzero(~rim)
    front = len(points)
    back_of = np.arange(front)
    back_of[inner] = front + np.arange(len(inner))
    twin = np.concatenate([np.arange(front), inner]).astype(np.int32)
    pixels = contours.to_picture(points[twin])
    z = np.concatenate([height, -height[inner]]) * contours.scale
    # By the whole outline, which doesn't hang on where its points were taken.
    outline = contours.to_picture(contours.lines[0])
    low, high = outline.min(axis=0), outline.max(axis=0)
    unit = float(high[1] - low[1])
    foot = np.array([(low[0] + high[0]) / 2, high[1]])
    flat = (pixels - foot) / unit * [1, -1]
    vertices = np.concatenate([flat, z[:, None] / unit], axis=1)
    # y points down in the picture and up in the frame: what is counter-clockwise there is clockwise here.
    front_faces = triangles[:, ::-1]
    faces = np.concatenate([front_faces, back_of[triangles]]).astype(np.int32)
    return Body(vertices, faces, pixels, front_faces.astype(np.int32), front, twin, unit, foot)
