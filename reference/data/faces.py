"""Faces with 68 landmarks (300-W order): one CSV format, crops, augmentation, templates.

The layout is ``<set>/annotations.csv`` beside the pictures; columns ``file, split, yaw_index, x0, y0 ... x67, y67``
(others are ignored). Coordinates are pixels with the centre of the top-left pixel at (0, 0).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from reference.data import augment
from reference.errors import BadInput
from reference.inputs.square import CROP_SCALE, roll_of, square_around, upright_square

POINTS = 68
CANVAS_SCALE = 2.2  # what is kept around a face, so that rotations and shifts find real pixels
CANVAS = 176
OCCLUDED = 0.3  # share of the training crops with a covered part (row T4)
WHOLLY_OCCLUDED = 0.08  # share of these that are covered entirely
OCCLUDED_WEIGHT = 1.3  # of these: between equal (1) and as if they were half of the crops (0.7 / 0.3), row T3

_MIRROR_PAIRS = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    (31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
)  # fmt: skip
MIRROR = np.arange(POINTS)
for _a, _b in _MIRROR_PAIRS:
    MIRROR[_a], MIRROR[_b] = _b, _a


@dataclass(frozen=True)
class Faces:
    """Canvases around faces, all of one size, with their landmarks.

    Attributes:
        canvases: (N, CANVAS, CANVAS, 3) uint8 RGB, a square of CANVAS_SCALE sides of the landmarks' box.
        points: (N, 68, 2) float32 in canvas pixels.
        yaw: (N,) float32 in [-1, 1], 0 is frontal.
        sources: the set that each face is from.
    """

    canvases: NDArray[np.uint8]
    points: NDArray[np.float32]
    yaw: NDArray[np.float32]
    sources: tuple[str, ...]


def yaw_index(points: NDArray[np.float32]) -> float:
    """Where the nose tip lies between the ends of the jaw, -1 to 1; 0 is frontal, negative points to the image's left.

    Args:
        points: (68, 2). Roll is taken out first, by the line through the eyes.
    """
    eyes = points[42:48].mean(0) - points[36:42].mean(0)
    along = eyes / max(1e-9, float(np.linalg.norm(eyes)))
    x = points @ along
    left, right = x[:3].mean(), x[14:17].mean()
    return float(np.clip(2 * (x[30] - left) / (right - left) - 1, -1, 1)) if right != left else 0.0


def cut_square(
    picture: NDArray[np.uint8], left: float, top: float, side: float, size: int, angle: float = 0.0
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Scale a square, turned by ``angle`` degrees about its centre, to size x size; beyond the border, edges repeat.

    Returns:
        The crop, and the 2x3 matrix from picture to crop pixels.
    """
    zoom = size / side
    cos, sin = np.cos(np.radians(angle)) * zoom, np.sin(np.radians(angle)) * zoom
    cx, cy = left + side / 2, top + side / 2
    middle = (size - 1) / 2
    matrix = np.array([[cos, -sin, middle - cos * cx + sin * cy], [sin, cos, middle - sin * cx - cos * cy]], np.float32)
    if zoom < 0.5:  # bilinear sampling alone would alias
        picture = cv2.GaussianBlur(picture, (0, 0), 0.35 / zoom)  # type: ignore[assignment]
    crop = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return crop, matrix  # type: ignore[return-value]


def load_faces(folder: Path, split: str, sets: tuple[str, ...] | None = None, corrected: bool = False) -> Faces:
    """Read every set of a folder.

    Args:
        corrected: take off each line's ``label_shift``, where there is one (:mod:`reference.train.label_shift`).

    Raises:
        BadInput: no annotations, a missing column or picture, a coordinate that is not a number, most points outside
            the picture, or left and right swapped.
    """
    tables = sorted(folder.glob("*/annotations.csv"))
    tables = [t for t in tables if sets is None or t.parent.name in sets]
    if not tables:
        raise BadInput(f"no */annotations.csv in {folder}; the layout is <set>/annotations.csv with <set>/<file>")
    canvases, points, yaw, sources = [], [], [], []
    for table in tables:
        with table.open(newline="") as lines:
            numbered = enumerate(csv.DictReader(lines), start=2)
            rows = [(number, row) for number, row in numbered if row.get("split") == split]
        for number, row in rows:
            try:
                xy = np.array([[float(row[f"x{i}"]), float(row[f"y{i}"])] for i in range(POINTS)], np.float32)
                xy -= float(row.get("label_shift") or 0) if corrected else 0
                file, turn = row["file"], float(row.get("yaw_index") or 0)
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(
                    f"{table} line {number}: {type(error).__name__} {error}; columns file, x0, y0 ... x67, y67 and, "
                    "if any, yaw_index need values"
                ) from error
            if not np.isfinite(xy).all():
                raise BadInput(f"{table} line {number}: a coordinate is not finite; remove the line or mend it")
            picture = cv2.imread(str(table.parent / file), cv2.IMREAD_COLOR)
            if picture is None:
                raise BadInput(f"{table} line {number}: can't read {file}; remove the line or mend the picture")
            height, width = picture.shape[:2]
            outside = ((xy < -0.5) | (xy > [width - 0.5, height - 0.5])).any(1).sum()
            if outside > POINTS / 2:
                raise BadInput(
                    f"{table} line {number}: {outside} of {POINTS} points lie outside {file} ({width} x {height}); "
                    "coordinates are pixels of that picture"
                )
            crop, matrix = cut_square(
                np.ascontiguousarray(picture[..., ::-1]), *square_around(xy, CANVAS_SCALE), CANVAS
            )
            canvases.append(crop)
            points.append(xy @ matrix[:, :2].T + matrix[:, 2])
            yaw.append(turn)
            sources.append(table.parent.name)
        _check_sides(table, points[len(points) - len(rows) :])
    if not canvases:
        raise BadInput(f"no face of split {split!r} in {folder}; the column split names train or val")
    return Faces(np.stack(canvases), np.stack(points).astype(np.float32), np.array(yaw, np.float32), tuple(sources))


