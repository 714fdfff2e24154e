"""``python -m reference.train NAME --data DIR``: train a registered model, resuming where it stopped."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reference.card import MODELS_DIR, OWN_MODELS_DIR
from reference.errors import BadInput, OnParError
from reference.program import other_program, program
from reference.train.options import Options
from reference.train.recipes import BACKBONE, OWN_CLASSES, get_entry

if TYPE_CHECKING:
    from reference.train.loop import Recipe


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, train, print the best metrics; returns the exit code."""
    parser = argparse.ArgumentParser(prog=program("reference.train"), description=__doc__)
    parser.add_argument("model", metavar="NAME", help="a registered model, e.g. classifier or voxel64; or backbone")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR",
        help="folder with the model's training data (backbone: one or more)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder for log, checkpoint and weights (default runs/NAME)")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--minutes",
        type=float,
        default=0.0,
        help="time for the training, which then counts instead of --epochs (0: none)",
    )
    parser.add_argument(
        "--patience", type=int, default=0, metavar="N", help="stop after N evaluations without a better one; 0: never"
    )
    parser.add_argument(
        "--name",
        help="make a model of your own classes from the backbone: models/NAME, ./NAME from a wheel (classifier)",
    )
    parser.add_argument("--models-dir", type=Path, default=OWN_MODELS_DIR, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--samples", type=int, default=512,
        help="samples an epoch (voxel, face_detector, backbone), scenes in all (face_detector_refined)",
    )  # fmt: skip
    parser.add_argument("--objects", type=Path, help="folder with meshes to mix with heads (voxel models)")
    parser.add_argument("--object-share", type=float, default=0.15, help="of the samples (voxel models with --objects)")
    parser.add_argument(
        "--bust-share", type=float, default=0.45, metavar="SHARE",
        help="of the heads, people with hair and shoulders, where makehuman_busts.npz is there (voxel models)",
    )  # fmt: skip
    parser.add_argument(
        "--surface-weight", type=float, default=0.0, help="of voxels at a surface, above the others (voxel models)"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep rendered pairs, 40 kB each at 64 (likewise)")
    parser.add_argument("--cached", type=int, default=100_000, metavar="N", help="pairs to keep, with --cache")
    parser.add_argument(
        "--bf16", action="store_true", help="compute in bfloat16 where that is exact enough: faster on CPUs with AMX"
    )
    parser.add_argument(
        "--init", metavar="NAME|FILE",
        help="start from these weights, e.g. backbone (voxel: another member; classifier, saliency: features)",
    )  # fmt: skip
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
    parser.add_argument("--width", type=float, default=1.0, help="channel multiplier; face networks: 0.75 (backbone)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    try:
        metrics = run(a.model, a.data, a.out or Path("runs") / (a.name or a.model), a)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command resumes from the last whole epoch", file=sys.stderr)
        return 130
    if not metrics:  # one of several processes; the first one speaks
        return 0
    document = {"model": a.name or a.model, "metrics": metrics}
    print(json.dumps(document) if a.json else "\n".join(f"{k:>20}  {v:.4g}" for k, v in metrics.items()))
    return 0


def run(name: str, folders: list[Path], out: Path, a: argparse.Namespace) -> dict[str, float]:
    """Train one model.

    Raises:
        BadInput: an option makes no sense, or the data can't be used.
    """
    import torch

    from reference.checkpoint import find_weights
    from reference.train import distributed, qat
    from reference.train.loop import LoopConfig, train
    from reference.train.recipes import make_recipe

    check(name, folders, a)
    if a.name is not None and a.init is None and (MODELS_DIR / BACKBONE / "weights.safetensors").is_file():
        a.init = BACKBONE
    a.init = find_weights(a.init, MODELS_DIR) if a.init is not None else None
    device = ("cuda" if torch.cuda.is_available() else "cpu") if a.device == "auto" else a.device
    distributed.start(device)
    torch.manual_seed(a.seed)
    recipe = make_recipe(options_of(name, folders, out, a))
    if a.qat:
        qat.start_from(recipe.network, a.init or MODELS_DIR / name / "weights.safetensors")
        qat.simulate(recipe.network)
    config = LoopConfig(
        out, a.learning_rate, evaluate_every=a.evaluate_every, quiet=a.json, average=a.average, device=device,
        minutes=a.minutes, patience=a.patience, bf16=a.bf16,
    )  # fmt: skip
    try:
        metrics = train(recipe, config)
        if a.name is not None and distributed.rank() == 0:
            publish(recipe, folders[0], out, a)
        return metrics
    finally:
        distributed.stop()


def options_of(name: str, data: list[Path], out: Path, a: argparse.Namespace) -> Options:
    """What a recipe needs of the command line."""
    given = {field.name: getattr(a, field.name) for field in dataclasses.fields(Options) if hasattr(a, field.name)}
    folders = {"backgrounds": tuple(a.backgrounds), "unlabelled": tuple(a.unlabelled), "folders": tuple(data)}
    recipe = name if a.name is None else OWN_CLASSES
    return Options(**{**given, **folders, "name": recipe, "data": data[0], "out": out})


def publish(recipe: Recipe, data: Path, out: Path, a: argparse.Namespace) -> None:
    """Make a model of a training on a user's own classes."""
    from reference.train.recipes import own_classes

    assert isinstance(recipe, own_classes.OwnClassesRecipe)
    start = "none" if a.init is None else a.init.parent.name if a.init.parents[1] == MODELS_DIR else a.init.name
    command = f"python -m reference.train classifier --data {data.name} --name {a.name} --init {start}"
    notes = {"data": data.resolve().name, "command": command, "init": start}
    folder = own_classes.publish(a.name, recipe, out, a.models_dir, notes)
    export = other_program("sdk_build.export", "export")
    print(f"wrote {folder}; next: {export} --target all --model {a.name}", file=sys.stderr)


def check(name: str, folders: list[Path], a: argparse.Namespace) -> None:
    """Refuse what can't be trained, before anything is read."""
    from reference.registry import get_spec

    if name != BACKBONE:
        get_spec(name)
    if a.name is not None:
        from reference.train.recipes.own_classes import check_name

        if name != "classifier":
            raise BadInput(f"--name is for classes of your own (classifier); {name} has a name")
        check_name(a.name, a.models_dir)
    if len(folders) > 1 and not get_entry(name).many_folders:
        raise BadInput(f"--data names {len(folders)} folders; {name} takes one")
    for option in ("epochs", "batch", "samples", "cached", "rendered", "evaluate_every"):
        if getattr(a, option) < 1:
            raise BadInput(f"--{option.replace('_', '-')} is {getattr(a, option)}; allowed: 1 or more")
    if not 0.25 <= a.width <= 2:
        raise BadInput(f"--width is {a.width}; allowed: 0.25 to 2")
    for option in ("minutes", "patience"):
        if getattr(a, option) < 0:
            raise BadInput(f"--{option} is {getattr(a, option)}; allowed: 0 (no limit) or more")
    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"no folder {folder}; --data names the folder with the training data")
    if len(a.backgrounds) > 1 and not get_entry(name).many_backgrounds:
        raise BadInput(f"--backgrounds names {len(a.backgrounds)} folders; {name} takes one")


if __name__ == "__main__":
    sys.exit(main())
