"""The face mesh that every reconstruction shares: some thousand vertices, their triangles, parts and landmarks.

The mesh is a fixed coarsening of ICT-FaceKit's head (USC Institute for Creative Technologies, MIT licence): its face
with ears and eyes, the front of the mouth's inside, and a little neck. ``python -m reference.geometry.face_topology
ict_facekit.npz`` makes ``models/face3d/topology.safetensors`` anew; any ICT head's vertices ``v`` become this mesh by
``v[topology.source]``.

Frame: decimetres, the origin in the middle of the landmarks of the mean head, x to the person's left (right in the
picture of a face that looks at the viewer), y up, z out of the face.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.card import MODELS_DIR
from reference.errors import BadInput

STORED = MODELS_DIR / "face3d" / "topology.safetensors"
REGIONS = ("other", "eyes", "brows", "nose", "mouth", "cheeks", "chin")
LANDMARKS = 68
JAW = 17
CONTOUR_STEPS = 10
VERTICES = 2500
EYE_CORNERS = (36, 45)
_SPREAD_BACK = -0.6  # decimetres: ears and the middle of the neck still count, what is behind them does not

_PARTS = {"face": 2270, "mouth_socket": 110, "eyeball_left": 60, "eyeball_right": 60}
_LOWEST_CM = -10.2  # the neck ends below the chin
_SOCKET_FRONT_CM = 7.0
_EYE_FRONT_CM = 7.9
_GROUPS = {"eyes": (36, 48), "brows": (17, 27), "nose": (27, 36), "mouth": (48, 68)}
_FILLED = {"eyes": 2, "mouth": 1}  # groups whose middle belongs to them, with the number of rings of points
_REACH_CM = {"eyes": 1.1, "brows": 1.0, "nose": 1.6, "mouth": 1.5}


@dataclass(frozen=True, eq=False)
class Topology:
    """What is common to all faces. The first 68 vertices are the landmarks (300-W order).

    Attributes:
        mean: (V, 3) float32 the mean head.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        regions: (V,) uint8 numbers into ``REGIONS``.
        contour: (17, S) int32, for each jaw landmark the vertices from it towards the middle of the face: in the
            "2-D" convention the jaw's points lie where this line meets the visible outline.
        outward: (17, 2) float32 unit directions, x and y, in which the frontal jaw looks at each of its landmarks.
        source: (V,) int32 vertex numbers in ICT-FaceKit.
    """

    mean: NDArray[np.float32]
    faces: NDArray[np.int32]
    regions: NDArray[np.uint8]
    contour: NDArray[np.int32]
    outward: NDArray[np.float32]
    source: NDArray[np.int32]


@lru_cache(maxsize=2)
def load_topology(path: Path = STORED) -> Topology:
    """The stored topology.

    Raises:
        BadInput: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return Topology(**load_file(path))
    except (OSError, SafetensorError, TypeError) as error:
        raise BadInput(f"can't read {path} ({error}); restore it from the repository") from error


def landmark_vertices(vertices: NDArray[np.floating], topology: Topology) -> NDArray[np.int64]:
    """(B, 68) numbers of the vertices that stand for the landmarks in these views; the jaw follows the outline.

    Args:
        vertices: (B, V, 3) or (B, V, 2) in a picture, x right, y down.
    """
    numbers = np.tile(np.arange(LANDMARKS), (len(vertices), 1))
    # The head's vertical in the picture, from the nose's bridge and tip and the eyes' middle to the chin.
    eyes = vertices[:, list(EYE_CORNERS), :2].mean(1)
    down = vertices[:, 8, :2] - eyes
    down = down / np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-9)
    right = np.stack([down[:, 1], -down[:, 0]], axis=1)
    directions = topology.outward[None, :, :1] * right[:, None] - topology.outward[None, :, 1:] * down[:, None]
    places = np.einsum("bjsx,bjx->bjs", vertices[:, topology.contour, :2], directions)
    numbers[:, :JAW] = np.take_along_axis(
        np.tile(topology.contour, (len(vertices), 1, 1)), places.argmax(2)[..., None], axis=2
    )[..., 0]
    return numbers


