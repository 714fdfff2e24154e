"""What face scenes are composed of: faces with landmarks, and pictures without faces.

Faces come from folders of the faces68 layout (:mod:`reference.data.faces`). Backgrounds come from folders of the
classifier's layout, ``<split>/<image type>/<class>/*``, whose class ``person`` is left out, and of the saliency
network's, ``<split>/images`` with ``<split>/masks``, whose subjects are painted over, because they may be people;
pictures that ``models/face_detector/with_people.txt`` names are left out, because they show more of them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.card import MODELS_DIR
from reference.errors import BadInput

Picture = NDArray[np.uint8]
LANDMARKS = 68
LARGEST_SIDE = 320  # faces in a frame are rarely larger than the picture that the network sees
SMALLEST_LEVEL = 16
RENDERED_SIZE = 160
FRONTAL = 0.2  # largest yaw index of the photos that give rendered heads their skin
WITH_PEOPLE = ("person",)
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Face:
    """A picture with one face.

    Attributes:
        levels: the picture at its own size, half of it, a quarter and so on: (H, W, 3) uint8 RGB.
        landmarks: (68, 2) float32 in pixels of the first level, whose outer corner is (0, 0).
        covers: (H, W) uint8 of each level, 255 where the head is; None where nobody knows, as in photos.
    """

    levels: tuple[Picture, ...]
    landmarks: NDArray[np.float32]
    covers: tuple[NDArray[np.uint8], ...] | None = None

    @property
    def size(self) -> float:
        """Longer side of the landmarks' box."""
        return float(np.ptp(self.landmarks, axis=0).max())

    @property
    def center(self) -> NDArray[np.float32]:
        """Middle (2,) of the landmarks' box."""
        return (self.landmarks.min(0) + self.landmarks.max(0)) / 2


def five_points(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Eye centres, nose tip and corners of the mouth (5, 2) of 68 landmarks (68, 2) in 300-W order."""
    eyes = [landmarks[36:42].mean(0), landmarks[42:48].mean(0)]
    return np.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]]).astype(np.float32)


def make_face(picture: Picture, landmarks: NDArray[np.float32], cover: NDArray[np.uint8] | None = None) -> Face:
    """A face from a picture and its 68 landmarks, which are pixels with the first pixel's centre at (0, 0)."""
    scale = min(1.0, LARGEST_SIDE / max(picture.shape[:2]))
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    xy = ((landmarks + 0.5) * scale).astype(np.float32)
    return Face(_halves(picture), xy, None if cover is None else _halves(cover))


def _halves(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    levels = [np.ascontiguousarray(picture)]
    while min(levels[-1].shape[:2]) >= 2 * SMALLEST_LEVEL:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]
    return tuple(levels)


def load_faces(folder: Path, split: str) -> list[Face]:
    """Every face of a split of all sets in a folder of the faces68 layout.

    Raises:
        BadInput: no annotations, or a line that can't be used.
    """
    tables = sorted(folder.glob("*/annotations.csv"))
    if not tables:
        raise BadInput(f"no */annotations.csv in {folder}; the layout is <set>/annotations.csv with <set>/<file>")
    faces = []
    for table in tables:
        with table.open(newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines), start=2):
                if row.get("split") == split:
                    faces.append(_read_face(table, number, row))
    if not faces:
        raise BadInput(f"no face of split {split!r} in {folder}; the column split names train or val")
    return faces


