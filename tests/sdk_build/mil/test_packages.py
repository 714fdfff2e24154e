"""Saved packages of small networks against PyTorch: the whole way through coremltools' file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reference.errors import BadInput
from sdk_build.mil import sqnr_db
from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.executor import OpTrace

from . import nets
from .harness import noise

# torch.export and coremltools 9.0 warn about each other's versions.
pytestmark = pytest.mark.filterwarnings("ignore")

IMAGE = noise(1, 3, 32, 48)
GRID = np.random.default_rng(1).uniform(-1.2, 1.2, (1, 9, 7, 2)).astype(np.float32)
NETS: dict[str, tuple[type[torch.nn.Module], tuple[np.ndarray, ...]]] = {
    "inverted_residual": (nets.InvertedResidual, (IMAGE,)),
    "decoder": (nets.Decoder, (IMAGE,)),
    "attention": (nets.Attention, (noise(1, 7, 16),)),
    "voxels": (nets.Voxels, (noise(1, 2, 8, 8, 12),)),
    "resizer": (nets.Resizer, (IMAGE, GRID)),
}


@functools.cache
def _net(name: str) -> tuple[torch.nn.Module, torch.export.ExportedProgram]:
    """The network and its exported program, which most of the tests share: exporting is the slow step."""
    kind, arrays = NETS[name]
    net = nets.random_net(kind)
    return net, nets.export(net, tuple(map(torch.from_numpy, arrays)))


def _predict(model: EmulatedCoreML, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    inputs = {tensor.name: array for tensor, array in zip(model.inputs, arrays, strict=True)}
    result: np.ndarray = model.predict(inputs)[model.outputs[0].name]
    return result


def _reference(net: torch.nn.Module, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    with torch.no_grad():
        result: torch.Tensor = net(*map(torch.from_numpy, arrays))
    return result.numpy()


@pytest.mark.parametrize(("precision", "limit_db"), [("fp32", 100.0), ("fp16", 45.0)])
@pytest.mark.parametrize("name", NETS)
def test_network_agrees_with_pytorch(name: str, precision: str, limit_db: float, tmp_path: Path) -> None:
    import coremltools as ct

    arrays = NETS[name][1]
    net, exported = _net(name)
    compute = ct.precision.FLOAT32 if precision == "fp32" else ct.precision.FLOAT16
    # iOS 18 keeps attention as one operation.
    target = ct.target.iOS18 if name == "attention" else ct.target.iOS17
    package = nets.convert(exported, compute_precision=compute, minimum_deployment_target=target)
    model = EmulatedCoreML(nets.save(package, tmp_path / "net.mlpackage"))
    reference = _reference(net, arrays)
    measured = sqnr_db(reference, _predict(model, arrays))
    assert model.precision == precision
    assert limit_db < measured
    # fp16 must cost something, or the rounding doesn't happen; another input must give another output.
    assert precision == "fp32" or measured < 85.0
    assert sqnr_db(reference, _reference(net, tuple(-array for array in arrays))) < 40.0


@pytest.fixture(scope="module")
def residual() -> Any:
    return nets.convert(_net("inverted_residual")[1])


@pytest.fixture(scope="module")
def residual_ios18() -> Any:
    import coremltools as ct

    return nets.convert(_net("inverted_residual")[1], minimum_deployment_target=ct.target.iOS18)


def _int8(model: Any, opt: Any) -> Any:
    config = opt.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=64)
    return opt.linear_quantize_weights(model, opt.OptimizationConfig(global_config=config))


def _int8_asymmetric(model: Any, opt: Any) -> Any:
    config = opt.OpLinearQuantizerConfig(mode="linear", dtype="uint8", weight_threshold=64)
    return opt.linear_quantize_weights(model, opt.OptimizationConfig(global_config=config))


def _int4_blocks(model: Any, opt: Any) -> Any:
    config = opt.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=4, weight_threshold=64
    )
    return opt.linear_quantize_weights(model, opt.OptimizationConfig(global_config=config))


def _palette(bits: int) -> Callable[[Any, Any], Any]:
    def compress(model: Any, opt: Any) -> Any:
        config = opt.OpPalettizerConfig(mode="uniform", nbits=bits, weight_threshold=64)
        return opt.palettize_weights(model, opt.OptimizationConfig(global_config=config))

    return compress


def _palette_groups(model: Any, opt: Any) -> Any:
    config = opt.OpPalettizerConfig(
        mode="uniform", nbits=4, granularity="per_grouped_channel", group_size=4, weight_threshold=64
    )
    return opt.palettize_weights(model, opt.OptimizationConfig(global_config=config))


def _sparse(model: Any, opt: Any) -> Any:
    config = opt.OpMagnitudePrunerConfig(target_sparsity=0.3, weight_threshold=64)
    return opt.prune_weights(model, opt.OptimizationConfig(global_config=config))


COMPRESSIONS = [
    pytest.param(_int8, False, "constexpr_affine_dequantize", 30.0, id="int8"),
    pytest.param(_int8_asymmetric, False, "constexpr_affine_dequantize", 30.0, id="uint8"),
    pytest.param(_int8, True, "constexpr_blockwise_shift_scale", 30.0, id="int8-ios18"),
    pytest.param(_int4_blocks, True, "constexpr_blockwise_shift_scale", 12.0, id="int4-blocks"),
    pytest.param(_palette(8), False, "constexpr_lut_to_dense", 30.0, id="palette-8"),
    pytest.param(_palette(6), False, "constexpr_lut_to_dense", 20.0, id="palette-6"),
    pytest.param(_palette(4), False, "constexpr_lut_to_dense", 10.0, id="palette-4"),
    pytest.param(_palette_groups, True, "constexpr_lut_to_dense", 12.0, id="palette-4-groups-ios18"),
    pytest.param(_sparse, False, "constexpr_sparse_to_dense", 5.0, id="sparse"),
    pytest.param(_sparse, True, "constexpr_sparse_to_dense", 5.0, id="sparse-ios18"),
]


@pytest.mark.parametrize(("compress", "is_ios18", "op_type", "limit_db"), COMPRESSIONS)
def test_compressed_weights(
    compress: Callable[[Any, Any], Any],
    is_ios18: bool,
    op_type: str,
    limit_db: float,
    residual: Any,
    residual_ios18: Any,
    tmp_path: Path,
) -> None:
    """Against PyTorch within what the format costs, and closely against coremltools' own unpacked weights."""
    import coremltools.optimize.coreml as opt

    net, _ = _net("inverted_residual")
    compressed = compress(residual_ios18 if is_ios18 else residual, opt)
    model = EmulatedCoreML(nets.save(compressed, tmp_path / "small.mlpackage"))
    unpacked = nets.save(opt.decompress_weights(compressed), tmp_path / "unpacked.mlpackage")
    result = _predict(model, (IMAGE,))
    assert model.op_counts()[op_type] >= 3
    assert limit_db < sqnr_db(_reference(net, (IMAGE,)), result) < 65.0
    assert sqnr_db(_predict(EmulatedCoreML(unpacked), (IMAGE,)), result) > 50.0


