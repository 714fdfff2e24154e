"""``python -m reference.evaluate NAME --data DIR``: the task's own metrics of the stored weights, or of a bundle.

The figures in a card come from this command, after the weights were rounded for storage. With ``--bundle`` it hands
over to ``python -m sdk_build.evaluate``, a process of its own because nothing here may import what comes later.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.card import MODELS_DIR
from reference.errors import BadInput, OnParError

if TYPE_CHECKING:
    from torch import Tensor


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a registered model")
    parser.add_argument("--data", type=Path, required=True, help="folder with the validation data")
    parser.add_argument("--weights", type=Path, help="other weights than models/NAME/weights.safetensors")
    parser.add_argument("--bundle", type=Path, help="evaluate an artifact of this bundle instead of the weights")
    parser.add_argument("--runtime", help="with --bundle: run on this runtime")
    parser.add_argument(
        "--held-out", action="store_true", help="of a folder of meshes: only those that training leaves out"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    if a.bundle is not None:
        return _evaluate_bundle(a)
    try:
        metrics = evaluate(a.name, a.data, a.weights or MODELS_DIR / a.name / "weights.safetensors", a.held_out)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    document = {"model": a.name, "data": str(a.data), "metrics": metrics}
    print(json.dumps(document) if a.json else describe(metrics))
    return 0


def _evaluate_bundle(a: argparse.Namespace) -> int:
    if a.weights is not None:
        print("BadInput: --weights and --bundle were given; a bundle has its own weights: give one", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "sdk_build.evaluate", a.name, "--data", str(a.data), "--bundle", str(a.bundle)]
    command += ["--runtime", a.runtime] if a.runtime else []
    command += ["--held-out"] if a.held_out else []
    command += ["--json"] if a.json else []
    sys.stdout.flush()
    return subprocess.run(command, check=False).returncode


def evaluate(name: str, data: Path, weights: Path, held_out: bool = False) -> dict[str, Any]:
    """Metrics of a model's weights on the validation part of a data folder.

    Raises:
        BadInput, WeightsError: unknown model, unusable folder or weights.
    """
    import torch

    from reference.checkpoint import TRAINING_HEADS, load_weights
    from reference.registry import build_network, get_spec

    network = build_network(get_spec(name))
    load_weights(network, weights, ignore=TRAINING_HEADS)
    with torch.no_grad():
        return measure(name, data, network, held_out)


def measure(name: str, data: Path, network: Callable[[Tensor], Any], held_out: bool = False) -> dict[str, Any]:
    """Metrics of whatever maps a model's input batches to its outputs, on the validation part of a data folder.

    Args:
        held_out: of a folder of meshes, only those that training leaves out.

    Raises:
        BadInput: unknown model or unusable folder.
    """
    from reference.checkpoint import TRAINING_HEADS, load_weights
    from reference.data.faces import load_faces
    from reference.registry import build_network, get_spec
    from reference.train import (
        classifier,
        face3d,
        face_detector,
        face_detector_refined,
        hierarchical_keypoints,
        saliency,
        template_keypoints,
        voxel,
    )

    spec = get_spec(name)
    if not data.is_dir():
        raise BadInput(f"no folder {data}; --data names the folder with the validation data")
    if name == "classifier":
        return classifier.evaluate(network, classifier.load_validation(data))
    if name == "saliency":
        return saliency.evaluate(network, saliency.load_validation(data))
    if name == "face_detector":
        return face_detector.evaluate_all(network, data)
    if name == "face_detector_refined":
        return face_detector_refined.evaluate_all(network, data)
    if name == "template_keypoints":
        return template_keypoints.evaluate(network, load_faces(data, "val"))
    if name == "template_keypoints_refined":
        first = build_network(get_spec("template_keypoints"))
        load_weights(first, MODELS_DIR / "template_keypoints" / "weights.safetensors", ignore=TRAINING_HEADS)
        return template_keypoints.evaluate_cascade(first, network, load_faces(data, "val"))
    if name == "hierarchical_keypoints":
        return hierarchical_keypoints.evaluate(network, load_faces(data, "val"))
    if name == "face3d":
        return face3d.evaluate(network, face3d.load_validation(data))
    return voxel.measure(data, spec.preprocess.size[0], network, held_out)


def describe(metrics: dict[str, Any], indent: int = 0) -> str:
    """Metrics as lines for people; a table (a dict of dicts) gets one line a row."""
    lines = []
    for key, value in metrics.items():
        if not isinstance(value, dict):
            lines.append(f"{' ' * indent}{key:<20} {value:.4g}")
        elif all(isinstance(row, dict) for row in value.values()):
            width = max(map(len, value)) + 1
            lines.append(f"{key}:  rows are the truth, columns the answers")
            lines.append(" " * width + "".join(f"{name:>{width}}" for name in value))
            lines += [f"{n:<{width}}" + "".join(f"{v:>{width}}" for v in row.values()) for n, row in value.items()]
        else:
            lines += [f"{key}:", describe(value, indent + 2)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