def _read_face(table: Path, number: int, row: dict[str, str]) -> Face:
    try:
        xy = np.array([[float(row[f"x{i}"]), float(row[f"y{i}"])] for i in range(LANDMARKS)], np.float32)
        file = row["file"]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{table} line {number}: {error}; columns file, x0, y0 ... x67, y67 need values") from error
    if not np.isfinite(xy).all():
        raise BadInput(f"{table} line {number}: a coordinate is not finite; remove the line or mend it")
    picture = cv2.imread(str(table.parent / file), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadInput(f"{table} line {number}: can't read {file}; remove the line or mend the picture")
    return make_face(np.ascontiguousarray(picture[..., ::-1]), xy)


def load_rendered(heads: Path, data: Path, count: int, seed: int, cache: Path) -> list[Face]:
    """Rendered heads in any pose, half of them with the skin of photographed training faces.

    Args:
        heads: folder with ``ict_facekit.npz``.
        data: folder of the faces68 layout.
        cache: .npz file that keeps them, because one takes half a second.

    Raises:
        BadInput: no head model.
    """
    if not cache.is_file():
        _render(heads, data, count, seed, cache)
    with np.load(cache) as stored:
        parts = (stored[name] for name in ("pictures", "landmarks", "covers"))
        return [make_face(*face) for face in zip(*parts, strict=True)]


def _render(heads: Path, data: Path, count: int, seed: int, cache: Path) -> None:
    from reference.data.faces import load_faces as load_canvases
    from reference.data.heads import load_ict
    from reference.data.rendered_faces import FacePainter

    file = heads / "ict_facekit.npz"
    if not file.is_file():
        raise BadInput(f"no {file}; --heads names the folder with it")
    painter = FacePainter(load_ict(file))
    photos = load_canvases(data, "train")
    frontal = np.flatnonzero(np.abs(photos.yaw) < FRONTAL)
    drawn = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        plain = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)  # shows at the head's border alone
        if number % 2 and len(frontal):
            chosen = int(rng.choice(frontal))
            vertices, colors = painter.from_photo(photos.canvases[chosen], photos.points[chosen])
            shaded = float(rng.uniform(0, 0.5))
        else:
            vertices, colors, shaded = painter.draw_head(rng), painter.paint(rng), 1.0
        drawn.append(painter.render(vertices, colors, plain, rng, shaded, RENDERED_SIZE))
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        cache,
        pictures=np.stack([face.picture for face in drawn]),
        landmarks=np.stack([face.points for face in drawn]),
        covers=np.stack([np.round(face.cover * 255).astype(np.uint8) for face in drawn]),
    )


def load_backgrounds(folders: list[Path], split: str) -> list[Picture]:
    """Pictures without faces, (H, W, 3) uint8 RGB.

    Raises:
        BadInput: a folder has no picture of the split.
    """
    pictures = []
    for folder in folders:
        found = _without_subjects(folder / split) if (folder / split / "masks").is_dir() else _typed(folder / split)
        if not found:
            raise BadInput(
                f"no background in {folder}/{split}; the layout is <split>/<image type>/<class>/*, or <split>/images "
                "with <split>/masks"
            )
        pictures += found
    return pictures


def _typed(folder: Path) -> list[Picture]:
    files = sorted(f for f in folder.glob("*/*/*") if f.suffix.lower() in PICTURES)
    return [_read(f) for f in files if f.parent.name not in WITH_PEOPLE and f.parent.parent.name != "sketch"]


def _without_subjects(folder: Path) -> list[Picture]:
    left_out = set((MODELS_DIR / "face_detector" / "with_people.txt").read_text().split("\n"))
    pictures = []
    for mask_file in sorted((folder / "masks").glob("*.png")):
        file = next(iter(sorted((folder / "images").glob(f"{mask_file.stem}.*"))), mask_file)
        if f"{folder.name}/images/{file.name}" in left_out:
            continue
        picture = _read(file)
        mask = cv2.imread(str(mask_file), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        pictures.append(paint_over(picture, mask > 127))
    return pictures


def paint_over(picture: Picture, mask: NDArray[np.bool_]) -> Picture:
    """Replace what a mask marks by what surrounds it, blurred."""
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8))
    known = (1 - grown).astype(np.float32)
    filled = picture * known[..., None]
    result = picture.astype(np.float32)
    missing = grown > 0
    for sigma in (4, 12, 36, 108):
        weight = cv2.GaussianBlur(known, (0, 0), sigma)
        reach = missing & (weight > 0.02)
        blurred = cv2.GaussianBlur(filled, (0, 0), sigma)
        result[reach] = blurred[reach] / weight[reach][:, None]
        missing &= ~reach
    return np.clip(result, 0, 255).astype(np.uint8)


def _read(file: Path) -> Picture:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadInput(f"can't read {file}; remove or mend the picture")
    return np.ascontiguousarray(picture[..., ::-1])
