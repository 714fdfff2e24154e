"""Pictures of heads whose shape is known: ICT-FaceKit heads in the skin of people from photographs.

The head model is fitted to the 68 landmarks of each frontal photograph, the photograph's colours are carried over to
the fitted head (:class:`Skins`), and new heads of random identity, expression and pose wear them. The shape of a
rendered head is exact; the photograph only lends its colours, so that a fit that is a little off does no harm.

Source of the idea of rendering faces from fits: Zhu et al., *Face Alignment Across Large Poses: A 3D Solution*, CVPR
2016. Differs from it: the pictures show random heads, not the turned head of the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.data.faces import CANVAS, CANVAS_SCALE, Faces
from reference.errors import BadInput
from reference.geometry.face_topology import LANDMARKS, Topology, landmark_vertices
from reference.geometry.mesh import rotation, select_vertices, triangulate
from reference.geometry.raster import rasterize

HEADS_FILE = "ict_facekit.npz"
_PARTS = ("face", "head_and_neck", "mouth_socket", "eye_socket_left", "eye_socket_right", "teeth",
          "eyeball_left", "eyeball_right")  # fmt: skip
_LARGEST_WEIGHT = 2.5
_FRONTAL = 0.12  # largest yaw index of a photograph that lends its skin
_FIT_IDENTITIES, _FIT_ROUNDS = 40, 6
_FIT_NOISE_CM = 0.25

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class IctHeads:
    """ICT-FaceKit in the topology's frame (decimetres, centred).

    Attributes:
        neutral: (N, 3) all vertices that are rendered.
        triangles: (M, 3) int32.
        offsets: (K, N, 3): identities, then expressions.
        identities: how many of the K are identities.
        expressions: for each expression that both sides of a face share, the numbers of its offsets.
        vertices: (V,) numbers of the topology's vertices among N.
    """

    neutral: Array
    triangles: NDArray[np.int32]
    offsets: Array
    identities: int
    expressions: tuple[tuple[int, ...], ...]
    vertices: NDArray[np.int64]

    def shapes(self, weights: Array, expressive: bool = True) -> Array:
        """(B, V, 3) topology vertices of (B, K) weights; without expression if not ``expressive``."""
        count = len(self.offsets) if expressive else self.identities
        offsets = self.offsets[:count, self.vertices].reshape(count, -1)
        return (self.neutral[self.vertices].reshape(-1) + weights[:, :count] @ offsets).reshape(len(weights), -1, 3)


def load_ict_heads(folder: Path, topology: Topology) -> IctHeads:
    """Read the head model from a data folder.

    Raises:
        BadInput: the file is missing or another one.
    """
    path = folder / HEADS_FILE
    if not path.is_file():
        raise BadInput(f"no {HEADS_FILE} in {folder}; put the head model of the data pack beside the face sets")
    with np.load(path) as data:
        ranges = dict(zip(data["part_names"].tolist(), data["part_vertex_ranges"].tolist(), strict=True))
        keep = np.zeros(len(data["neutral"]), bool)
        for part in _PARTS:
            keep[slice(*ranges[part])] = True
        origin = data["neutral"][data["landmarks68"]].mean(0)
        identities = len(data["identity"])
        offsets = np.concatenate([data["identity"][:, keep], data["expression"][:, keep]]).astype(np.float32) / 10
        pairs: dict[str, list[int]] = {}
        for number, name in enumerate(data["expr_names"].tolist()):
            pairs.setdefault(name.removesuffix("_L").removesuffix("_R"), []).append(identities + number)
        return IctHeads(
            neutral=((data["neutral"][keep] - origin) / 10).astype(np.float32),
            triangles=select_vertices(triangulate(data["quads"], data["tris"]), keep),
            offsets=np.ascontiguousarray(offsets),
            identities=identities,
            expressions=tuple(tuple(several) for several in pairs.values()),
            vertices=(np.cumsum(keep) - 1)[topology.source],
        )


@dataclass(frozen=True, eq=False)
class View:
    """Weak perspective: picture x = tx + scale * X, y = ty - scale * Y of the turned head X, Y, Z.

    Attributes:
        turn: (B, 3, 3) rotations; ``scale`` (B,) pixels per decimetre; ``shift`` (B, 2) pixels.
    """

    turn: Array
    scale: Array
    shift: Array

    def project(self, vertices: Array) -> Array:
        """(B, N, 3): x right and y down in pixels, z towards the viewer in the same unit, of (B, N, 3) heads."""
        turned = np.einsum("bij,bnj->bni", self.turn, vertices) * self.scale[:, None, None]
        turned[..., 0] += self.shift[:, None, 0]
        turned[..., 1] = self.shift[:, None, 1] - turned[..., 1]
        return turned.astype(np.float32)


def solve_view(heads: Array, points: Array) -> View:
    """The view in which (B, P, 3) head points come nearest to (B, P, 2) picture points (y down)."""
    up = points * np.array([1, -1], np.float32)
    head_mean, up_mean = heads.mean(1, keepdims=True), up.mean(1, keepdims=True)
    centred = heads - head_mean
    gram = np.einsum("bpi,bpj->bij", centred, centred)
    across = np.einsum("bpx,bpj->bxj", up - up_mean, centred)
    affine = np.linalg.solve(gram, across.transpose(0, 2, 1)).transpose(0, 2, 1)  # (B, 2, 3)
    u, s, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    turn = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    scale = s.mean(1)
    shift = up_mean[:, 0] - scale[:, None] * np.einsum("bxj,bj->bx", rows, head_mean[:, 0])
    return View(
        turn.astype(np.float32), scale.astype(np.float32), (shift * np.array([1, -1])).astype(np.float32)
    )


def fit_heads(points: Array, heads: IctHeads, topology: Topology) -> tuple[Array, View]:
    """Weights (B, K) and view of the heads whose landmarks come nearest to (B, 68, 2) picture points.

    Ridge regression with the model's own spread as prior, and the view, in turns.
    """
    used = np.concatenate([np.arange(_FIT_IDENTITIES), np.arange(heads.identities, len(heads.offsets))])
    spread = np.concatenate([np.ones(_FIT_IDENTITIES), np.full(len(used) - _FIT_IDENTITIES, 0.35)])
    basis = heads.offsets[used][:, heads.vertices]  # (U, V, 3)
    mean = heads.neutral[heads.vertices]
    weights = np.zeros((len(points), len(heads.offsets)), np.float32)
    numbers = np.tile(np.arange(LANDMARKS), (len(points), 1))
    for _ in range(_FIT_ROUNDS):
        shapes = heads.shapes(weights)
        landmarks = np.take_along_axis(shapes, numbers[..., None], axis=1)
        view = solve_view(landmarks, points)
        numbers = landmark_vertices(view.project(shapes), topology)
        for i, (own, target) in enumerate(zip(numbers, points, strict=True)):
            camera = view.scale[i] * view.turn[i, :2] * np.array([[1], [-1]], np.float32)
            design = np.einsum("xj,upj->pxu", camera, basis[:, own]).reshape(2 * LANDMARKS, -1)
            rest = (target - view.shift[i] - mean[own] @ camera.T).reshape(-1)
            noise = _FIT_NOISE_CM / 10 * view.scale[i]
            left = design.T @ design / noise**2 + np.diag(1 / spread**2)
            found = np.linalg.solve(left, design.T @ rest / noise**2)
            found[_FIT_IDENTITIES:] = found[_FIT_IDENTITIES:].clip(0, 1)
            weights[i, used] = found.clip(-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
    landmarks = np.take_along_axis(heads.shapes(weights), numbers[..., None], axis=1)
    return weights, solve_view(landmarks, points)


@dataclass(frozen=True, eq=False)
class Skins:
    """Colours of photographed people on the head model's vertices.

    Attributes:
        colors: (S, N, 3) uint8 RGB.
        canvases: the pictures that they are from, for backgrounds.
    """

    colors: NDArray[np.uint8]
    canvases: NDArray[np.uint8]


def take_skins(faces: Faces, heads: IctHeads, topology: Topology, largest: int = 400) -> Skins:
    """Fit the head model to the frontal faces and read their colours off the pictures.

    Raises:
        BadInput: no face is frontal.
    """
    chosen = np.flatnonzero((np.abs(faces.yaw) < _FRONTAL) & (np.array(faces.sources) != "youtube_faces"))
    if not len(chosen):
        chosen = np.flatnonzero(np.abs(faces.yaw) < _FRONTAL)
    if not len(chosen):
        raise BadInput("no frontal face in the data; rendered heads need some to take skins from")
    chosen = chosen[:: max(1, len(chosen) // largest)][:largest]
    weights, view = fit_heads(faces.points[chosen], heads, topology)
    fill = _nearest_seen(heads)
    colors = []
    for i, number in enumerate(chosen):
        head = heads.neutral + np.tensordot(weights[i], heads.offsets, 1)
        one = View(view.turn[i : i + 1], view.scale[i : i + 1], view.shift[i : i + 1])
        colors.append(_colors_of(faces.canvases[number], one.project(head[None])[0], heads, fill))
    return Skins(np.stack(colors), faces.canvases[chosen])


def _colors_of(
    canvas: NDArray[np.uint8], placed: Array, heads: IctHeads, mirrored: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """(N, 3) colours of one head placed over its picture; what is hidden takes from its other side or neighbours."""
    from scipy.spatial import cKDTree

    z_buffer, _, _ = rasterize(placed + np.array([0.5, 0.5, 0], np.float32), heads.triangles, CANVAS, CANVAS)
    x, y = placed[:, 0].clip(0, CANVAS - 1), placed[:, 1].clip(0, CANVAS - 1)
    ahead = z_buffer[y.round().astype(int), x.round().astype(int)]
    seen = (placed[:, 2] > ahead - 2.0) & (np.abs(placed[:, 0] - x) + np.abs(placed[:, 1] - y) == 0)
    sampled = cv2.remap(canvas, x[None], y[None], cv2.INTER_LINEAR)[0]
    colors = np.where(seen[:, None], sampled, sampled[mirrored])
    known = seen | seen[mirrored]
    tree = cKDTree(heads.neutral[known])
    _, near = tree.query(heads.neutral[~known], k=6)
    colors[~known] = colors[known][near].mean(1)
    return colors.astype(np.uint8)  # type: ignore[no-any-return]


def _nearest_seen(heads: IctHeads) -> NDArray[np.int64]:
    """(N,) for each vertex the one on the other side of the face."""
    from scipy.spatial import cKDTree

    _, other = cKDTree(heads.neutral).query(heads.neutral * np.array([-1, 1, 1]))
    return np.asarray(other, np.int64)


@dataclass(frozen=True, eq=False)
class Renders:
    """Rendered heads with everything that is known about them.

    Attributes:
        faces: canvases and landmarks, as photographs would have them.
        weights: (N, K) of the head model.
        view: how each head was placed in its canvas.
    """

    faces: Faces
    weights: Array
    view: View


def draw_weights(heads: IctHeads, rng: np.random.Generator) -> Array:
    """(K,) weights of a plausible person with a random expression."""
    weights = np.zeros(len(heads.offsets), np.float32)
    weights[: heads.identities] = rng.standard_normal(heads.identities).clip(-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
    for several in heads.expressions:
        if rng.random() < 0.12:
            weights[list(several)] = rng.uniform(0, 0.9)
    jaw_open = rng.random() < 0.35
    if jaw_open:
        weights[heads.identities + 30] = rng.uniform(0, 0.7)
    return weights


def draw_view(landmarks: Array, rng: np.random.Generator) -> View:
    """A random view that places (68, 3) landmarks as a photograph's canvas does."""
    yaw = rng.normal(0, 25) if rng.random() < 0.6 else rng.uniform(-75, 75)
    turn = rotation(float(yaw), float(rng.normal(0, 11)), float(rng.normal(0, 6)))[:3, :3].astype(np.float32)
    flat = (landmarks @ turn.T)[:, :2] * np.array([1, -1], np.float32)
    low, high = flat.min(0), flat.max(0)
    scale = CANVAS / CANVAS_SCALE / float((high - low).max())
    shift = CANVAS / 2 - 0.5 - scale * (low + high) / 2
    return View(turn[None], np.array([scale], np.float32), shift[None].astype(np.float32))


