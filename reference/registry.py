"""The models by name. Adding one is a line here; nothing else looks for models."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from reference.card import MODELS_DIR
from reference.errors import BadInput
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

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")  # of a user's model: a folder, a part of file names in bundles
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
    """The spec of a registered model, or of one that a user trained (``models/<name>/spec.json``).

    Raises:
        BadInput: no model has that name, or its spec can't be used.
    """
    if name in MODELS:
        return MODELS[name]
    path = models_dir / name / "spec.json"
    if not NAME.fullmatch(name) or not path.is_file():
        raise BadInput(f"model is {name!r}; allowed: {', '.join((*MODELS, *own_models(models_dir)))}")
    try:
        spec = ModelSpec.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be used ({error}); train the model again") from error
    if spec.name != name:
        raise BadInput(f"{path} is of model {spec.name!r}; the folder must have the model's name")
    return spec


def own_models(models_dir: Path = MODELS_DIR) -> list[str]:
    """Names of the models that a user trained."""
    return sorted(path.parent.name for path in models_dir.glob("*/spec.json"))


def build_network(spec: ModelSpec) -> nn.Module:
    """The spec's network with untrained weights, in evaluation mode.

    Raises:
        BadInput: the spec names no network.
    """
    parts = NETWORK.fullmatch(spec.network)
    if parts is None:
        raise BadInput(f"network of {spec.name} is {spec.network!r}; the form is module:function or module:function(N)")
    module, function, outputs = parts.groups()
    module = module if "." in module else f"reference.networks.{module}"
    arguments = () if outputs is None else (int(outputs),)
    network: nn.Module = getattr(importlib.import_module(module), function)(*arguments)
    return network.eval()


def load_network(spec: ModelSpec, weights: Path | None = None, models_dir: Path = MODELS_DIR) -> nn.Module:
    """The spec's network in evaluation mode with stored weights.

    Args:
        weights: a file; None: ``weights.safetensors`` of the model's folder in ``models_dir``.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    from reference.checkpoint import TRAINING_HEADS, load_weights

    network = build_network(spec)
    # The image-type head of document I is a tool of training; it never ships.
    load_weights(network, weights or models_dir / spec.name / "weights.safetensors", ignore=TRAINING_HEADS)
    return network