def _check_sides(table: Path, points: Sequence[NDArray[np.float32]]) -> None:
    """Find an annotation file whose left and right are swapped: its faces are mirror images of faces.

    Raises:
        BadInput: more than half of the faces are; single ones may be strong profiles.
    """
    mirrored = 0
    for xy in points:
        across, down = xy[42:48].mean(0) - xy[36:42].mean(0), xy[48:60].mean(0) - xy[36:48].mean(0)
        mirrored += bool(across[0] * down[1] - across[1] * down[0] < 0)
    if points and mirrored > len(points) / 2:
        raise BadInput(
            f"{table}: left and right are swapped in {mirrored} of {len(points)} faces; point 36 is the corner of "
            "the eye on the picture's left, 45 on its right"
        )


def join(parts: Sequence[Faces]) -> Faces:
    """Several sets of faces as one."""
    return Faces(
        np.concatenate([f.canvases for f in parts]),
        np.concatenate([f.points for f in parts]),
        np.concatenate([f.yaw for f in parts]),
        tuple(source for f in parts for source in f.sources),
    )


def select(faces: Faces, chosen: NDArray[np.bool_]) -> Faces:
    """Some of the faces: (N,) bool."""
    sources = tuple(np.array(faces.sources)[chosen].tolist())
    return Faces(faces.canvases[chosen], faces.points[chosen], faces.yaw[chosen], sources)


@dataclass(frozen=True)
class Jitter:
    """How far training crops stray from the exact square.

    Attributes:
        angle: standard deviation of the rotation in degrees, cut at three times that.
        zoom: largest change of the side, in natural logarithms.
        shift: standard deviation of the shift, in sides.
        upright: rotate from the upright face and not from the face as it is (the second network of a cascade).
    """

    angle: float = 15.0
    zoom: float = 0.18
    shift: float = 0.04
    upright: bool = False


class FaceDataset(Dataset[tuple[Tensor, Tensor, float, Tensor]]):
    """Network crops with landmarks.

    Items are (image (3, size, size) float32 RGB in [0, 1], points (2, 68) in fractions of the crop, weight,
    attributes (3,): yaw index, roll in units of 45 degrees, share of the points that are artificially covered).
    A fraction f lies at pixel f * size - 0.5, so that 0 and 1 are the crop's outer borders.

    Args:
        jitter: random rotation, scale and shift; with it go flip, colour, blur and occlusion (row T4). None: the exact
            crop.
        weights: one per face, from the distribution of its attributes (row T3).
        occluded: without jitter: cover a random part of every face, the same one each time.
        offset: what every point is moved to the right and down, in fractions of the crop, after all changes: where
            the annotators' pixels are counted otherwise (:func:`reference.train.label_shift.usual_shift`).
    """

    def __init__(
        self,
        faces: Faces,
        size: int,
        jitter: Jitter | None = None,
        weights: NDArray[np.float32] | None = None,
        seed: int = 0,
        occluded: bool = False,
        upright: bool = False,
        offset: float = 0.0,
    ) -> None:
        self.faces = faces
        self.size = size
        self.jitter = jitter
        self.weights = np.ones(len(faces.yaw), np.float32) if weights is None else weights
        self.seed = seed
        self.epoch = 0
        self.occluded = occluded
        self.offset = offset
        self.upright = upright if jitter is None else jitter.upright

    def __len__(self) -> int:
        return len(self.faces.yaw)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, float, Tensor]:
        picture, xy = self.faces.canvases[index], self.faces.points[index]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        yaw, weight = float(self.faces.yaw[index]), float(self.weights[index])
        left, top, side, angle = upright_square(xy, CROP_SCALE) if self.upright else (*square_around(xy, CROP_SCALE), 0)
        if self.jitter is not None:
            most = 3 * self.jitter.angle
            angle += float(np.clip(rng.normal(0, self.jitter.angle), -most, most))
            zoom = np.exp(rng.uniform(-self.jitter.zoom, self.jitter.zoom))
            shift = rng.normal(0, self.jitter.shift, 2) * side
            left, top = left + shift[0] - side * (zoom - 1) / 2, top + shift[1] - side * (zoom - 1) / 2
            side *= zoom
        crop, matrix = cut_square(picture, left, top, side, self.size, angle)
        xy = xy @ matrix[:, :2].T + matrix[:, 2]
        covered = 0.0
        if self.jitter is not None:
            crop, xy, flipped = self._augment(crop, xy, rng)
            yaw = -yaw if flipped else yaw
        if self.occluded or (self.jitter is not None and rng.random() < OCCLUDED):
            before = crop
            # Now and then everything: there the templates and the mean of all faces are the only answer.
            whole = not self.occluded and rng.random() < WHOLLY_OCCLUDED
            crop = augment.random_occlusion(crop, rng, *((1.0, 1.0) if whole else ()))
            at = xy.round().astype(int).clip(0, self.size - 1)
            covered = float((crop[at[:, 1], at[:, 0]] != before[at[:, 1], at[:, 0]]).any(1).mean())
            weight *= OCCLUDED_WEIGHT
        image = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))).float() / 255
        fractions = torch.from_numpy(((xy + 0.5) / self.size + self.offset).T.astype(np.float32))
        return image, fractions, weight, torch.tensor([yaw, roll_of(xy) / 45, covered])

    def _augment(
        self, crop: NDArray[np.uint8], xy: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], bool]:
        flipped = bool(rng.random() < 0.5)
        if flipped:
            crop = np.ascontiguousarray(crop[:, ::-1])
            xy = (xy * [-1, 1] + [self.size - 1, 0])[MIRROR].astype(np.float32)
        if rng.random() < 0.7:
            crop = augment.random_color(crop, rng)
        if rng.random() < 0.2:
            crop = augment.random_blur(crop, rng, 1.2)
        if rng.random() < 0.2:
            crop = augment.random_resolution(crop, rng)
        return crop, xy, flipped


