"""Which weights of a .tflite have 8 bits."""

import re

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from sdk_build.backends import litert
from sdk_build.backends.quantizers import tflite
from sdk_build.backends.quantizers.recipes import FLOAT, Quantization, get_recipe
from sdk_build.quiet import quiet


@pytest.mark.parametrize("precision", ["w8", "dynamic_w8"])
@pytest.mark.parametrize(("small", "expected"), [(0, {216, 128, 64}), (200, {216}), (1000, set())])
def test_small_weights_stay_float(network, spec, monkeypatch, precision, small, expected):
    """The network's weights are 216, 128 and 64 in number."""
    monkeypatch.setattr(tflite, "SMALL", small)
    with quiet():
        model = tflite.quantize(litert.convert(network, spec), get_recipe(precision), FLOAT)
    (graph,) = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0)).subgraphs
    found = {int(tensor.shape.prod()) for tensor in graph.tensors if tensor.type == schema.TensorType.INT8}
    assert found == expected


class Iterated(nn.Module):
    """Containers that are not called themselves, with children of the same name."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 1))
        self.heads = nn.ModuleList([nn.Conv2d(16, 4, 1)])

    def forward(self, image):
        for layer in self.features:
            image = layer(image)
        return self.heads[0](image).mean((2, 3)) + 0.5


@pytest.fixture(scope="module")
def iterated(spec, samples):
    """The float model and its ranges; weights: 216 of features.0, 128 of features.2, 64 of heads.0."""
    torch.manual_seed(0)
    with quiet():
        model = litert.convert(Iterated().eval(), spec)
        return model, tflite.observe(model, samples)


def tensors_of(model):
    (graph,) = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0)).subgraphs
    return graph.tensors


@pytest.mark.parametrize(
    ("keep", "expected"),
    [((), {216, 128, 64}), (("features.0",), {128, 64}), (("heads.0",), {216, 128}), (("features",), {64})],
)
def test_parts_stay_float_wherever_they_are(iterated, keep, expected):
    model, ranges = iterated
    with quiet():
        found = tensors_of(tflite.quantize(model, get_recipe("w8a8"), Quantization(("", *keep), ranges)))
    sizes = {int(t.shape.prod()) for t in found if t.type == schema.TensorType.INT8}
    assert sizes & {216, 128, 64} == expected


def test_large_weights_of_parts_that_stay_float_keep_8_bits(iterated, monkeypatch):
    model, ranges = iterated
    monkeypatch.setattr(tflite, "SMALL", 0)
    with quiet():
        found = tensors_of(tflite.quantize(model, get_recipe("w8a8"), Quantization(("", "features.0"), ranges)))
    assert {int(t.shape.prod()) for t in found if t.type == schema.TensorType.INT8} >= {216, 128, 64}
    kinds = {t.name.decode(): t.type for t in found}
    (first,) = [kind for name, kind in kinds.items() if re.match(r"network\.features\.0;\d+$", name)]
    assert first == schema.TensorType.FLOAT32


@pytest.mark.parametrize(
    ("limit", "channels", "scales"), [(0.0, 0, [1, 1, 1]), (99.0, 0, [4, 8, 16]), (0.0, 9, [1, 4, 8])]
)
def test_even_weights_share_a_scale(network, spec, monkeypatch, limit, channels, scales):
    """The network's weights have 8, 16 and 4 channels."""
    monkeypatch.setattr(tflite, "SMALL", 0)
    monkeypatch.setattr(tflite, "EVEN_DB", limit)
    monkeypatch.setattr(tflite, "MANY_CHANNELS", channels)
    with quiet():
        model = tflite.quantize(litert.convert(network, spec), get_recipe("w8"), FLOAT)
    (graph,) = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0)).subgraphs
    found = [len(t.quantization.scale) for t in graph.tensors if t.type == schema.TensorType.INT8]
    assert sorted(found) == scales


def test_channels_of_very_different_size_lose_under_one_scale():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 4000)).astype(np.float32)
    even = tflite.decibels_under_one_scale(weights)
    assert (even > 35).all() and (even < 50).all()
    uneven = tflite.decibels_under_one_scale(weights * np.array([[1], [0.1], [0]], np.float32))
    assert uneven[0] == pytest.approx(even[0], abs=1) and uneven[1] == pytest.approx(even[1] - 20, abs=1.5)
    assert uneven[2] == np.inf
    assert (tflite.decibels_under_one_scale(np.zeros((2, 3), np.float32)) == np.inf).all()


@pytest.mark.parametrize("limit", [0.0, 99.0])
@pytest.mark.parametrize("precision", ["fp16", "w8", "dynamic_w8"])
def test_the_delegate_takes_every_precision_whole(network, spec, monkeypatch, tmp_path, precision, limit):
    """Sizes and accuracy say nothing of operations that fall back; float16 biases beside 8-bit weights make them."""
    monkeypatch.setattr(tflite, "SMALL", 0)
    monkeypatch.setattr(tflite, "EVEN_DB", limit)
    monkeypatch.setattr(tflite, "MANY_CHANNELS", 0)
    path = tmp_path / "model.tflite"
    with quiet():
        path.write_bytes(tflite.quantize(litert.convert(network, spec), get_recipe(precision), FLOAT))
        found = litert.inspect(path)
    assert found.complete, found
    assert found.total >= 5