def render(heads: IctHeads, skins: Skins, topology: Topology, count: int, seed: int) -> Renders:
    """Make ``count`` pictures of random heads; the same seed gives the same pictures."""
    rng = np.random.default_rng(seed)
    canvases, points, turns, scales, shifts, weights = [], [], [], [], [], []
    for _ in range(count):
        w = draw_weights(heads, rng)
        head = heads.neutral + np.tensordot(w, heads.offsets, 1)
        view = draw_view(head[heads.vertices[:LANDMARKS]], rng)
        placed = view.project(head[None])[0]
        coarse = placed[heads.vertices][None]
        canvases.append(_paint(placed, heads, skins, rng))
        points.append(coarse[0, landmark_vertices(coarse, topology)[0], :2])
        turns.append(view.turn[0])
        scales.append(view.scale[0])
        shifts.append(view.shift[0])
        weights.append(w)
    yaw = np.degrees(np.arctan2(-np.array(turns)[:, 2, 0], np.array(turns)[:, 2, 2])).astype(np.float32) / 90
    faces = Faces(np.stack(canvases), np.stack(points), yaw, ("rendered",) * count)
    return Renders(faces, np.stack(weights), View(np.stack(turns), np.array(scales), np.stack(shifts)))


def _paint(placed: Array, heads: IctHeads, skins: Skins, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One canvas: the head in a random skin and light, over a blurred piece of another picture."""
    _, face, weights = rasterize(placed + np.array([0.5, 0.5, 0], np.float32), heads.triangles, CANVAS, CANVAS)
    seen = face >= 0
    corners = heads.triangles[face[seen]]
    skin = skins.colors[rng.integers(len(skins.colors))].astype(np.float32)
    color = np.einsum("pc,pcx->px", weights[seen], skin[corners])
    edges = placed[heads.triangles]
    normals = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]) * np.array([1, 1, -1])
    smooth = np.zeros_like(placed)
    for i in range(3):
        for axis in range(3):
            smooth[:, axis] += np.bincount(heads.triangles[:, i], normals[:, axis], len(placed))
    normal = np.einsum("pc,pcx->px", weights[seen], smooth[corners])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    light = rng.normal(0, 1, 3) * np.array([0.35, 0.3, 0.2])
    shade = np.clip(1 + normal @ light, 0.35, 1.6)[:, None] * (1 + rng.normal(0, 0.05, 3))
    backdrop = skins.canvases[rng.integers(len(skins.canvases))]
    left, top = rng.integers(0, CANVAS // 2, 2)
    picture = cv2.resize(backdrop[top : top + CANVAS // 2, left : left + CANVAS // 2], (CANVAS, CANVAS))
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 4))
    picture[seen] = np.clip(color * shade, 0, 255).astype(np.uint8)
    return picture  # type: ignore[return-value]
