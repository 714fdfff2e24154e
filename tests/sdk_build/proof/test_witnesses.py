"""Two artifacts of one network held to each other, and the operation at which one of them leaves PyTorch."""

import copy
import importlib.util
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from reference.registry import get_spec
from reference.spec import TensorSpec
from sdk_build.backends import execution_name
from sdk_build.build import agreement
from sdk_build.bundle.artifact import Artifact
from sdk_build.errors import ParityError
from sdk_build.proof import first_difference as module
from sdk_build.proof.first_difference import Difference, first_difference
from sdk_build.proof.first_operation import first_operation
from sdk_build.proof.witnesses import STAGE, WITNESSES, compare_witnesses, mirrored, mutual_limits, witness_inputs
from sdk_build.quiet import quiet

SPEC = get_spec("voxel64")
NAMES = [execution_name(name) for name in WITNESSES]


def outputs(*errors):
    """Outputs for as many inputs, each off by its own share of the range."""
    rng = np.random.default_rng(0)
    answers = []
    for error in errors:
        exact = rng.random(SPEC.outputs[0].shape, dtype=np.float32)
        answers.append({SPEC.outputs[0].name: exact + np.float32(error) * np.sign(rng.random(exact.shape) - 0.5)})
    return [{name: values.astype(np.float32) for name, values in answer.items()} for answer in answers]


def test_limits_leave_room_for_two_errors():
    given = mutual_limits({"sqnr_db": 40, "max_abs_of_range": 1e-4, "voxel_iou": 0.99}, {"sqnr_db": 30, "cosine": 0.9})
    assert given == pytest.approx({"sqnr_db": 30 - 20 * math.log10(2), "max_abs_of_range": 2e-4, "cosine": 0.6})


def test_the_worst_input_counts():
    same = compare_witnesses(NAMES, SPEC, {"sqnr_db": 40}, outputs(0, 0, 0, 0), outputs(0, 0, 0, 1e-4))
    assert all(check.passed and check.stage == STAGE for check in same)
    other = compare_witnesses(NAMES, SPEC, {"sqnr_db": 40}, outputs(0, 0, 0, 0), outputs(0, 0, 0, 0.1))
    assert [check.metric for check in other if not check.passed] == ["sqnr_db"]
    assert "coreml" in other[0].runtime and "Core AI" in other[0].runtime


def test_a_mirror_image_is_another_input():
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(mirrored({"x": x})["x"][0, 0], [[2, 1, 0], [5, 4, 3]])
    assert len(witness_inputs([{"x": x}, {"x": x}])) == 3


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 1, 3)

    def forward(self, x):
        return self.third(self.second(self.first(x).relu()).relu().clamp(max=0.5))


def broken_from(operation):
    """A child that computes as PyTorch does, until an operation is in the network that ends there."""

    def run(runtime, path, spec, inputs):
        network, wrong = RUNNING[path]
        with torch.no_grad():
            answers = [network(torch.from_numpy(case["depth"])).numpy() for case in inputs]
        return [{spec.outputs[0].name: a * (1.5 if wrong and runtime == "coreai" else 1)} for a in answers]

    def get_backend(runtime):
        class Backend:
            @staticmethod
            def lower(network, spec, precision, path):
                names = [node.name for node in network.body.graph.nodes]
                RUNNING[path] = network, operation in names

        return Backend

    return run, get_backend


RUNNING = {}


@pytest.mark.parametrize("operation", ["conv2d", "conv2d_1", "clamp", "conv2d_2", "none"])
def test_the_first_operation_is_found(monkeypatch, tmp_path, operation):
    run, get_backend = broken_from(operation)
    monkeypatch.setattr(module, "run_artifact", run)
    monkeypatch.setattr(module, "get_backend", get_backend)
    x = np.random.default_rng(0).random(SPEC.input.shape, dtype=np.float32)
    held = dict.fromkeys(WITNESSES, "fp32")
    found = first_difference(Net().eval(), SPEC, held, {"sqnr_db": 40}, [{SPEC.input.name: x}], tmp_path)
    if operation == "none":
        assert found is None
    else:
        assert found.operation.startswith(f"{operation} (aten.") and found.executed_by == NAMES[1]
        assert "sqnr_db" in found.detail


def artifact(runtime, answers):
    return Artifact(runtime, "fp16", None, None, (), execution_name(runtime), 0.0, answers=tuple(answers))


@pytest.mark.filterwarnings("ignore")  # coremltools and torch warn about each other
def test_a_planted_fault_in_a_package_is_named(tmp_path):
    """One wrong weight in the second convolution, which is the package's third value."""
    from sdk_build.backends import get_backend

    torch.manual_seed(0)
    net = Net().eval()
    outputs = (TensorSpec("result", (1, 1, 58, 58), "NCHW", "value"),)
    spec = replace(SPEC, outputs=outputs)
    with torch.no_grad():
        shape = net(torch.zeros(SPEC.input.shape)).shape
    spec = replace(SPEC, outputs=(replace(outputs[0], shape=tuple(shape)),))
    broken = copy.deepcopy(net)
    broken.second.weight.data[0, 0, 0, 0] += 1.0
    x = {SPEC.input.name: np.random.default_rng(0).random(SPEC.input.shape, dtype=np.float32)}
    for network in (net, broken):
        path = tmp_path / "model.mlpackage"
        get_backend("coreml").lower(network, spec, "fp32", path)
        found = first_operation(path, net, [x], {"sqnr_db": 60})
        if network is net:
            assert found is None
        else:
            assert found.startswith("first at 'v2' (conv) of model.mlpackage, ") and "dB < 60 dB" in found


