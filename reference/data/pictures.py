"""Pictures in folders: ``<split>/<image type>/<class>/<file>``, for the classifier.

The layout of any user's own folder; there is no index file to keep in step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from tqdm import tqdm

from reference.data import augment
from reference.data.drawings import measure_outline
from reference.errors import BadInput
from reference.inputs.preprocess import load_picture, preprocess_picture
from reference.spec import PreprocessSpec

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
CACHE_SIDE = 160
QUARTER_TURNS = 0.25  # share of the samples (row I4)


@dataclass(frozen=True)
class PictureFiles:
    """Paths with their class and image-type numbers, in a stable order."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    types: NDArray[np.int64]
    class_names: tuple[str, ...]
    type_names: tuple[str, ...]


def list_pictures(
    folder: Path, split: str, class_names: tuple[str, ...], type_names: tuple[str, ...] | None = None
) -> PictureFiles:
    """Find the pictures of one split.

    Args:
        type_names: image types that must all be there with every class, for training; None takes whatever image types
            and classes the folder has, for evaluation.

    Raises:
        BadInput: the split, an image type or a class is missing or empty, or a class is unknown.
    """
    root = folder / split
    if not root.is_dir():
        raise BadInput(f"no folder {root}; the layout is <split>/<image type>/<class>/<picture>")
    complete = type_names is not None
    if type_names is None:
        type_names = tuple(sorted(p.name for p in root.iterdir() if p.is_dir()))
        if not type_names:
            raise BadInput(f"no image type in {root}; the layout is <split>/<image type>/<class>/<picture>")
    paths: list[Path] = []
    labels: list[int] = []
    types: list[int] = []
    for type_number, type_name in enumerate(type_names):
        if not (root / type_name).is_dir():
            raise BadInput(
                f"no image type {type_name!r} in {root}, so no batch can hold every type; "
                f"add pictures of each of: {', '.join(type_names)}"
            )
        unknown = {p.name for p in (root / type_name).iterdir() if p.is_dir()} - set(class_names)
        if unknown:
            raise BadInput(f"unknown class {min(unknown)!r} in {root / type_name}; allowed: {', '.join(class_names)}")
        for label, class_name in enumerate(class_names):
            if not complete and not (root / type_name / class_name).is_dir():
                continue
            files = sorted(p for p in (root / type_name / class_name).glob("*") if p.suffix.lower() in SUFFIXES)
            if not files:
                raise BadInput(f"no pictures in {root / type_name / class_name}; each class needs at least one")
            paths += files
            labels += [label] * len(files)
            types += [type_number] * len(files)
    if not paths:
        raise BadInput(f"no class folder in {root}; allowed: {', '.join(class_names)}")
    return PictureFiles(tuple(paths), np.array(labels), np.array(types), class_names, type_names)


def complete_drawings(
    files: PictureFiles, type_name: str, smallest: float
) -> tuple[PictureFiles, list[tuple[Path, float]]]:
    """Leave out drawings whose outline is too incomplete (row I5).

    Args:
        type_name: the image type that is line drawings; other types stay whole.
        smallest: completeness below which a drawing goes (:func:`reference.data.drawings.measure_outline`).

    Returns:
        The files that stay, and (file, completeness) of those that went.

    Raises:
        BadInput: a class would lose its last drawing.
    """
    kind = files.type_names.index(type_name)
    kept: list[int] = []
    removed: list[tuple[Path, float]] = []
    for i, path in enumerate(tqdm(files.paths, desc="measuring outlines", leave=False, disable=None)):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if files.types[i] == kind else None
        completeness = (
            1.0 if picture is None else measure_outline(np.ascontiguousarray(picture[..., ::-1])).completeness
        )
        if completeness < smallest:
            removed.append((path, completeness))
        else:
            kept.append(i)
    left = set(zip(files.types[kept].tolist(), files.labels[kept].tolist(), strict=True))
    lost = [path for path, _ in removed if (kind, files.class_names.index(path.parent.name)) not in left]
    if lost:
        raise BadInput(f"every drawing in {lost[0].parent} is below {smallest}; use a smaller --min-outline")
    return _select(files, kept), removed


