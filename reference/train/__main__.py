"""``python -m reference.train NAME --data DIR``: train a registered model, resuming where it stopped."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reference.errors import BadInput, OnParError

if TYPE_CHECKING:
    from reference.train.loop import Recipe


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, train, print the best metrics; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.train", description=__doc__)
    parser.add_argument("name", help="a registered model, e.g. classifier or voxel64")
    parser.add_argument("--data", type=Path, required=True, help="folder with the model's training data")
    parser.add_argument("--out", type=Path, help="folder for log, checkpoint and weights (default runs/NAME)")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--samples", type=int, default=512,
        help="generated samples an epoch (voxel, face_detector), scenes in all (face_detector_refined)",
    )  # fmt: skip
    parser.add_argument("--objects", type=Path, help="folder with meshes to mix with heads (voxel models)")
    parser.add_argument("--object-share", type=float, default=0.15, help="of the samples (voxel models with --objects)")
    parser.add_argument(
        "--init", type=Path, help="start from these weights (voxel: another member; saliency: a classifier)"
    )
    parser.add_argument(
        "--qat", action="store_true", help="fine-tune --init, or the stored weights, with 8 bits simulated"
    )
    parser.add_argument("--drawings", type=Path, help="folder with drawings and cartoons to cut out (saliency)")
    parser.add_argument(
        "--unlabelled", type=Path, nargs="+", default=[], metavar="DIR",
        help="folders with pictures whose masks --init gives (saliency)",
    )  # fmt: skip
    parser.add_argument(
        "--heads",
        type=Path,
        help="folder with ict_facekit.npz: faces are rendered too (keypoints, face_detector, face3d)",
    )
    parser.add_argument(
        "--pretraining", type=float, default=0.4, metavar="SHARE", help="of the epochs, heads alone (face3d)"
    )
    parser.add_argument(
        "--frozen", type=float, default=0.2, metavar="SHARE", help="of the epochs, trunk stays (face3d)"
    )
    parser.add_argument("--rendered", type=int, default=3000, help="number of rendered faces (likewise)")
    parser.add_argument(
        "--backgrounds", type=Path, nargs="+", default=[], metavar="DIR",
        help="pictures for behind rendered faces (keypoints, one folder) or without faces (face_detector*)",
    )  # fmt: skip
    parser.add_argument("--unbalanced", action="store_true", help="without row H1's balance (hierarchical_keypoints)")
    parser.add_argument("--no-copies", action="store_true", help="without row H5's second loss (likewise)")
    parser.add_argument("--evaluate-every", type=int, default=1, help="epochs between evaluations")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the mean of the weights; 0: none")
    parser.add_argument(
        "--type-weight", type=float, default=0.1, help="largest weight of row I2's second loss (classifier)"
    )
    parser.add_argument("--min-outline", type=float, default=0.0, help="leave out less complete drawings (classifier)")
    parser.add_argument("--only-type", help="train with one image type alone, for comparison (classifier)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    try:
        metrics = run(a.name, a.data, a.out or Path("runs") / a.name, a)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command resumes from the last whole epoch", file=sys.stderr)
        return 130
    if not metrics:  # one of several processes; the first one speaks
        return 0
    document = {"model": a.name, "metrics": metrics}
    print(json.dumps(document) if a.json else "\n".join(f"{k:>20}  {v:.4g}" for k, v in metrics.items()))
    return 0


def run(name: str, data: Path, out: Path, a: argparse.Namespace) -> dict[str, float]:
    """Train one model.

    Raises:
        BadInput: an option makes no sense, or the data can't be used.
    """
    import torch

    from reference.card import MODELS_DIR
    from reference.train import distributed, qat
    from reference.train.loop import LoopConfig, train

    check(name, data, a)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if a.device == "auto" else a.device
    distributed.start(device)
    torch.manual_seed(a.seed)
    recipe = recipe_of(name, data, out, a)
    if a.qat:
        qat.start_from(recipe.network, a.init or MODELS_DIR / name / "weights.safetensors")
        qat.simulate(recipe.network)
    config = LoopConfig(
        out, a.learning_rate, evaluate_every=a.evaluate_every, quiet=a.json, average=a.average, device=device
    )
    try:
        return train(recipe, config)
    finally:
        distributed.stop()


def check(name: str, data: Path, a: argparse.Namespace) -> None:
    """Refuse what can't be trained, before anything is read."""
    from reference.registry import get_spec

    get_spec(name)
    for option in ("epochs", "batch", "samples", "rendered", "evaluate_every"):
        if getattr(a, option) < 1:
            raise BadInput(f"--{option.replace('_', '-')} is {getattr(a, option)}; allowed: 1 or more")
    if not data.is_dir():
        raise BadInput(f"no folder {data}; --data names the folder with the training data")
    if len(a.backgrounds) > 1 and not name.startswith("face_detector"):
        raise BadInput(f"--backgrounds names {len(a.backgrounds)} folders; {name} takes one")


