"""``python -m reference.train.label_shift DIR --model NAME``: how far a set's labels lie beside what they label.

Labels that count pixels from 1, or from a pixel's corner, lie to the right of the picture and below it by a constant of
the original picture's pixels. A network that was trained on faces and their mirror images alike can't learn the part
to the right: mirroring turns it round. So the mean of its points and of those of the mirrored face lies without it, and
the labels' median distance from there shows it. Downwards nothing shows it; a counting error moves x and y alike.

The command writes the shift of each face, a line through the medians of faces of like ``scale``, into the column
``label_shift`` (pixels of the file, to the right and down), which :func:`reference.data.faces.load_faces` takes off on
request.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput, OnParError
from reference.inputs.square import CROP_SCALE, square_around

COLUMN = "label_shift"
GROUPS = 8  # of faces of like scale, a median each
SMALLEST_GROUP = 25
BATCH = 64
Floats = NDArray[np.float32]
# (B, 3, S, S) float32 RGB in [0, 1] to (B, 68, 2) points in fractions of the crop.
Predict = Callable[[Floats], Floats]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, write the column; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.train.label_shift", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DIR", help="folder of <set>/annotations.csv, which are rewritten")
    parser.add_argument("--model", default="hierarchical_keypoints", metavar="NAME", help="network of 68 points")
    a = parser.parse_args(arguments)
    try:
        for line in measure_folder(a.data, a.model):
            print(line)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure_folder(folder: Path, model: str) -> list[str]:
    """Measure every set of a folder and write its column; returns a line about each.

    Raises:
        BadInput: the folder can't be used, or the network finds no 68 points.
    """
    from reference.data.faces import load_faces
    from reference.registry import get_spec

    spec = get_spec(model)
    if spec.task != "face_keypoints":
        raise BadInput(f"{model} is for {spec.task}; --model takes a network of face keypoints")
    tables = sorted(folder.glob("*/annotations.csv"))
    if not tables:
        raise BadInput(f"no */annotations.csv in {folder}; the layout is <set>/annotations.csv with <set>/<file>")
    predict, lines = _predictor(model), []
    for table in tables:
        faces = load_faces(folder, "train", (table.parent.name,))
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        crops = np.array([crop_side(row) for row in rows])
        scales = np.array([float(row.get("scale") or 1) for row in rows])
        training = np.array([row["split"] == "train" for row in rows])
        strays = sideways(predict, faces, spec.sampling.size[0]) * crops[training]
        constant, slope = fit(scales[training], strays)
        _write(table, rows, constant + slope * scales)
        lines.append(f"{table.parent.name}: {constant:.2f} + {slope:.2f} x scale px of {len(strays)} faces")
    return lines


def _predictor(model: str) -> Predict:
    import torch

    from reference.registry import get_spec, load_network

    network = load_network(get_spec(model))

    def predict(crops: Floats) -> Floats:
        with torch.no_grad():
            out = network(torch.from_numpy(crops))
        return np.asarray(out[0] if isinstance(out, tuple | list) else out)

    return predict


def sideways(predict: Predict, faces: object, size: int) -> NDArray[np.float64]:
    """How far the labels of each face lie to the right, (N,) in sides of its crop."""
    from reference.data.faces import MIRROR, FaceDataset, Faces

    assert isinstance(faces, Faces)
    part, strays = FaceDataset(faces, size), []
    for start in range(0, len(part), BATCH):
        items = [part[index] for index in range(start, min(start + BATCH, len(part)))]
        crops = np.stack([item[0].numpy() for item in items])
        labels = np.stack([item[1].numpy()[0] for item in items])
        straight = predict(crops)[..., 0]
        mirrored = 1 - predict(np.ascontiguousarray(crops[..., ::-1]))[:, MIRROR, 0]
        strays.append((labels - (straight + mirrored) / 2).mean(1))
    return np.concatenate(strays).astype(np.float64)


def fit(scales: NDArray[np.float64], strays: NDArray[np.float64]) -> tuple[float, float]:
    """Constant and slope of a line through the medians of groups of like scale; slope 0 where all scales are alike."""
    order = np.argsort(scales, kind="stable")
    parts = np.array_split(order, max(1, min(GROUPS, len(order) // SMALLEST_GROUP)))
    middles = np.array([np.median(scales[part]) for part in parts])
    if np.ptp(middles) < 0.05:
        return float(np.median(strays)), 0.0
    slope, constant = np.polyfit(middles, [np.median(strays[part]) for part in parts], 1)
    return float(constant), float(slope)


def usual_shift(folder: Path, sets: Sequence[str]) -> float:
    """Median shift of the training labels of some sets in sides of their crops; 0 without the column."""
    shifts = []
    for table in (folder / name / "annotations.csv" for name in sets):
        if table.is_file():
            with table.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if row.get("split") == "train"]
            shifts += [float(row.get(COLUMN) or 0) / crop_side(row) for row in rows]
    return float(np.median(shifts)) if shifts else 0.0


def crop_side(row: dict[str, str]) -> float:
    """Side in the file's pixels of the square that a network sees of a line's face."""
    points = np.array([[float(row[f"x{i}"]), float(row[f"y{i}"])] for i in range(68)], np.float32)
    return square_around(points, CROP_SCALE)[2]


def _write(table: Path, rows: list[dict[str, str]], shifts: NDArray[np.float64]) -> None:
    temporary = table.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*rows[0], COLUMN])), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, COLUMN: f"{shift:.3f}"} for row, shift in zip(rows, shifts, strict=True))
    os.replace(temporary, table)


if __name__ == "__main__":
    sys.exit(main())
