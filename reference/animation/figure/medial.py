"""From a mask to a skeleton: medial axis, pruned, joints chosen (document I, row I9).

1. The figure is thinned to lines one pixel wide. A spanning tree that prefers thick places opens loops where the
   figure is thinnest.
2. Branches that hardly leave the disc inside the figure at their foot are noise of the outline and are removed, the
   least significant first. What is left are limbs.
3. Joints: the ends of limbs; the places where branches meet, those within one disc joined; along a limb where it
   leaves the body (shoulder, hip) and halfway from there (elbow, knee), and halfway along the body; more where it
   winds, as a snake or a curled tail does.
4. A thick end that only branches into thinner things (a head with ears) gets an end of its own.
5. The root is the joint with the most branches, the thickest among equals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from reference.animation.figure.mask import Bits
from reference.animation.figure.shape import GRID, Contours
from reference.animation.motion.skeleton import Array

SHORTEST_LIMB = 0.055  # of the figure's longer side, that a limb must stick out of the body
LEAST_OF_DISC = 0.3  # and of the radius of the disc where it leaves
POINTED = 0.75  # a limb that tapers like a wedge, see _significance, is a corner of the outline ...
LEAST_OF_CORNER = 0.75  # ... and must stick out by this share of the radius: be sharper than 70 degrees
BEND = 0.06  # of the working grid's side, that a bone may lie beside the axis of a thin limb
THICK_END = 1.15  # radius of a head or fist, relative to the neck or wrist before it


@dataclass(frozen=True, eq=False)
class Medial:
    """The pruned medial axis as a tree of joints.

    Attributes:
        points: (J, 2) float64 x and y in grid pixels.
        parents: (J,) int32, the root first.
        radii: (J,) float64 distance to the outline in grid pixels.
        line_points: (P, 2) the axis' pixels, for pictures.
    """

    points: Array
    parents: NDArray[np.int32]
    radii: Array
    line_points: Array

    @property
    def has_limbs(self) -> bool:
        """False for a blob, which gets a single bone."""
        return len(self.points) > 2


@dataclass
class _Tree:
    """Pixels of the axis with their neighbours; positions are (y, x)."""

    points: NDArray[np.int64]
    radii: Array
    near: list[set[int]]
    ends: dict[int, int] = field(default_factory=dict)

    def alive(self) -> list[int]:
        return [i for i, others in enumerate(self.near) if others]

    def length(self, a: int, b: int) -> float:
        return float(np.hypot(*(self.points[a] - self.points[b])))


def find_skeleton(contours: Contours) -> Medial:
    """The medial axis of a figure as a tree of joints; a figure without limbs gives a root and one end."""
    tree = _axis(contours.grid)
    _prune(tree)
    line = tree.points[tree.alive()][:, ::-1].astype(np.float64)
    if not _forks(tree):
        points, radii = _chain(tree, contours)
        return Medial(points, np.arange(-1, len(points) - 1, dtype=np.int32), radii, line)
    return _joints(tree, line)


def _axis(grid: Bits) -> _Tree:
    """Thinned pixels joined by a spanning tree that breaks loops at their thinnest place."""
    from scipy import ndimage
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree
    from skimage.morphology import skeletonize

    distance = ndimage.distance_transform_edt(grid)
    points = np.argwhere(skeletonize(grid))
    if not len(points):
        points = np.argwhere(distance == distance.max())[:1]
    number = np.full(grid.shape, -1)
    number[tuple(points.T)] = np.arange(len(points))
    radii = distance[tuple(points.T)]
    rows, columns, weights = [], [], []
    for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
        other = np.pad(number, 1, constant_values=-1)[tuple((points + np.array([1 + dy, 1 + dx])).T)]
        found = np.flatnonzero(other >= 0)
        rows.append(found)
        columns.append(other[found])
        thin = np.minimum(radii[found], radii[other[found]])
        weights.append(np.hypot(dy, dx) + 10 / np.maximum(thin, 0.5))
    shape = (len(points), len(points))
    # By rank: of equal weights the first is taken, on every platform and in the apps.
    order = np.argsort(np.concatenate(weights), kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    graph = coo_matrix((ranks, (np.concatenate(rows), np.concatenate(columns))), shape)
    tree = minimum_spanning_tree(graph).tocoo()
    near: list[set[int]] = [set() for _ in points]
    for a, b in zip(tree.row.tolist(), tree.col.tolist(), strict=True):
        near[a].add(b)
        near[b].add(a)
    return _Tree(points, radii, near)


def _limb(tree: _Tree, end: int) -> list[int]:
    """Pixels from an end to the fork or other end that it leads to, both included."""
    path = [end]
    before = -1
    while True:
        onward = [n for n in tree.near[path[-1]] if n != before]
        if len(onward) != 1:
            return path
        before = path[-1]
        path.append(onward[0])


def _way(tree: _Tree, path: list[int]) -> Array:
    """Length from the path's first pixel to each of its pixels."""
    steps = np.hypot(*np.diff(tree.points[path], axis=0).T) if len(path) > 1 else np.zeros(0)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _prune(tree: _Tree) -> None:
    """Removes the least significant limb until all stick out enough."""
    while True:
        forks = set(_forks(tree))
        ends = [i for i, others in enumerate(tree.near) if len(others) == 1]
        worst, least = None, 1.0
        for end in ends:
            path = _limb(tree, end)
            foot = path[-1]
            if foot not in forks:
                continue
            score = _significance(tree, path)
            if score < least:
                worst, least = path, score
        if worst is None:
            return
        for a, b in pairwise(worst):
            tree.near[a].discard(b)
            tree.near[b].discard(a)


