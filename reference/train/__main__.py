"""``python -m reference.train NAME --data DIR``: train a registered model, resuming where it stopped."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reference.card import MODELS_DIR
from reference.errors import BadInput, OnParError
from reference.program import other_program
from reference.train.arguments import make_parser
from reference.train.options import Options
from reference.train.recipes import BACKBONE, OWN_CLASSES, get_entry

if TYPE_CHECKING:
    from reference.train.loop import Recipe


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, train, print the best metrics; returns the exit code."""
    a = make_parser(__doc__).parse_args(arguments)
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
