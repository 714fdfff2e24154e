"""The measuring command: who measures how often, and what the printed document holds."""

import json
import math

import pytest

from benchmarks import run as module
from benchmarks.measure import interleave
from benchmarks.run import Protocol, measure
from reference.errors import BadInput
from sdk_build.bundle.files import open_bundle
from sdk_build.bundle.records import parse_record


@pytest.mark.parametrize(
    ("rounds", "launches", "processes"),
    [(0, 0, 10), (0, 4, 4), (50, 0, 10), (400, 0, 10), (30, 0, 6), (9, 0, 1), (50, 1, 1), (50, 3, 3)],
)
def test_processes_share_the_rounds(rounds, launches, processes):
    assert Protocol(rounds=rounds, launches=launches).processes == processes


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ({"rounds": 4}, ("--rounds is 4", "at least 5")),
        ({"rounds": -1}, ("--rounds is -1", "at least 5")),
        ({"rounds": 20, "launches": 5}, ("--launches is 5", "allowed: 1 to 4", "5 of the 20 rounds")),
        ({"launches": -1}, ("--launches is -1",)),
        ({"threads": 1000}, ("--threads is 1000", "allowed: 1 to")),
        ({"sustained_s": math.nan}, ("--sustained is nan",)),
        ({"sustained_s": math.inf}, ("--sustained is inf",)),
        ({"sustained_s": -1.0}, ("--sustained is -1.0",)),
        ({"peers": ("tensorrt",)}, ("'tensorrt'", "onnxruntime")),
    ],
)
def test_protocols_that_make_no_sense(wrong, parts, refused):
    with refused(BadInput, *parts):
        Protocol(**wrong)


def stand_in(rounds_that_fit, asked):
    """A measuring process that makes ``rounds_that_fit`` rounds in the time it is given, each as long as its number."""

    def child(what, path, runtime, protocol, rest):
        if what == "load":
            return {"load_ms": 1.0, "peak_mb": 2.0, "model_mb": 1.0}
        rounds, limit_s, sustained_s = int(rest[0]), float(rest[1]), float(rest[2])
        asked.append((rounds, limit_s, sustained_s))
        n, made = len(asked), rounds if math.isinf(limit_s) else min(rounds, rounds_that_fit)
        lasting = {"seconds": 9.0, "calls": 3, "first_p50_ms": 1.0, "last_p50_ms": 1.0} if sustained_s else None
        return {"samples_ms": [float(n)] * made, "peers": {"eager": [2.0 * n] * made}, "sustained": lasting}

    return child


def test_each_process_adds_its_samples_and_the_last_one_goes_on(bundle, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "_child", stand_in(5, asked))
    record = measure(bundle, open_bundle(bundle).manifest, "litert", Protocol(rounds=15, sustained_s=9.0))
    assert asked == [(5, math.inf, 0.0), (5, math.inf, 0.0), (5, math.inf, 9.0)]
    assert record.samples_ms == (1.0,) * 5 + (2.0,) * 5 + (3.0,) * 5 and record.launches == 3
    assert record.ratio_to("eager") == 0.5 and record.sustained.calls == 3


def test_the_first_process_finds_out_how_many_rounds_fit(bundle, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "_child", stand_in(7, asked))
    record = measure(bundle, open_bundle(bundle).manifest, "litert", Protocol(launches=3))
    assert asked == [(40, 5.0, 0.0), (7, math.inf, 0.0), (7, math.inf, 0.0)]
    assert len(record.samples_ms) == 21 and record.launches == 3


@pytest.mark.parametrize(("limit_s", "rounds"), [(0.0, 5), (math.inf, 9)])
def test_rounds_end_with_their_time_once_there_are_enough(limit_s, rounds):
    samples = interleave({"artifact": lambda: None, "eager": lambda: None}, 9, limit_s)
    assert [len(values) for values in samples.values()] == [rounds, rounds]


def test_the_command_prints_records(bundle, capsys):
    assert module.main([str(bundle), "--rounds", "10", "--launches", "2", "--peers", "eager", "--json"]) == 0
    records = [parse_record(r) for r in json.loads(capsys.readouterr().out)["records"]]
    assert records and all(r.launches == 2 and len(r.samples_ms) == 10 and r.ratio_to("eager") for r in records)


def test_where_records_can_not_go_is_said_before_anything_is_measured(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "measure_all", lambda *_: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    assert module.main([str(bundle), "--output", str(tmp_path / "file" / "r.json")]) == 2
    assert "can't write" in capsys.readouterr().err
