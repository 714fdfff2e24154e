"""Absent, foreign and damaged packages."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sdk_build.errors import BadInput, OnParError
from sdk_build.mil import read_program

from . import nets
from .harness import noise

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = nets.random_net(nets.Decoder)
    model = nets.convert(nets.export(net, (torch.from_numpy(noise(1, 3, 16, 16)),)))
    return nets.save(model, tmp_path_factory.mktemp("reader") / "net.mlpackage")


@pytest.fixture
def copy(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "net.mlpackage"))


def _message(path: Path, error: type[OnParError]) -> str:
    with pytest.raises(error) as caught:
        read_program(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


def test_absent(tmp_path: Path) -> None:
    assert "doesn't exist; allowed: an .mlpackage folder" in _message(tmp_path / "no.mlpackage", BadInput)


def test_not_a_package(tmp_path: Path) -> None:
    assert "is not an .mlpackage (no Manifest.json)" in _message(tmp_path, BadInput)


def test_damaged_manifest(copy: Path) -> None:
    (copy / "Manifest.json").write_text("{")
    assert "is damaged: " in _message(copy, BadInput)


def test_damaged_model(copy: Path) -> None:
    next(copy.rglob("*.mlmodel")).write_bytes(b"\xff\x00 no protobuf")
    assert "is damaged or encrypted: " in _message(copy, BadInput)


def test_missing_weights(copy: Path) -> None:
    next(copy.rglob("weight.bin")).unlink()
    assert "is damaged: weight file @model_path/weights/weight.bin is not in the package" in _message(copy, BadInput)


def test_truncated_weights(copy: Path) -> None:
    weights = next(copy.rglob("weight.bin"))
    weights.write_bytes(weights.read_bytes()[:200])
    assert "weight.bin has no entry at byte 64 of 200; export it again" in _message(copy, BadInput)


def test_other_kind_of_model(tmp_path: Path) -> None:
    import coremltools as ct
    from coremltools.models.datatypes import Array
    from coremltools.models.neural_network import NeuralNetworkBuilder

    builder = NeuralNetworkBuilder([("x", Array(3))], [("y", Array(3))])
    builder.add_activation("relu", "RELU", "x", "y")
    path = tmp_path / "old.mlpackage"
    ct.utils.save_spec(builder.spec, str(tmp_path / "old.mlmodel"))
    ct.models.MLModel(str(tmp_path / "old.mlmodel"), skip_model_load=True).save(str(path))
    assert "holds a neuralNetwork; allowed: an ML program" in _message(path, BadInput)


def test_reading_is_quiet_and_leaves_loggers_alone(package: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("coremltools")
    level = logger.level
    program = read_program(package)
    assert capfd.readouterr() == ("", "")
    assert logger.level == level
    assert program.name == "net.mlpackage"
    assert {operation.op_type for operation in program.operations} >= {"const", "conv", "conv_transpose"}


def test_an_output_may_be_an_input_as_it_is(tmp_path: Path) -> None:
    """Such as what coremltools makes of a network that returns its input; results are copies."""
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb

    from sdk_build.mil import EmulatedCoreML

    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 3))], opset_version=ct.target.iOS16)
    def program(x):  # type: ignore[no-untyped-def]
        return x, mb.relu(x=x, name="y")

    settings = {"compute_precision": ct.precision.FLOAT32, "minimum_deployment_target": ct.target.iOS16}
    model = ct.convert(program, convert_to="mlprogram", skip_model_load=True, **settings)
    emulated = EmulatedCoreML(nets.save(model, tmp_path / "net.mlpackage"))
    x = noise(2, 3)
    found = emulated.predict({"x": x})
    name = next(name for name in found if name != "y")
    assert (found[name] == x).all()
    assert not np.shares_memory(found[name], x)