def _significance(tree: _Tree, path: list[int]) -> float:
    """How far a limb sticks out of the disc at its foot, relative to the least that is kept."""
    way, radius = _way(tree, path), float(tree.radii[path[-1]])
    out = float(way[-1] + tree.radii[path[0]] - radius)
    free = tree.radii[np.array(path)[way <= max(out, 1.0)]]
    # Along a wedge the radius falls evenly to 0, so the median is 5/8 of the 80th percentile; along a limb, nearly 1.
    least = LEAST_OF_CORNER if np.median(free) < POINTED * np.quantile(free, 0.8) else LEAST_OF_DISC
    return out / max(SHORTEST_LIMB * GRID, least * radius)


def _forks(tree: _Tree) -> list[int]:
    return [i for i, others in enumerate(tree.near) if len(others) > 2]


def _chain(tree: _Tree, contours: Contours) -> tuple[Array, Array]:
    """A figure without forks: joints along a long one, one bone across a blob."""
    ends = [i for i, others in enumerate(tree.near) if len(others) == 1]
    path = _limb(tree, ends[0]) if len(ends) == 2 else [int(np.argmax(tree.radii))]
    way = _way(tree, path)
    if way[-1] < 3 * tree.radii[path].max():
        rows, columns = np.nonzero(contours.grid)
        middle = columns.mean()
        points = np.array([[middle, rows.max()], [middle, rows.min()]], np.float64)
        return points, np.full(2, tree.radii[path].max())
    stops = np.searchsorted(way, np.linspace(0, way[-1], 5)).clip(0, len(path) - 1).tolist()
    chosen = [path[i] for i in [0, *_around_bends(tree, path, stops)]]
    return tree.points[chosen][:, ::-1].astype(np.float64), tree.radii[chosen]


def _joints(tree: _Tree, line: Array) -> Medial:
    groups = _joined_forks(tree)
    group_of = {pixel: g for g, pixels in enumerate(groups) for pixel in pixels}
    points = [np.average(tree.points[p], axis=0, weights=tree.radii[p])[::-1] for p in groups]
    radii = [float(tree.radii[p].max()) for p in groups]
    edges: list[tuple[int, int]] = []

    def add(point: Array, radius: float, to: int) -> int:
        points.append(point)
        radii.append(radius)
        edges.append((to, len(points) - 1))
        return len(points) - 1

    for path in _segments(tree, group_of):
        first, last = group_of.get(path[0]), group_of.get(path[-1])
        if first is None:
            path, first, last = path[::-1], last, None
        assert first is not None
        end = _thick_end(tree, path) if last is None else len(path) - 1
        stops = _stops(tree, path[: end + 1], radii[first], last is None)
        previous = first
        for stop in stops:
            previous = add(tree.points[path[stop]][::-1].astype(np.float64), float(tree.radii[path[stop]]), previous)
        if last is None and stops[-1] < len(path) - 1:  # the path was cut at a thick end's centre
            points[previous] = points[previous] + _beyond(tree, path[: stops[-1] + 1])
        if last is not None:
            edges.append((previous, last))
    _add_heads(tree, groups, points, radii, edges)
    return _rooted(np.array(points), np.array(radii), edges, line)


def _thick_end(tree: _Tree, path: list[int]) -> int:
    """Where a limb's way ends: the centre of a head or fist if it ends in one, else its last pixel.

    From such a centre the axis only runs into some corner of the outline.
    """
    way, radii = _way(tree, path), tree.radii[path]
    outer = np.flatnonzero(way > 0.35 * way[-1])
    if len(outer) < 3:
        return len(path) - 1
    centre = int(outer[np.argmax(radii[outer])])
    before = radii[outer[0] : centre + 1].min()
    rest = float(way[-1] - way[centre])
    thick = radii[centre] > THICK_END * before and radii[centre] > 0.025 * GRID
    return centre if thick and 0 < rest < 1.2 * radii[centre] else len(path) - 1


