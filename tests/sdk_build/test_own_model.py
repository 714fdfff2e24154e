"""A model of a user's own classes is built by the same rules as the built-in ones."""

import numpy as np
import pytest
import torch
from PIL import Image

from reference.card import MODELS_DIR
from reference.checkpoint import save_weights
from reference.registry import get_spec
from reference.train.recipes import own_classes
from sdk_build.build.reference import load_reference


@pytest.fixture
def models(tmp_path):
    """A published model with the classifier's features and a head whose answers differ from picture to picture."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 90, (40, 40, 3)).astype(np.uint8)
            pixels[..., 0 if name == "cat" else 2] += 160
            Image.fromarray(pixels).resize((160, 160)).save(tmp_path / "pets" / name / f"{i}.png")
    recipe = own_classes.OwnClassesRecipe(
        tmp_path / "pets", 1, 4, 0, init=MODELS_DIR / "classifier" / "weights.safetensors"
    )
    torch.nn.init.normal_(recipe.network.target_head[0].weight)
    torch.nn.init.normal_(recipe.network.target_head[3].weight)
    out = tmp_path / "out"
    save_weights(recipe.network, out / "weights.safetensors")
    for file in ("log.csv", "curves.png"):
        (out / file).write_bytes(b"")
    notes = {"data": "pets", "command": "train", "init": "none"}
    own_classes.publish("pets", recipe, out, tmp_path / "models", notes)
    return tmp_path / "models"


def test_it_is_proved_like_the_others(models):
    spec = get_spec("pets", models)
    reference = load_reference(spec, models)
    assert reference.card.summary == "MobileNetV3-Small at 128 px. What a picture shows, one of 2 classes: cat, dog."
    assert reference.checks
    assert all(check.passed for check in reference.checks)
    assert reference.lowered(torch.rand(1, 3, 128, 128)).shape == (1, 2)
