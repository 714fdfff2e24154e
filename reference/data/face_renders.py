"""Pictures of heads whose shape is known: random ICT-FaceKit heads, painted or in the skin of photographed people.

:class:`reference.data.rendered_faces.FacePainter` draws them; here the shapes that belong to the pictures are kept, on
the vertices of the face topology. A photograph only lends its colours, never its fitted shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from reference.data.faces import Faces, join, yaw_index
from reference.data.heads import HeadModel, load_ict
from reference.data.rendered_faces import FacePainter
from reference.errors import BadInput
from reference.geometry.decimate import decimate
from reference.geometry.face_topology import Topology, landmark_vertices

HEADS_FILE = "ict_facekit.npz"
FRONTAL = 0.15  # largest yaw index of a photograph that lends its skin
TURNED = 0.3  # the same for varied skins: what a turned face hides is mirrored
PAINTED = 0.25  # share of heads in painted skin
LARGEST_SKINS = 1000
VARIED_SKINS = 2000
# Of varied skins: share of blends, and the deviation of the points that a head is fitted to a photograph by, in outer
# eye distances. As far off as fits are anyway; a skin that is never twice in the same place tells no shape by itself.
BLENDED, MISFIT = 0.7, 0.015
RENDERED_VERTICES = 7500
YAW_LIMIT = 60.0  # degrees; further round, half of the face is a guess

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeadShapes:
    """The head model on the topology's vertices, in the topology's frame.

    Attributes:
        model: the whole head.
        vertices: (V,) numbers of the topology's vertices in it.
        neutral: (V, 3); ``offsets``: (K, V, 3), identities first.
    """

    model: HeadModel
    vertices: NDArray[np.int64]
    neutral: Array
    offsets: Array

    def identity(self, weights: Array) -> Array:
        """(B, V, 3) heads without expression of (B, K) weights."""
        return self._add(weights[:, : self.model.identities], self.offsets[: self.model.identities])

    def whole(self, weights: Array) -> Array:
        """(B, V, 3) heads with expression."""
        return self._add(weights, self.offsets)

    def _add(self, weights: Array, offsets: Array) -> Array:
        moved = weights @ offsets.reshape(len(offsets), -1)
        return np.asarray(self.neutral + moved.reshape(len(weights), *self.neutral.shape), np.float32)


def load_head_shapes(folder: Path, topology: Topology) -> HeadShapes:
    """Read the head model of a data folder.

    Raises:
        BadInput: the file is missing.
    """
    path = folder / HEADS_FILE
    if not path.is_file():
        raise BadInput(f"no {HEADS_FILE} in {folder}; put the head model of the data pack beside the face sets")
    model = _coarsen(load_ict(path), topology)
    assert model.landmarks68 is not None
    with np.load(path) as data:
        whole = data["neutral"][topology.source]
    from scipy.spatial import cKDTree

    # The model keeps some parts of the file only; a vertex is recognised by its place.
    distance, vertices = cKDTree(model.neutral).query(whole)
    if distance.max() > 1e-4:
        raise BadInput(f"{path} does not fit models/face3d/topology.safetensors; make the topology anew from it")
    vertices[: len(model.landmarks68)] = model.landmarks68
    origin = model.neutral[model.landmarks68].mean(0)
    return HeadShapes(
        model,
        np.asarray(vertices, np.int64),
        ((model.neutral[vertices] - origin) / 10).astype(np.float32),
        np.ascontiguousarray(model.offsets[:, vertices] / 10, np.float32),
    )


def _coarsen(model: HeadModel, topology: Topology) -> HeadModel:
    """The same heads with a third of the vertices: at the size of the network's input no one sees the others."""
    from scipy.spatial import cKDTree

    assert model.landmarks68 is not None
    tree = cKDTree(model.neutral)
    origin = model.neutral[model.landmarks68].mean(0)
    _, needed = tree.query(topology.mean * 10 + origin)
    locked = np.unique(np.concatenate([needed, model.landmarks68]))
    eyes = np.zeros(len(model.neutral), bool) if model.eyes is None else model.eyes
    near, _ = cKDTree(model.neutral[model.landmarks68[17:]]).query(model.neutral)
    weights = np.where(eyes, 3.0, np.where(near < 2, 8.0, 1.0))
    kept, faces = decimate(model.neutral[None], model.faces, RENDERED_VERTICES, locked, weights)
    return replace(
        model,
        neutral=model.neutral[kept],
        faces=faces,
        offsets=model.offsets[:, kept],
        landmarks68=np.searchsorted(kept, model.landmarks68),
        eyes=eyes[kept],
    )


@dataclass(frozen=True, eq=False)
class Renders:
    """Rendered heads with what is known about them.

    Attributes:
        faces: canvases and landmarks, as photographs have them.
        weights: (N, K) of the head model.
        placed: (N, V, 2) float32 the topology's vertices in canvas pixels, the centre of the first pixel at (0, 0).
    """

    faces: Faces
    weights: Array
    placed: Array

    @classmethod
    def joined(cls, parts: list[Renders]) -> Renders:
        """One set of several."""
        together = (np.concatenate([getattr(part, name) for part in parts]) for name in ("weights", "placed"))
        return cls(join([part.faces for part in parts]), *together)


