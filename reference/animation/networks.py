"""The class and the salient region of a picture, by the networks that ship with OnPar.

The one place of the animation that runs a network, and the only one that needs torch; without it, or without weights,
both functions say so by None, and the rules for drawings on paper and the outline's shape must do.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.animation.figure.mask import Picture
from reference.card import MODELS_DIR

CLASSIFIER, SALIENCY = "classifier", "saliency"


def class_scores(picture: Picture) -> dict[str, float] | None:
    """Label to probability for a picture (H, W, 3) uint8, or None where the network isn't there."""
    result = _predict(CLASSIFIER, picture)
    return None if result is None else dict(result.scores)


def salient_region(picture: Picture) -> NDArray[np.float32] | None:
    """Probability (H, W) that a pixel belongs to the subject, or None where the network isn't there."""
    result = _predict(SALIENCY, picture)
    return None if result is None else np.asarray(result.in_picture(picture.shape[1], picture.shape[0]), np.float32)


def _predict(name: str, picture: Picture) -> Any:
    network = _load(name)
    if network is None:
        return None
    import torch

    from reference.inputs.preprocess import preprocess_picture
    from reference.registry import get_spec
    from reference.tasks import decode

    spec = get_spec(name)
    tensor, region = preprocess_picture(picture, spec.sampling)
    with torch.inference_mode():
        outputs = network(torch.from_numpy(tensor))
    values = [outputs] if torch.is_tensor(outputs) else list(outputs)
    return decode({t.name: v.numpy() for t, v in zip(spec.outputs, values, strict=True)}, spec, region)


@lru_cache(maxsize=2)
def _load(name: str) -> Any:
    """The network that ships, or None without torch or without its weights."""
    if importlib.util.find_spec("torch") is None or not (MODELS_DIR / name / "weights.safetensors").is_file():
        return None
    from reference.registry import get_spec, load_network

    return load_network(get_spec(name))
