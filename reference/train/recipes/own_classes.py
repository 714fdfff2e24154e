"""A classifier of a user's own classes: ``python -m reference.train classifier --data MYFOLDER --name mine``.

The network and its training are the classifier's; classes and image types come from the folder, the features from the
backbone. The result is a model like the built-in ones, ``models/<name>``: exported, proved, evaluated by its name.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reference.card import MODELS_DIR, Card, load_card
from reference.checkpoint import TRAINING_HEADS, load_features, load_weights, save_weights
from reference.data.own_pictures import list_own_pictures, read_own_square
from reference.data.pictures import AllTypesSampler, PictureDataset, PictureFiles, PreparedPictures
from reference.errors import BadInput
from reference.golden import write_golden
from reference.inputs.preprocess import load_picture
from reference.networks import classifier
from reference.registry import MODELS, NAME, build_network
from reference.spec import ModelSpec
from reference.tasks.calibration import fit_temperature, fold
from reference.tasks.image_classification import evaluate, look
from reference.train import distributed
from reference.train.confusion import plot_confusion
from reference.train.options import Options
from reference.train.recipes.classifier import ClassifierRecipe, optimizer_of, weights_of_classes

GOLDEN_SIDE = 512  # longest side of the two validation pictures that go with the model


class OwnClassesRecipe(ClassifierRecipe):
    """See :class:`reference.train.loop.Recipe`.

    Args:
        data: folder in one of the layouts of :mod:`reference.data.own_pictures`.
        init: weights whose features the training starts from.
        type_weight: largest weight of the second loss, where the folder has more than one image type.

    Raises:
        BadInput: the folder can't be used.
    """

    def __init__(
        self, data: Path, epochs: int, batch: int, seed: int, type_weight: float = 0.1, init: Path | None = None
    ) -> None:
        self.epochs = epochs
        self.type_weight = type_weight
        self.removed = []
        files = list_own_pictures(data, "train")
        validation = list_own_pictures(data, "val", files.class_names)
        kinds = len(files.type_names)
        self.network = classifier.Classifier(len(files.class_names), kinds if kinds > 1 else 0)
        self.network.to(memory_format=torch.channels_last)
        if init is not None:
            load_features(self.network, init)
        self.training = PictureDataset(files, classifier.SIZE, True, seed, read_own_square)
        if distributed.rank() == 0:
            report(self.training, validation)
        self.validation = PreparedPictures(validation, classifier.SPEC.sampling)
        batch = min(batch, len(self.training))
        per_type = tuple(len(part) for part in np.array_split(np.arange(batch), kinds))
        self.sampler = AllTypesSampler(
            self.training.files.types, per_type, seed, distributed.rank(), distributed.world()
        )
        self.class_weights = weights_of_classes(self.training.files.labels, len(files.class_names))
        self.optimizer = optimizer_of(self.network)


def report(training: PictureDataset, validation: PictureFiles) -> None:
    """Say what was found and what could not be read."""
    files = training.files
    print(
        f"{len(files.paths)} pictures to train with and {len(validation.paths)} to validate with, "
        f"{len(files.class_names)} classes, {len(files.type_names)} image types",
        file=sys.stderr,
    )
    report_skipped(training.skipped)


def report_skipped(paths: Sequence[Path]) -> None:
    """Count and name the files that could not be read."""
    named = list(dict.fromkeys(paths))  # validation pictures are read again at every evaluation
    if named:
        print(f"{len(named)} unreadable files are left out:", *named, sep="\n", file=sys.stderr)


def check_name(name: str, models_dir: Path) -> None:
    """Refuse a name that no model of a user can have.

    Raises:
        BadInput: it is no plain name, or of a built-in model.
    """
    if not NAME.fullmatch(name):
        raise BadInput(f"--name is {name!r}; allowed: a small letter, then up to 40 small letters, digits and _")
    taken = (models_dir / name).exists() and not (models_dir / name / "spec.json").is_file()
    if name in MODELS or taken:
        raise BadInput(f"--name is {name!r}, which OnPar has itself; give another")


def spec_of(name: str, labels: Sequence[str]) -> ModelSpec:
    """The spec of a user's classifier."""
    base = classifier.SPEC
    output = dataclasses.replace(base.outputs[0], shape=(1, len(labels)))
    some = ", ".join(labels[:8]) + (" and others" if len(labels) > 8 else "")
    return dataclasses.replace(
        base,
        name=name,
        network=f"classifier:Classifier({len(labels)})",
        outputs=(output,),
        labels=tuple(labels),
        in_all=False,
        description=f"What a picture shows, one of {len(labels)} classes: {some}",
    )


