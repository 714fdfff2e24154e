"""Calibration samples: training inputs by seed and hash, never what accuracy is measured on.

A folder is read as the first of these that it is:

1. a data set with head models (``*.npz``), for models that take depth: random heads of the training identities;
2. a data set with tables (``index.csv`` or ``<set>/annotations.csv``, columns ``file`` or ``image``, and ``split``):
   the pictures of split ``train``;
3. a data set with folders ``train`` and ``val``: the pictures below ``train``;
4. a folder of scenes (``faces.csv``), for the detector's second network: a square around each of its faces, and the
   middle of each picture without one;
5. any other folder: every picture or depth map below it.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.data.face_files import BOX
from reference.data.face_files import TABLE as SCENES
from reference.errors import BadInput
from reference.golden import read_input
from reference.preprocess import Box
from reference.spec import ModelSpec

COUNT = 128
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
SECOND_OF_DETECTOR = "face_detector_refined"
CROP_SCALE = 1.6  # side of a face crop in sides of the landmarks' box, as in reference.data.faces
_HEAD_SEED = 50_000  # between the seeds of the training (its epochs) and of the validation (1,000,000)


@dataclass(frozen=True)
class Raw:
    """One raw file, with the box that the network is to see, in pixels."""

    path: Path
    box: Box | None = None


@dataclass(frozen=True)
class Calibration:
    """What was calibrated with.

    Attributes:
        source: name of the folder, not its place.
        sha256: digest over the samples' own digests, in order.
        samples: network inputs, each with a batch of 1.
    """

    source: str
    seed: int
    sha256: str
    samples: tuple[NDArray[np.float32], ...]


def load_calibration(
    spec: ModelSpec, folder: Path, count: int = COUNT, seed: int = 0, evaluated: frozenset[str] = frozenset()
) -> Calibration:
    """Draw calibration samples from a folder.

    Args:
        evaluated: digests of the files that accuracy is measured on (:func:`evaluation_digests`).

    Raises:
        BadInput: the folder is missing, holds nothing of the model's kind, or shares files with the evaluation.
    """
    if not folder.is_dir():
        raise BadInput(f"no folder {folder}; --calibration names a folder with training pictures or depth maps")
    if _has_heads(spec, folder):
        samples = _heads(spec, folder, count, seed)
        return Calibration(folder.name, seed, _digest_all([_digest(s.tobytes()) for s in samples]), samples)
    of_boxes = spec.name == SECOND_OF_DETECTOR and (folder / SCENES).is_file()
    raws = _squares(folder) if of_boxes else find_raw(folder, "train")
    if not raws:
        raise BadInput(
            f"no picture in {folder}; --calibration needs {', '.join(sorted(SUFFIXES))} files of the training data"
        )
    chosen = [raws[i] for i in sorted(np.random.default_rng(seed).permutation(len(raws))[:count])]
    digests = [_digest(_content(raw.path)) for raw in chosen]
    _refuse_overlap(folder, raws, evaluated)
    samples = tuple(read_input(raw.path, spec, raw.box)[0] for raw in chosen)
    return Calibration(folder.name, seed, _digest_all(digests), samples)


def evaluation_digests(folder: Path) -> frozenset[str]:
    """Digests of the files that accuracy is measured on.

    Split ``val`` of a data set; all of a folder of scenes with known faces (:mod:`reference.data.face_files`), which
    has no splits; none for generated data.
    """
    split = "train" if (folder / SCENES).is_file() else "val"
    return frozenset(_digest(_content(raw.path)) for raw in find_raw(folder, split))


def find_raw(folder: Path, split: str) -> list[Raw]:
    """Raw files of one split of a data set; all files of a folder without splits, as ``train``."""
    tables = sorted([*folder.glob("index.csv"), *folder.glob("*/annotations.csv")])
    if tables:
        return [raw for table in tables for raw in _listed(table, split)]
    if (folder / "train").is_dir() and (folder / "val").is_dir():
        folder, split = folder / split, "train"
    files = []
    if split == "train":
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return [Raw(path) for path in files]


def _listed(table: Path, split: str) -> list[Raw]:
    found = []
    for row in (row for row in _rows(table) if row.get("split") == split):
        name = row.get("file") or row.get("image")
        if not name:
            raise BadInput(f"{table} has no column file or image; it must name the picture of each row")
        box = _face_box(row) if row.get("box_x0") else None
        found.append(Raw(table.parent / name, box))
    return found


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"can't read {table} ({error}); it must be a table of comma-separated UTF-8 text") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"can't read {path} ({error.strerror}), which its folder's table names; mend the table"
        ) from error


def _squares(folder: Path) -> list[Raw]:
    """What the detector's second network would see of the faces in a folder of scenes, and pictures without faces."""
    from reference.face_pipeline import square_of_box

    found = []
    for row in _rows(folder / SCENES):
        if not row.get("file"):
            raise BadInput(f"{folder / SCENES} has no column file; it must name the picture of each row")
        path = folder / row["file"]
        if row.get("x0"):
            try:
                square = square_of_box(*(float(row[name]) for name in BOX))
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(f"box of {row['file']!r} is no four numbers ({error}); mend the table") from error
            box = (square.left, square.top, square.left + square.width, square.top + square.height)
            found.append(Raw(path, box))
        else:
            found.append(Raw(path))
    return found


def _face_box(row: dict[str, str]) -> Box:
    """The square around a face that the keypoint networks see."""
    try:
        x0, y0, x1, y1 = (float(row[f"box_{side}"]) for side in ("x0", "y0", "x1", "y1"))
    except (KeyError, ValueError) as error:
        raise BadInput(f"box of {row.get('file')!r} is no four numbers ({error}); mend the table") from error
    half, x, y = CROP_SCALE * max(x1 - x0, y1 - y0) / 2, (x0 + x1) / 2, (y0 + y1) / 2
    return x - half, y - half, x + half, y + half


def _refuse_overlap(folder: Path, raws: Sequence[Raw], evaluated: frozenset[str]) -> None:
    shared = [raw.path for raw in raws if evaluated and _digest(_content(raw.path)) in evaluated]
    if shared:
        raise BadInput(
            f"{len(shared)} of {len(raws)} files in {folder} are evaluation data, the first {shared[0].name}; "
            "ranges fitted to them would flatter the accuracy: give training data only"
        )


def _has_heads(spec: ModelSpec, folder: Path) -> bool:
    return spec.preprocess.color == "DEPTH" and any(folder.glob("*.npz"))


def _heads(spec: ModelSpec, folder: Path, count: int, seed: int) -> tuple[NDArray[np.float32], ...]:
    from reference.data.heads import load_head_models
    from reference.train.voxel import HeadVoxels

    heads = HeadVoxels(load_head_models(folder), spec.preprocess.size[0], count, True, _HEAD_SEED + seed)
    return tuple(heads[i][0].numpy()[None] for i in range(count))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_all(digests: Sequence[str]) -> str:
    return _digest("\n".join(digests).encode())
