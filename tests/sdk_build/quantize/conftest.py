"""A network small enough to quantise in a second."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec


class Tiny(nn.Module):
    """Two convolutions, a rectifier, and arithmetic of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.act = nn.ReLU()
        self.body = nn.Sequential(nn.Conv2d(8, 16, 1), nn.ReLU())
        self.head = nn.Linear(16, 4)

    def forward(self, image):
        x = self.body(self.act(self.first(image)))
        return self.head(x.mean((2, 3), keepdim=True).flatten(1) + 0.5)


SPEC = ModelSpec(
    name="tiny",
    task="image_classification",
    document="I",
    network="classifier:build",
    inputs=(TensorSpec("image", (1, 3, 16, 16), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(TensorSpec("logits", (1, 4), "NC", "logit"),),
    preprocess=PreprocessSpec(size=(16, 16)),
    postprocess=PostprocessSpec("Classification"),
    intermediate="body",
    labels=("a", "b", "c", "d"),
)


@pytest.fixture(scope="session")
def spec():
    return SPEC


@pytest.fixture(scope="session")
def network():
    torch.manual_seed(3)
    return Tiny().eval()


@pytest.fixture(scope="session")
def samples():
    generator = torch.Generator().manual_seed(5)
    return [{"image": torch.rand(SPEC.input.shape, generator=generator).numpy()} for _ in range(4)]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # for child processes
        yield
    torch.set_num_threads(before)
