"""``python -m benchmarks.keypoints --data DIR``: what each part of the keypoint designs brings, on one data set.

Rows are the parts of document T's design and, where it has weights, document H's network; with ``--add NAME=WEIGHTS``
also networks that were trained without one of the parts. "Correction" (row T5): the template that the network places in
the crop straightens it, and the same network looks again; "cascade" (row T6): the result's points cut the crop for the
second network. Prints a Markdown table, or JSON.

``--detail`` prints what the field prints instead: NME with its bootstrap interval, area under the curve and failures at
8 and 10 percent, by part, by pose and by covered share, of our networks and, with ``--facemesh FILE``, of MediaPipe's.
Errors are distances in percent of the distance of the outer eye corners.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput, OnParError
from reference.tasks.face_keypoints import LARGE_POSE, OUTER_EYES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from reference.data.faces import Faces

Floats = NDArray[np.floating]
SIZE = 112  # of every keypoint network's input
FACE_PARTS = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68)}
CUTS = (8.0, 10.0)  # percent: where the curve ends, and from where a face counts as failed
COVERED = (0.0, 0.15, 0.3)  # of the points: groups begin there
DRAWS = 2000  # of the bootstrap
CONFIDENCE = 95.0
PARTS = {"templates only": "template_keypoints", "direct only": "direct_keypoints", "both": "keypoints"}
COLUMNS = {
    "nme_percent": "NME",
    "nme_small_pose": "small pose",
    "nme_large_pose": "large pose",
    "nme_occluded": "occluded",
    "nme_video": "video",
    "auc_10": "AUC 10 %",
    "failure_10": "failures 10 %",
}


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keypoints", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the faces68 layout")
    parser.add_argument(
        "--add", action="append", default=[], metavar="NAME=WEIGHTS", help="a row for other hierarchical weights"
    )
    parser.add_argument("--detail", action="store_true", help="by part, pose and cover, with 95 %% intervals")
    parser.add_argument(
        "--facemesh", type=Path, metavar="FILE", help="with --detail: MediaPipe's face_landmark.tflite beside ours"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    try:
        if a.detail:
            columns = detail(a.data, dict(parse_row(text) for text in a.add), a.facemesh)
            values = {name: {k: f.to_json() for k, f in column.items()} for name, column in columns.items()}
            print(json.dumps({"data": str(a.data), "columns": values}) if a.json else detail_table(columns))
            return 0
        if a.facemesh is not None:
            raise BadInput("--facemesh is a column of --detail; give both")
        rows = measure(a.data, dict(parse_row(text) for text in a.add))
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({"data": str(a.data), "rows": rows}) if a.json else table(rows))
    return 0


def parse_row(text: str) -> tuple[str, Path]:
    """``NAME=WEIGHTS`` in parts.

    Raises:
        BadInput: no name, or no such file.
    """
    name, _, path = text.partition("=")
    if not name or not Path(path).is_file():
        raise BadInput(f"--add is {text!r}; give a row's name and an existing weights file, NAME=WEIGHTS")
    return name, Path(path)


def measure(data: Path, added: dict[str, Path]) -> list[dict[str, Any]]:
    """One dict a row: ``name``, ``parameters`` in millions and the metrics of ``COLUMNS``."""
    import torch

    from reference.data.faces import load_faces
    from reference.registry import MODELS
    from reference.tasks.face_keypoints import evaluate, evaluate_cascade

    faces, size = load_faces(data, "val"), MODELS["template_keypoints"].sampling.size[0]
    first, second = load("template_keypoints"), load("template_keypoints_refined")
    networks = {"hierarchical": load("hierarchical_keypoints")} if "hierarchical_keypoints" in MODELS else {}
    networks |= {name: load("hierarchical_keypoints", path) for name, path in added.items()}
    rows = []
    with torch.no_grad():
        for name, key in PARTS.items():
            rows.append(row(name, [first], evaluate(stage(first, key), faces, size)))
        straight = stage(first, "template_keypoints")
        again = evaluate_cascade(lambda crop: (straight(crop),), first, faces, size)
        rows.append(row("both + correction", [first], again))
        rows.append(row("both + cascade", [first, second], evaluate_cascade(first, second, faces, size)))
        size = MODELS["hierarchical_keypoints"].sampling.size[0]
        rows += [row(name, [network], evaluate(network, faces, size)) for name, network in networks.items()]
    return rows


def detail(data: Path, added: dict[str, Path], facemesh: Path | None = None) -> dict[str, dict[str, Figure]]:
    """The figures of each network on the precisely labelled validation faces, exact crops first.

    Raises:
        BadInput: the folder can't be used, or ``facemesh`` is something else.
    """
    import torch

    from reference.data.faces import load_faces, select
    from reference.tasks.face_keypoints import PRECISE_SETS, cascade_points

    sets = tuple(name for name in PRECISE_SETS if (data / name).is_dir()) or None
    faces = load_faces(data, "val", sets)
    first, second = load("template_keypoints"), load("template_keypoints_refined")
    names = {"hierarchical": load("hierarchical_keypoints"), "template": first}
    names |= {name: load("hierarchical_keypoints", path) for name, path in added.items()}
    with torch.no_grad():
        runs = {"cascade": [cascade_points(first, second, faces, SIZE, occluded) for occluded in (False, True)]}
        runs |= {name: [single_points(network, faces, o) for o in (False, True)] for name, network in names.items()}
    columns = {}
    for name, ((found, truth, _), (hidden, hidden_truth, covered)) in runs.items():
        plain = figures(point_errors(found, truth), faces.yaw)
        columns[name] = plain | by_cover(point_errors(hidden, hidden_truth), covered)
    if facemesh is not None:
        from benchmarks.facemesh import measure as measure_mesh

        training = load_faces(data, "train", sets)
        some = select(training, np.arange(len(training.yaw)) % 4 == 0)
        points = measure_mesh(facemesh, some, faces)
        columns["FaceMesh, offsets removed"] = figures(point_errors(points, faces.points), faces.yaw)
    return columns


def single_points(network: Any, faces: Faces, occluded: bool) -> tuple[Floats, Floats, Floats]:
    """Found and labelled points (N, 68, 2) in fractions of the exact crop, and the covered share (N,)."""
    import torch

    from reference.data.faces import FaceDataset

    part = FaceDataset(faces, SIZE, occluded=occluded)
    items = [part[index] for index in range(len(part))]
    outputs = [network(item[0][None]) for item in items]
    found = [(out[0] if isinstance(out, tuple) else out)[0] for out in outputs]
    truth = torch.stack([item[1].T for item in items]).numpy()
    return torch.stack(found).numpy(), truth, np.array([float(item[3][2]) for item in items], np.float32)


def load(name: str, weights: Path | None = None) -> nn.Module:
    """A registered network with stored or other weights."""
    from reference.registry import get_spec, load_network

    return load_network(get_spec(name), weights)


def stage(network: Any, key: str) -> Callable[[Tensor], Tensor]:
    """The network up to one of its predictions, as (B, 68, 2)."""
    return lambda images: network.stages(images)[key].transpose(1, 2)


def row(name: str, networks: list[nn.Module], metrics: dict[str, float]) -> dict[str, Any]:
    """A row of the table."""
    parameters = sum(p.numel() for network in networks for p in network.parameters()) / 1e6
    return {"name": name, "parameters": parameters} | {k: metrics[k] for k in COLUMNS if k in metrics}


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table; figures are percent of the outer eye distance, or percent of the faces."""
    lines = [
        "| keypoints | M parameters | " + " | ".join(COLUMNS.values()) + " |",
        "| --- |" + " ---: |" * (1 + len(COLUMNS)),
    ]
    for r in rows:
        cells = [f"{r[k]:.2f}" if k in r else "" for k in COLUMNS]
        lines.append(f"| {r['name']} | {r['parameters']:.2f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Figure:
    """A figure with the interval that holds it in 95 of 100 draws of as many faces.

    Attributes:
        faces: how many it is of.
    """

    value: float
    low: float
    high: float
    faces: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def to_json(self) -> dict[str, float]:
        """A JSON-ready dict."""
        return {"value": self.value, "low": self.low, "high": self.high, "faces": self.faces}


def point_errors(found: Floats, labelled: Floats) -> Floats:
    """(N, 68) distances in percent of the outer eye distance, of (N, 68, 2) points in any unit."""
    eyes = np.linalg.norm(labelled[:, OUTER_EYES[0]] - labelled[:, OUTER_EYES[1]], axis=-1)
    return np.asarray(100 * np.linalg.norm(found - labelled, axis=-1) / eyes[:, None])


def figure(values: Floats, statistic: Callable[[Floats], Floats] = lambda v: v.mean(-1), seed: int = 0) -> Figure:
    """A statistic of (N,) values of faces and its percentile bootstrap interval (Efron, 1979), faces drawn anew.

    Args:
        statistic: (..., N) to (...,).
    """
    drawn = np.random.default_rng(seed).integers(0, len(values), (DRAWS, len(values)))
    spread = (100 - CONFIDENCE) / 2
    low, high = np.percentile(statistic(values[drawn]), [spread, 100 - spread])
    return Figure(float(statistic(values)), float(low), float(high), len(values))


def figures(errors: Floats, yaw: Floats) -> dict[str, Figure]:
    """All figures of (N, 68) errors of faces with (N,) yaw indices; a group without faces is left out."""
    faces = errors.mean(1)
    large = np.abs(yaw) > LARGE_POSE
    result = {"NME": figure(faces)}
    for cut in CUTS:
        result[f"AUC {cut:g} %"] = figure(100 * np.clip(1 - faces / cut, 0, 1))
    for cut in CUTS:
        result[f"failures {cut:g} %"] = figure(100.0 * (faces > cut))
    result |= {name: figure(errors[:, first:end].mean(1)) for name, (first, end) in FACE_PARTS.items()}
    groups = {"small pose": ~large, "large pose": large}
    return result | {name: figure(faces[chosen]) for name, chosen in groups.items() if chosen.any()}


def by_cover(errors: Floats, covered: Floats) -> dict[str, Figure]:
    """NME of (N, 68) errors by the share (N,) of points that are covered; a group without faces is left out."""
    faces, result = errors.mean(1), {}
    for low, high in zip(COVERED, (*COVERED[1:], np.inf), strict=True):
        chosen = (covered > low) & (covered <= high) if low else covered <= high
        end = f" to {100 * high:.0f} %" if np.isfinite(high) else " % and more"
        if chosen.any():
            result[f"covered {100 * low:.0f}{end}"] = figure(faces[chosen])
    return result


def detail_table(columns: dict[str, dict[str, Figure]]) -> str:
    """A Markdown table: a row each figure, a column each network."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = ["| figure | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name in names:
        cells = (str(column[name]) if name in column else "" for column in columns.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
