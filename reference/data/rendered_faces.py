"""Rendered faces with exact landmarks for large poses, in the form of :class:`reference.data.faces.Faces`.

A morphable head (see :mod:`reference.data.heads`) is posed, lit and drawn over a backdrop. Its skin is either painted
(tone, lips, brows, eyes, hair) or taken from a photographed face: the head is fitted to the photo's 68 points, the
photo's colours are put on the vertices, and the half that the photo hides is mirrored (the idea of face profiling:
Zhu et al., *Face alignment across large poses*, CVPR 2016, here without moving the photo's own background).

Landmarks follow the 300-W convention: on turned faces the far jaw points lie on the visible outline.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from reference.data.faces import CANVAS, CANVAS_SCALE, Faces, yaw_index
from reference.data.heads import HeadModel
from reference.errors import BadInput
from reference.geometry.mesh import Mesh, rotation, vertex_normals
from reference.geometry.raster import rasterize
from reference.inputs.square import square_around

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

OVERSAMPLING = 2
JAW = np.arange(17)
LIPS = np.arange(48, 60)
BROWS = (np.arange(17, 22), np.arange(22, 27))
FITTED_IDENTITIES = 40


@dataclass(frozen=True, eq=False)
class RenderedFace:
    """One head as a picture.

    Attributes:
        picture: (S, S, 3) uint8 RGB.
        cover: (S, S) float32 in [0, 1], the share of each pixel that the head covers.
        points: (68, 2) float32 landmarks in pixels, the centre of the first pixel at (0, 0).
        vertices: (N, 3) float32: x and y in the same pixels, z towards the viewer in the same unit.
        angles: yaw, pitch and roll in degrees, as :func:`reference.geometry.mesh.rotation` takes them.
    """

    picture: Picture
    cover: Floats
    points: Floats
    vertices: Floats
    angles: tuple[float, float, float]


class FacePainter:
    """Poses, colours and draws the heads of one model.

    Args:
        model: a head model with landmarks.

    Raises:
        BadInput: the model has no landmarks.
    """

    def __init__(self, model: HeadModel) -> None:
        if model.landmarks68 is None:
            raise BadInput("head model without landmarks, allowed is one that has them; use load_ict")
        self.model = model
        self.landmarks = model.landmarks68
        neutral = model.neutral
        corners = neutral[self.landmarks[[36, 45]]]
        self.unit = float(np.linalg.norm(corners[0] - corners[1]))  # distance of the outer eye corners
        self.center = neutral[self.landmarks[[0, 16, 27]]].mean(0)
        self._jaw_paths = [self._path(int(i)) for i in JAW]

    def draw_head(self, rng: np.random.Generator) -> Floats:
        """(N, 3) float32 vertices of a random identity and expression, in the model's unit."""
        return self.shape(self.model.draw_weights(rng))

    def shape(self, weights: Floats) -> Floats:
        """(N, 3) float32 vertices for (K,) weights of the model's offsets."""
        flat = weights.astype(np.float32) @ self.model.offsets.reshape(len(weights), -1)
        return self.model.neutral + flat.reshape(-1, 3)

    def render(
        self, vertices: Floats, colors: Floats, backdrop: Picture, rng: np.random.Generator, shaded: float = 1.0,
        size: int = CANVAS, margin: float = CANVAS_SCALE, yaw_limit: float = 85.0, oversampling: int = OVERSAMPLING,
    ) -> RenderedFace:  # fmt: skip
        """Draw a head in a random pose under random light.

        Args:
            vertices: (N, 3) as of :meth:`draw_head`.
            colors: (N, 3) float32 RGB in [0, 255].
            backdrop: any picture (H, W, 3) uint8 RGB; it is scaled to the canvas.
            shaded: 1 for painted skin; less for skin that a photo has lit already.
            size: side of the canvas in pixels.
            margin: side of the canvas in longer sides of the landmarks' box.
            yaw_limit: largest turn in degrees.
            oversampling: pixels drawn per pixel and axis; 1 is four times as fast and has jagged borders.
        """
        yaw = float(np.clip(rng.choice([rng.normal(0, 20), rng.uniform(-yaw_limit, yaw_limit)]), -yaw_limit, yaw_limit))
        angles = (yaw, float(np.clip(rng.normal(0, 10), -30, 30)), float(np.clip(rng.normal(0, 6), -20, 20)))
        turn = rotation(*angles)[:3, :3].astype(np.float32)
        turned = (vertices - self.center) @ turn.T / self.unit
        distance = rng.uniform(8, 30)  # of the camera, in outer eye distances: selfies to portraits
        turned = turned * (distance / (distance - turned[:, 2:])) ** np.array([1, 1, 0], np.float32)
        turned[:, 1] *= -1  # rows go down
        points = self._visible_landmarks(turned)
        fine = size * oversampling
        left, top, side = square_around(points, margin)
        scale = fine / side
        pixels = (turned - np.array([left, top, 0], np.float32)) * np.float32(scale)
        _, face, weights = rasterize(pixels, self.model.faces, fine, fine)
        lit = self._light(turned, colors, rng, shaded)
        corners = self.model.faces[np.maximum(face, 0)]
        drawn = np.einsum("hwk,hwkc->hwc", weights, lit[corners])
        seen = (face >= 0).astype(np.float32)
        # Averages of whole blocks: the head's colour is kept apart from the backdrop's until the share is known.
        cover = cv2.resize(seen, (size, size), interpolation=cv2.INTER_AREA)
        head = cv2.resize(drawn * seen[..., None], (size, size), interpolation=cv2.INTER_AREA)
        behind = cv2.resize(backdrop, (size, size), interpolation=cv2.INTER_AREA)
        picture = np.clip(head + behind * (1 - cover[..., None]), 0, 255).astype(np.uint8)
        shift = np.array([left, top], np.float32)
        points = (points - shift) * np.float32(size / side) - np.float32(0.5)
        placed = pixels / np.float32(oversampling) - np.array([0.5, 0.5, 0], np.float32)
        return RenderedFace(picture, np.asarray(cover, np.float32), points, placed, angles)

    def paint(self, rng: np.random.Generator) -> Floats:
        """(N, 3) float32 RGB in [0, 255]: random skin with lips, brows, eyes and, mostly, hair."""
        model, unit = self.model, self.unit
        place = (model.neutral - self.center) / unit
        tone = np.array([232, 190, 165], np.float32) * rng.uniform(0.25, 1.0) + rng.normal(0, 8, 3)
        colors = np.repeat(tone[None], len(place), 0)
        for _ in range(6):  # blotches from large to small
            wave = np.sin(place @ rng.normal(0, 4, 3) + rng.uniform(0, 6.3))
            colors = colors * (1 + 0.05 * rng.random() * wave[:, None])
        xy = model.neutral[:, :2]
        front = place[:, 2] > place[self.landmarks[[0, 16]], 2].mean()
        lips = _inside(xy, xy[self.landmarks[LIPS]]) & front
        colors[lips] *= np.array([1.0, 0.7, 0.72]) * rng.uniform(0.75, 1.05)
        hair = rng.choice([rng.uniform(10, 70), rng.uniform(70, 190)]) * np.array([1.0, 0.85, 0.7])
        for brow in BROWS:
            near = _distance_to_line(xy, xy[self.landmarks[brow]]) < 0.045 * unit * rng.uniform(0.6, 1.4)
            colors[near & front] = 0.35 * colors[near & front] + 0.65 * hair
        if rng.random() < 0.85:
            height = place[self.landmarks[[19, 24]], 1].mean() + rng.uniform(0.35, 0.75)
            scalp = place[:, 1] - 0.9 * np.minimum(place[:, 2], 0.3) > height - 0.15
            scalp |= (place[:, 2] < -0.35 - 0.3 * rng.random()) & (place[:, 1] > -0.6 * rng.random())
            colors[scalp] = hair * rng.uniform(0.85, 1.15, (int(scalp.sum()), 1))
        if rng.random() < 0.25:
            beard = (place[:, 1] < place[self.landmarks[33], 1]) & ~lips & (place[:, 1] > -1.9)
            colors[beard] = colors[beard] * 0.55 + 0.25 * hair
        if model.eyes is not None:
            colors[model.eyes] = self._eye_colors(model.eyes, rng)
        return colors.astype(np.float32)

    def from_photo(self, canvas: Picture, points: Floats) -> tuple[Floats, Floats]:
        """Fit the head to a photographed face that looks at the camera, and take its colours.

        Args:
            canvas: (H, W, 3) uint8 RGB.
            points: (68, 2) landmarks in its pixels.

        Returns:
            (N, 3) vertices of the fitted head and (N, 3) float32 colours in [0, 255].
        """
        weights, camera, shift = self.fit(points)
        vertices = self.shape(weights)
        projected = (vertices - self.center) @ camera.T
        place = projected[:, :2] + shift
        colors = _sample(canvas, place)
        towards = vertex_normals(Mesh(vertices, self.model.faces)) @ (camera[2] / np.linalg.norm(camera[2]))
        trust = np.clip(towards, 0.02, 1) ** 2
        height, width = canvas.shape[:2]
        inside = (place > 1).all(1) & (place < [width - 2, height - 2]).all(1)
        trust = np.where(inside, trust, 1e-3)[:, None]
        # Below the brows skin lies on the surface; above, hair stands off it and is only smeared onto the skull.
        other = self._mirror
        colors = (colors * trust + colors[other] * trust[other]) / (trust + trust[other])
        return vertices, colors.astype(np.float32)

    def fit(self, points: Floats, rounds: int = 6) -> tuple[Floats, Floats, Floats]:
        """Identity and expression weights and the camera that bring the landmarks near (68, 2) picture points.

        Scaled orthographic projection; weights by ridge regression, expressions kept within [0, 1].

        Returns:
            (K,) weights; (3, 3) scaled rotation with y down; (2,) shift in pixels.
        """
        offsets = self.model.offsets[:, self.landmarks]  # (K, 68, 3)
        count = len(offsets)
        used = np.r_[np.arange(min(FITTED_IDENTITIES, self.model.identities)), np.arange(self.model.identities, count)]
        ridge = np.where(used < self.model.identities, 1.0, 4.0)
        weights = np.zeros(count, np.float32)
        camera, shift = np.eye(3), np.zeros(2)
        for _ in range(rounds):
            solid = self.model.neutral[self.landmarks] + np.tensordot(weights, offsets, 1) - self.center
            camera, shift = _fit_camera(solid, points.astype(np.float64))
            base = (self.model.neutral[self.landmarks] - self.center) @ camera.T
            rest = (points - shift - base[:, :2]).ravel()
            directions = (offsets[used] @ camera.T)[..., :2].reshape(len(used), -1).T
            noise = 0.01 * np.linalg.norm(points[36] - points[45])
            system = directions.T @ directions / noise**2 + np.diag(ridge)
            weights[used] = np.linalg.solve(system, directions.T @ rest / noise**2).clip(-2.5, 2.5)
            weights[self.model.identities :] = weights[self.model.identities :].clip(0, 1)
        return weights, camera.astype(np.float32), shift.astype(np.float32)

    @cached_property
    def _mirror(self) -> NDArray[np.int64]:
        """(N,) the vertex on the other half of the face."""
        from scipy.spatial import cKDTree

        flipped = self.model.neutral * np.array([-1, 1, 1], np.float32)
        return np.asarray(cKDTree(self.model.neutral).query(flipped)[1])

    def _path(self, number: int) -> NDArray[np.int64]:
        """Vertices at the height of a jaw landmark, from it to the front: where its outline point may wander."""
        neutral = self.model.neutral
        start = neutral[self.landmarks[number]]
        # Angles about the axis through the head, the front at 0.
        azimuth = np.arctan2(neutral[:, 0] - self.center[0], neutral[:, 2] - self.center[2])
        own = float(np.arctan2(start[0] - self.center[0], start[2] - self.center[2]))
        level = np.abs(neutral[:, 1] - start[1]) < 0.03 * self.unit
        between = (np.sign(own) * azimuth >= 0) & (np.abs(azimuth) <= abs(own))
        skin = np.ones(len(neutral), bool) if self.model.eyes is None else ~self.model.eyes
        return np.union1d(np.flatnonzero(level & between & skin), self.landmarks[number : number + 1])

    def _visible_landmarks(self, turned: Floats) -> Floats:
        """(68, 2) landmarks of posed vertices; jaw points wander to the outline where the cheek hides them."""
        points = turned[self.landmarks, :2].copy()
        for number, path in zip(JAW, self._jaw_paths, strict=True):
            if number == 8:
                continue
            outward = -1 if number < 8 else 1
            points[number] = turned[path[np.argmax(outward * turned[path, 0])], :2]
        return points

    def _light(self, turned: Floats, colors: Floats, rng: np.random.Generator, shaded: float) -> Floats:
        upright = turned * np.array([1, -1, 1], np.float32)
        normals = vertex_normals(Mesh(upright.astype(np.float32), self.model.faces))
        light = np.array([rng.normal(0, 0.6), rng.normal(0.3, 0.4), 1.0])
        light /= np.linalg.norm(light)
        facing = normals @ light
        ambient = rng.uniform(0.35, 0.7)
        diffuse = ambient + (1.15 - ambient) * np.clip(facing, 0, 1)
        shine = rng.uniform(0, 50) * np.clip(2 * facing * normals[:, 2] - light[2], 0, 1) ** 12
        tint = 1 + rng.normal(0, 0.05, 3)
        full = colors * diffuse[:, None] * tint + shine[:, None]
        return (shaded * full + (1 - shaded) * colors).astype(np.float32)

    def _eye_colors(self, eyes: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
        """RGB of the eyeballs' vertices: white, iris and pupil about a common direction of gaze."""
        iris = rng.choice(np.array([[70, 45, 25], [60, 90, 130], [80, 100, 60], [40, 30, 25]]))
        x, y = rng.normal(0, 0.1, 2)
        gaze = np.array([x, y, 1.0]) / np.linalg.norm([x, y, 1.0])
        colors = np.full((len(eyes), 3), 225)
        for side in (-1, 1):
            ball = np.flatnonzero(eyes & (side * self.model.neutral[:, 0] > 0))
            place = self.model.neutral[ball]
            direction = place - (place.max(0) + place.min(0)) / 2
            direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
            angle = np.degrees(np.arccos(np.clip(direction @ gaze, -1, 1)))
            colors[ball] = np.where(angle[:, None] < 11, 12, np.where(angle[:, None] < 28, iris, 225))
        return np.asarray(colors[eyes])


def render_faces(
    models: list[HeadModel],
    count: int,
    seed: int = 0,
    photos: Faces | None = None,
    backdrops: list[Picture] | None = None,
) -> Faces:
    """Random rendered faces of every pose.

    Args:
        models: head models with landmarks, used in turn.
        photos: photographed faces; those that look at the camera give their skin to every other head.
        backdrops: pictures to draw the heads over; without them, plain colours.

    Returns:
        Faces whose source is ``rendered``.
    """
    painters = [FacePainter(model) for model in models]
    frontal = np.zeros(0, int) if photos is None else np.flatnonzero(np.abs(photos.yaw) < 0.2)
    canvases, points = [], []
    for number in tqdm(range(count), desc="rendering faces", leave=False, disable=None):
        rng = np.random.default_rng((seed, number))
        painter = painters[number % len(painters)]
        backdrop = _backdrop(backdrops, rng)
        if photos is not None and len(frontal) and rng.random() < 0.5 and painter.model.identities:
            chosen = int(rng.choice(frontal))
            vertices, colors = painter.from_photo(photos.canvases[chosen], photos.points[chosen])
            face = painter.render(vertices, colors, backdrop, rng, shaded=rng.uniform(0, 0.5))
        else:
            face = painter.render(painter.draw_head(rng), painter.paint(rng), backdrop, rng)
        canvases.append(face.picture)
        points.append(face.points)
    stacked = np.stack(points).astype(np.float32)
    yaw = np.array([yaw_index(p) for p in stacked], np.float32)
    return Faces(np.stack(canvases), stacked, yaw, ("rendered",) * count)


def _backdrop(backdrops: list[Picture] | None, rng: np.random.Generator) -> Picture:
    """A random part of a picture, or a colour that runs into another."""
    if backdrops and rng.random() < 0.8:
        picture = backdrops[int(rng.integers(len(backdrops)))]
        height, width = picture.shape[:2]
        side = int(min(height, width) * rng.uniform(0.5, 1))
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        return picture[top : top + side, left : left + side]
    corners = rng.uniform(0, 255, (2, 2, 3)).astype(np.float32)
    return np.asarray(cv2.resize(corners, (CANVAS, CANVAS)), np.uint8)


def _fit_camera(solid: Doubles, points: Doubles) -> tuple[Doubles, Doubles]:
    """Scaled rotation (3, 3), y down, and shift (2,) that bring (P, 3) points near (P, 2) picture points."""
    middle, center = solid.mean(0), points.mean(0)
    affine, *_ = np.linalg.lstsq(solid - middle, points - center, rcond=None)
    u, scales, vt = np.linalg.svd(affine.T, full_matrices=False)  # (2, 3) = u s vt
    rows = u @ vt
    camera = np.vstack([rows, -np.cross(rows[0], rows[1])]) * scales.mean()
    return camera, center - (camera @ middle)[:2]


def _sample(picture: Picture, place: Floats) -> Floats:
    """Colours (N, 3) float32 at (N, 2) pixel positions, bilinear, edges repeat."""
    x, y = place.astype(np.float32)[None].transpose(2, 0, 1)
    taken = cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(taken[0], np.float32)


def _inside(xy: Floats, outline: Floats) -> NDArray[np.bool_]:
    """Which of (N, 2) points lie in a polygon (P, 2)."""
    inside = np.zeros(len(xy), bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, 0), strict=True):
        crosses = (y0 > xy[:, 1]) != (y1 > xy[:, 1])
        at = x0 + (xy[:, 1] - y0) / np.where(y1 == y0, 1e-9, y1 - y0) * (x1 - x0)
        inside ^= crosses & (xy[:, 0] < at)
    return inside


def _distance_to_line(xy: Floats, line: Floats) -> Floats:
    """Distance (N,) of points to a polyline (P, 2)."""
    nearest = np.full(len(xy), np.inf, np.float32)
    for start, end in itertools.pairwise(line):
        step = end - start
        t = np.clip((xy - start) @ step / (step @ step), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(xy - start - t[:, None] * step, axis=1))
    return nearest
