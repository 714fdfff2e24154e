"""Raw pictures and depth maps on disk, by split: what models are calibrated with and never measured on.

A folder is read as the first of these that it is:

1. a data set with tables (``index.csv`` or ``<set>/annotations.csv``, columns ``file`` or ``image``, and ``split``):
   the files of a split;
2. a data set with folders ``train`` and ``val``: the files below one of them;
3. any other folder: every picture or depth map below it, as ``train``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from reference.errors import BadInput
from reference.inputs.preprocess import Box
from reference.inputs.square import CROP_SCALE

SCENES_TABLE = "faces.csv"  # of a folder of scenes with known faces (reference.data.face_files)
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


@dataclass(frozen=True)
class RawFile:
    """One raw file, with the box that the network is to see, in pixels."""

    path: Path
    box: Box | None = None


def find_evaluated(folder: Path) -> list[RawFile]:
    """Raw files that accuracy is measured on.

    Split ``val`` of a data set; all of a folder of scenes with known faces, which has no splits; none for generated
    data.
    """
    return find_raw(folder, "train" if (folder / SCENES_TABLE).is_file() else "val")


def find_raw(folder: Path, split: str) -> list[RawFile]:
    """Raw files of one split of a data set; all files of a folder without splits, as ``train``."""
    tables = sorted([*folder.glob("index.csv"), *folder.glob("*/annotations.csv")])
    if tables:
        return [raw for table in tables for raw in _listed(table, split)]
    if (folder / "train").is_dir() and (folder / "val").is_dir():
        folder, split = folder / split, "train"
    files = []
    if split == "train":
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return [RawFile(path) for path in files]


def _listed(table: Path, split: str) -> list[RawFile]:
    found = []
    for row in (row for row in read_table(table) if row.get("split") == split):
        name = row.get("file") or row.get("image")
        if not name:
            raise BadInput(f"{table} has no column file or image; it must name the picture of each row")
        box = _face_box(row) if row.get("box_x0") else None
        found.append(RawFile(table.parent / name, box))
    return found


def read_table(table: Path) -> list[dict[str, str]]:
    """Rows of a CSV file by column.

    Raises:
        BadInput: it can't be read.
    """
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"can't read {table} ({error}); it must be a table of comma-separated UTF-8 text") from error


def _face_box(row: dict[str, str]) -> Box:
    """The square around a face that the keypoint networks see."""
    try:
        x0, y0, x1, y1 = (float(row[f"box_{side}"]) for side in ("x0", "y0", "x1", "y1"))
    except (KeyError, ValueError) as error:
        raise BadInput(f"box of {row.get('file')!r} is no four numbers ({error}); mend the table") from error
    half, x, y = CROP_SCALE * max(x1 - x0, y1 - y0) / 2, (x0 + x1) / 2, (y0 + y1) / 2
    return x - half, y - half, x + half, y + half
