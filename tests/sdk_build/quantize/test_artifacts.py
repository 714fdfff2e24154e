"""What an export or a measurement does with an artifact that is not good enough: real converters, small networks."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from torch import nn

import sdk_build.lowering.graph
from sdk_build.backends import get_backend
from sdk_build.backends.delegation import Delegation
from sdk_build.build import artifact as build_module
from sdk_build.build.artifact import make_artifact, measure_accuracy
from sdk_build.build.reference import Reference
from sdk_build.build.tuning import PLAIN
from sdk_build.errors import AccuracyError, DelegationError, LoweringError
from sdk_build.proof.parity import Check
from sdk_build.quantize import measure
from sdk_build.quiet import quiet
from tests.sdk_build.quantize.conftest import SPEC, Tiny

BUDGET = {"top1": -1.0}


class Sums(Tiny):
    """Ends with what XNNPACK has not, after a mean that it takes of maps alone."""

    def forward(self, image):
        return (super().forward(image) + image.mean((1, 2, 3))[:, None]).cumsum(1)


class Compares(Tiny):
    def forward(self, image):
        logits = super().forward(image)
        return logits * (logits > 0).float()


def reference(network: nn.Module) -> Reference:
    card = SimpleNamespace(parity={"fp32": {}, "w8": {}}, budget=BUDGET)
    return Reference(SPEC, None, card, BUDGET, (), network.eval(), (), ())


def judged(top1):
    """Validation data on which every artifact has this accuracy, and the reference 90."""
    return SimpleNamespace(samples=3, reference={"top1": 90.0}, of_artifact=lambda *_: {"top1": top1})


@pytest.mark.parametrize(
    ("runtime", "network", "reasons"),
    [
        ("litert", Sums, {"CUMSUM": "XNNPACK has no such operation for float32, int32"}),
        ("litert", Compares, {"CAST": "no tensor of bool", "GREATER": "no tensor of bool"}),
        ("executorch", Sums, {"aten_cumsum_default": "no rule for it", "aten_mean_dim": "averaging 4D tensors"}),
    ],
)
def test_fallbacks_come_with_the_toolchains_reason(runtime, network, reasons, tmp_path, monkeypatch):
    """With the rewrites switched off that spare XNNPACK what it refuses."""
    monkeypatch.setattr(sdk_build.lowering.graph, "lower_graph", lambda network, *rest: network)
    with quiet():
        found = get_backend(runtime).lower(network().eval(), SPEC, "fp32", tmp_path / "model")
    why = dict(zip(found.fallbacks, found.reasons, strict=True))
    assert {name: part for name, part in reasons.items() if part in why.get(name, "")} == reasons


@pytest.mark.parametrize(("runtime", "name"), [("litert", "CUMSUM"), ("executorch", "aten_cumsum_default")])
def test_an_export_stops_at_a_fallback_too_many(runtime, name, tmp_path, refused):
    with refused(DelegationError, f"tiny {runtime} fp32", name, "allowed 0", "--max-fallbacks"):
        make_artifact(reference(Sums()), runtime, "fp32", tmp_path, replace(PLAIN, max_fallbacks=0))


def test_an_export_stops_at_a_loss_beyond_the_budget(tmp_path, refused):
    enough = replace(PLAIN, evaluation=judged(89.5))
    assert measure_accuracy(reference(Tiny()), "litert", "w8", tmp_path, enough) == {"top1": 89.5}
    with refused(AccuracyError, "tiny litert w8", "top1 88 is -2 from 90, allowed -1", "another precision"):
        measure_accuracy(reference(Tiny()), "litert", "w8", tmp_path, replace(PLAIN, evaluation=judged(88.0)))


@pytest.mark.parametrize(
    ("top1", "passed", "reason"),
    [
        (89.5, True, ""),
        (88.0, True, "top1 88 is -2 from 90, allowed -1"),
        (89.5, False, "litert float_vs_quantized 'logits': sqnr_db 3 dB < 20 dB"),
    ],
)
def test_a_measurement_keeps_why_an_artifact_fails(top1, passed, reason, tmp_path, monkeypatch):
    check = Check("litert", "float_vs_quantized", "logits", "sqnr_db", 3.0, 20.0, passed)
    monkeypatch.setattr(measure, "lower_artifact", lambda *_: Delegation("XNNPACK", 2, 1, 1, ("CUMSUM",), ("why",)))
    monkeypatch.setattr(measure, "run_artifact", lambda *_: [])
    monkeypatch.setattr(measure, "size_of", lambda _: 7)
    monkeypatch.setattr(measure.parity, "check_artifact", lambda *_: [check])
    tuning = replace(PLAIN, evaluation=judged(top1))
    found = measure.measure_artifact(reference(Tiny()), "litert", "w8", tmp_path, tuning, [], print)
    assert (found.passed, found.reason) == (not reason, reason)
    assert (found.bytes, found.sqnr_db, found.fallbacks) == (7, 3.0, ("CUMSUM",))


def test_a_measurement_goes_on_where_a_toolchain_fails(tmp_path, monkeypatch):
    def broken(*_):
        raise LoweringError("can't\nconvert it")

    monkeypatch.setattr(measure, "lower_artifact", broken)
    tuning = replace(PLAIN, evaluation=judged(90.0))
    found = measure.measure_artifact(reference(Tiny()), "litert", "w8", tmp_path, tuning, [], print)
    assert (found.passed, found.bytes, found.reason) == (False, 0, "can't convert it")


def test_build_and_measurement_share_these_steps():
    assert measure.lower_artifact is build_module.lower_artifact
