"""Which weights of a .tflite have 8 bits."""

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


@pytest.mark.parametrize("precision", ["fp16", "w8", "dynamic_w8"])
def test_the_delegate_takes_every_precision_whole(network, spec, monkeypatch, tmp_path, precision):
    """Sizes and accuracy say nothing of operations that fall back; float16 biases beside 8-bit weights make them."""
    monkeypatch.setattr(tflite, "SMALL", 0)
    path = tmp_path / "model.tflite"
    with quiet():
        path.write_bytes(tflite.quantize(litert.convert(network, spec), get_recipe(precision), FLOAT))
        found = litert.inspect(path)
    assert found.complete, found
    assert found.total >= 5
