"""Pictures with known faces on disk, and the held-out scenes that the detector's figures are measured on.

A folder holds ``faces.csv`` beside its pictures: columns ``file, x0, y0, x1, y1`` and, if known, ``px0, py0 ... px4,
py4``, one line a face, in pixels with the picture's outer corner at (0, 0). A picture without a face has one line with
nothing but its name. The box is the one that :mod:`reference.networks.face_detector` defines.

``python -m reference.data.face_files --faces DIR --backgrounds DIR... --out DIR`` composes the held-out scenes from the
``val`` splits, and with ``--split train`` scenes to calibrate with.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import cv2
import numpy as np

from reference.data.face_scenes import Floats, Scene, Sources, compose
from reference.data.face_sources import load_backgrounds, load_faces
from reference.data.raw_files import SCENES_TABLE as TABLE
from reference.errors import BadInput, OnParError
from reference.inputs.preprocess import load_picture

BOX = ("x0", "y0", "x1", "y1")
POINTS = tuple(f"p{axis}{i}" for i in range(5) for axis in "xy")
FRAME, SMALLEST = (480, 640), 24.0
SEED = 1


def held_out(sources: Sources, count: int, seed: int = SEED) -> list[Scene]:
    """The fixed scenes of 640 x 480 pixels with faces from 24 pixels up."""
    return [compose(sources, FRAME, np.random.default_rng((seed, number)), SMALLEST) for number in range(count)]


def write_scenes(scenes: list[Scene], folder: Path) -> None:
    """Write pictures (PNG) and table."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TABLE).open("w", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(("file", *BOX, *POINTS))
        for number, scene in enumerate(scenes):
            name = f"{number:04d}.png"
            cv2.imwrite(str(folder / name), scene.picture[..., ::-1])
            for box, points in zip(scene.boxes, scene.points, strict=True):
                writer.writerow((name, *(f"{value:.3f}" for value in (*box, *points.reshape(-1)))))
            if not len(scene.boxes):
                writer.writerow((name, *[""] * (len(BOX) + len(POINTS))))


def read_scenes(folder: Path) -> list[Scene]:
    """Pictures with their faces; points that are not given are not a number.

    Raises:
        BadInput: no table, a line or a picture that can't be used.
    """
    table = folder / TABLE
    if not table.is_file():
        raise BadInput(
            f"no {table}; give a folder with it, or compose one: python -m reference.data.face_files --out {folder}"
        )
    rows: dict[str, list[Floats]] = {}
    with table.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            if not row.get("file"):
                raise BadInput(f"{table} line {number}: no file; the columns are file, x0, y0, x1, y1")
            faces = rows.setdefault(row["file"], [])
            if any(row.get(name) for name in BOX):
                faces.append(_read_row(table, number, row))
    if not rows:
        raise BadInput(f"{table} names no picture; give one line a face, and one a picture without faces")
    return [_read_scene(folder / name, faces) for name, faces in rows.items()]


def _read_row(table: Path, number: int, row: dict[str, str]) -> Floats:
    try:
        box = [float(row[name]) for name in BOX]
        points = [float(row.get(name) or "nan") for name in POINTS]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{table} line {number}: {error}; x0, y0, x1, y1 are four numbers in pixels") from error
    if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
        raise BadInput(f"{table} line {number}: box is {box}; allowed: x0 < x1, y0 < y1, finite")
    return np.array([*box, *points], np.float32)


def _read_scene(file: Path, faces: list[Floats]) -> Scene:
    rows = np.array(faces, np.float32).reshape(-1, len(BOX) + len(POINTS))
    return Scene(load_picture(file), rows[:, :4], rows[:, 4:].reshape(-1, 5, 2))


def main(arguments: list[str] | None = None) -> int:
    """Compose and write scenes; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m reference.data.face_files", description="Compose scenes with known faces for the face detector."
    )
    parser.add_argument("--faces", type=Path, required=True, help="folder of the faces68 layout")
    parser.add_argument("--backgrounds", type=Path, nargs="+", required=True, metavar="DIR", help="without faces")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "train"), default="val", help="whose faces and backgrounds")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=SEED)
    a = parser.parse_args(arguments)
    try:
        if a.count < 1:
            raise BadInput(f"--count is {a.count}; allowed: 1 or more")
        sources = Sources(load_faces(a.faces, a.split), load_backgrounds(a.backgrounds, a.split))
        write_scenes(held_out(sources, a.count, a.seed), a.out)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{a.count} scenes in {a.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
