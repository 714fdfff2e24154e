"""The older format against torch: every kind of layer in one small network each, made by coremltools' builder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sdk_build.mil import EmulatedCoreML

from .harness import array, noise, t

pytestmark = pytest.mark.filterwarnings("ignore")

C, H, W = 4, 6, 8
X = noise(C, H, W, seed=1)
ROW = noise(C, seed=2)
GAMMA, BETA, MEAN = noise(C, seed=3), noise(C, seed=4), noise(C, seed=5)
VARIANCE = np.abs(noise(C, seed=6)) + 0.5
WEIGHT = noise(3, C, 3, 3, seed=7)
BIAS = noise(3, seed=8)
Build = Callable[[Any], None]


def run(build: Build, x: np.ndarray, folder: Path, is_exact: bool = False, outputs: int = 1) -> list[np.ndarray]:
    """Builds a network from x to y, saves it as .mlmodel and runs it."""
    import coremltools as ct
    from coremltools.models.datatypes import Array
    from coremltools.models.neural_network import NeuralNetworkBuilder

    names = ["y", "z"][:outputs]
    builder = NeuralNetworkBuilder(
        [("x", Array(*x.shape))], [(name, None) for name in names], disable_rank5_shape_mapping=is_exact
    )
    build(builder)
    path = folder / "net.mlmodel"
    ct.models.utils.save_spec(builder.spec, str(path))
    result = EmulatedCoreML(path).predict({"x": x})
    return [result[name] for name in names]


def _conv(b: Any, **settings: Any) -> None:
    given = {"border_mode": "valid", "groups": 1, "stride_height": 1, "stride_width": 1, **settings}
    transposed = given.get("is_deconv", False)
    weights = WEIGHT.transpose(2, 3, 1, 0)  # the builder wants (H, W, C_in, C_out)
    b.add_convolution("l", C, 3, 3, 3, W=weights, b=BIAS, has_bias=True, input_name="x", output_name="y", **given)
    assert transposed in (True, False)


def _depthwise(b: Any) -> None:
    w = noise(3, 3, 1, C, seed=9)
    b.add_convolution("l", 1, C, 3, 3, 2, 2, "same", C, w, None, False, input_name="x", output_name="y")


def _pool(kind: str, border: str, **rest: Any) -> Build:
    return lambda b: b.add_pooling("l", 3, 3, 2, 2, kind, border, "x", "y", **rest)


def _activation(kind: str, parameters: Any = None) -> Build:
    return lambda b: b.add_activation("l", kind, "x", "y", parameters)


def _layer(name: str, *rest: Any, **settings: Any) -> Build:
    return lambda b: getattr(b, f"add_{name}")("l", *rest, input_name="x", output_name="y", **settings)


TX = t(X)[None]
SAME_DEPTHWISE = F.conv2d(F.pad(TX, [0, 1, 0, 1]), t(noise(3, 3, 1, C, seed=9)).permute(3, 2, 0, 1), stride=2, groups=C)
FLAT_WEIGHT, FLAT_BIAS = noise(5, C, seed=10), noise(5, seed=11)
CASES: dict[str, tuple[Build, torch.Tensor]] = {
    "convolution": (_conv, F.conv2d(TX, t(WEIGHT), t(BIAS))),
    "convolution, stride, dilation, padded": (
        lambda b: _conv(b, stride_height=2, dilation_factors=[1, 2], padding_top=1, padding_bottom=1),
        F.conv2d(F.pad(TX, [0, 0, 1, 1]), t(WEIGHT), t(BIAS), stride=(2, 1), dilation=(1, 2)),
    ),
    "convolution, transposed": (
        lambda b: _conv(b, is_deconv=True, stride_height=2, stride_width=2),
        F.conv_transpose2d(TX, t(WEIGHT).transpose(0, 1), t(BIAS), stride=2),
    ),
    "convolution, depthwise, same": (_depthwise, SAME_DEPTHWISE),
    "max pooling": (_pool("MAX", "VALID"), F.max_pool2d(TX, 3, 2)),
    "average pooling, padded": (
        _pool(
            "AVERAGE", "VALID", padding_top=1, padding_bottom=1, padding_left=1, padding_right=1, exclude_pad_area=False
        ),
        F.avg_pool2d(TX, 3, 2, 1),
    ),
    "average pooling, last pixel, padding left out": (
        _pool(
            "AVERAGE",
            "INCLUDE_LAST_PIXEL",
            exclude_pad_area=True,
            padding_top=1,
            padding_bottom=1,
            padding_left=1,
            padding_right=1,
        ),
        F.avg_pool2d(TX, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    ),
    "global average pooling": (
        lambda b: b.add_pooling("l", 1, 1, 1, 1, "AVERAGE", "VALID", "x", "y", is_global=True),
        TX.mean((2, 3), keepdim=True),
    ),
    "relu": (_activation("RELU"), torch.relu(TX)),
    "leaky relu": (_activation("LEAKYRELU", [0.2]), F.leaky_relu(TX, 0.2)),
    "elu": (_activation("ELU", 0.7), F.elu(TX, 0.7)),
    "prelu": (_activation("PRELU", array(*[0.1, 0.2, 0.3, 0.4])), F.prelu(TX, t(array(0.1, 0.2, 0.3, 0.4)))),
    "sigmoid": (_activation("SIGMOID"), torch.sigmoid(TX)),
    "hard sigmoid": (_activation("SIGMOID_HARD", [0.2, 0.5]), torch.clamp(0.2 * TX + 0.5, 0, 1)),
    "tanh": (_activation("TANH"), torch.tanh(TX)),
    "scaled tanh": (_activation("SCALED_TANH", [1.5, 0.5]), 1.5 * torch.tanh(0.5 * TX)),
    "thresholded relu": (_activation("THRESHOLDEDRELU", 0.3), torch.where(TX >= 0.3, TX, 0.0)),
    "softsign": (_activation("SOFTSIGN"), F.softsign(TX)),
    "softplus": (_activation("SOFTPLUS"), F.softplus(TX)),
    "parametric softplus": (
        _activation("PARAMETRICSOFTPLUS", [array(1, 2, 3, 4), array(1, 1, 0.5, 0.5)]),
        t(array(1, 2, 3, 4)).reshape(-1, 1, 1) * F.softplus(t(array(1, 1, 0.5, 0.5)).reshape(-1, 1, 1) * TX),
    ),
    "linear activation": (_activation("LINEAR", [2.0, 1.0]), 2 * TX + 1),
    "batch norm": (
        lambda b: b.add_batchnorm("l", C, GAMMA, BETA, MEAN, VARIANCE, "x", "y", epsilon=1e-3),
        F.batch_norm(TX, t(MEAN), t(VARIANCE), t(GAMMA), t(BETA), eps=1e-3),
    ),
    "instance norm": (
        lambda b: b.add_batchnorm("l", C, GAMMA, BETA, None, None, "x", "y", True, True, epsilon=1e-3),
        F.instance_norm(TX, weight=t(GAMMA), bias=t(BETA), eps=1e-3),
    ),
    "mean variance": (
        _layer("mvn", across_channels=False, normalize_variance=True, epsilon=1e-3),
        F.instance_norm(TX, eps=1e-3),
    ),
    "l2 normalize": (_layer("l2_normalize", epsilon=1e-3), TX / torch.sqrt(TX.square().sum() + 1e-3)),
    "local response norm": (
        _layer("lrn", alpha=0.5, beta=0.6, local_size=3, k=2.0),
        F.local_response_norm(TX, 3, 0.5, 0.6, 2.0),
    ),
    "softmax": (_layer("softmax"), torch.softmax(TX, 1)),
    "scale and bias": (
        lambda b: b.add_scale("l", GAMMA, BETA, True, "x", "y", [C], [C]),
        TX * t(GAMMA).reshape(-1, 1, 1) + t(BETA).reshape(-1, 1, 1),
    ),
    "bias": (lambda b: b.add_bias("l", BETA, "x", "y", [C]), TX + t(BETA).reshape(-1, 1, 1)),
    "crop": (lambda b: b.add_crop("l", 1, 2, 0, 1, None, ["x"], "y"), TX[:, :, 0:5, 1:6]),
    "padding, constant": (_layer("padding", 1, 2, 3, 0, 9.0), F.pad(TX, [1, 2, 3, 0], value=9.0)),
    "padding, reflection": (
        _layer("padding", 1, 2, 3, 0, padding_type="reflection"),
        F.pad(TX, [1, 2, 3, 0], mode="reflect"),
    ),
    "padding, replication": (
        _layer("padding", 1, 2, 3, 0, padding_type="replication"),
        F.pad(TX, [1, 2, 3, 0], mode="replicate"),
    ),
    "upsample, nearest": (_layer("upsample", 2, 3), F.interpolate(TX, scale_factor=(2, 3))),
    "upsample, corners aligned": (
        _layer("upsample", 2, 3, mode="BILINEAR", linear_upsample_mode="ALIGN_CORNERS_TRUE"),
        F.interpolate(TX, scale_factor=(2, 3), mode="bilinear", align_corners=True),
    ),
    "upsample, corners not aligned": (
        _layer("upsample", 2, 3, mode="BILINEAR", linear_upsample_mode="ALIGN_CORNERS_FALSE"),
        F.interpolate(TX, scale_factor=(2, 3), mode="bilinear", align_corners=False),
    ),
    "resize bilinear": (
        _layer("resize_bilinear", target_height=9, target_width=5),
        F.interpolate(TX, size=(9, 5), mode="bilinear", align_corners=True),
    ),
    "unary, rsqrt": (
        _layer("unary", mode="rsqrt", shift=5.0, scale=2.0, epsilon=1e-3),
        torch.rsqrt(2 * TX + 5 + 1e-3),
    ),
    "unary, power": (_layer("unary", mode="power", alpha=2.0), TX**2),
    "unary, threshold": (_layer("unary", mode="threshold", alpha=0.1), torch.clamp(TX, min=0.1)),
    "reduce": (_layer("reduce", axis="HW", mode="avg"), TX.mean((2, 3), keepdim=True)),
    "slice": (_layer("slice", axis="height", start_index=1, end_index=-1, stride=2), TX[:, :, 1:-1:2]),
    "permute": (_layer("permute", dim=(0, 3, 1, 2)), TX.permute(0, 3, 1, 2)),
    "flatten, channels first": (_layer("flatten", mode=0), TX.reshape(-1)),
    "flatten, channels last": (_layer("flatten", mode=1), TX.permute(0, 2, 3, 1).reshape(-1)),
    "reshape, channels first": (_layer("reshape", target_shape=(2, 3, 32), mode=0), TX.reshape(1, 2, 3, 32)),
    "reshape, channels last": (
        _layer("reshape", target_shape=(2, 3, 32), mode=1),
        TX.permute(0, 2, 3, 1).reshape(1, 3, 32, 2).permute(0, 3, 1, 2),
    ),
    "depth to space": (_layer("reorganize_data", mode="PIXEL_SHUFFLE", block_size=2), F.pixel_shuffle(TX, 2)),
    "elementwise": (
        lambda b: (
            b.add_activation("r", "RELU", "x", "r"),
            b.add_elementwise("m", ["x", "r"], "m", "MULTIPLY"),
            b.add_elementwise("a", ["m", "x"], "a", "ADD"),
            b.add_elementwise("y", ["a", "x"], "y", "MAX"),
        ),
        torch.maximum(TX * torch.relu(TX) + TX, TX),
    ),
    "elementwise with a number": (
        lambda b: (b.add_elementwise("a", ["x"], "a", "ADD", 2.0), b.add_elementwise("y", ["a"], "y", "MULTIPLY", 3.0)),
        3 * (TX + 2),
    ),
    "concat": (
        lambda b: (
            b.add_activation("r", "RELU", "x", "r"),
            b.add_elementwise("y", ["x", "r"], "y", "CONCAT"),
        ),
        torch.cat([TX, torch.relu(TX)], 1),
    ),
    "load constant": (
        lambda b: (
            b.add_load_constant("c", "c", X[:, :1, :1], [C, 1, 1]),
            b.add_elementwise("y", ["x", "c"], "y", "ADD"),
        ),
        TX + TX[:, :, :1, :1],
    ),
    "dot product": (
        lambda b: (
            b.add_reduce("r", "x", "r", "HW", "sum"),
            b.add_elementwise("y", ["r", "r"], "y", "COS"),
        ),
        torch.ones(1),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_layer_of_five_dimensions(name: str, tmp_path: Path) -> None:
    build, expected = CASES[name]
    (result,) = run(build, X, tmp_path)
    assert result.size == expected.numel()
    np.testing.assert_allclose(result.reshape(expected.shape), expected.numpy(), rtol=1e-5, atol=2e-6)


def test_inner_product_of_a_vector(tmp_path: Path) -> None:
    def build(b: Any) -> None:
        b.add_inner_product("l", FLAT_WEIGHT, FLAT_BIAS, C, 5, True, "x", "y")

    (result,) = run(build, ROW, tmp_path)
    assert result.shape == (5,)
    np.testing.assert_allclose(result, FLAT_WEIGHT @ ROW + FLAT_BIAS, rtol=1e-5)


def test_split_gives_several_outputs(tmp_path: Path) -> None:
    first, second = run(lambda b: b.add_split("l", "x", ["y", "z"]), X, tmp_path, outputs=2)
    np.testing.assert_array_equal(first, X[:2])
    np.testing.assert_array_equal(second, X[2:])


@pytest.mark.parametrize(("bits", "limit"), [(16, 2e-3), (8, 0.02), (4, 0.3)])
@pytest.mark.parametrize("mode", ["linear", "linear_lut"])
def test_quantised_weights(bits: int, limit: float, mode: str, tmp_path: Path) -> None:
    """Against the float network within what the bits cost; and it must cost something."""
    import coremltools as ct
    from coremltools.models.datatypes import Array
    from coremltools.models.neural_network import NeuralNetworkBuilder, quantization_utils

    builder = NeuralNetworkBuilder([("x", Array(C, H, W))], [("y", None)])
    _conv(builder)
    model = ct.models.MLModel(builder.spec, skip_model_load=True)
    small = quantization_utils.quantize_weights(model, bits, "linear" if bits == 16 else mode)
    spec = small if not hasattr(small, "get_spec") else small.get_spec()
    ct.models.utils.save_spec(spec, str(tmp_path / "small.mlmodel"))
    result = EmulatedCoreML(tmp_path / "small.mlmodel").predict({"x": X})["y"]
    expected = F.conv2d(TX, t(WEIGHT), t(BIAS))[0].numpy()
    error = np.abs(result - expected).max() / np.abs(expected).max()
    assert 1e-6 < error < limit


GENERAL: dict[str, tuple[Build, Callable[[torch.Tensor], torch.Tensor]]] = {
    "transpose": (_layer("transpose", (2, 0, 1)), lambda x: x.permute(2, 0, 1)),
    "reshape_static": (_layer("reshape_static", output_shape=(C * H, W)), lambda x: x.reshape(C * H, W)),
    "rank_preserving_reshape": (
        _layer("rank_preserving_reshape", output_shape=(0, -1, 4)),
        lambda x: x.reshape(C, -1, 4),
    ),
    "flatten_to_2d": (_layer("flatten_to_2d", axis=1), lambda x: x.reshape(C, -1)),
    "expand_dims": (_layer("expand_dims", axes=(0, -1)), lambda x: x[None, ..., None]),
    "softmax_nd": (_layer("softmax_nd", axis=1), lambda x: x.softmax(1)),
    "reduce_mean": (_layer("reduce_mean", axes=(1,), keepdims=False), lambda x: x.mean(1)),
    "reduce_max": (_layer("reduce_max", axes=(-1,), keepdims=True), lambda x: x.amax(-1, keepdim=True)),
    "argmax": (_layer("argmax", axis=0, keepdims=False), lambda x: x.argmax(0).float()),
    "clip": (_layer("clip", min_value=-0.5, max_value=0.5), lambda x: x.clamp(-0.5, 0.5)),
    "slice_static": (
        _layer(
            "slice_static",
            begin_ids=(0, 1, 0),
            end_ids=(2, 5, 0),
            strides=(1, 2, 1),
            begin_masks=[False] * 3,
            end_masks=[False, False, True],
        ),
        lambda x: x[0:2, 1:5:2],
    ),
    "constant_pad": (
        lambda b: b.add_constant_pad("l", ["x"], "y", 2.0, False, [0, 0, 1, 2, 0, 0]),
        lambda x: F.pad(x, [0, 0, 1, 2], value=2.0),
    ),
    "batched_mat_mul": (
        lambda b: b.add_batched_mat_mul("l", ["x"], "y", False, False, W, 5, noise(W, 5, seed=12), FLAT_BIAS),
        lambda x: x @ t(noise(W, 5, seed=12)) + t(FLAT_BIAS),
    ),
    "layer_normalization": (
        _layer(
            "layer_normalization",
            normalized_shape=[W],
            gamma=np.ones(W, np.float32),
            beta=np.zeros(W, np.float32),
            eps=1e-3,
        ),
        lambda x: F.layer_norm(x, [W], eps=1e-3),
    ),
    "tile": (_layer("tile", reps=(1, 2, 1)), lambda x: x.repeat(1, 2, 1)),
    "gelu": (_layer("gelu", mode="EXACT"), F.gelu),
    "erf": (_layer("erf"), torch.erf),
    "sin": (_layer("sin"), torch.sin),
    "greater_than": (
        lambda b: b.add_greater_than("l", ["x"], "y", alpha=0.2),
        lambda x: (x > 0.2).float(),
    ),
    "multiply_broadcastable": (
        lambda b: (
            b.add_load_constant_nd("c", "c", GAMMA, (C, 1, 1)),
            b.add_multiply_broadcastable("l", ["x", "c"], "y"),
        ),
        lambda x: x * t(GAMMA).reshape(-1, 1, 1),
    ),
}


@pytest.mark.parametrize("name", GENERAL)
def test_layer_of_exact_rank(name: str, tmp_path: Path) -> None:
    build, reference = GENERAL[name]
    (result,) = run(build, X, tmp_path, is_exact=True)
    expected = reference(t(X))
    assert result.shape == tuple(expected.shape)
    np.testing.assert_allclose(result, expected.numpy(), rtol=1e-5, atol=2e-6)


def test_split_and_best_of_exact_rank(tmp_path: Path) -> None:
    first, second = run(
        lambda b: b.add_split_nd("l", "x", ["y", "z"], axis=1, split_sizes=[2, 4]),
        X,
        tmp_path,
        is_exact=True,
        outputs=2,
    )
    np.testing.assert_array_equal(first, X[:, :2])
    np.testing.assert_array_equal(second, X[:, 2:])
    values, places = run(
        lambda b: b.add_topk("l", ["x"], ["y", "z"], k=2, axis=-1), X, tmp_path, is_exact=True, outputs=2
    )
    expected = t(X).topk(2, dim=-1)
    np.testing.assert_array_equal(values, expected.values.numpy())
    np.testing.assert_array_equal(places, expected.indices.numpy())
