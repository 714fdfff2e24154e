"""The command on real artifacts: planted faults are found, a converter's own error is named, nothing else is."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sdk_build.lowering.graph
from reference.registry import get_spec, models_dir_of
from reference.spec import TensorSpec
from sdk_build.backends import get_backend
from sdk_build.bisect.__main__ import main
from sdk_build.bisect.finding import look_into
from sdk_build.bisect.levels import costliest
from sdk_build.bisect.steps import step_values, trace_steps
from sdk_build.bisect.stored import changed_parameters
from sdk_build.build.reference import load_reference
from sdk_build.errors import ArtifactCrashed
from sdk_build.quiet import quiet

MODEL = "template_keypoints"


class Net(nn.Module):
    """Five layers, one of them called twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.again, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, image):
        x = self.first(image).relu()
        x = self.again(self.again(x).relu()) + x
        return self.last(x.mean((2, 3)))


@pytest.fixture(scope="module")
def reference():
    return load_reference(get_spec(MODEL), models_dir_of(get_spec(MODEL)))


@pytest.fixture
def small(reference):
    """The reference with a small network in place of its own."""
    spec = replace(
        reference.spec, inputs=(TensorSpec("image", (1, 3, 12, 12), "any", "value"),), preprocess=None, intermediate="",
        outputs=(TensorSpec("result", (1, 4), "any", "value"),),
    )  # fmt: skip
    return replace(reference, spec=spec, lowered=Net().eval(), measured=None)


def _tflite(web_dist):
    return next(web_dist.glob("*/model.tflite"))


def _plant(weight, kind):
    """A damaged copy: the sign of the largest number or of its filter, two channels swapped, or 4 bits."""
    damaged = weight.copy()
    if kind == "sign":
        damaged.flat[np.abs(weight).argmax()] *= -1
    elif kind == "filter":
        damaged[np.unravel_index(np.abs(weight).argmax(), weight.shape)[0]] *= -1
    elif kind == "swap":
        damaged[[0, 1]] = damaged[[1, 0]]
    else:
        step = np.abs(weight).max() / 7
        damaged = (np.round(weight / step) * step).astype(weight.dtype)
    return damaged


def _damage(file, weight, kind):
    """Write a fault into the bytes of a file that holds a weight as it is."""
    content, old = file.read_bytes(), np.ascontiguousarray(weight).tobytes()
    assert content.count(old) == 1
    file.write_bytes(content.replace(old, np.ascontiguousarray(_plant(weight, kind)).tobytes()))


def test_steps_know_their_module_line_and_what_they_read():
    tensor = TensorSpec("image", (1, 3, 12, 12), "any", "value")
    spec = replace(get_spec(MODEL), inputs=(tensor,), preprocess=None)
    whole, steps = trace_steps(Net().eval(), spec)
    by_name = {step.name: step for step in steps}
    assert [s.module for s in steps if s.operation == "conv2d"] == ["first", "again", "again"]
    assert by_name["add"].reads == ("conv2d_2", "relu") and by_name["conv2d"].reads == ()
    assert by_name["add"].line.startswith("test_bisect.py:")
    values = step_values(whole, steps, spec, {"image": np.ones((1, 3, 12, 12), np.float32)})
    assert set(values) == set(by_name) and values["mean"].shape == (1, 8)


# One number of the gate in the middle costs less than half precision does; its filter's sign shows.
PLANTED = [(kind, place) for place in (0.1, 0.5, 0.9) for kind in ("sign", "filter", "swap", "four bits")]


@pytest.mark.parametrize(("kind", "place"), [planted for planted in PLANTED if planted != ("sign", 0.5)])
def test_a_planted_fault_is_named(kind, place, web_dist, reference, tmp_path):
    path = Path(shutil.copy(_tflite(web_dist), tmp_path / "model.tflite"))
    weights = [(n, p.detach().numpy()) for n, p in reference.lowered.named_parameters() if p.ndim == 4]
    plain = [(n, w) for n, w in weights if w.shape[1] > 1]  # depthwise ones lie in another order
    name, weight = plain[int(place * len(plain))]
    _damage(path, weight.transpose(0, 2, 3, 1).astype(np.float16), kind)
    found = look_into(reference, "litert", "fp16", path, None, [c.inputs for c in reference.golden], tmp_path)
    # One number of a middle layer may leave every operation above the limit; what costs most is shown all the same.
    named = found.guilty or costliest(found.levels)[0]
    assert named.step.module == name.removesuffix(".weight"), named


def test_an_artifact_without_a_fault_has_none(web_dist, reference, capsys):
    assert main([MODEL, "--runtime", "litert", "--precision", "fp16", "--artifact", str(_tflite(web_dist))]) == 0
    assert "no operation is below" in capsys.readouterr().out


