"""Bytes of measured artifacts anew, where they compute the same."""

from types import SimpleNamespace

import pytest

from reference.errors import BadInput
from sdk_build.backends.delegation import Delegation
from sdk_build.build.measured import Measured, MeasuredArtifact, load_measured, save_measured, weights_digest
from sdk_build.bundle.manifest import NamedValue
from sdk_build.errors import LoweringError
from sdk_build.proof.parity import Check
from sdk_build.quantize import __main__ as command
from sdk_build.quantize import sizes

ACCURACY = (NamedValue("top1", 90.0),)


def artifact(runtime, precision, size=100, sqnr=50.0):
    return MeasuredArtifact(runtime, precision, size, (), 9, ACCURACY, ACCURACY, sqnr, 1, 2, 3, ("OLD",), True)


STORED = (
    artifact("coreml", "w8"),
    artifact("litert", "fp32", sqnr=120.0),
    artifact("litert", "w8"),
    artifact("litert", "w8a8", size=0, sqnr=0.0),  # could not be made
)


@pytest.fixture
def stored(spec, tmp_path, monkeypatch):
    """Makes artifacts of 7 bytes that have this SQNR and keep their limits or not."""
    (tmp_path / spec.name).mkdir()
    (tmp_path / spec.name / "weights.safetensors").write_bytes(b"weights")
    save_measured(
        spec.name, Measured(weights_digest(spec.name, tmp_path), None, (), (), STORED, "some"), tmp_path
    )  # fmt: skip
    made = SimpleNamespace(sqnr=50.0, passed=True, broken=False)

    def lower(*_):
        if made.broken:
            raise LoweringError("can't convert it")
        return Delegation("XNNPACK", 2, 2, 1)

    def check(*_):
        return [Check("litert", "stage", "logits", "sqnr_db", made.sqnr, 20.0, made.passed)]

    monkeypatch.setattr(sizes, "load_reference", lambda *_: SimpleNamespace(spec=spec, golden=(), expected=()))
    monkeypatch.setattr(sizes, "limits_of", lambda *_: {})
    monkeypatch.setattr(sizes, "lower_artifact", lower)
    monkeypatch.setattr(sizes, "run_artifact", lambda *_: [])
    monkeypatch.setattr(sizes, "size_of", lambda _: 7)
    monkeypatch.setattr(sizes.parity, "check_artifact", check)
    return made


def refresh(spec, folder, runtimes=None, precisions=None):
    _, changed = sizes.refresh(spec, folder, folder, runtimes, precisions, lambda _: None)
    return {(a.runtime, a.precision): a for a in load_measured(spec.name, folder).artifacts}, changed


@pytest.mark.parametrize(("sqnr", "passed", "kept"), [(50.04, True, {"w8", "fp32"}), (49.0, True, {"fp32"})])
def test_an_artifact_that_computes_the_same_keeps_its_accuracy(spec, stored, tmp_path, sqnr, passed, kept):
    stored.sqnr, stored.passed = sqnr, passed
    found, changed = refresh(spec, tmp_path, ["litert"])
    assert {precision for (runtime, precision), a in found.items() if a.bytes == 7 and runtime == "litert"} == kept
    assert found["coreml", "w8"] == STORED[0] and found["litert", "w8a8"] == STORED[3]
    new = found["litert", "fp32"]
    assert (new.accuracy, new.sqnr_db, new.delegated, new.fallbacks) == (ACCURACY, 120.0, 2, ())
    assert len(changed) == ("w8" not in kept)
    assert all("tiny litert w8: SQNR is 49 dB, 50 when it was measured" in line for line in changed)


def test_a_float_artifact_beyond_its_limits_and_one_that_fails_keep_their_records(spec, stored, tmp_path):
    stored.passed = False
    found, changed = refresh(spec, tmp_path, ["litert"], ["fp32"])
    assert tuple(found.values()) == STORED and "litert fp32" in changed[0]
    stored.broken = True
    found, changed = refresh(spec, tmp_path)
    assert tuple(found.values()) == STORED and len(changed) == 3


def test_there_must_be_something_to_refresh(spec, tmp_path, refused):
    with refused(BadInput, "tiny was not measured", "--data without --sizes"):
        sizes.refresh(spec, tmp_path, tmp_path, None, None, print)


def test_the_command(capsys):
    assert command.main(["classifier"]) == 2
    assert "no --data" in capsys.readouterr().err
    assert command.main(["classifier", "--sizes", "--runtime", "tensorrt"]) == 2
    assert "--runtime is 'tensorrt'; allowed: " in capsys.readouterr().err