@pytest.mark.skipif(
    importlib.util.find_spec("coreai") is None, reason="coreai-core is not installed (pip install 'onpar[coreai]')"
)
def test_a_weight_that_was_changed_in_an_aimodel_is_named(tmp_path):
    """The interpreter shows nothing of the inside, and the network itself converts right."""
    from sdk_build.backends import get_backend
    from sdk_build.backends.coreai import steps_of
    from sdk_build.proof.changed_operation import changed_operation

    torch.manual_seed(0)
    net = Net().eval()
    with torch.no_grad():
        shape = tuple(net(torch.zeros(SPEC.input.shape)).shape)
    spec = replace(SPEC, outputs=(TensorSpec("result", shape, "NCHW", "value"),))
    path = tmp_path / "model.aimodel"
    with quiet():
        get_backend("coreai").lower(net, spec, "fp16", path)
    assert changed_operation(path, net, spec, "fp16", tmp_path) is None
    program = path / "main.mlirb"
    content = bytearray(program.read_bytes())
    place = content.find(net.second.weight.detach().half().numpy().tobytes())
    content[place + 1] ^= 0x80
    program.write_bytes(content)
    assert place > 0
    found = changed_operation(path, net, spec, "fp16", tmp_path)
    convolutions = [n for n, step in enumerate(steps_of(path)) if "conv2d" in step[0]]
    assert found is not None and found.startswith(f"first at operation {convolutions[1]} (conv2d) of model.aimodel, ")


class Card:
    parity = {"fp16": {"sqnr_db": 40.0, "voxel_iou": 0.99}}  # noqa: RUF012


class Reference:
    spec, card, golden, lowered = SPEC, Card, (), None


def test_a_bundle_whose_artifacts_disagree_is_refused(monkeypatch, refused, tmp_path):
    right, wrong = artifact("coreml", outputs(0, 0, 0, 0)), artifact("coreai", outputs(0, 0, 0, 0.1))
    found = Difference("clamp (aten.clamp.default)", NAMES[1], "sqnr_db 12 dB")
    monkeypatch.setattr(agreement, "first_difference", lambda *_: found)
    with refused(ParityError, STAGE, "dB < 33.98 dB", "first at clamp (aten.clamp.default) in Core AI interpreter"):
        agreement.check_agreement(Reference, [right, wrong], tmp_path)
    monkeypatch.setattr(agreement, "first_difference", lambda *_: None)
    with refused(ParityError, STAGE, "every operation alone keeps the limits"):
        agreement.check_agreement(Reference, [right, wrong], tmp_path)
    changed = replace(wrong, path=tmp_path / "model.aimodel")
    monkeypatch.setattr(agreement, "changed_operation", lambda *_: "first at operation 7 (conv2d) of model.aimodel")
    with refused(ParityError, STAGE, "first at operation 7 (conv2d) of model.aimodel: it is damaged or of another"):
        agreement.check_agreement(Reference, [right, changed], tmp_path)
    agreed = agreement.check_agreement(Reference, [right, replace(wrong, answers=right.answers)], tmp_path)
    assert agreed and all(check.passed for check in agreed)
    assert agreement.check_agreement(Reference, [right], tmp_path) == ()


@pytest.mark.skipif(
    importlib.util.find_spec("coreai") is None, reason="coreai-core is not installed (pip install 'onpar[coreai]')"
)
def test_the_real_converter_without_our_rewriting_is_caught(monkeypatch, tmp_path):
    """Core AI's own nearest resizing at a ratio that is not whole: named, by the real interpreter."""
    from sdk_build.lowering import core_ai

    class Resized(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 3, 3, 4), nn.Conv2d(3, 2, 1)

        def forward(self, x):
            small = self.first(x)
            return self.second(nn.functional.interpolate(small, size=(23, 23)).sigmoid())

    original = core_ai.decompositions

    def without_ours(table):
        return {k: v for k, v in original(table).items() if v is not core_ai._nearest}

    monkeypatch.setattr(core_ai, "decompositions", without_ours)
    torch.manual_seed(0)
    x = np.random.default_rng(0).random(SPEC.input.shape, dtype=np.float32)
    found = first_difference(
        Resized().eval(), SPEC, {"coreai": "fp32"}, {"sqnr_db": 40}, [{SPEC.input.name: x}], tmp_path
    )
    assert found is not None and found.operation.startswith("upsample_nearest2d (aten.upsample_nearest2d.")