def test_quantised_activations(tmp_path: Path) -> None:
    import coremltools as ct
    from coremltools.converters.mil.mil import Builder as mb

    x = noise(2, 4)
    scale = np.float32(0.05)

    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 4))], opset_version=ct.target.iOS17)  # type: ignore[untyped-decorator]
    def program(x: Any) -> Any:
        levels = mb.quantize(input=x, scale=scale, zero_point=np.int8(3), output_dtype="int8")
        return mb.dequantize(input=levels, scale=scale, zero_point=np.int8(3), name="out")

    package = ct.convert(program, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS17)
    model = EmulatedCoreML(nets.save(package, tmp_path / "levels.mlpackage"))
    expected = (np.clip(np.round(x / scale) + 3, -128, 127) - 3) * scale
    np.testing.assert_allclose(model.predict({"x": x})["out"], expected, atol=1e-6)
    assert {"quantize", "dequantize"} <= set(model.op_counts())


def test_several_outputs_and_integers(tmp_path: Path) -> None:
    scores = noise(1, 9)
    package = nets.convert(nets.export(nets.TopScores(), (torch.from_numpy(scores),)))
    model = EmulatedCoreML(nets.save(package, tmp_path / "top.mlpackage"))
    values, places = model.predict({"scores": scores}).values()
    order = np.argsort(-scores[0])[:3]
    assert places.dtype == np.int32
    assert places[0].tolist() == order.tolist()
    np.testing.assert_allclose(values[0], 2 * scores[0][order], rtol=2e-3)


PICTURE = np.random.default_rng(2).integers(0, 256, (32, 48, 3), dtype=np.uint8)
SCALE, SHIFT = 1 / 127.5, [-0.9, -1.0, -1.1]


@pytest.mark.parametrize("layout", ["RGB", "BGR"])
def test_picture_input(layout: str, tmp_path: Path) -> None:
    import coremltools as ct

    net, exported = _net("inverted_residual")
    image = ct.ImageType("image", IMAGE.shape, scale=SCALE, bias=SHIFT, color_layout=getattr(ct.colorlayout, layout))
    package = nets.convert(exported, inputs=[image])
    package.input_description["image"] = "a picture"
    model = EmulatedCoreML(nets.save(package, tmp_path / "picture.mlpackage"))
    declared = model.inputs[0]
    assert (declared.shape, declared.dtype, declared.color) == ((32, 48, 3), "uint8", layout.lower())
    assert declared.description == "a picture"
    channels = PICTURE if layout == "RGB" else PICTURE[:, :, ::-1]
    tensor = (channels.astype(np.float32) * np.float32(SCALE) + np.array(SHIFT, np.float32)).transpose(2, 0, 1)[None]
    result = model.predict({"image": PICTURE})[model.outputs[0].name]
    assert sqnr_db(_reference(net, (np.ascontiguousarray(tensor),)), result) > 45.0
    with pytest.raises(BadInput, match=r"input 'image' has shape \(3, 32, 48\); allowed: \(32, 48, 3\); resize"):
        model.predict({"image": PICTURE.transpose(2, 0, 1)})
    with pytest.raises(BadInput, match=r"input 'image' is float32; allowed: uint8; convert with .astype\('uint8'\)"):
        model.predict({"image": PICTURE.astype(np.float32)})