def test_the_case_runs_by_itself(web_dist, reference, tmp_path, capsys):
    path = Path(shutil.copy(_tflite(web_dist), tmp_path / "model.tflite"))
    weight = next(p for n, p in reference.lowered.named_parameters() if p.ndim == 4 and p.shape[1] > 1)
    _damage(path, weight.detach().numpy().transpose(0, 2, 3, 1).astype(np.float16), "swap")
    arguments = ["--runtime", "litert", "--precision", "fp16", "--artifact", str(path), "--out", str(tmp_path / "out")]
    assert main([MODEL, *arguments]) == 1
    out = capsys.readouterr().out
    assert "differs first: " in out and "that operation alone, converted by the same tools, agrees to" in out
    assert max(map(len, out.splitlines())) <= 100
    case = tmp_path / "out" / "litert"
    done = subprocess.run([sys.executable, "reproduce.py"], cwd=case, capture_output=True, text=True, check=True)
    assert "in_the_artifact: off by" in done.stdout and "PyTorch as it is here: off by 0" in done.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"levels.png", "litert.csv", "litert"}
    assert main([MODEL, *arguments[:-2], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["runtimes"][0]["differs"]


def test_a_fault_in_a_core_ml_package_is_named(small, tmp_path):
    path = tmp_path / "model.mlpackage"
    with quiet():
        get_backend("coreml").lower(small.lowered, small.spec, "fp32", path)
    x = {"image": np.random.default_rng(0).random((1, 3, 12, 12), np.float32)}
    assert look_into(small, "coreml", "fp32", path, None, [x], tmp_path).guilty is None
    fresh = shutil.copytree(path, tmp_path / "fresh.mlpackage")
    _damage(next(path.rglob("weight.bin")), small.lowered.again.weight.detach().numpy(), "sign")
    found = look_into(small, "coreml", "fp32", path, fresh, [x], tmp_path)
    assert found.guilty.step.module == "again" and found.changed == ("again.weight",)


def test_nearest_resize_at_a_ratio_that_is_not_whole_is_named(small, tmp_path, monkeypatch):
    """With the rewrite that mends it switched off."""
    monkeypatch.setattr(sdk_build.lowering.graph, "lower_graph", lambda network, *rest: network)

    class Resized(Net):
        def forward(self, image):
            x = nn.functional.interpolate(self.first(image), size=(13, 13), mode="nearest")
            return self.last(self.again(x).mean((2, 3)))

    network, path = Resized().eval(), tmp_path / "model.tflite"
    with quiet():
        get_backend("litert").lower(network, small.spec, "fp32", path)
    x = {"image": np.random.default_rng(0).random((1, 3, 12, 12), np.float32)}
    found = look_into(replace(small, lowered=network), "litert", "fp32", path, None, [x], tmp_path)
    assert found.guilty.step.operation == "upsample_nearest2d"


def test_weights_of_a_file_that_cant_be_looked_into_are_compared(small, tmp_path):
    weights = [p.detach().numpy() for p in small.lowered.parameters()]
    fresh, given = tmp_path / "new.pte", tmp_path / "old.pte"
    fresh.write_bytes(b"head" + b"".join(np.ascontiguousarray(w).tobytes() for w in weights))
    shutil.copy(fresh, given)
    assert changed_parameters(small.lowered, fresh, given) == ()
    _damage(given, small.lowered.last.weight.detach().numpy(), "four bits")
    assert changed_parameters(small.lowered, fresh, given) == ("last.weight",)


def test_a_damaged_file_is_one_line(web_dist, reference, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(_tflite(web_dist).read_bytes()[:5000])
    with pytest.raises(ArtifactCrashed, match="litert can't run model.tflite"):
        look_into(reference, "litert", "fp16", path, None, [reference.golden[0].inputs], tmp_path)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--runtime", "onnx"], "--runtime is 'onnx'; allowed: coreml"),
        (["--runtime", "litert", "--precision", "w3"], "--precision is 'w3'"),
        (["--runtime", "litert", "--artifact", "gone.tflite"], "no artifact gone.tflite"),
        (["--runtime", "litert", "coreml", "--artifact", "pyproject.toml"], "--artifact with 2 runtimes"),
        (["--runtime", "litert", "--out", "pyproject.toml"], "is a file"),
        (["--runtime", "litert", "--input", "a.png", "b.png"], "--input has 2 files"),
    ],
)
def test_bad_input(arguments, part, capsys):
    assert main([MODEL, *arguments]) == 2
    err = capsys.readouterr().err
    assert part in err and err.count("\n") == 1