def recipe_of(name: str, data: Path, out: Path, a: argparse.Namespace) -> Recipe:
    """The recipe of a model."""
    from reference.checkpoint import TRAINING_HEADS, load_weights
    from reference.data.drawings import report_removed
    from reference.data.face_sources import load_rendered
    from reference.train import (
        classifier,
        distributed,
        face3d,
        face_detector,
        face_detector_refined,
        hierarchical_keypoints,
        keypoints,
        saliency,
        template_keypoints,
        voxel,
    )

    backgrounds = a.backgrounds[0] if a.backgrounds else None
    if name == "classifier":
        recipe = classifier.ClassifierRecipe(data, a.epochs, a.batch, a.seed, a.type_weight, a.only_type, a.min_outline)
        if distributed.rank() == 0 and recipe.removed:
            report_removed(recipe.removed, out)
        return recipe
    if name == "saliency":
        return saliency.SaliencyRecipe(data, a.epochs, a.batch, a.seed, a.drawings, a.init, unlabelled=a.unlabelled)
    if name in ("template_keypoints", "template_keypoints_refined"):
        faces = keypoints.load_training(data, a.heads, backgrounds, a.rendered, out / "rendered.npz", a.seed)
        points = template_keypoints.KeypointRecipe(faces, a.epochs, a.batch, a.seed, name.endswith("_refined"))
        if a.init is not None:
            load_weights(points.network, a.init, ignore=TRAINING_HEADS)
        return points
    if name == "hierarchical_keypoints":
        faces = keypoints.load_training(data, a.heads, backgrounds, a.rendered, out / "rendered.npz", a.seed)
        balance, copies = None if a.unbalanced else 0.05, 0.0 if a.no_copies else 1.0
        levels = hierarchical_keypoints.HierarchicalRecipe(faces, a.epochs, a.batch, a.seed, balance, copies)
        if a.init is not None:
            load_weights(levels.network, a.init)
        return levels
    if name == "face_detector":
        heads = load_rendered(a.heads, data, a.rendered, a.seed, out / "rendered.npz") if a.heads else []
        return face_detector.DetectorRecipe(data, a.backgrounds, a.epochs, a.batch, a.seed, a.samples, heads, a.init)
    if name == "face_detector_refined":
        return face_detector_refined.RefinerRecipe(
            data, a.backgrounds, out, a.epochs, a.batch, a.seed, a.samples, a.init
        )
    if name == "face3d":
        return face3d.Face3dRecipe(
            data, a.heads or data, out, a.epochs, a.batch, a.seed, a.rendered, a.init, a.pretraining, a.frozen
        )
    size = int(name.removeprefix("voxel"))
    return voxel.VoxelRecipe(size, data, a.epochs, a.batch, a.seed, a.samples, a.init, a.objects, a.object_share)


if __name__ == "__main__":
    sys.exit(main())