def spread_vertices(topology: Topology, count: int) -> NDArray[np.int64]:
    """(count,) vertices of the face, spread evenly between the landmarks: each the farthest from all before it."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size, faces = len(topology.mean), topology.faces
    pairs = coo_matrix((np.ones(faces.size), (faces.ravel(), np.roll(faces, 1, axis=1).ravel())), shape=(size, size))
    _, parts = connected_components(pairs, directed=False)
    allowed = (parts == parts[0]) & (topology.mean[:, 2] > _SPREAD_BACK)
    distance = np.linalg.norm(topology.mean[:, None] - topology.mean[:LANDMARKS], axis=2).min(1)
    chosen = []
    for _ in range(count):
        chosen.append(int(np.where(allowed, distance, -1).argmax()))
        distance = np.minimum(distance, np.linalg.norm(topology.mean - topology.mean[chosen[-1]], axis=1))
    return np.array(chosen, np.int64)


def build_topology(path: Path) -> Topology:
    """Make the topology from ``ict_facekit.npz``.

    Raises:
        BadInput: the file is another one.
    """
    from reference.geometry.decimate import decimate
    from reference.geometry.mesh import select_vertices, triangulate

    try:
        with np.load(path) as data:
            neutral, landmarks = data["neutral"].astype(np.float64), data["landmarks68"]
            triangles = triangulate(data["quads"], data["tris"])
            ranges = dict(zip(data["part_names"].tolist(), data["part_vertex_ranges"].tolist(), strict=True))
            shapes = _sample_shapes(data)
    except (OSError, KeyError, ValueError) as error:
        raise BadInput(f"{path} is not ict_facekit.npz ({error}); give the head model of the data pack") from error
    contour = _contour_lines(neutral, landmarks, ranges["face"])
    locked = np.unique(np.concatenate([landmarks, contour.ravel()]))
    weights = _detail_weights(neutral, landmarks)
    numbers, faces, count = [], [], 0
    for part, share in _PARTS.items():
        keep = np.zeros(len(neutral), bool)
        keep[slice(*ranges[part])] = True
        keep &= _wanted(part, neutral)
        used = np.flatnonzero(keep)
        fixed = np.searchsorted(used, locked[np.isin(locked, used)])
        kept, part_faces = decimate(shapes[:, used], select_vertices(triangles, keep), share, fixed, weights[used])
        numbers.append(used[kept])
        faces.append(part_faces + count)
        count += share
    return _in_order(np.concatenate(numbers), np.concatenate(faces), neutral, landmarks, contour)


def _wanted(part: str, neutral: NDArray[np.float64]) -> NDArray[np.bool_]:
    if part == "face":
        return np.asarray(neutral[:, 1] > _LOWEST_CM)
    return np.asarray(neutral[:, 2] > (_SOCKET_FRONT_CM if part == "mouth_socket" else _EYE_FRONT_CM))


def _sample_shapes(data: np.lib.npyio.NpzFile) -> NDArray[np.float64]:
    """(6, N, 3): the mean head, three people and two strong expressions; what must keep its form under coarsening."""
    rng = np.random.default_rng(0)
    neutral, names = data["neutral"].astype(np.float64), data["expr_names"].tolist()
    shapes = [neutral]
    identity = data["identity"].astype(np.float32)
    shapes += [neutral + np.tensordot(rng.standard_normal(len(identity)), identity, 1) for _ in range(3)]
    for chosen in (("eyeBlink_L", "eyeBlink_R", "jawOpen"), ("mouthSmile_L", "mouthSmile_R", "browInnerUp_L")):
        shapes.append(neutral + sum(data["expression"][names.index(name)].astype(np.float64) for name in chosen))
    return np.stack(shapes)


def _detail_weights(neutral: NDArray[np.float64], landmarks: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) how much the surface counts: most around eyes, nose and mouth, little at ears, neck and skull."""
    distance = np.linalg.norm(neutral[:, None] - neutral[landmarks[JAW:]], axis=2).min(1)
    weights = np.where(distance < 1.0, 12.0, np.where(distance < 2.5, 4.0, 1.0))
    weights *= np.where(neutral[:, 2] < 3.5, 0.12, 1)
    return np.asarray(weights * np.where(neutral[:, 1] < -8.5, 0.3, 1))


