"""What an export uses: given data before stored ones, stored ones only for the same weights and choices."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from reference.errors import BadInput
from sdk_build.backends import ON_REQUEST, RUNTIMES, TARGETS, get_backend
from sdk_build.backends.delegation import Delegation
from sdk_build.backends.quantizers.recipes import Quantization
from sdk_build.backends.quantizers.tflite import scope_pattern, shorten
from sdk_build.build.calibration import Calibration
from sdk_build.build.measured import (
    Measured,
    MeasuredArtifact,
    budget_used,
    exceeded,
    load_measured,
    nearest_miss,
    range_set,
    save_measured,
    smallest,
    weights_digest,
)
from sdk_build.build.tuning import Tuning, always_float
from sdk_build.bundle.manifest import CalibrationEntry, NamedValue
from sdk_build.errors import DelegationError, LoweringError
from sdk_build.proof.metrics import sqnr_db
from sdk_build.proof.sandbox import run_artifact
from sdk_build.quiet import quiet

CALIBRATION = CalibrationEntry("set", 4, 0, "0" * 64)


def artifact(runtime, precision, size, passed=True, fallbacks=()):
    values = (NamedValue("top1", 90.0),)
    return MeasuredArtifact(
        runtime, precision, size, ("",), 10, values, values, 30.0, 5, 5, 1, fallbacks, passed, "" if passed else "why"
    )


@pytest.fixture
def measured():
    sizes = {"fp32": 100, "fp16": 50, "w8": 30, "w8a8": 28, "dynamic_w8": 31}
    found = [artifact(r, p, sizes[p]) for r in ("litert", "executorch") for p in sizes]
    ranges = (range_set("litert", {"a": (0.0, 1.0)}), range_set("pytorch", {"b": (-1.0, 1.0)}))
    return Measured("0" * 64, CALIBRATION, ranges, (), tuple(found), "set")


def change(measured, runtime, precision, **values):
    found = [
        replace(a, **values) if (a.runtime, a.precision) == (runtime, precision) else a for a in measured.artifacts
    ]
    return replace(measured, artifacts=tuple(found))


def test_default_is_the_smallest_of_which_everything_passed(measured):
    assert smallest(measured, "android") == ("w8a8", 56)
    assert smallest(change(measured, "executorch", "w8a8", passed=False), "android")[0] == "w8"
    assert smallest(change(measured, "litert", "w8a8", passed=False), "web") == ("w8", 30)
    assert smallest(measured, "ios") is None  # Core ML was not measured


def test_how_much_of_a_budget_is_used():
    reference = {"top1": 90.0, "nme": 5.0}
    assert budget_used({"top1": -1.0, "nme": 0.2}, {"top1": 89.5, "nme": 5.3}, reference) == pytest.approx(1.5)
    assert budget_used({"top1": -1.0}, {"top1": 91.0}, reference) == pytest.approx(-1)
    assert budget_used({"nme": 0.0}, {"nme": 5.1}, reference) == math.inf
    assert budget_used({"nme": 0.0}, {"nme": 5.0}, reference) == 0
    assert budget_used({"nme": 0.2}, {}, {}) == math.inf


def test_where_nothing_keeps_the_budget_the_nearest_is_named(measured):
    worse, bad = ((NamedValue("top1", value),) for value in (88.0, 70.0))
    missed = change(measured, "litert", "w8a8", accuracy=bad, passed=False, reason="top1 70")
    missed = change(missed, "litert", "w8", accuracy=worse, passed=False, reason="top1 88")
    missed = change(missed, "executorch", "w8", accuracy=(), passed=False, reason="can't convert")
    assert nearest_miss(missed, "web", {"top1": -1.0}) == "litert w8: top1 88"
    assert nearest_miss(measured, "web", {"top1": -1.0}) == ""


def test_without_stored_ranges_a_calibrated_precision_is_no_default(measured):
    litert_only = replace(measured, ranges=measured.ranges[:1])
    assert smallest(litert_only, "web")[0] == "w8a8"
    assert smallest(litert_only, "android")[0] == "w8"  # ExecuTorch's could not be made again


def test_a_silent_fallback_is_no_default(measured):
    slow = change(measured, "litert", "w8a8", fallbacks=("SOFTMAX",))
    assert smallest(slow, "web")[0] == "w8"
    both = change(slow, "litert", "fp32", fallbacks=("SOFTMAX",))
    assert smallest(both, "web")[0] == "w8a8"


def test_stored_only_for_the_same_weights(measured, tmp_path, refused):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "weights.safetensors").write_bytes(b"one")
    assert load_measured("tiny", tmp_path) is None
    kept = replace(measured, weights_sha256=weights_digest("tiny", tmp_path))
    save_measured("tiny", kept, tmp_path)
    assert load_measured("tiny", tmp_path) == kept
    (tmp_path / "tiny" / "weights.safetensors").write_bytes(b"two")
    assert load_measured("tiny", tmp_path) is None
    path = tmp_path / "tiny" / "quantization.json"
    path.write_text(path.read_text()[:-30])
    with refused(BadInput, path, "sdk_build.quantize tiny"):
        load_measured("tiny", tmp_path)
    path.write_text(json.dumps({"schema_version": 9}))
    with refused(BadInput, "schema_version is 9"):
        load_measured("tiny", tmp_path)


def test_budget(refused):
    reference = {"top1": 90.0, "nme": 5.0}
    assert exceeded({"top1": -1.0, "nme": 0.2}, {"top1": 89.1, "nme": 5.1}, reference) == ""
    assert "top1 88.9 is -1.1 from 90, allowed -1" in exceeded({"top1": -1.0}, {"top1": 88.9}, reference)
    assert "nme" in exceeded({"nme": 0.2}, {"nme": 5.3}, reference)
    assert exceeded({"top1": -1.0}, {"top1": 99.0}, reference) == ""
    assert exceeded({"top1": -1.0}, {"top1": 100 * 0.715}, {"top1": 100 * 0.725 + 1e-13}) == ""  # all of it
    with refused(BadInput, "'psnr'", "top1"):
        exceeded({"psnr": -1.0}, {"top1": 1.0}, reference)


def test_ranges_are_needed(network, spec, measured, refused):
    with refused(BadInput, "tiny in w8a8 needs ranges", "--calibration"):
        Tuning().quantization(network, spec, "litert", "w8a8")
    assert Tuning(measured=measured).quantization(network, spec, "litert", "w8a8").ranges == {"a": (0.0, 1.0)}
    assert Tuning().quantization(network, spec, "litert", "w8") == Quantization()


def test_stored_accuracy_is_about_the_same_artifact(network, measured, samples):
    stored = Tuning(measured=measured)
    assert stored.stored_accuracy(network, "litert", "w8a8") == {"top1": 90.0}
    other = replace(stored, calibration=Calibration("other", 1, "f" * 64, tuple(samples)))
    assert other.stored_accuracy(network, "litert", "w8a8") == {}
    assert replace(stored, keep_float=("", "head")).stored_accuracy(network, "litert", "w8a8") == {}


def test_too_many_fallbacks(refused):
    found = Delegation("XNNPACK", 10, 8, 3, ("CUMSUM", "TOPK"), ("no rule", "bool"))
    Tuning().require_delegation("tiny", found)
    Tuning(max_fallbacks=2).require_delegation("tiny", found)
    with refused(
        DelegationError, "2 of 10 operations stay outside XNNPACK (CUMSUM (no rule), TOPK (bool))", "allowed 1"
    ):
        Tuning(max_fallbacks=1).require_delegation("tiny", found)


@pytest.mark.parametrize("runtime", ["litert", "executorch"])
def test_static_artifacts_compute_what_the_network_does(runtime, network, spec, samples, tmp_path):
    """The real converters and runtimes: smaller, close, delegated, and float where it was asked for."""
    import torch

    backend = get_backend(runtime)
    with quiet():
        ranges = backend.observe(network, spec, samples)
        for name, kept in (("all", ("",)), ("some", ("", "first", "body.0"))):
            backend.lower(network, spec, "w8a8", tmp_path / name, Quantization(kept, ranges))
        found = backend.lower(network, spec, "w8a8", tmp_path / "all", Quantization(("",), ranges))
    assert found.outside == 0
    with torch.no_grad():
        exact = network(torch.from_numpy(samples[0]["image"])).numpy()
    outputs = {n: run_artifact(runtime, tmp_path / n, spec, [samples[0]])[0]["logits"] for n in ("all", "some")}
    quality = {name: sqnr_db(output, exact) for name, output in outputs.items()}
    assert 20 < quality["all"] < 70
    assert not np.array_equal(outputs["all"], outputs["some"])
    assert quality["some"] > 20


def test_weights_that_do_nothing_are_named_before_the_runtime_ends_the_process(network, spec, samples, tmp_path):
    import copy

    dead = copy.deepcopy(network)
    dead.first.bias.data.fill_(-99.0)
    backend = get_backend("litert")
    with quiet():
        ranges = backend.observe(dead, spec, samples)
        with pytest.raises(LoweringError, match="'act' is 0 for every calibration sample"):
            backend.lower(dead, spec, "w8a8", tmp_path / "m.tflite", Quantization(("",), ranges))
        backend.lower(dead, spec, "w8a8", tmp_path / "m.tflite", Quantization(("", "first", "act"), ranges))


def test_nothing_to_make_dynamic(spec, tmp_path, refused):
    from torch import nn

    from sdk_build.backends import executorch

    network = nn.Sequential(nn.Conv2d(3, 4, 16), nn.Flatten()).eval()
    with quiet(), pytest.raises(LoweringError, match="can't hold tiny in dynamic_w8"):
        executorch.lower(network, spec, "dynamic_w8", tmp_path / "m.pte")


def test_transposed_convolutions_stay_float_in_executorch(network):
    from torch import nn

    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.ConvTranspose2d(4, 4, 2)

    net = nn.Sequential(nn.Conv2d(3, 4, 1), Up(), nn.ConvTranspose2d(4, 4, 2))
    assert always_float(net, "executorch") == ("", "1", "2")
    assert always_float(net, "litert") == ("",)
    assert always_float(network, "executorch") == ("",)


def test_names_of_tensors():
    assert shorten("network.body.0;2") == "body.0;2"
    assert shorten("serving_default_image:0") == "serving_default_image:0"
    import re

    for name in ("network.body.0;2", "network.body.1;;network.body.0;1", "network.head;_quantized;;network.body.0.2;"):
        assert re.search(scope_pattern("body.0"), name)
        assert re.search(scope_pattern("body"), name)
        for other in ("bod", "0", "body.00", ""):
            assert not re.search(scope_pattern(other), name)
    assert re.search(scope_pattern(""), "network;4") and re.search(scope_pattern(""), "network.body.0;1;network;")


def test_every_target_knows_its_runtimes():
    assert {name for names in (*TARGETS.values(), *ON_REQUEST.values()) for name in names} == set(RUNTIMES)


def test_stored_ranges_are_exact(network, spec, samples):
    """Whoever has no data makes the same bytes."""
    backend = get_backend("litert")
    with quiet():
        fresh = backend.observe(network, spec, samples)
    stored = range_set("litert", fresh).as_mapping()
    assert all(np.float32(stored[k][i]) == np.float32(fresh[k][i]) for k in fresh for i in (0, 1))
