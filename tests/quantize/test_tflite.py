"""Which weights of a .tflite have 8 bits."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from sdk_build.backends import litert
from sdk_build.quantize import tflite
from sdk_build.quantize.recipes import FLOAT, get_recipe
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