def _contour_lines(
    neutral: NDArray[np.float64], landmarks: NDArray[np.int64], face: tuple[int, int]
) -> NDArray[np.int64]:
    """(17, S) vertices of the face near the lines from each jaw landmark to the middle between nose and mouth."""
    first, end = face
    middle = neutral[landmarks[[33, 51]]].mean(0)
    lines = []
    for landmark in landmarks[:JAW]:
        start = neutral[landmark]
        # Towards the front the outline climbs over the cheek, so that x and y decide and z follows.
        target = np.array([0.25 * start[0], 0.55 * middle[1] + 0.45 * start[1]])
        steps = np.linspace(0, 1, CONTOUR_STEPS)[:, None]
        wanted = start[:2] + 0.75 * steps * (target - start[:2])
        front = neutral[first:end].copy()
        hidden = front[:, 2] < start[2] - 1.0
        distance = np.linalg.norm(front[None, :, :2] - wanted[:, None], axis=2) + np.where(hidden, 1e3, 0)
        line = first + distance.argmin(1)
        line[0] = landmark
        lines.append(line)
    return np.stack(lines)


def _in_order(
    numbers: NDArray[np.int64],
    faces: NDArray[np.int32],
    neutral: NDArray[np.float64],
    landmarks: NDArray[np.int64],
    contour: NDArray[np.int64],
) -> Topology:
    """Landmarks first, the other vertices in their own order behind them."""
    others = np.flatnonzero(~np.isin(numbers, landmarks))
    order = np.concatenate([[np.flatnonzero(numbers == n)[0] for n in landmarks], others])
    place = np.empty(len(numbers), np.int64)
    place[order] = np.arange(len(order))
    source = numbers[order]
    mean = (neutral[source] - neutral[landmarks].mean(0)) / 10
    lookup = {int(n): i for i, n in enumerate(source)}
    jaw = mean[:JAW, :2]
    along = np.gradient(jaw, axis=0)
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1)
    return Topology(
        mean=mean.astype(np.float32),
        faces=place[faces].astype(np.int32),
        regions=_label(mean * 10),
        contour=np.vectorize(lookup.__getitem__)(contour).astype(np.int32),
        outward=(outward / np.linalg.norm(outward, axis=1, keepdims=True)).astype(np.float32),
        source=source.astype(np.int32),
    )


def _label(mean_cm: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Part of the face of each vertex: of the nearest landmark group within its reach; then cheeks and chin."""
    labels = np.zeros(len(mean_cm), np.uint8)
    best = np.full(len(mean_cm), np.inf)
    x, y, z = mean_cm.T
    mouth, eyes = mean_cm[48:68].mean(0), mean_cm[36:48].mean(0)
    inside = z > mean_cm[1, 2] + 0.5
    cheeks = inside & (y < eyes[1] - 0.8) & (y > mouth[1] - 1.5)
    labels[cheeks] = REGIONS.index("cheeks")
    labels[inside & (y <= mouth[1] - 1.5) & (y > mean_cm[8, 1] - 0.6) & (np.abs(x) < 3.5)] = REGIONS.index("chin")
    for name, (first, end) in _GROUPS.items():
        points = mean_cm[first:end]
        if name in _FILLED:  # the middle of each belongs to it as well
            halves = np.split(points, _FILLED[name])
            points = np.concatenate([points, *(half.mean(0, keepdims=True) for half in halves)])
        distance = np.linalg.norm(mean_cm[:, None] - points[None], axis=2).min(1) / _REACH_CM[name]
        nearer = (distance < 1) & (distance < best)
        labels[nearer] = REGIONS.index(name)
        best[nearer] = distance[nearer]
    return labels


def main(arguments: list[str] | None = None) -> int:
    """Write the topology file."""
    return write_stored(
        "geometry.face_topology", lambda path: dict(vars(build_topology(path))), STORED, main.__doc__, arguments
    )


def write_stored(
    name: str,
    build: Callable[[Path], dict[str, NDArray[Any]]],
    stored: Path,
    about: str | None,
    arguments: list[str] | None,
) -> int:
    """Body of a command that makes a stored file from ``ict_facekit.npz``; returns the exit code.

    Args:
        name: of the module, for the usage.
        build: the file's tensors from the head model.
    """
    from safetensors.numpy import save_file

    parser = argparse.ArgumentParser(prog=f"python -m reference.{name}", description=about)
    parser.add_argument("heads", type=Path, help="ict_facekit.npz of the data pack")
    parser.add_argument("--out", type=Path, default=stored)
    a = parser.parse_args(arguments)
    try:
        tensors = build(a.heads)
    except BadInput as error:
        print(f"BadInput: {error}", file=sys.stderr)
        return error.exit_code
    a.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, a.out)
    print(f"{len(tensors)} tensors in {a.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
