"""Pictures in class folders, several data sets at once: ``<data set>/<split>/<class>/**/<picture>``, for pretraining.

Every picture is decoded once, into a file of square thumbnails that is mapped into memory: a training then waits for
its network and not for JPEGs, and its memory does not grow with the data.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from reference.data import augment
from reference.data.pictures import SUFFIXES, read_square
from reference.errors import BadInput

SIDE = 112  # of stored pictures; smaller ones keep their size
SMALLEST_SIDE = 16
SMALLEST_CROP = 0.5  # share of the picture's area
SPLITS = ("train", "val")


@dataclass(frozen=True)
class LabelledSet:
    """One split of a data set.

    Attributes:
        name: of the data set's folder.
        pictures: (N, S, S, 3) uint8 RGB, mapped from disk.
        labels: (N,) class numbers.
        skipped: paths of the pictures that could not be read.
    """

    name: str
    class_names: tuple[str, ...]
    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    skipped: tuple[str, ...]


def open_sets(folders: Sequence[Path], split: str, store: Path) -> list[LabelledSet]:
    """Open one split of each data set, decoding what ``store`` does not hold yet.

    Raises:
        BadInput: two folders of one name, or one without this split, without classes or without a readable picture.
    """
    names = [folder.resolve().name if folder.name in ("", ".", "..") else folder.name for folder in folders]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"two data folders are called {twice!r}; a head is named after each: rename one")
    return [open_set(folder, name, split, store) for folder, name in zip(folders, names, strict=True)]


def open_set(folder: Path, name: str, split: str, store: Path) -> LabelledSet:
    """One split of one data set; see :func:`open_sets`."""
    classes, paths, labels = list_classes(folder, split)
    listing = "\n".join(f"{path.relative_to(folder)} {path.stat().st_size}" for path in paths)
    key = hashlib.sha256(listing.encode()).hexdigest()[:16]
    pictures, index = store / f"{name}-{split}-{key}.npy", store / f"{name}-{split}-{key}.json"
    if not index.is_file():
        _decode(folder, paths, labels, pictures, index)
    try:
        document = json.loads(index.read_text())
        mapped = np.load(pictures, mmap_mode="r")
        kept = np.array(document["labels"])
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{pictures} is damaged ({error}); remove it and {index.name} to decode anew") from error
    return LabelledSet(name, classes, mapped, kept, tuple(document["skipped"]))


def list_classes(folder: Path, split: str) -> tuple[tuple[str, ...], list[Path], NDArray[np.int64]]:
    """Class names (those of ``train``, sorted), paths and class numbers of one split of a data set.

    Raises:
        BadInput: a split is missing, there are fewer than two classes, an empty one, or one that training lacks.
    """
    for needed in SPLITS:
        if not (folder / needed).is_dir():
            raise BadInput(f"no folder {folder / needed}; the layout is <data set>/{{train,val}}/<class>/<picture>")
    classes = tuple(sorted(p.name for p in (folder / "train").iterdir() if p.is_dir()))
    if len(classes) < 2:
        raise BadInput(f"{folder / 'train'} has {len(classes)} class folders; at least 2 are needed")
    unknown = {p.name for p in (folder / split).iterdir() if p.is_dir()} - set(classes)
    if unknown:
        raise BadInput(f"class {min(unknown)!r} is in {folder / split} but not in {folder / 'train'}; add or remove it")
    paths: list[Path] = []
    labels: list[int] = []
    for label, class_name in enumerate(classes):
        files = sorted(_find(folder / split / class_name))
        if not files and split == "train":
            raise BadInput(f"no picture in {folder / split / class_name}; each class needs at least one")
        paths += files
        labels += [label] * len(files)
    if not paths:
        raise BadInput(f"no picture in {folder / split}; validation needs some")
    return classes, paths, np.array(labels)


def _find(folder: Path) -> list[Path]:
    # Not Path.rglob: until Python 3.13 it does not follow links to folders.
    walk = os.walk(folder, followlinks=True)
    return [Path(where) / name for where, _, names in walk for name in names if Path(name).suffix.lower() in SUFFIXES]


def _decode(folder: Path, paths: list[Path], labels: NDArray[np.int64], pictures: Path, index: Path) -> None:
    """Write the thumbnails and, last, their index: only a whole file has one."""
    pictures.parent.mkdir(parents=True, exist_ok=True)
    side = _common_side(paths)
    temporary = pictures.with_suffix(".tmp")
    out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(paths), side, side, 3))
    kept: list[int] = []
    skipped: list[str] = []
    for i, path in enumerate(tqdm(paths, desc=f"decoding {folder.name}", leave=False, disable=None)):
        square = read_square(path, side)
        if square is None:
            skipped.append(str(path))
            continue
        out[len(kept)] = square
        kept.append(i)
    if not kept:
        temporary.unlink()
        raise BadInput(f"not one of the {len(paths)} pictures in {folder} can be read, first {paths[0]}")
    out.flush()
    os.replace(temporary, pictures)
    # The unread pictures' places stay empty at the end of the file; no label points there.
    index.write_text(json.dumps({"labels": labels[kept].tolist(), "skipped": skipped}))


def _common_side(paths: list[Path]) -> int:
    """The median shorter side of some pictures, at most ``SIDE``."""
    some = (cv2.imread(str(path)) for path in paths[:: max(1, len(paths) // 50)])
    sides = [min(picture.shape[:2]) for picture in some if picture is not None]
    return int(np.clip(np.median(sides), SMALLEST_SIDE, SIDE)) if sides else SIDE


class LabelledPictures(Dataset[tuple[Tensor, int, int]]):
    """Several sets as one: items are (image (3, size, size) uint8 RGB, class number within its set, set number).

    Attributes:
        sets: set number of every item.
        epoch, size: may be changed between epochs; the random changes depend on the seed, the epoch and the item.
    """

    def __init__(self, parts: Sequence[LabelledSet], size: int, augmented: bool, seed: int = 0) -> None:
        self.parts = list(parts)
        self.size = size
        self.augmented = augmented
        self.seed = seed
        self.epoch = 0
        self.sets = np.repeat(np.arange(len(parts)), [len(part.labels) for part in parts])
        self.starts = np.cumsum([0, *(len(part.labels) for part in parts)])

    def __len__(self) -> int:
        return len(self.sets)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        number = int(self.sets[index])
        part = self.parts[number]
        own = index - int(self.starts[number])
        picture = np.asarray(part.pictures[own])
        if self.augmented:
            picture = self._augment(picture, np.random.default_rng((self.seed, self.epoch, index)))
        else:
            picture = fit(picture, self.size)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))), int(part.labels[own]), number

    def _augment(self, picture: augment.Picture, rng: np.random.Generator) -> augment.Picture:
        # Weaker than the classifier's changes: of so many pictures none is seen often enough to be learnt by heart.
        if rng.random() < 0.1:
            picture = augment.pencil_drawing(picture, rng)
        picture = augment.random_crop(picture, self.size, rng, SMALLEST_CROP)
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        if rng.random() < 0.3:
            picture = augment.random_color(picture, rng)
        if rng.random() < 0.1:
            picture = augment.random_quarter_turn(picture, rng)
        return picture


def fit(picture: augment.Picture, size: int) -> augment.Picture:
    """Scale a square picture to size x size."""
    interpolation = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_LINEAR
    return cv2.resize(picture, (size, size), interpolation=interpolation)  # type: ignore[return-value]
