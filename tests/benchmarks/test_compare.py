"""Comparison: verdicts with known answers, and refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import compare as module
from benchmarks.compare import compare, pair_up, verdict
from reference.errors import BadInput
from sdk_build.bundle.records import Peer, write_records
from tests.sdk_build.bundle.test_records import RECORD


def noisy(seed, factor=1.0, rounds=60, load=1.0, peers=True):
    """A record around 2 ms times ``factor`` on a machine that is ``load`` times slower at everything."""
    rng = np.random.default_rng(seed)
    mood = load * np.exp(rng.normal(0, 0.1, rounds))
    mine = 2 * factor * mood * np.exp(rng.normal(0, 0.01, rounds))
    eager = 6 * mood * np.exp(rng.normal(0, 0.01, rounds))
    shown = (Peer("eager", tuple(eager)),) if peers else ()
    return replace(RECORD, samples_ms=tuple(mine), peers=shown, sustained=None)


@pytest.mark.parametrize(("factor", "expected"), [(0.8, "faster"), (1.0, "same"), (1.25, "slower")])
def test_verdicts(factor, expected):
    found = compare(noisy(1), noisy(2, factor))
    assert found.verdict == expected
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(factor, rel=0.02)
    assert found.basis == "eager"


def test_a_busy_machine_does_not_decide():
    assert compare(noisy(1), noisy(2, load=3.0)).verdict == "same"
    assert compare(noisy(1, peers=False), noisy(2, load=3.0, peers=False)).verdict == "slower"
    assert compare(noisy(1, peers=False), noisy(2, peers=False)).basis == "milliseconds"


def test_fewer_rounds_say_less():
    few, many = (compare(noisy(1, rounds=n, peers=False), noisy(3, rounds=n, peers=False)) for n in (8, 200))
    assert few.high - few.low > 2 * (many.high - many.low)
    assert verdict(0.8, 1.2) == "unclear"


def test_processes_of_other_speed_are_no_news():
    """Each process has a speed of its own: many rounds in few of them say little, as the interval must."""

    def launched(seed):
        speeds = np.exp(np.random.default_rng(seed).normal(0, 0.1, 6))
        record = noisy(seed, rounds=60)
        times = np.reshape(record.samples_ms, (6, 10)) * speeds[:, None]
        return replace(record, samples_ms=tuple(times.ravel()), launches=6)

    found = [compare(launched(2 * i), launched(2 * i + 1)) for i in range(20)]
    assert sum(c.low <= 1 <= c.high for c in found) >= 17
    blind = [compare(*(replace(launched(2 * i + n), launches=1) for n in (0, 1))) for i in range(20)]
    assert sum(c.low <= 1 <= c.high for c in blind) < 17


def test_interval_covers_the_truth():
    covered = sum(c.low <= 1.1 <= c.high for c in (compare(noisy(2 * i), noisy(2 * i + 1, 1.1)) for i in range(30)))
    assert covered >= 26


def test_pairs_by_what_was_measured():
    a, b = noisy(1), replace(noisy(2), precision="fp32")
    assert pair_up([a, b], [b, a], False) == [(b, b), (a, a)]


def test_other_devices_and_threads_are_refused(refused):
    a = noisy(1)
    with refused(BadInput, "different devices", "A phone", "Another", "--force"):
        pair_up([a], [replace(a, device=replace(a.device, name="Another"))], False)
    with refused(BadInput, "1 threads in A and 2 in B", "--force"):
        pair_up([a], [replace(a, threads=2)], False)
    assert len(pair_up([a], [replace(a, threads=2, device=replace(a.device, name="Another"))], True)) == 1
    with refused(BadInput, "XNNPACK in A", "CPU in B", "--force"):
        pair_up([a], [replace(a, delegate="CPU")], False)
    assert pair_up([a], [replace(a, delegate="CPU")], True)
    with refused(BadInput, "in common"):
        pair_up([a], [replace(a, model="other")], True)


def test_the_command(tmp_path, capsys):
    write_records(tmp_path / "a.json", [noisy(1)])
    write_records(tmp_path / "b.json", [noisy(2, 1.3)])
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert module.main(files) == 0
    out = capsys.readouterr().out
    assert "slower" in out and max(map(len, out.splitlines())) <= 100
    assert module.main([*files, "--fail-if-slower", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["comparisons"][0]["verdict"] == "slower"


def test_what_has_no_partner_is_named(tmp_path, capsys):
    write_records(tmp_path / "a.json", [noisy(1), replace(noisy(1), precision="fp32")])
    write_records(tmp_path / "b.json", [noisy(2), replace(noisy(2), precision="fp32", threads=2)])
    assert module.main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == ["only in A: tiny litert fp32, 1 thread", "only in B: tiny litert fp32, 2 threads"]
