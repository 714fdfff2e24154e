"""``python -m benchmarks.keypoints --data DIR``: what each part of the keypoint designs brings, on one data set.

Rows are the parts of document T's design and, where it has weights, document H's network; with ``--add NAME=WEIGHTS``
also networks that were trained without one of the parts. "Correction" (row T5): the template that the network places in
the crop straightens it, and the same network looks again; "cascade" (row T6): the result's points cut the crop for the
second network. Prints a Markdown table, or JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput, OnParError

if TYPE_CHECKING:
    from torch import Tensor, nn

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
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    try:
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


if __name__ == "__main__":
    sys.exit(main())
