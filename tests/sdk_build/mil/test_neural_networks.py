"""Whole networks of the older format: pictures, labels, numbers, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sdk_build.errors import BadInput, UnsupportedOperation
from sdk_build.mil import EmulatedCoreML

from .harness import array, noise, t

pytestmark = pytest.mark.filterwarnings("ignore")
PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def _builder(mode: str | None = None, shape: tuple[int, ...] = (3, 6, 8), output: str = "y") -> Any:
    from coremltools.models.datatypes import Array
    from coremltools.models.neural_network import NeuralNetworkBuilder

    return NeuralNetworkBuilder([("x", Array(*shape))], [(output, Array(*shape))], mode=mode)


def _save(builder: Any, folder: Path) -> Path:
    import coremltools as ct

    path = folder / "net.mlmodel"
    ct.models.utils.save_spec(builder.spec, str(path))
    return path


@pytest.mark.parametrize("is_bgr", [False, True])
def test_picture_with_scale_and_biases(is_bgr: bool, tmp_path: Path) -> None:
    builder = _builder()
    builder.add_activation("l", "LINEAR", "x", "y", [1.0, 0.0])
    builder.set_pre_processing_parameters(
        image_input_names=["x"], is_bgr=is_bgr, red_bias=-1.0, green_bias=-2.0, blue_bias=-3.0, image_scale=0.5
    )
    result = EmulatedCoreML(_save(builder, tmp_path)).predict({"x": PICTURE})["y"]
    expected = 0.5 * PICTURE.transpose(2, 0, 1) + np.array([-1, -2, -3]).reshape(3, 1, 1)
    np.testing.assert_allclose(result, expected[::-1] if is_bgr else expected, rtol=1e-6)


def test_mean_image_is_subtracted_after_scaling(tmp_path: Path) -> None:
    builder = _builder()
    builder.add_activation("l", "LINEAR", "x", "y", [1.0, 0.0])
    builder.set_pre_processing_parameters(image_input_names=["x"], image_scale=0.5)
    mean = builder.nn_spec.preprocessing.add()
    mean.featureName = "x"
    mean.meanImage.meanImage.extend([1.0, 2.0, 3.0])
    result = EmulatedCoreML(_save(builder, tmp_path)).predict({"x": PICTURE})["y"]
    expected = 0.5 * PICTURE.transpose(2, 0, 1) - np.array([1, 2, 3]).reshape(3, 1, 1)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_picture_output(tmp_path: Path) -> None:
    builder = _builder()
    builder.add_activation("l", "LINEAR", "x", "y", [1.0, 30.4])
    builder.set_pre_processing_parameters(image_input_names=["x"])
    image = builder.spec.description.output[0].type.imageType
    image.colorSpace, image.height, image.width = 20, 6, 8
    result = EmulatedCoreML(_save(builder, tmp_path)).predict({"x": PICTURE})["y"]
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, np.clip(np.rint(PICTURE + 30.4), 0, 255))


@pytest.mark.parametrize("labels", [["cat", "dog", "bird"], [7, 8, 9]])
def test_classifier_gives_label_and_probabilities(labels: list[Any], tmp_path: Path) -> None:
    builder = _builder("classifier", (3,), "scores")
    builder.add_softmax("l", "x", "scores")
    builder.set_class_labels(labels, predicted_feature_name="animal", prediction_blob="scores")
    x = array(0.5, 2.0, -1.0)
    result = EmulatedCoreML(_save(builder, tmp_path)).predict({"x": x})
    probabilities = torch.softmax(t(x), 0).numpy()
    assert result["animal"] == labels[1]
    assert list(result["scores"]) == labels
    np.testing.assert_allclose(list(result["scores"].values()), probabilities, rtol=1e-5)


def test_regressor(tmp_path: Path) -> None:
    builder = _builder("regressor", (3,), "price")
    builder.add_inner_product("l", array([1, 2, 3]), array(0.5), 3, 1, True, "x", "price")
    result = EmulatedCoreML(_save(builder, tmp_path)).predict({"x": array(1, 1, 1)})
    assert result["price"].tolist() == [6.5]


def test_network_converted_from_torch(tmp_path: Path) -> None:
    import coremltools as ct

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU6(),
        torch.nn.ConvTranspose2d(8, 4, 2, stride=2),
        torch.nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 5),
        torch.nn.Softmax(dim=1),
    ).eval()
    x = noise(1, 3, 16, 16)
    model = ct.convert(torch.jit.trace(net, t(x)), inputs=[ct.TensorType("x", x.shape)], convert_to="neuralnetwork")
    model.save(str(tmp_path / "net.mlmodel"))
    emulated = EmulatedCoreML(tmp_path / "net.mlmodel")
    with torch.no_grad():
        expected = net(t(x)).numpy()
    (result,) = emulated.predict({"x": x}).values()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    assert emulated.op_counts()["convolution"] == 2


def test_an_unknown_layer_is_named(tmp_path: Path) -> None:
    builder = _builder(shape=(3,))
    builder.add_activation("first", "RELU", "x", "r")
    layer = builder.nn_spec.layers.add()
    layer.name, layer.custom.className = "magic", "MyLayer"
    layer.input.append("r")
    layer.output.append("y")
    message = "net.mlmodel operation 'magic': type 'custom' is not emulated; allowed: NonMaximumSuppression, acos, "
    with pytest.raises(UnsupportedOperation, match=message):
        EmulatedCoreML(_save(builder, tmp_path))


def test_a_setting_that_is_not_emulated_is_named(tmp_path: Path) -> None:
    builder = _builder(shape=(3,))
    builder.add_activation("l", "RELU", "x", "r")
    layer = builder.nn_spec.layers.add(name="c", input=["r"], output=["y"])
    layer.reshape.targetShape.extend([1, 1, 3])
    layer.reshape.mode = 7
    message = r"layer 'c' \(reshape\): setting 'mode' has the unknown value 7"
    with pytest.raises(UnsupportedOperation, match=message):
        EmulatedCoreML(_save(builder, tmp_path))


def test_a_layer_that_reads_what_nothing_writes_is_named(tmp_path: Path) -> None:
    builder = _builder(shape=(3,))
    builder.add_activation("a", "RELU", "b", "y")
    builder.add_activation("b", "RELU", "y", "b")
    with pytest.raises(BadInput, match=r"layer 'a' reads 'b', which nothing before it writes \(a gap or a cycle\)"):
        EmulatedCoreML(_save(builder, tmp_path))


def test_wrong_number_of_weights(tmp_path: Path) -> None:
    from sdk_build.errors import LoweringError

    builder = _builder(shape=(3,))
    builder.add_inner_product("l", array([1, 2, 3]), None, 3, 1, False, "x", "y")
    del builder.nn_spec.layers[0].innerProduct.weights.floatValue[2:]
    with pytest.raises(LoweringError, match=r"operation 'l' \(innerProduct\) failed: shape '\[1, 3\]' is invalid"):
        EmulatedCoreML(_save(builder, tmp_path)).predict({"x": array(1, 2, 3)})


def test_half_precision_sums_are_for_programs(tmp_path: Path) -> None:
    builder = _builder(shape=(3,))
    builder.add_activation("l", "RELU", "x", "y")
    with pytest.raises(BadInput, match="is a neural network; allowed: accumulate fp32"):
        EmulatedCoreML(_save(builder, tmp_path), accumulate="fp16")
