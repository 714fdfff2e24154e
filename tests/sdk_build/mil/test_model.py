"""The interface of coremltools' MLModel: what comes in, what goes out, and under which types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sdk_build.errors import BadInput, PredictionFailed
from sdk_build.mil import MLModel, examples

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples that convert quickly."""
    place = tmp_path_factory.mktemp("models")
    for name in ("lstm", "attention", "functions", "old"):
        examples.MAKERS[name](place)
    return place


def _picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def test_a_classifier_takes_a_picture_and_gives_label_and_probabilities(folder: Path) -> None:
    model = MLModel(str(folder / "old.mlmodel"))
    result: Any = model.predict({"image": _picture()})
    assert result["classLabel"] in examples.LABELS
    (name,) = set(result) - {"classLabel"}
    assert set(result[name]) == set(examples.LABELS)
    assert sum(result[name].values()) == pytest.approx(1.0, abs=1e-5)


def test_a_list_of_inputs_gives_a_list(folder: Path) -> None:
    model = MLModel(folder / "old.mlmodel")
    results: Any = model.predict([{"image": _picture(0)}, {"image": _picture(1)}])
    assert len(results) == 2
    assert results[0] == model.predict({"image": _picture(0)})


def test_what_is_no_picture_and_no_dictionary_is_a_type_error(folder: Path) -> None:
    model = MLModel(folder / "old.mlmodel")
    with pytest.raises(TypeError, match="Image input, 'image' must be of type PIL.Image.Image"):
        model.predict({"image": np.asarray(_picture())})
    with pytest.raises(TypeError, match='"data" parameter must be either a dict or list of dict'):
        model.predict(_picture())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.float64, torch.tensor, list])
def test_arrays_are_cast_to_what_the_model_states(folder: Path, kind: Any) -> None:
    model = MLModel(folder / "lstm.mlpackage")
    x = np.random.default_rng(0).standard_normal((1, 6, 8)).astype(np.float32)
    given = x.astype(np.float64) if kind is np.float64 else kind(x) if kind is torch.tensor else x.tolist()
    result: Any = model.predict({"x": given})
    with torch.no_grad():
        expected = examples.recurrent()(torch.from_numpy(x)).numpy()
    assert result["states"].dtype == np.float32
    np.testing.assert_allclose(result["states"], expected, rtol=1e-4, atol=1e-5)


def test_states(folder: Path) -> None:
    model = MLModel(folder / "attention.mlpackage")
    state = model.make_state()
    token = np.ones((1, 16), np.float32)
    model.predict({"token": token}, state=state)
    keys = state.read_state("keys")
    assert keys.shape == (8, 16)
    assert keys.dtype == np.float16
    assert np.abs(keys[-1]).max() > 0
    assert not keys[:-1].any()
    state.write_state("keys", np.zeros((8, 16)))
    assert not state.read_state("keys").any()


def test_functions(folder: Path) -> None:
    path = folder / "functions.mlpackage"
    x = {"x": np.linspace(-1, 1, 16)[None]}
    plain: Any = MLModel(path).predict(x)
    sharp: Any = MLModel(path, function_name="sharp").predict(x)
    assert MLModel(path).function_name == "plain"
    assert next(iter(sharp.values())).max() > next(iter(plain.values())).max()
    with pytest.raises(BadInput, match="has no function 'blunt'; allowed: plain, sharp; choose another"):
        MLModel(path, function_name="blunt")


def test_spec_and_descriptions(folder: Path, tmp_path: Path) -> None:
    model = MLModel(folder / "lstm.mlpackage", skip_model_load=True)
    spec = model.get_spec()
    assert spec.description.input[0].name == "x"
    assert spec.mlProgram.functions["main"].opset == "CoreML7"
    assert list(model.input_description) == ["x"]
    assert repr(model.output_description) == "Features(states)"
    assert "com.github.apple.coremltools.version" in model.user_defined_metadata
    assert str(model.weights_dir).endswith("weights")
    model.save(tmp_path / "copy.mlpackage")
    assert MLModel(tmp_path / "copy.mlpackage").get_spec() == spec
    with pytest.raises(PredictionFailed, match="skip_model_load=True"):
        model.predict({"x": np.zeros((1, 6, 8))})


def test_a_model_from_its_message(folder: Path) -> None:
    opened = MLModel(folder / "lstm.mlpackage")
    again = MLModel(opened.get_spec(), weights_dir=opened.weights_dir)
    x = {"x": np.ones((1, 6, 8))}
    np.testing.assert_array_equal(again.predict(x)["states"], opened.predict(x)["states"])  # type: ignore[call-overload]
    with pytest.raises(BadInput, match="has no file to save"):
        again.save("nowhere")


@pytest.mark.parametrize("kind", [BadInput, KeyError])
def test_an_unknown_name_is_what_coremltools_makes_of_it(folder: Path, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="^no input 'y'; the model has x; rename it"):
        MLModel(folder / "lstm.mlpackage").predict({"y": np.zeros((1, 6, 8))})


@pytest.mark.parametrize("kind", [BadInput, RuntimeError])
def test_a_missing_input_is_what_coremltools_makes_of_it(folder: Path, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="inputs none; allowed: exactly x"):
        MLModel(folder / "lstm.mlpackage").predict({})


def test_a_wrong_shape_is_named(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"input 'x' has shape \(1, 5, 8\); allowed: \(1, 6, 8\)"):
        MLModel(folder / "lstm.mlpackage").predict({"x": np.zeros((1, 5, 8))})