def take_skins(photos: Faces, painter: FacePainter, largest: int = LARGEST_SKINS) -> list[Array]:
    """Colours (N, 3) on the head's vertices of people who look at the camera."""
    chosen = _skinned(photos, FRONTAL)
    chosen = chosen[:: max(1, -(-len(chosen) // largest))]
    return [painter.from_photo(photos.canvases[i], photos.points[i])[1] for i in chosen]


def vary_skins(photos: Faces, painter: FacePainter, rng: np.random.Generator, count: int = VARIED_SKINS) -> list[Array]:
    """Colours (N, 3) of ``count`` people drawn at random, each time from a slightly different fit of the head."""
    skins: list[Array] = []
    people = _skinned(photos, TURNED)
    for number in rng.choice(people, count) if len(people) else people:
        points = photos.points[number]
        noise = rng.normal(0, MISFIT * np.linalg.norm(points[36] - points[45]), points.shape)
        skins.append(painter.from_photo(photos.canvases[number], points + noise.astype(np.float32))[1])
    return skins


def _skinned(photos: Faces, largest_yaw: float) -> NDArray[np.int64]:
    precise = np.array(photos.sources) != "youtube_faces"
    return np.flatnonzero((np.abs(photos.yaw) < largest_yaw) & (precise | ~precise.any()))


def blend(one: Array, other: Array, place: Array, rng: np.random.Generator) -> Array:
    """Mix two skins (N, 3) in shares that change slowly over (N, 3) places in outer eye distances, and their tone."""
    wave = np.sin(place @ rng.normal(0, 2, 3) + rng.uniform(0, 2 * np.pi))
    share = np.clip(rng.uniform(0, 0.6) + rng.uniform(0, 0.5) * wave, 0, 1)[:, None]
    mixed = (1 - share) * one + share * other
    return np.asarray(mixed * rng.uniform(0.8, 1.15) * (1 + rng.normal(0, 0.04, 3)), np.float32)


def render_heads(
    shapes: HeadShapes, topology: Topology, photos: Faces | None, count: int, seed: int, first: int = 0,
    varied: bool = False,
) -> Renders:  # fmt: skip
    """Make ``count`` pictures of random heads; the same seed and photographs give the same pictures.

    Args:
        first: number of the first head: others follow those of an earlier call.
        varied: photographed skins are fitted a little differently each time and are mostly blends of two, so that no
            one is known by their skin.
    """
    painter = FacePainter(shapes.model)
    skins: list[Array] = []
    if photos is not None and varied:
        skins = vary_skins(photos, painter, np.random.default_rng((seed, first, 1)))
    elif photos is not None:
        skins = take_skins(photos, painter)
    places = (shapes.model.neutral - painter.center) / painter.unit
    canvases, points, placed, weights = [], [], [], []
    for number in tqdm(range(first, first + count), desc="rendering heads", leave=False, disable=None):
        rng = np.random.default_rng((seed, number))
        drawn = shapes.model.draw_weights(rng)
        more = shapes.model.draw_weights(rng)  # people move several muscles at once
        drawn[shapes.model.identities :] = np.maximum(drawn, more)[shapes.model.identities :]
        painted = not skins or rng.random() < PAINTED
        colors = painter.paint(rng) if painted else skins[int(rng.integers(len(skins)))]
        if varied and not painted and rng.random() < BLENDED:
            colors = blend(colors, skins[int(rng.integers(len(skins)))], places, rng)
        backdrop = rng.uniform(0, 255, (2, 2, 3)).astype(np.uint8).repeat(88, 0).repeat(88, 1)
        if photos is not None:
            backdrop = photos.canvases[int(rng.integers(len(photos.canvases)))]
            left, top = rng.integers(0, len(backdrop) // 2, 2)
            backdrop = backdrop[top : top + len(backdrop) // 2, left : left + len(backdrop) // 2]
        shaded = 1.0 if painted else rng.uniform(0, 0.6)
        face = painter.render(
            painter.shape(drawn), colors, _enlarged(backdrop), rng, shaded, oversampling=1, yaw_limit=YAW_LIMIT
        )
        coarse = face.vertices[shapes.vertices]
        canvases.append(face.picture)
        points.append(coarse[landmark_vertices(coarse[None], topology)[0], :2])
        placed.append(coarse[:, :2])
        weights.append(drawn)
    stacked = np.stack(points).astype(np.float32)
    yaw = np.array([yaw_index(p) for p in stacked], np.float32)
    faces = Faces(np.stack(canvases), stacked, yaw, ("rendered",) * count)
    return Renders(faces, np.stack(weights).astype(np.float32), np.stack(placed).astype(np.float32))


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    # Half a picture at double size: whose face it was can no longer be taken for the head's.
    return cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def cached_renders(
    path: Path, shapes: HeadShapes, topology: Topology, photos: Faces | None, count: int, seed: int, first: int = 0,
    varied: bool = False,
) -> Renders:  # fmt: skip
    """:func:`render_heads`, or what an earlier run stored in ``path``; renders of another size are made anew."""
    if path.is_file():
        try:
            with np.load(path) as data:
                if (len(data["weights"]), int(data["seed"]), int(data["first"])) == (count, seed, first):
                    faces = Faces(data["canvases"], data["points"], data["yaw"], ("rendered",) * count)
                    return Renders(faces, data["weights"], data["placed"])
        except (OSError, KeyError, ValueError, EOFError) as error:
            raise BadInput(f"{path} is damaged ({error}); remove it to render anew") from error
    made = render_heads(shapes, topology, photos, count, seed, first, varied)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name("partial-" + path.name)
    np.savez(
        partial, canvases=made.faces.canvases, points=made.faces.points, yaw=made.faces.yaw,
        weights=made.weights, placed=made.placed, seed=seed, first=first,
    )  # fmt: skip
    partial.replace(path)  # a run that was stopped leaves no half file
    return made
