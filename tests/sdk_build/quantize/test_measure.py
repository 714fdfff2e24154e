"""What of a model is measured again and what stays as it was stored."""

from types import SimpleNamespace

import numpy as np
import pytest

from reference.errors import BadInput
from sdk_build.backends import RUNTIMES
from sdk_build.build.calibration import Calibration
from sdk_build.build.measured import MeasuredArtifact, load_measured
from sdk_build.bundle.manifest import CalibrationEntry
from sdk_build.quantize import __main__ as command
from sdk_build.quantize import measure as module

EVERY = [(runtime, held) for runtime in RUNTIMES for held in module.held_by(runtime)]


@pytest.fixture
def measure(spec, tmp_path, monkeypatch):
    """Measures the model with everything that takes time replaced; artifacts have the bytes of the present round."""
    folder = tmp_path / spec.name
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"weights")
    state = SimpleNamespace(round=0, seed=0)

    def artifact(reference, runtime, held, *_):
        return MeasuredArtifact(runtime, held, state.round, (), 1, (), (), 50.0, 1, 1, 1, (), True)

    sample = np.zeros(spec.input.shape, np.float32)
    drawn = lambda *_: Calibration("some", state.seed, f"digest {state.seed}", (sample,))  # noqa: E731
    monkeypatch.setattr(
        module, "load_reference", lambda *_: SimpleNamespace(spec=spec, lowered=None, budget={"top1_mean": -1})
    )
    monkeypatch.setattr(module, "load_calibration", drawn)
    monkeypatch.setattr(module, "evaluation_digests", lambda _: frozenset())
    monkeypatch.setattr(module, "load_evaluation", lambda *_: None)
    monkeypatch.setattr(module, "observe", lambda *_: {})
    monkeypatch.setattr(module, "measure_parts", lambda *_: [])
    monkeypatch.setattr(module, "measure_artifact", artifact)
    monkeypatch.setattr(module, "lacking", lambda _: [])

    def run(runtimes=None, precisions=None, seed=0):
        state.round, state.seed = state.round + 1, seed
        module.measure(spec, tmp_path, tmp_path, tmp_path, tmp_path, None, seed, runtimes, precisions, lambda _: None)
        stored = load_measured(spec.name, tmp_path)
        assert isinstance(stored.calibration, CalibrationEntry)
        return {(a.runtime, a.precision): a.bytes for a in stored.artifacts}

    return run


def test_everything_is_measured_in_a_fixed_order(measure):
    assert list(measure()) == EVERY


@pytest.mark.parametrize(
    ("runtimes", "precisions", "again"),
    [
        (["litert"], None, [pair for pair in EVERY if pair[0] == "litert"]),
        (None, ["w8"], [pair for pair in EVERY if pair[1] == "w8"]),
        (["litert", "coreml"], ["fp16"], [("litert", "fp16"), ("coreml", "fp16")]),
    ],
)
def test_a_part_is_measured_again_and_the_rest_stays(measure, runtimes, precisions, again):
    assert again
    measure()
    found = measure(runtimes, precisions)
    assert list(found) == EVERY
    assert {pair for pair, made in found.items() if made == 2} == set(again)


def test_a_runtime_that_is_not_installed_is_left_out_unless_it_is_asked_for(measure, monkeypatch):
    monkeypatch.setattr(module, "lacking", lambda name: ["coreai-core"] if name == "coreai" else [])
    assert list(measure()) == [pair for pair in EVERY if pair[0] != "coreai"]
    assert {runtime for runtime, _ in measure(["coreai"])} == set(RUNTIMES)


def test_a_metric_of_the_users_own_needs_a_budget(measure, monkeypatch, refused, tmp_path, spec):
    own = SimpleNamespace(lowered=None, budget={}, spec=spec, folder=tmp_path)
    monkeypatch.setattr(module, "load_reference", lambda *_: own)
    monkeypatch.setattr(module, "load_evaluation", lambda *_: SimpleNamespace(reference={"rmse": 2.0, "speed": 1.0}))
    with refused(BadInput, "evaluate() gives rmse, speed; write into", "card.yaml", "as in 'budget: {rmse: -0.01}'"):
        measure()


def test_progress_in_a_log_is_a_line_each_and_none_beside_json(capsys):
    for line in ("tiny: 1/2 coreml fp16", "tiny: 2/2 coreml w8", ""):
        command._say(as_json=False)(line)
        command._say(as_json=True)(line)
    shown = capsys.readouterr()
    assert shown.err == "tiny: 1/2 coreml fp16\ntiny: 2/2 coreml w8\n" and not shown.out


def test_a_pair_that_does_not_exist_is_refused_and_nothing_is_lost(measure, refused):
    before = measure()
    with refused(BadInput, "litert", "p6", "give a pair that exists"):
        measure(["litert"], ["p6"])
    assert measure(["coreml"], ["p6"]).keys() == before.keys()


def test_a_part_with_other_samples_is_refused(measure, refused):
    measure()
    with refused(BadInput, "other samples", "--runtime and --precision"):
        measure(None, ["w8"], seed=1)


def test_an_unknown_precision_is_named(tmp_path, capsys):
    assert command.main(["classifier", "--data", str(tmp_path), "--precision", "w9"]) == 2
    assert "precision is 'w9'; allowed: " in capsys.readouterr().err