class PictureDataset(Dataset[tuple[Tensor, int, int]]):
    """Decoded pictures, kept in memory, augmented on the way out.

    Items are (image (3, size, size) float32 RGB in [0, 1], class number, image-type number).

    Attributes:
        files: what is in the set; unreadable pictures are left out.
        skipped: paths of the unreadable pictures.

    Args:
        size: side of the network input in pixels; may be changed between epochs.
        augmented: apply the random changes of row I4 and the changes of style; otherwise the centre square, scaled.
        seed: the random changes depend on the seed, the epoch and the item alone.
        read: gives the centre square of a file, (side, side, 3) RGB, or None if it can't be read.

    Raises:
        BadInput: not one picture of a class and image type can be read.
    """

    def __init__(
        self,
        files: PictureFiles,
        size: int,
        augmented: bool,
        seed: int = 0,
        read: Callable[[Path, int], augment.Picture | None] | None = None,
    ) -> None:
        self.size = size
        self.augmented = augmented
        self.seed = seed
        self.epoch = 0
        self.smallest_crop = 0.25  # share of the picture's area
        self.skipped: list[Path] = []
        side = max(CACHE_SIDE, size)
        self.pictures = np.zeros((len(files.paths), side, side, 3), np.uint8)
        kept: list[int] = []
        for i, path in enumerate(files.paths):
            square = (read or read_square)(path, side)
            if square is None:
                self.skipped.append(path)
                continue
            kept.append(i)
            self.pictures[i] = square
        if self.skipped:
            self.pictures = self.pictures[kept]
        self.files = _select(files, kept) if self.skipped else files

    def __len__(self) -> int:
        return len(self.files.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        picture = self.pictures[index]
        if self.augmented:
            picture = self._augment(picture, np.random.default_rng((self.seed, self.epoch, index)))
        else:
            picture = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 255
        return image, int(self.files.labels[index]), int(self.files.types[index])

    def _augment(self, picture: augment.Picture, rng: np.random.Generator) -> augment.Picture:
        style = rng.random()
        if style < 0.3:
            picture = augment.match_color(picture, self.pictures[rng.integers(len(self.pictures))])
        elif style < 0.4:
            picture = augment.pencil_drawing(picture, rng)
        if rng.random() < 0.3:
            picture = augment.random_rotation(picture, rng)
        picture = augment.random_crop(picture, self.size, rng, self.smallest_crop)
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        if rng.random() < 0.8:
            picture = augment.random_color(picture, rng)
        if rng.random() < 0.1:
            picture = augment.random_blur(picture, rng)
        if rng.random() < 0.1:
            picture = augment.random_resolution(picture, rng)
        if rng.random() < QUARTER_TURNS:
            picture = augment.random_quarter_turn(picture, rng)
        return picture


def read_square(path: Path, side: int) -> augment.Picture | None:
    """The centre square of a picture file, (side, side, 3) RGB; None if it can't be read."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    height, width = picture.shape[:2]
    s = min(height, width)
    top, left = (height - s) // 2, (width - s) // 2
    square = np.ascontiguousarray(picture[top : top + s, left : left + s, ::-1])
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _select(files: PictureFiles, kept: list[int]) -> PictureFiles:
    """Some of the files; each class of each image type must keep at least one."""
    left = replace(files, paths=tuple(files.paths[i] for i in kept), labels=files.labels[kept], types=files.types[kept])
    lost = {p.parent for p in files.paths} - {p.parent for p in left.paths}
    if lost:
        raise BadInput(f"no picture in {min(lost)} can be read; each class needs at least one: restore the files")
    return left


class PreparedPictures(Dataset[tuple[Tensor, int, int]]):
    """Pictures as an app prepares them, for evaluation: (input tensor (3, H, W), class number, image-type number).

    Read from disk at every use, because a folder of large photos would not fit into memory.

    Attributes:
        skipped: paths of the unreadable pictures, known once the set was read; their class number is -1.
    """

    def __init__(self, files: PictureFiles, preprocess: PreprocessSpec) -> None:
        self.files = files
        self.preprocess = preprocess
        self.skipped: list[Path] = []

    def __len__(self) -> int:
        return len(self.files.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        kind = int(self.files.types[index])
        try:
            tensor, _ = preprocess_picture(load_picture(self.files.paths[index]), self.preprocess)
        except BadInput:
            self.skipped.append(self.files.paths[index])
            return torch.zeros(3, *self.preprocess.size), -1, kind
        return torch.from_numpy(tensor[0]), int(self.files.labels[index]), kind


class AllTypesSampler(Sampler[list[int]]):
    """Batches that each hold every image type (row I3); the share of a type may be set.

    An epoch has as many items as the data set; a small type repeats, a large one is sampled without replacement.

    Args:
        types: image-type number of every item.
        per_type: items of each type in a batch.
        part, parts: of several processes that train together, each takes every ``parts``-th item of a batch.
    """

    def __init__(
        self, types: NDArray[np.int64], per_type: tuple[int, ...], seed: int = 0, part: int = 0, parts: int = 1
    ) -> None:
        self.groups = [np.flatnonzero(types == t) for t in range(len(per_type))]
        if any(len(g) == 0 for g in self.groups):
            empty = [t for t, g in enumerate(self.groups) if len(g) == 0]
            raise BadInput(f"no pictures of image types {empty}; every batch holds all types: add pictures")
        if min(per_type) < parts:
            raise BadInput(
                f"a batch holds {per_type} pictures of the types; at least {parts} of each is needed: "
                "use a larger batch"
            )
        self.part, self.parts = part, parts
        self.per_type = per_type
        self.seed = seed
        self.epoch = 0
        self.batches = len(types) // sum(per_type)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        columns = []
        for group, count in zip(self.groups, self.per_type, strict=True):
            needed = self.batches * count
            rounds = -(-needed // len(group))
            order = np.concatenate([rng.permutation(group) for _ in range(rounds)])[:needed]
            columns.append(order.reshape(self.batches, count)[:, self.part :: self.parts])
        yield from np.concatenate(columns, axis=1).tolist()
