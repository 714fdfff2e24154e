"""A user's own pictures in class folders, in whichever of three layouts: what is there, and what can't be used.

- ``<class>/<picture>``: a part of each class is held out for validation;
- ``{train,val}/<class>/<picture>``;
- ``{train,val}/<image type>/<class>/<picture>``, the layout of the built-in classifier.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from reference.data.augment import Picture
from reference.data.pictures import PictureFiles
from reference.errors import BadInput
from reference.inputs.preprocess import load_picture

SPLITS = ("train", "val")
HELD_OUT = 0.15  # of each class, where the folder has no split of its own
LARGEST_COUNT = 1000  # classes
SINGLE_TYPE = "picture"  # name of the image type where the folder has none
LAYOUTS = "<class>/<picture>, {train,val}/<class>/<picture> or {train,val}/<image type>/<class>/<picture>"


def has_types(folder: Path) -> bool:
    """Whether a folder's validation part has image types, or the folder is of no layout at all."""
    val = folder / "val"
    if val.is_dir():
        return not any(_files(inner) for inner in _folders(val))
    return not (folder.is_dir() and any(_files(inner) for inner in _folders(folder)))


def list_own_pictures(folder: Path, split: str, labels: Sequence[str] | None = None) -> PictureFiles:
    """The pictures of one split, by class and image type. Every file in a class folder counts as a picture.

    Args:
        split: ``train`` or ``val``.
        labels: class names that a trained network has; None takes them from the folder's training part.

    Raises:
        BadInput: the layout is none of the three, there is one class or more than 1000, a class has too few pictures,
            or two names differ in case or Unicode form only.
    """
    if not (folder / "train").is_dir():
        return _list_flat(folder, split, labels)
    if not (folder / "val").is_dir():
        raise BadInput(f"{folder} has train/ but no val/; allowed: {LAYOUTS}")
    typed = any(_folders(inner) for inner in _folders(folder / "train"))
    types = tuple(_by_name(folder / "train")) if typed else (SINGLE_TYPE,)
    roots = {kind: folder / split / kind if typed else folder / split for kind in types}
    classes = tuple(labels) if labels is not None else _class_names(folder / "train", typed)
    found: list[tuple[Path, int, int]] = []
    for number, (kind, root) in enumerate(roots.items()):
        if not root.is_dir():
            raise BadInput(f"no image type {kind!r} in {folder / split}; add pictures of it or remove it from train/")
        for name, place in _known(root, classes).items():
            found += [(path, classes.index(name), number) for path in _files(place)]
    for label, name in enumerate(classes):
        if not any(own == label for _, own, _ in found):
            raise BadInput(f"no picture of class {name!r} in {folder / split}; each class needs one or more there")
    return _as_files(found, classes, types)


def _list_flat(folder: Path, split: str, labels: Sequence[str] | None) -> PictureFiles:
    if not folder.is_dir():
        raise BadInput(f"no folder {folder}; allowed: {LAYOUTS}")
    classes = tuple(labels) if labels is not None else _check_names(folder, list(_by_name(folder)))
    found: list[tuple[Path, int, int]] = []
    for name, place in _known(folder, classes).items():
        files = _files(place)
        if len(files) < 2:
            raise BadInput(
                f"class {name!r} has {len(files)} pictures in {place}; each class needs 2 or more: one to train with, "
                "one to validate with"
            )
        held_out, rest = hold_out(files)
        found += [(path, classes.index(name), 0) for path in (held_out if split == "val" else rest)]
    if not found:
        raise BadInput(f"no class folder in {folder}; allowed: {LAYOUTS}")
    return _as_files(found, classes, (SINGLE_TYPE,))


def hold_out(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split a class's files into those held out, at least one, and the others; by name alone, so it stays the same."""
    count = max(1, round(HELD_OUT * len(files)))
    order = sorted(files, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    return sorted(order[:count]), sorted(order[count:])


def read_own_square(path: Path, side: int) -> Picture | None:
    """The centre square of a picture that an app could be given, (side, side, 3) RGB; None if it can't be read."""
    try:
        picture = load_picture(path)
    except BadInput:
        return None
    height, width = picture.shape[:2]
    s = min(height, width)
    top, left = (height - s) // 2, (width - s) // 2
    square = np.ascontiguousarray(picture[top : top + s, left : left + s])
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _class_names(train: Path, typed: bool) -> tuple[str, ...]:
    roots = _folders(train) if typed else [train]
    names = [_check_names(root, list(_by_name(root))) for root in roots]
    for root, own in zip(roots[1:], names[1:], strict=True):
        differing = set(own) ^ set(names[0])
        if differing:
            raise BadInput(f"class {min(differing)!r} is not in both {roots[0]} and {root}; each type needs each class")
    return names[0]


def _check_names(root: Path, names: list[str]) -> tuple[str, ...]:
    if not 2 <= len(names) <= LARGEST_COUNT:
        raise BadInput(f"{root} has {len(names)} class folders; allowed: 2 to {LARGEST_COUNT}; layouts: {LAYOUTS}")
    unprintable = next((name for name in names if not name.isprintable()), None)
    if unprintable is not None:
        raise BadInput(f"class folder {unprintable!r} in {root} has a name that can't be shown; rename it")
    return tuple(sorted(names))


def _by_name(root: Path) -> dict[str, Path]:
    """Folders by their name in Unicode's composed form, which file systems change."""
    found: dict[str, Path] = {}
    folded: dict[str, Path] = {}
    for path in _folders(root):
        name = unicodedata.normalize("NFC", path.name)
        other = folded.setdefault(unicodedata.normalize("NFC", name.casefold()), path)
        if other is not path:
            raise BadInput(
                f"folders {other.name!r} and {path.name!r} in {root} differ in case or Unicode form only; "
                "rename one or put their pictures together"
            )
        found[name] = path
    return found


def _known(root: Path, classes: Sequence[str]) -> dict[str, Path]:
    """Class folders of a place, none that ``classes`` lacks."""
    found = _by_name(root)
    unknown = set(found) - set(classes)
    if unknown:
        some = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        raise BadInput(f"unknown class {min(unknown)!r} in {root}; allowed: {some}")
    return found


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))


def _as_files(found: Sequence[tuple[Path, int, int]], classes: tuple[str, ...], types: tuple[str, ...]) -> PictureFiles:
    paths, labels, kinds = zip(*found, strict=True)
    return PictureFiles(tuple(paths), np.array(labels), np.array(kinds), classes, types)
