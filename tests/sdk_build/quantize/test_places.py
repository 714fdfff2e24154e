"""Where maps become places, their cells' places keep all their bits: 8 would move every point the same way."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from reference.spec import PreprocessSpec, TensorSpec
from sdk_build.backends import get_backend
from sdk_build.backends.quantizers import mlpackage, pt2e
from sdk_build.backends.quantizers.recipes import FLOAT, get_recipe
from sdk_build.quiet import quiet
from tests.sdk_build.quantize.conftest import SPEC

SIDE, MAPS, MIXED = 24, 4, 3
PLACED = dataclasses.replace(
    SPEC,
    inputs=(TensorSpec("image", (1, 3, SIDE, SIDE), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(TensorSpec("logits", (1, MAPS * (1 + MIXED)), "NC", "logit"),),
    preprocess=PreprocessSpec(size=(SIDE, SIDE)),
    labels=tuple("abcdefghijklmnop"),
)
WEIGHTS = {"places": (1, SIDE * SIDE), "mix": (MIXED, SIDE * SIDE)}


class Placing(nn.Module):
    """The mean place of each map, and a product that gives more than two numbers of it."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(3, MAPS, 3, padding=1)
        self.mix = nn.Linear(SIDE * SIDE, MIXED)
        self.register_buffer("places", torch.linspace(0, 1, SIDE * SIDE)[None])

    def forward(self, image):
        shares = torch.softmax(self.maps(image).flatten(2), dim=2)
        places = nn.functional.linear(shares, self.places).flatten(1)
        return torch.cat([places, self.mix(shares).flatten(1)], dim=1)


@pytest.fixture(scope="module")
def placing():
    torch.manual_seed(0)
    return Placing().eval()


@pytest.mark.parametrize("precision", ["w8", "dynamic_w8"])
def test_litert(placing, precision, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    path = tmp_path / "model.tflite"
    with quiet():
        get_backend("litert").lower(placing, PLACED, precision, path)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    tensors = [t for graph in model.subgraphs for t in graph.tensors]
    constants = [t for t in tensors if t.shape is not None and model.buffers[t.buffer].data is not None]
    kinds = {tuple(t.shape): t.type for t in constants}
    found = {name: kinds[shape] for name, shape in WEIGHTS.items()}
    assert found == {"places": schema.TensorType.FLOAT32, "mix": schema.TensorType.INT8}


def test_executorch(placing):
    recipe = get_recipe("dynamic_w8")
    with quiet():
        graph = pt2e.quantize(placing, PLACED, pt2e.xnnpack_quantizer(recipe, FLOAT), {})
    found = {tuple(value.shape) for value in graph.state_dict().values() if value.dtype == torch.int8}
    assert found == {WEIGHTS["mix"]}


@pytest.mark.parametrize("precision", ["w8", "p6"])
def test_core_ml(placing, precision):
    with quiet():
        import coremltools as ct

        traced = torch.jit.trace(placing, torch.zeros(PLACED.input.shape))
        model = ct.convert(
            traced, inputs=[ct.TensorType("image", PLACED.input.shape)], minimum_deployment_target=ct.target.iOS16,
            compute_precision=ct.precision.FLOAT32, skip_model_load=True,
        )  # fmt: skip
        small = mlpackage.compress_weights(model, get_recipe(precision))
    operations = small._mil_program.functions["main"].operations
    packed = {op.outputs[0].shape for op in operations if op.op_type.startswith("constexpr")}
    assert packed & {*WEIGHTS.values()} == {WEIGHTS["mix"]}


@pytest.mark.parametrize(("second", "kind", "quantizations"), [(0.5, "int8", 1), (0.25, "int8", 2), (0.5, "uint8", 2)])
def test_integers_are_reshaped_only_where_they_mean_the_same(second, kind, quantizations):
    """Quantise, dequantise, reshape, quantise again: the last one may go if its scale and type are the first one's."""
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    mlpackage.mend_passes()

    @mb.program(input_specs=[mb.TensorSpec((2, 3))], opset_version=ct.target.iOS17)
    def program(x):
        first = mb.quantize(input=x, scale=np.float32(0.5), output_dtype="int8")
        flat = mb.reshape(x=mb.dequantize(input=first, scale=np.float32(0.5)), shape=(6,))
        again = mb.quantize(input=flat, scale=np.float32(second), output_dtype=kind)
        return mb.dequantize(input=again, scale=np.float32(second))

    with quiet():
        PASS_REGISTRY["common::int_op_canonicalization"](program)
    assert sum(op.op_type == "quantize" for op in program.functions["main"].operations) == quantizations