def test_grayscale_picture_in_and_picture_out(tmp_path: Path) -> None:
    import coremltools as ct

    class Invert(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return 255 - torch.cat([image, image * 0.5, image * 0], 1)

    package = nets.convert(
        nets.export(Invert(), (torch.zeros(1, 1, 32, 48),)),
        inputs=[ct.ImageType("image", (1, 1, 32, 48), color_layout=ct.colorlayout.GRAYSCALE)],
        outputs=[ct.ImageType("inverted", color_layout=ct.colorlayout.RGB)],
    )
    model = EmulatedCoreML(nets.save(package, tmp_path / "invert.mlpackage"))
    gray = PICTURE[:, :, 0] & 0xFE
    result = model.predict({"image": gray})["inverted"]
    assert model.outputs[0].shape == (32, 48, 3)
    assert result.dtype == np.uint8
    expected = np.stack([255 - gray, 255 - gray // 2, np.full_like(gray, 255)], -1)
    np.testing.assert_array_equal(result, expected)


class Pointwise(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.relu(image) * 3


def _flexible(shapes: Any, tmp_path: Path) -> EmulatedCoreML:
    """Flexible shapes need a traced module: an exported program is fixed."""
    import coremltools as ct

    traced = torch.jit.trace(Pointwise(), torch.zeros(1, 3, 8, 8))  # type: ignore[no-untyped-call]
    package = ct.convert(
        traced,
        inputs=[ct.TensorType("image", shapes)],
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=ct.precision.FLOAT32,
    )
    return EmulatedCoreML(nets.save(package, tmp_path / "flexible.mlpackage"))


def test_enumerated_shapes(tmp_path: Path) -> None:
    import coremltools as ct

    model = _flexible(ct.EnumeratedShapes([(1, 3, 8, 8), (1, 3, 16, 8)]), tmp_path)
    x = noise(1, 3, 16, 8)
    np.testing.assert_allclose(_predict(model, (x,)), np.maximum(x, 0) * 3, rtol=1e-6)
    message = r"shape \(1, 3, 9, 8\); allowed: \(1, 3, (8|16), 8\) or \(1, 3, (8|16), 8\)"
    with pytest.raises(BadInput, match=message):
        _predict(model, (noise(1, 3, 9, 8),))


def test_shape_ranges(tmp_path: Path) -> None:
    import coremltools as ct

    model = _flexible((1, 3, ct.RangeDim(4, 10, default=8), 8), tmp_path)
    x = noise(1, 3, 10, 8)
    np.testing.assert_allclose(_predict(model, (x,)), np.maximum(x, 0) * 3, rtol=1e-6)
    with pytest.raises(BadInput, match=r"shape \(1, 3, 11, 8\); allowed: 1..1 x 3..3 x 4..10 x 8..8"):
        _predict(model, (noise(1, 3, 11, 8),))


@pytest.mark.parametrize("labels", [["a", "b", "c", "d", "e"], [10, 11, 12, 13, 14]])
def test_classifier(labels: list[Any], tmp_path: Path) -> None:
    import coremltools as ct

    net, exported = _net("inverted_residual")
    config = ct.ClassifierConfig(labels)
    package = nets.convert(exported, classifier_config=config)
    package.short_description = "five classes"
    package.user_defined_metadata["licence"] = "MIT"
    model = EmulatedCoreML(nets.save(package, tmp_path / "classes.mlpackage"))
    result = model.predict({model.inputs[0].name: IMAGE})
    scores = _reference(net, (IMAGE,))[0]
    assert result["classLabel"] == labels[int(scores.argmax())]
    probabilities = next(value for value in result.values() if isinstance(value, dict))
    assert list(probabilities) == labels
    np.testing.assert_allclose(list(probabilities.values()), scores, atol=5e-3)
    assert model.program.description == "five classes"
    assert model.program.metadata["licence"] == "MIT"
    assert (model.program.spec_version, model.program.minimum_ios) == (8, 17)


def test_trace_follows_the_program(residual: Any, tmp_path: Path) -> None:
    model = EmulatedCoreML(nets.save(residual, tmp_path / "net.mlpackage"))
    traces: list[OpTrace] = []
    result = model.predict({"image": IMAGE}, traces.append)
    wanted = [operation.name for operation in model.program.operations if operation.op_type != "const"]
    assert [trace.name for trace in traces] == wanted
    convolution = next(trace for trace in traces if trace.op_type == "conv")
    assert convolution.dtype == "fp16"
    assert next(iter(convolution.outputs.values())).dtype == np.float16
    np.testing.assert_array_equal(traces[-1].outputs[model.outputs[0].name], result[model.outputs[0].name])
