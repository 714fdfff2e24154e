"""The models by name, or by the folder that they lie in. Adding a built-in one is a line here.

Nothing else looks for models. A model's folder bears its name: what is stored of it (weights, card, golden files,
measurements) is found by ``models_dir`` and that name, wherever it lies.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from reference.card import MODELS_DIR
from reference.errors import BadInput
from reference.model_folder import FILE, cause, is_model_folder, load_module, load_spec, undisturbed
from reference.networks import (
    classifier,
    face3d,
    face_detector,
    face_detector_refined,
    hierarchical_keypoints,
    saliency,
    template_keypoints,
    voxel,
)
from reference.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")  # of a user's model: a folder, a part of file names in bundles
NETWORK = re.compile(r"([\w.]+):(\w+)(?:\((\d+)\))?")
MODELS: dict[str, ModelSpec] = {
    "classifier": classifier.SPEC,
    "saliency": saliency.SPEC,
    "face_detector": face_detector.SPEC,
    "face_detector_refined": face_detector_refined.SPEC,
    "template_keypoints": template_keypoints.SPEC,
    "template_keypoints_refined": template_keypoints.REFINED_SPEC,
    "hierarchical_keypoints": hierarchical_keypoints.SPEC,
    **{f"voxel{size}": voxel.spec(size) for size in voxel.SIZES},
    "face3d": face3d.SPEC,
}


def get_spec(name: str, models_dir: Path = MODELS_DIR) -> ModelSpec:
    """The spec of a registered model, or of one that a user put into ``models/``.

    Raises:
        BadInput: no model has that name, or its spec can't be used.
    """
    if name in MODELS:
        return MODELS[name]
    folder = models_dir / name
    if not NAME.fullmatch(name) or not _holds_model(folder):
        raise BadInput(
            f"model is {name!r}; allowed: {', '.join((*MODELS, *own_models(models_dir)))}, or a model's folder"
        )
    return spec_in(folder)


def find_model(given: str, models_dir: Path = MODELS_DIR) -> ModelSpec:
    """The spec of what ``--model`` names: a model, or the folder of one anywhere on disk.

    Raises:
        BadInput: there is no such model, or its spec can't be used.
    """
    if given in MODELS:
        return MODELS[given]
    folder = Path(given)
    if given and (os.sep in given or folder.is_dir()):
        if not folder.is_dir():
            raise BadInput(f"no folder {given}; give a model's folder (onpar new writes one), or a name")
        if not _holds_model(folder):
            raise BadInput(f"{given} holds no model: it has no {FILE}; onpar new writes one")
        return spec_in(folder.resolve())
    return get_spec(given, models_dir)


def models_dir_of(spec: ModelSpec, models_dir: Path = MODELS_DIR) -> Path:
    """Where the folder of a model lies."""
    return Path(spec.folder).parent if spec.folder else models_dir


def spec_in(folder: Path) -> ModelSpec:
    """The spec of the model in a folder, which knows the folder.

    Raises:
        BadInput: it can't be used, or names another model.
    """
    if not NAME.fullmatch(folder.name):
        raise BadInput(f"a model's folder is called {folder.name!r}; allowed: a letter, then letters, digits, - and _")
    spec = load_spec(folder) if is_model_folder(folder) else _read_spec(folder / "spec.json")
    if spec.name != folder.name:
        file = FILE if is_model_folder(folder) else "spec.json"
        raise BadInput(f"{folder / file} is of model {spec.name!r}; the folder must have the model's name")
    if spec.name in MODELS:
        raise BadInput(f"{folder} has the name of a built-in model; call the folder, and name in its spec, otherwise")
    return dataclasses.replace(spec, folder=str(folder))


def _read_spec(path: Path) -> ModelSpec:
    try:
        return ModelSpec.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be used ({error}); train the model again") from error


def _holds_model(folder: Path) -> bool:
    return (folder / "spec.json").is_file() or is_model_folder(folder)


def own_models(models_dir: Path = MODELS_DIR) -> list[str]:
    """Names of the models that a user put into a folder of models."""
    return sorted(path.name for path in models_dir.glob("*") if path.name not in MODELS and _holds_model(path))


def build_network(spec: ModelSpec) -> nn.Module:
    """The spec's network with untrained weights, in evaluation mode, as its own code makes it.

    Raises:
        BadInput: the spec names no network, or making it fails.
    """
    if spec.folder and is_model_folder(Path(spec.folder)):
        return _build_own(spec, Path(spec.folder) / FILE)
    parts = NETWORK.fullmatch(spec.network)
    if parts is None:
        raise BadInput(f"network of {spec.name} is {spec.network!r}; the form is module:function or module:function(N)")
    module, function, outputs = parts.groups()
    module = module if "." in module else f"reference.networks.{module}"
    arguments = () if outputs is None else (int(outputs),)
    network: nn.Module = getattr(importlib.import_module(module), function)(*arguments)
    return network.eval()


def _build_own(spec: ModelSpec, path: Path) -> nn.Module:
    """The network that a function of a folder's model.py makes."""
    from torch import nn

    make = getattr(load_module(path), spec.network, None)
    if not callable(make):
        raise BadInput(f"{path} has no function {spec.network!r}, which its SPEC names as the network; write it")
    try:
        with undisturbed(path.parent):
            network = make()
    except (Exception, SystemExit) as error:
        raise BadInput(f"{spec.network}() of {path} fails: {cause(error, path.resolve())}; mend it") from error
    if not isinstance(network, nn.Module):
        raise BadInput(f"{spec.network}() of {path} gives {type(network).__name__}; a torch.nn.Module is needed")
    return network.eval()


def load_network(spec: ModelSpec, weights: Path | None = None, models_dir: Path = MODELS_DIR) -> nn.Module:
    """The spec's network in evaluation mode with stored weights.

    Args:
        weights: a file; None: ``weights.safetensors`` of the model's folder in ``models_dir``.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    from reference.checkpoint import TRAINING_HEADS, load_weights
    from reference.networks.adapter import Adapter

    network = build_network(spec)
    # The image-type head of document I is a tool of training; it never ships.
    load_weights(network, weights or models_dir / spec.name / "weights.safetensors", ignore=TRAINING_HEADS)
    own = spec.folder and is_model_folder(Path(spec.folder))
    return Adapter(network, spec).eval() if own else network
