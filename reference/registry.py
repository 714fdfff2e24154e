"""The models by name. Adding one is a line here; nothing else looks for models."""

from __future__ import annotations

import importlib
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


def get_spec(name: str) -> ModelSpec:
    """The spec of a registered model.

    Raises:
        BadInput: no model has that name.
    """
    if name not in MODELS:
        raise BadInput(f"model is {name!r}; allowed: {', '.join(MODELS)}")
    return MODELS[name]


def build_network(spec: ModelSpec) -> nn.Module:
    """The spec's network with untrained weights, in evaluation mode."""
    module, function = spec.network.split(":")
    module = module if "." in module else f"reference.networks.{module}"
    network: nn.Module = getattr(importlib.import_module(module), function)()
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
