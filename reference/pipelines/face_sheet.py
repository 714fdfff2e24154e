"""The face mesh as it is shown and saved: its holes closed, its lower edge straight, and every vertex's place on a map.

The topology of the network (:mod:`reference.geometry.face_topology`) is open where nobody looks: between the lips,
behind the mouth's front, around the eyeballs and below. :func:`load_sheet` adds triangles, and a few vertices behind
the holes. The map is unrolled around a vertical axis through the head; eyeballs and the mouth's inside lie below on
islands of their own. It is mirrored left to right as the face is, so that the mirrored map is the other side's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reference.geometry.face_topology import Topology, load_topology

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

AXIS_Z = -0.55  # decimetres: the vertical axis that the face is unrolled around
WIDEST = 2.55  # radians to either side that the map holds
TOP, BOTTOM = 1.30, -1.05  # decimetres: heights that the map holds
FACE_SHARE = 0.88  # of the map's height; the rest belongs to the islands
_MOUTH_BACK = 0.10  # decimetres that the mouth's closing vertex lies behind its rim
_EYE_BACK = 0.16
_LOWEST_EDGE = -0.80  # below it lies the open edge of the neck
_SKIN_PART, _EYE_PARTS = 2000, 200  # vertices: a part with more is the skin, one with fewer than the other an eyeball


@dataclass(frozen=True, eq=False)
class Sheet:
    """The closed mesh.

    Attributes:
        faces: (F', 3) int32 counter-clockwise from outside; numbers from V on are copies, then closing vertices.
        copies: numbers of the lips' inner vertices, which have a second place on the map, with the mouth's inside.
        rims: for each closing vertex the numbers of the vertices whose mean it lies behind.
        backs: how far behind, in decimetres of the upright face.
        places: (V', 2) float32 on the map, x right and y down from 0 to 1.
        edge: numbers of the vertices of the neck's lower edge.
        inside: (V',) bool: of the mouth's inside and behind the eyes.
    """

    faces: Ints
    copies: Ints
    rims: tuple[Ints, ...]
    backs: tuple[float, ...]
    places: Floats
    edge: Ints
    inside: NDArray[np.bool_]

    def close(self, vertices: NDArray[np.floating], out: NDArray[np.floating], unit: float = 1.0) -> Floats:
        """(V', 3) vertices with the closing ones behind them.

        Args:
            vertices: (V, 3).
            out: (3,) direction out of the face, of length 1.
            unit: of the vertices in decimetres.
        """
        behind = [
            vertices[rim].mean(axis=0) - out * back / unit for rim, back in zip(self.rims, self.backs, strict=True)
        ]
        return np.concatenate([vertices, vertices[self.copies], np.stack(behind)]).astype(np.float32)

    def upright(self, shape: Floats) -> Floats:
        """(V', 3) an upright face (V, 3) in decimetres, closed, with a straight lower edge."""
        closed = self.close(shape, np.array([0.0, 0.0, 1.0]))
        closed[self.edge, 1] = np.median(closed[self.edge, 1])
        return closed


@lru_cache(maxsize=1)
def load_sheet() -> Sheet:
    """The closed mesh of the stored topology."""
    return make_sheet(load_topology())


def make_sheet(topology: Topology) -> Sheet:
    """Close a topology and unroll it."""
    mean, faces = topology.mean, topology.faces
    parts = _parts(faces, len(mean))
    sizes = np.bincount(parts)
    skin = int(sizes.argmax())
    loops = _open_loops(faces)
    of_skin = sorted((loop for loop in loops if parts[loop[0]] == skin), key=lambda loop: -np.ptp(mean[loop, 1]))
    outer, holes = of_skin[0], of_skin[1:]
    lips = min(holes, key=lambda loop: float(mean[loop, 1].mean()))
    eyes = [loop for loop in holes if loop is not lips]
    socket = [loop for loop in loops if sizes[parts[loop[0]]] not in (sizes[skin],) and _is_mouth(mean[loop])]
    front, back = sorted(socket, key=lambda loop: -float(mean[loop, 2].mean()))
    rims, backs = [back, *eyes], [_MOUTH_BACK, *(_EYE_BACK for _ in eyes)]
    twin = np.arange(len(mean) + len(lips), dtype=np.int32)
    twin[lips] = len(mean) + np.arange(len(lips))
    added = [_zip_loops(mean, lips, front)]
    added[0][np.isin(added[0], lips)] = twin[added[0][np.isin(added[0], lips)]]
    added += [_fan(rim, len(twin) + number) for number, rim in enumerate(rims)]
    closed = np.concatenate([faces, *added]).astype(np.int32)
    ends = np.stack([mean[rim].mean(axis=0) - [0, 0, behind] for rim, behind in zip(rims, backs, strict=True)])
    whole = np.concatenate([mean, mean[lips], ends])
    # The closing vertices belong to what they close.
    labels = np.concatenate([parts, np.full(len(lips) + 1, parts[back[0]]), [-1] * len(eyes)])
    mouth = labels == parts[back[0]]
    behind_eyes = labels == -1
    balls = np.isin(labels, np.flatnonzero((sizes < _EYE_PARTS) & (np.arange(len(sizes)) != parts[back[0]])))
    edge = outer[mean[outer, 1] < _LOWEST_EDGE]
    return Sheet(
        closed, lips, tuple(np.asarray(rim, np.int32) for rim in rims), tuple(backs),
        _unroll(whole, mouth, balls), np.asarray(edge, np.int32), mouth | behind_eyes,
    )  # fmt: skip


def _parts(faces: Ints, count: int) -> NDArray[np.int32]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = (faces.ravel(), np.roll(faces, -1, axis=1).ravel())
    _, labels = connected_components(coo_matrix((np.ones(len(pairs[0])), pairs), shape=(count, count)), directed=False)
    return np.asarray(labels, np.int32)


def _open_loops(faces: Ints) -> list[Ints]:
    """Lines of vertices along edges that belong to one triangle, each in the direction of its triangles."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = {(int(a), int(b)) for a, b in pairs}
    following: dict[int, list[int]] = defaultdict(list)
    for a, b in sorted(known):
        if (b, a) not in known:
            following[a].append(b)
    loops = []
    while following:
        start = next(iter(following))
        loop, here = [], start
        while here in following:
            loop.append(here)
            ways = following[here]
            here = ways.pop()
            if not ways:
                del following[loop[-1]]
        loops.append(np.array(loop, np.int32))
    return loops


def _is_mouth(points: Floats) -> bool:
    return float(points[:, 1].mean()) < 0 and abs(float(points[:, 0].mean())) < 0.1


def _fan(rim: Ints, middle: int) -> Ints:
    """Triangles from a loop to a vertex, which continue the surface beyond the loop."""
    following = np.roll(rim, -1)
    return np.stack([following, rim, np.full(len(rim), middle, np.int32)], axis=1)


def _zip_loops(points: Floats, first: Ints, second: Ints) -> Ints:
    """A strip of triangles between two loops around one opening, by their angles in the picture plane."""
    middle = points[first, :2].mean(axis=0)
    spread = np.maximum(np.ptp(points[first, :2], axis=0), 1e-6)

    def ordered(loop: Ints) -> tuple[Ints, NDArray[np.float64]]:
        off = (points[loop, :2] - middle) / spread  # a mouth is wide: angles of a circle
        angle = np.arctan2(off[:, 1], off[:, 0])
        order = np.argsort(angle)
        return loop[order], angle[order]

    (a, angle_a), (b, angle_b) = ordered(first), ordered(second)
    triangles, i, j = [], 0, 0
    while i < len(a) or j < len(b):
        next_a = angle_a[i + 1] if i + 1 < len(a) else angle_a[0] + 2 * np.pi if i < len(a) else np.inf
        next_b = angle_b[j + 1] if j + 1 < len(b) else angle_b[0] + 2 * np.pi if j < len(b) else np.inf
        if next_a <= next_b:
            triangles.append((a[i % len(a)], a[(i + 1) % len(a)], b[j % len(b)]))
            i += 1
        else:
            triangles.append((a[i % len(a)], b[(j + 1) % len(b)], b[j % len(b)]))
            j += 1
    return np.array(triangles, np.int32)


def _unroll(points: NDArray[np.floating], mouth: NDArray[np.bool_], balls: NDArray[np.bool_]) -> Floats:
    """(V', 2) places on the map of points of the mean face."""
    x, y, z = points.T
    angle = np.arctan2(x, z - AXIS_Z)
    places = np.stack([0.5 + angle / (2 * WIDEST), FACE_SHARE * (TOP - y) / (TOP - BOTTOM)], axis=1)
    _unroll_mouth(places, mouth, points)
    for side, box in ((-1, (0.08, FACE_SHARE + 0.01, 0.30, 0.99)), (1, (0.70, FACE_SHARE + 0.01, 0.92, 0.99))):
        _into(places, balls & (side * x > 0), points, box)
    return np.clip(places, 0, 1).astype(np.float32)


def _unroll_mouth(places: NDArray[np.floating], which: NDArray[np.bool_], points: NDArray[np.floating]) -> None:
    """The mouth's inside as a disc: the lips at its border, and the deeper, the nearer to its middle."""
    x, y, z = points[which].T
    across, down = x / max(float(np.ptp(x)), 1e-6), (y - (y.max() + y.min()) / 2) / max(float(np.ptp(y)), 1e-6)
    length = np.maximum(np.hypot(across, down), 1e-6)
    # The last vertex closes the mouth at its back.
    depth = (z - z[:-1].min()) / (z.max() - z[:-1].min())
    radius = np.where(np.arange(len(z)) < len(z) - 1, 0.45 + 0.55 * np.clip(depth, 0, 1), 0)
    island = np.stack([0.5 + 0.12 * radius * across / length, 0.94 - 0.055 * radius * down / length], axis=1)
    places[which] = island


def _into(
    places: NDArray[np.floating], which: NDArray[np.bool_], points: NDArray[np.floating], box: tuple[float, ...]
) -> None:
    """Put vertices into a box of the map as they look from the front."""
    own = points[which][:, :2] * [1, -1]
    low, high = own.min(axis=0), own.max(axis=0)
    share = (own - low) / (high - low)
    places[which] = np.array(box[:2]) + share * (np.array(box[2:]) - box[:2])
