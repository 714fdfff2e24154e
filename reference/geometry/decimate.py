"""Fewer vertices for a mesh of which many shapes are known: edges collapse into one of their ends.

Because a vertex that stays never moves, the kept vertices of any other shape with the same numbering (another
identity, another expression) give its coarse mesh at once.

Source: Garland and Heckbert, *Surface Simplification Using Quadric Error Metrics*, SIGGRAPH 1997. Differs from the
source: only half-edge collapses, and the error is summed over several shapes, so that what is flat in one face but
folds in another stays.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

_BORDER_WEIGHT = 10.0  # an open border keeps its line
_SLIVER = 0.1  # normalised area below which a triangle counts as degenerate


def decimate(
    shapes: NDArray[np.floating],
    faces: NDArray[np.int32],
    count: int,
    locked: NDArray[np.int64],
    weights: NDArray[np.floating],
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Collapse the cheapest edges until ``count`` vertices are left.

    Args:
        shapes: (K, N, 3) vertex positions of K shapes; the first one must keep the direction of its triangles.
        faces: (M, 3) vertex numbers, an orientable surface, open or closed.
        count: vertices to keep.
        locked: numbers of vertices that must stay.
        weights: (N,) how much the surface around each vertex counts.

    Returns:
        (count,) ascending numbers of the kept vertices, and (M', 3) int32 faces that count in them.

    Raises:
        BadInput: ``count`` can't be reached without harm to the surface.
    """
    work = _Surface(np.asarray(shapes, np.float64), faces, np.asarray(weights, np.float64))
    work.locked[locked] = True
    left = len(work.around) - sum(not several for several in work.around)
    queue = [entry for u in range(len(work.around)) for entry in work.candidates(u)]
    heapq.heapify(queue)
    while left > count and queue:
        _, u, v, version = heapq.heappop(queue)
        if version != work.version[u] + work.version[v] or not work.allowed(u, v):
            continue
        for changed in work.collapse(u, v):
            for entry in work.candidates(changed):
                heapq.heappush(queue, entry)
        left -= 1
    if left > count:
        raise BadInput(f"{left} vertices are left, {count} were asked for; ask for more")
    corners = np.array([work.faces[f] for f in range(len(faces)) if work.alive[f]], np.int64)
    kept = np.unique(corners)
    return kept, np.searchsorted(kept, corners).astype(np.int32)


class _Surface:
    """A mesh under change: faces around each vertex, error quadrics, and versions that date queued edges."""

    def __init__(self, shapes: NDArray[np.float64], faces: NDArray[np.int32], weights: NDArray[np.float64]) -> None:
        self.faces = [[int(i) for i in face] for face in faces]
        self.alive = [True] * len(self.faces)
        self.around: list[set[int]] = [set() for _ in range(shapes.shape[1])]
        for number, face in enumerate(self.faces):
            for corner in face:
                self.around[corner].add(number)
        self.locked = np.zeros(shapes.shape[1], bool)
        self.version = [0] * shapes.shape[1]
        self.points = np.concatenate([shapes, np.ones((*shapes.shape[:2], 1))], axis=2).transpose(1, 0, 2).copy()
        self.first = shapes[0].copy()
        self.border: set[int] = set()
        self.quadrics = self._quadrics(shapes, np.asarray(faces), weights)

    def _quadrics(
        self, shapes: NDArray[np.float64], faces: NDArray[np.int32], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(N, K, 4, 4): squared distance to the planes of the touching triangles, by area and weight."""
        quadrics = np.zeros((shapes.shape[1], len(shapes), 4, 4))
        edges: dict[tuple[int, int], list[int]] = {}
        for number, face in enumerate(self.faces):
            for i in range(3):
                edge = (min(face[i], face[i - 1]), max(face[i], face[i - 1]))
                edges.setdefault(edge, []).append(number)
        a, b, c = (shapes[:, faces[:, i]] for i in range(3))
        normals = np.cross(b - a, c - a)  # (K, M, 3), twice the area long
        areas = np.linalg.norm(normals, axis=2, keepdims=True)
        unit = normals / np.maximum(areas, 1e-12)
        planes = np.concatenate([unit, -(unit * a).sum(2, keepdims=True)], axis=2)
        per_face = np.einsum("kmi,kmj,km->mkij", planes, planes, areas[..., 0])
        for i in range(3):
            np.add.at(quadrics, faces[:, i], per_face * weights[faces[:, i], None, None, None])
        for (u, v), owners in edges.items():
            if len(owners) != 1:
                continue
            self.border |= {u, v}
            along = shapes[:, v] - shapes[:, u]
            side = np.cross(along, unit[:, owners[0]])
            side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
            plane = np.concatenate([side, -(side * shapes[:, u]).sum(1, keepdims=True)], axis=1)
            error = np.einsum("ki,kj,k->kij", plane, plane, _BORDER_WEIGHT * (along**2).sum(1))
            for end in (u, v):
                quadrics[end] += error * weights[end]
        return quadrics

    def neighbours(self, u: int) -> set[int]:
        return {corner for f in self.around[u] for corner in self.faces[f]} - {u}

    def candidates(self, u: int) -> list[tuple[float, int, int, int]]:
        """Queue entries (error, from, to, version) of the collapses of u's edges, in both directions."""
        found = []
        for v in self.neighbours(u):
            both = self.quadrics[u] + self.quadrics[v]
            length = float(((self.first[u] - self.first[v]) ** 2).sum())
            for start, end in ((u, v), (v, u)):
                if not self.locked[start]:
                    p = self.points[end]
                    error = float(np.einsum("ki,kij,kj->", p, both, p))
                    # The length breaks ties on flat ground in favour of evenly sized triangles.
                    found.append((error + 1e-4 * length**2, start, end, self.version[u] + self.version[v]))
        return found

    def allowed(self, u: int, v: int) -> bool:
        """Whether u may move into v: the surface stays one, borders stay borders, no triangle turns over."""
        shared = self.around[u] & self.around[v]
        if not shared or (u in self.border and (v not in self.border or len(shared) != 1)):
            return False
        opposite = {corner for f in shared for corner in self.faces[f]} - {u, v}
        if (self.neighbours(u) & self.neighbours(v)) != opposite:
            return False
        for f in self.around[u] - shared:
            corners = self.faces[f]
            before = self.first[corners]
            after = self.first[[v if corner == u else corner for corner in corners]]
            old, new = (np.cross(p[1] - p[0], p[2] - p[0]) for p in (before, after))
            longest = max(float(((after[i] - after[i - 1]) ** 2).sum()) for i in range(3))
            area = float(np.linalg.norm(new))
            if area < _SLIVER * longest or old @ new < 0.3 * float(np.linalg.norm(old)) * area:
                return False
        return True

    def collapse(self, u: int, v: int) -> list[int]:
        """Move u into v; returns the vertices whose edges must be looked at again."""
        for f in self.around[u] & self.around[v]:
            self.alive[f] = False
            for corner in self.faces[f]:
                self.around[corner].discard(f)
        for f in self.around[u]:
            self.faces[f] = [v if corner == u else corner for corner in self.faces[f]]
            self.around[v].add(f)
        self.around[u] = set()
        self.quadrics[v] += self.quadrics[u]
        self.version[u] += 1 << 40  # never again
        self.version[v] += 1
        return [v]
