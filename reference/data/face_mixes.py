"""Crops of photographs and of rendered heads of known shape, for the face reconstruction (document R)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from reference.data import augment
from reference.data.face_renders import HEADS_FILE, HeadShapes, Renders, cached_renders, load_head_shapes, render_heads
from reference.data.faces import MIRROR, Faces, cut_square, load_faces
from reference.geometry.face_topology import Topology, load_topology
from reference.geometry.similarity import align_shapes
from reference.inputs.square import CROP_SCALE, square_around
from reference.networks import face3d

Array = NDArray[np.float32]
VALIDATION_RENDERS = 1000
VALIDATION_SEED = 1


@dataclass(frozen=True, eq=False)
class Targets:
    """Shapes of rendered heads, turned and scaled onto the mean face: the pose takes up what was taken out.

    Attributes:
        neutral, shape: (N, V, 3) float16 in the topology's frame; ``placed``: (N, V, 2) float32 canvas pixels.
    """

    neutral: NDArray[np.float16]
    shape: NDArray[np.float16]
    placed: Array


class MixedFaces(Dataset[tuple[Tensor, Tensor, Tensor, int]]):
    """Crops of photographs and of rendered heads.

    Items are (image (3, 176, 176) float32 RGB in [0, 1]; landmarks (2, 68) in fractions of the crop; (2, 3) matrix from
    canvas pixels to fractions; number of the rendered head, -1 for a photograph). Photographs come first, rendered
    heads behind them.

    Args:
        augmented: random rotation, scale, shift and colour; photographs are also mirrored, blurred and covered.
            Rendered heads differ in all of this already, and a shape is learnt sooner from crops that are hardly
            disturbed.
    """

    def __init__(self, photos: Faces | None, renders: Faces | None, augmented: bool, seed: int = 0) -> None:
        self.sets = [faces for faces in (photos, renders) if faces is not None]
        self.photos = 0 if photos is None else len(photos.yaw)
        self.augmented = augmented
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return sum(len(faces.yaw) for faces in self.sets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, int]:
        rendered = index - self.photos if index >= self.photos else -1
        faces, own = (self.sets[-1], rendered) if rendered >= 0 else (self.sets[0], index)
        canvas, xy = faces.canvases[own], faces.points[own]
        left, top, side = square_around(xy, CROP_SCALE)
        angle = 0.0
        rng = np.random.default_rng((self.seed, self.epoch, index))
        if self.augmented:
            turn, grow, far = (15, 0.18, 0.04) if rendered < 0 else (3, 0.06, 0.015)
            angle = float(np.clip(rng.normal(0, turn), -3 * turn, 3 * turn))
            zoom = np.exp(rng.uniform(-grow, grow))
            shift = rng.normal(0, far, 2) * side
            left, top = left + shift[0] - side * (zoom - 1) / 2, top + shift[1] - side * (zoom - 1) / 2
            side *= zoom
        crop, matrix = cut_square(canvas, left, top, side, face3d.SIZE, angle)
        xy = xy @ matrix[:, :2].T + matrix[:, 2]
        if self.augmented and rendered < 0 and rng.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, ::-1])
            xy = (xy * [-1, 1] + [face3d.SIZE - 1, 0])[MIRROR]
        if self.augmented and rendered < 0:
            crop = _disturb(crop, rng)
        elif self.augmented and rng.random() < 0.2:
            crop = augment.random_color(crop, rng)
        image = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))).float() / 255
        points = torch.from_numpy(((xy + 0.5) / face3d.SIZE).T.astype(np.float32))
        matrix = matrix + np.array([[0, 0, 0.5]], np.float32)
        return image, points, torch.from_numpy(matrix.astype(np.float32) / face3d.SIZE), rendered


def _disturb(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.7:
        crop = augment.random_color(crop, rng)
    if rng.random() < 0.2:
        crop = augment.random_blur(crop, rng, 1.2)
    if rng.random() < 0.2:
        crop = augment.random_resolution(crop, rng)
    if rng.random() < 0.2:
        crop = augment.random_occlusion(crop, rng, 0.35)
    return crop


def make_targets(shapes: HeadShapes, renders: Renders, topology: Topology) -> Targets:
    """Shapes of the rendered heads without and with expression, each person's aligned to the mean face."""
    neutral, shape = (np.empty((len(renders.weights), *topology.mean.shape), np.float16) for _ in range(2))
    for start in range(0, len(neutral), 500):  # all at once they would take several gigabytes
        part = slice(start, start + 500)
        own = shapes.identity(renders.weights[part])
        scale, turn, shift = align_shapes(own, topology.mean)
        for to, heads in ((neutral, own), (shape, shapes.whole(renders.weights[part]))):
            to[part] = np.einsum("nij,nvj->nvi", turn, heads) * scale[:, None, None] + shift[:, None]
    return Targets(neutral, shape, renders.placed)


@dataclass(frozen=True, eq=False)
class Validation:
    """What the metrics are measured on; ``renders`` and ``shapes`` are None where the data have no head model."""

    topology: Topology
    photos: Faces
    renders: Faces | None
    shapes: Targets | None

    @classmethod
    def load(cls, data: Path, heads: Path | None = None, cache: Path | None = None) -> Validation:
        """Read the validation faces and, where the head model is there, render held-out heads in their skins.

        Args:
            heads: folder with the head model, ``data`` where it is None.
            cache: folder that keeps the renders for the next time.

        Raises:
            BadInput: the folder has no validation faces.
        """
        topology = load_topology()
        photos = load_faces(data, "val")
        if not ((heads or data) / HEADS_FILE).is_file():
            return cls(topology, photos, None, None)
        shapes = load_head_shapes(heads or data, topology)
        if cache is None:
            renders = render_heads(shapes, topology, photos, VALIDATION_RENDERS, VALIDATION_SEED)
        else:
            path = cache / "renders_val.npz"
            renders = cached_renders(path, shapes, topology, photos, VALIDATION_RENDERS, VALIDATION_SEED)
        targets = make_targets(shapes, renders, topology)
        return cls(topology, photos, renders.faces, targets)
