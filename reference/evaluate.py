"""``python -m reference.evaluate NAME --data DIR``: the task's own metrics of the stored weights, or of a bundle.

The figures in a card come from this command, after the weights were rounded for storage. With ``--bundle`` it hands
over to ``python -m sdk_build.evaluate``, a process of its own because nothing here may import what comes later.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from reference.errors import BadInput, OnParError
from reference.program import program


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print; returns the exit code."""
    parser = argparse.ArgumentParser(prog=program("reference.evaluate"), description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a built-in model, or the folder of one of your own")
    parser.add_argument("--data", type=Path, required=True, help="folder with the validation data")
    parser.add_argument("--weights", type=Path, help="other weights than models/NAME/weights.safetensors")
    parser.add_argument("--bundle", type=Path, help="evaluate an artifact of this bundle instead of the weights")
    parser.add_argument("--runtime", help="with --bundle: run on this runtime")
    parser.add_argument(
        "--held-out", action="store_true", help="of a folder of meshes: only those that training leaves out"
    )
    parser.add_argument(
        "--turn", type=int, choices=(1, 2, 3), default=0, help="show each picture turned by N quarters (classifiers)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    if a.bundle is not None:
        return _evaluate_bundle(a)
    try:
        metrics = evaluate(a.name, a.data, a.weights, a.held_out, a.turn)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    document = {"model": a.name, "data": str(a.data), "metrics": metrics}
    print(json.dumps(document) if a.json else describe(metrics))
    return 0


def _evaluate_bundle(a: argparse.Namespace) -> int:
    if a.turn:
        print("BadInput: --turn and --bundle were given; only weights are shown turned pictures", file=sys.stderr)
        return 2
    if a.weights is not None:
        print("BadInput: --weights and --bundle were given; a bundle has its own weights: give one", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "sdk_build.evaluate", a.name, "--data", str(a.data), "--bundle", str(a.bundle)]
    command += ["--runtime", a.runtime] if a.runtime else []
    command += ["--held-out"] if a.held_out else []
    command += ["--json"] if a.json else []
    sys.stdout.flush()
    return subprocess.run(command, check=False).returncode


def evaluate(
    name: str, data: Path, weights: Path | None = None, held_out: bool = False, turn: int = 0
) -> dict[str, Any]:
    """Metrics of a model's weights on the validation part of a data folder.

    Args:
        weights: other ones than the model's own.
        turn: quarters by which each picture is turned, against the clock.

    Raises:
        BadInput, WeightsError: unknown model, unusable folder or weights.
    """
    import torch

    from reference.pipelines.rgbd_frames import measure
    from reference.registry import find_model, load_network, models_dir_of
    from reference.tasks import get_task

    spec = find_model(name)
    if turn and not get_task(spec).turnable:
        raise BadInput(f"--turn is for tasks whose answer stays the same; {name} does {spec.task}")
    network = load_network(spec, weights, models_dir_of(spec))
    with torch.no_grad():
        return measure(spec, (lambda x: network(torch.rot90(x, turn, (2, 3)))) if turn else network, data, held_out)


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