def attribute_weights(yaw: NDArray[np.float32], edges: tuple[float, ...] = (0.15, 0.3, 0.6)) -> NDArray[np.float32]:
    """Weight of each face from how rare its rotation is (row T3): inverse square root of the bin's share, mean 1."""
    bins = np.digitize(np.abs(yaw), edges)
    share = np.bincount(bins, minlength=len(edges) + 1) / len(yaw)
    weights = 1 / np.sqrt(share[bins])
    return (weights / weights.mean()).astype(np.float32)


def align_to(shape: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The centred ``shape`` (68, 2), turned and scaled by least squares onto the centred ``target``."""
    complex_shape = shape[:, 0] + 1j * shape[:, 1]
    complex_target = target[:, 0] + 1j * target[:, 1]
    factor = np.vdot(complex_shape, complex_target) / np.vdot(complex_shape, complex_shape)
    turned = complex_shape * factor
    return np.stack([turned.real, turned.imag], axis=1)


def learn_templates(points: NDArray[np.float32], count: int, seed: int = 0) -> NDArray[np.float32]:
    """Shape templates: Procrustes alignment, then k-means (row T1). Mirrored shapes are added first.

    Args:
        points: (N, 68, 2) landmarks in any pixel unit.

    Returns:
        (2 * 68, count) float32, a shape a column, x then y: centred, upright, outer eyes about 1 apart.
    """
    from scipy.cluster.vq import kmeans2

    shapes = np.concatenate([points, (points * [-1, 1])[:, MIRROR]]).astype(np.float64)
    shapes -= shapes.mean(1, keepdims=True)
    shapes /= np.linalg.norm(shapes, axis=(1, 2), keepdims=True)
    mean = shapes[0]
    for _ in range(5):  # converges in three or four rounds
        shapes = np.stack([align_to(shape, mean) for shape in shapes])
        mean = shapes.mean(0)
        roll = np.arctan2(*(mean[45] - mean[36])[::-1])  # outer eye corners: upright is horizontal
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        mean = mean @ turn
        mean /= np.linalg.norm(mean[45] - mean[36])
    shapes = np.stack([align_to(shape, mean) for shape in shapes])
    flat = shapes.reshape(len(shapes), -1)
    distinct = flat[np.unique(flat.round(4), axis=0, return_index=True)[1]]
    if len(distinct) <= count:  # too few to be grouped: each is a template, some of them twice
        centers = np.resize(distinct, (count, flat.shape[1]))
    else:
        centers, _ = kmeans2(flat, count, minit="++", rng=np.random.default_rng(seed))
    return centers.reshape(count, POINTS, 2).transpose(2, 1, 0).reshape(2 * POINTS, count).astype(np.float32)


def shape_range(points: NDArray[np.float32], templates: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2, 68, 2): lowest and highest place of every landmark over aligned shapes and their mirror images.

    Args:
        points: (N, 68, 2) landmarks in any pixel unit.
        templates: (2 * 68, K) as of :func:`learn_templates`; their mean is what shapes are aligned to.
    """
    mean = templates.mean(1).reshape(2, POINTS).T.astype(np.float64)
    shapes = np.concatenate([points, (points * [-1, 1])[:, MIRROR]]).astype(np.float64)
    aligned = np.stack([align_to(shape - shape.mean(0), mean) for shape in shapes])
    return np.stack([aligned.min(0), aligned.max(0)])
