"""Which weights of a .tflite have 8 bits."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from sdk_build.backends import litert
from sdk_build.quantize import tflite
from sdk_build.quantize.recipes import FLOAT, get_recipe
from sdk_build.quantize.shrink_tflite import parse, shrink
from sdk_build.quiet import quiet


@pytest.mark.parametrize("precision", ["w8", "dynamic_w8"])
@pytest.mark.parametrize(("small", "expected"), [(0, {216, 128, 64}), (200, {216}), (1000, set())])
def test_small_weights_stay_float(network, spec, monkeypatch, precision, small, expected):
    """The network's weights are 216, 128 and 64 in number."""
    monkeypatch.setattr(tflite, "SMALL", small)
    with quiet():
        model = tflite.quantize(litert.convert(network, spec), get_recipe(precision), FLOAT)
    (graph,) = parse(model).subgraphs
    found = {int(tensor.shape.prod()) for tensor in graph.tensors if tensor.type == schema.TensorType.INT8}
    assert found == expected


def test_biases_beside_bytes_are_half_as_long(network, spec, samples, monkeypatch):
    """The largest biases are rounded to 11 bits, all else stays, and results with them."""
    with quiet():
        model = litert.convert(network, spec)
    monkeypatch.setattr(tflite, "SMALL", 0)
    found = {}
    for least in (8, 9, 17):
        monkeypatch.setattr(tflite, "HALVED", least)
        packed = shrink(tflite.quantize(model, get_recipe("w8"), FLOAT))
        halves = [t for t in parse(packed).subgraphs[0].tensors if t.type == schema.TensorType.FLOAT16]
        output = Interpreter(model_content=packed, num_threads=1).get_signature_runner()(image=samples[0])["logits"]
        found[least] = {int(t.shape.prod()) for t in halves}, output
    assert [sizes for sizes, _ in found.values()] == [{8, 16}, {16}, set()]
    exact = found[17][1]
    assert 0 < np.abs(found[8][1] - exact).max() < 2**-10 * np.abs(exact).max()


def test_biases_of_8_bit_activations_stay(network, spec, monkeypatch):
    monkeypatch.setattr(tflite, "HALVED", 1)
    monkeypatch.setattr(tflite, "SMALL", 0)
    with quiet():
        model = tflite.quantize(litert.convert(network, spec), get_recipe("dynamic_w8"), FLOAT)
    assert all(t.type != schema.TensorType.FLOAT16 for t in parse(model).subgraphs[0].tensors)