def publish(name: str, recipe: OwnClassesRecipe, out: Path, models_dir: Path, notes: Mapping[str, str]) -> Path:
    """Make a model folder of a finished training: weights, spec, card, golden files, log and pictures.

    It appears whole or not at all, and replaces an earlier model of the same name.

    Args:
        out: the training's folder.
        notes: ``data``, ``command`` and ``init`` for the card.

    Returns:
        The folder.
    """
    spec = spec_of(name, recipe.training.files.class_names)
    models_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=models_dir) as temporary:
        folder = Path(temporary) / name
        (folder / "golden").mkdir(parents=True)
        network = build_network(spec)
        load_weights(network, out / "weights.safetensors", ignore=TRAINING_HEADS)
        with torch.no_grad():
            logits, labels, _ = look(network, recipe.validation)
            temperature = fit_temperature(logits[labels >= 0], labels[labels >= 0])
            fold(network.get_submodule("target_head.3"), temperature)  # type: ignore[arg-type]
            save_weights(network, folder / "weights.safetensors")
            load_weights(network, folder / "weights.safetensors")  # rounded: what is measured is what is stored
            metrics = evaluate(network, recipe.validation)
        report_skipped(recipe.validation.skipped)
        notes = {**notes, "temperature": f"{temperature:.3f}"}
        _write_spec(spec, folder / "spec.json")
        _write_golden_inputs(recipe.validation.files, folder / "golden")
        write_golden(spec, Path(temporary))
        plot_confusion(metrics["confusion"], folder / "confusion.png")
        _write_card(card_of(spec, recipe, metrics, notes), folder / "card.yaml")
        for source, target in (("log.csv", "training_log.csv"), ("curves.png", "training_curves.png")):
            shutil.copyfile(out / source, folder / target)
        shutil.rmtree(models_dir / name, ignore_errors=True)
        os.replace(folder, models_dir / name)
    return models_dir / name


def card_of(
    spec: ModelSpec, recipe: OwnClassesRecipe, metrics: Mapping[str, Any], notes: Mapping[str, str]
) -> dict[str, Any]:
    """The card of a user's classifier, ready for YAML."""
    like = load_card("classifier")
    start = load_card(notes["init"]) if (MODELS_DIR / notes["init"] / "card.yaml").is_file() else None
    unknown = "" if notes["init"] == "none" else f"As free as the weights that it started from, {notes['init']}, are."
    by_type = {f"top1_{kind}": value for kind, value in metrics["top1_by_type"].items()}
    accuracy = {key: metrics[key] for key in ("top1_mean", "top1_worst", "calibration_error")} | by_type
    card = Card(
        summary=f"MobileNetV3-Small at {classifier.SIZE} px. {spec.description}.",
        weights_license=f"Yours, as far as your pictures are. {start.weights_license if start else unknown}".strip(),
        trained_on=(
            f"{notes['data']}, {len(recipe.training)} pictures of {len(spec.labels)} classes",
            *((f"start: {notes['init']}: {line}" for line in start.trained_on) if start else ()),
        ),
        training={
            "command": notes["command"],
            "temperature": f"{notes['temperature']}, in the last layer's weights; from the validation pictures",
            "log": "training_log.csv",
            "curves": "training_curves.png",
        },
        accuracy={key: round(float(value), 2) for key, value in accuracy.items()},
        accuracy_data=(
            f"{metrics['pictures']} validation pictures of {notes['data']}, which also chose the weights and the "
            "temperature; in percent"
        ),
        parity=like.parity,
        limitations=("Anything that is none of the classes gets one of them too.",),
        budget=dict(like.budget),
    )
    return dataclasses.asdict(card)


def _write_card(card: dict[str, Any], path: Path) -> None:
    import yaml

    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in card.items()}
    path.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8")


def _write_spec(spec: ModelSpec, path: Path) -> None:
    import json

    path.write_text(json.dumps(spec.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_golden_inputs(files: PictureFiles, folder: Path) -> None:
    """Two validation pictures of different classes, as upright PNG files."""
    from PIL import Image

    kept: list[tuple[int, NDArray[np.uint8]]] = []
    for path, label in zip(files.paths, files.labels, strict=True):
        if len(kept) == 2:
            break
        if kept and kept[0][0] == label:
            continue
        try:
            kept.append((int(label), load_picture(path)))
        except BadInput:
            continue
    if len(kept) < 2:
        raise BadInput("validation pictures of only one class can be read; two are needed for the golden files")
    for number, (_, pixels) in enumerate(kept):
        picture = Image.fromarray(pixels)
        picture.thumbnail((GOLDEN_SIDE, GOLDEN_SIDE))
        picture.save(folder / f"input_{number}.png")


def make(o: Options) -> OwnClassesRecipe:
    """The recipe of the training command."""
    return OwnClassesRecipe(o.data, o.epochs, o.batch, o.seed, o.type_weight, o.init)
