"""``python -m reference.evaluate NAME --data DIR``: the task's own metrics of the stored weights.

The figures in a card come from this command, after the weights were rounded for storage.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from reference.card import MODELS_DIR
from reference.errors import BadInput, OnParError


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a registered model")
    parser.add_argument("--data", type=Path, required=True, help="the folder that the model was trained with")
    parser.add_argument("--weights", type=Path, help="other weights than models/NAME/weights.safetensors")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    try:
        metrics = evaluate(a.name, a.data, a.weights or MODELS_DIR / a.name / "weights.safetensors")
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    document = {"model": a.name, "data": str(a.data), "metrics": metrics}
    print(json.dumps(document) if a.json else "\n".join(f"{k:>20}  {v:.4g}" for k, v in metrics.items()))
    return 0


def evaluate(name: str, data: Path, weights: Path) -> dict[str, float]:
    """Metrics of a model on the validation part of a data folder.

    Raises:
        BadInput, WeightsError: unknown model, unusable folder or weights.
    """
    import torch

    from reference.checkpoint import load_weights
    from reference.registry import build_network, get_spec
    from reference.train import classifier, template_keypoints, voxel

    spec = get_spec(name)
    if not data.is_dir():
        raise BadInput(f"no folder {data}; --data names the folder with the validation data")
    network = build_network(spec)
    load_weights(network, weights, ignore=("type_head.",))
    with torch.no_grad():
        if name == "classifier":
            return classifier.evaluate(network, classifier.load_validation(data))
        if name == "template_keypoints":
            return template_keypoints.evaluate(network, template_keypoints.load_validation(data))
        samples = voxel.held_out(voxel.load_head_models(data), spec.preprocess.size[0])
        return voxel.evaluate(network, samples)


if __name__ == "__main__":
    sys.exit(main())