def _beyond(tree: _Tree, path: list[int]) -> Array:
    """From the centre of a thick end onwards in the direction in which the limb came, x then y."""
    radius = float(tree.radii[path[-1]])
    way = _way(tree, path[::-1])
    before = path[::-1][min(int(np.searchsorted(way, 1.5 * radius)), len(path) - 1)]
    onward = (tree.points[path[-1]] - tree.points[before])[::-1].astype(np.float64)
    return np.asarray(onward / max(float(np.linalg.norm(onward)), 1e-9) * 0.35 * radius)


def _joined_forks(tree: _Tree) -> list[list[int]]:
    """Forks grouped where one lies within 0.8 radii of another: their branches leave the same part of the body."""
    forks = sorted(_forks(tree), key=lambda i: -tree.radii[i])
    groups: list[list[int]] = []
    for fork in forks:
        home = None
        for group in groups:
            if tree.length(fork, group[0]) < 0.8 * tree.radii[group[0]]:
                home = group
                break
        if home is None:
            groups.append([fork])
        else:
            home.append(fork)
    return groups


def _segments(tree: _Tree, group_of: dict[int, int]) -> list[list[int]]:
    """Ways between forks of different groups, and from forks to ends."""
    found = []
    for fork in group_of:
        for onward in sorted(tree.near[fork]):
            path = [fork, onward]
            while path[-1] not in group_of and len(tree.near[path[-1]]) == 2:
                path.append(next(n for n in tree.near[path[-1]] if n != path[-2]))
            ends_in_fork = path[-1] in group_of
            if ends_in_fork and (group_of[path[-1]] == group_of[fork] or path[-1] < fork):
                continue
            found.append(path)
    return found


def _stops(tree: _Tree, path: list[int], radius: float, is_limb: bool) -> list[int]:
    """Where along a path joints go, as positions in it."""
    way = _way(tree, path)
    total = float(way[-1])
    if not is_limb:
        middle = [int(np.searchsorted(way, total / 2))] if total > 0.12 * GRID else []
        return _around_bends(tree, path, [0, *middle, len(path) - 1])[:-1]
    leaves = min(0.75 * radius, 0.5 * total)
    rest = total - leaves
    marks = [leaves, leaves + rest / 2, total] if rest > 0.08 * GRID else [leaves, total]
    if leaves < 0.03 * GRID:
        marks = marks[1:]
    return _around_bends(tree, path, [0, *(min(int(np.searchsorted(way, mark)), len(path) - 1) for mark in marks)])


def _around_bends(tree: _Tree, path: list[int], stops: list[int]) -> list[int]:
    """The stops behind the first, with further ones halfway wherever a bone between two would leave the figure."""
    found: list[int] = []
    for first, last in pairwise(stops):
        points = tree.points[path[first : last + 1]].astype(np.float64)
        along, beside = points[-1] - points[0], points - points[0]
        off = np.abs(beside[:, 0] * along[1] - beside[:, 1] * along[0]) / max(float(np.hypot(*along)), 1e-9)
        way = _way(tree, path[first : last + 1])
        middle = first + int(np.searchsorted(way, way[-1] / 2))
        room = max(float(tree.radii[path[first : last + 1]].max()), BEND * GRID)
        if off.max() > room and first < middle < last:
            found += _around_bends(tree, path, [first, middle, last])
        else:
            found.append(last)
    return found


def _add_heads(
    tree: _Tree, groups: list[list[int]], points: list[Array], radii: list[float], edges: list[tuple[int, int]]
) -> None:
    """An end of its own for a thick fork behind a neck whose other branches are all thinner limbs."""
    group_of = {pixel: g for g, pixels in enumerate(groups) for pixel in pixels}
    inner: dict[int, list[tuple[int, list[int]]]] = {g: [] for g in range(len(groups))}
    for path in _segments(tree, group_of):
        if path[-1] in group_of:
            first, last = group_of[path[0]], group_of[path[-1]]
            inner[first].append((last, path))
            inner[last].append((first, path))
    for group, ways in inner.items():
        if len(ways) != 1:
            continue
        other, path = ways[0]
        if radii[group] < 1.25 * float(tree.radii[path].min()) or radii[group] < 0.03 * GRID:
            continue
        away = points[group] - points[other]
        points.append(points[group] + 0.6 * radii[group] * away / max(float(np.linalg.norm(away)), 1e-9))
        radii.append(radii[group])  # it stands for the head and its thickness
        edges.append((group, len(points) - 1))


def _rooted(points: Array, radii: Array, edges: list[tuple[int, int]], line: Array) -> Medial:
    near: list[list[int]] = [[] for _ in points]
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    root = max(range(len(points)), key=lambda i: (len(near[i]), radii[i]))
    order, parent = [root], {root: -1}
    for joint in order:  # grows while it is read
        for other in near[joint]:
            if other not in parent:
                parent[other] = joint
                order.append(other)
    number = {joint: i for i, joint in enumerate(order)}
    parents = np.array([number.get(parent[joint], -1) for joint in order], np.int32)
    return Medial(points[order], parents, radii[order], line)
