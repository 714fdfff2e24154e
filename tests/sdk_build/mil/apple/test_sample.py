"""A fixed sample of Apple's tests, and that the harness sees what goes wrong."""

import json
import re

import pytest

from tests.sdk_build.mil.apple.__main__ import GROUPS, HERE, main
from tests.sdk_build.mil.apple.outcomes import PASSED, Expected, count, key_of, kind_of, predicts
from tests.sdk_build.mil.apple.selection import Selection, choose

CORRUPTED = 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("suite")


def test_the_sample_passes_as_committed(folder, capsys):
    assert main(["sample", "--out", str(folder)]) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    passed, asked = map(int, re.search(r"(\d+) of (\d+) tests that predict pass", out).groups())
    assert passed == asked >= 45


def test_wrong_outputs_fail(folder, capsys):
    assert main(["sample", "--out", str(folder), "--corrupt", str(CORRUPTED)]) == 0, capsys.readouterr().out
    assert f"{CORRUPTED} of {CORRUPTED} tests fail" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["op"], "group is 'op'; allowed: sample, ops"), (["ops", "--shard", "4/4"], "--shard is '4/4'; allowed: 0/N")],
)
def test_wrong_use(tmp_path, capsys, arguments, part):
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    assert part in capsys.readouterr().err


def entry(name="t[a]", outcome="passed", predictions=1, message="", error=None, expected_to_fail=False):
    return {
        "id": name,
        "outcome": outcome,
        "predictions": predictions,
        "message": message,
        "error": error,
        "expected_to_fail": expected_to_fail,
    }


KINDS = {
    PASSED: entry(),
    "passed, no prediction in the test": entry(predictions=0),
    "passed, where Apple expects Core ML to fail": entry(expected_to_fail=True),
    "skipped by the test itself": entry(outcome="skipped", predictions=0),
    "expected to fail by Apple": entry(outcome="skipped", expected_to_fail=True),
    "refused by the emulation: UnsupportedOperation": entry(outcome="failed", error=["UnsupportedOperation", "", ""]),
    "wrong value or shape": entry(outcome="failed", message="AssertionError: \nNot equal to tolerance"),
    "hangs": entry(outcome="failed", message="Failed: Timeout >120.0s"),
    "failed before a prediction (coremltools with this PyTorch or NumPy)": entry(outcome="failed", predictions=0),
    "failed behind a prediction, values not at issue": entry(outcome="failed", message="KeyError: 'x'"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind):
    assert kind_of(KINDS[kind]) == kind


def test_only_what_asks_the_emulation_counts():
    asked = {kind for kind in KINDS if predicts(kind)}
    assert asked == {PASSED, "refused by the emulation: UnsupportedOperation", "wrong value or shape", "hangs"}


def test_a_test_that_no_longer_passes_is_found(tmp_path):
    run = {f"t[{i}]": entry(f"t[{i}]") for i in range(40)} | {"u": entry("u", "failed", message="Not equal to")}
    Expected.of(run, "9.0", "1:1:0/1").save(tmp_path / "expected.json")
    expected = Expected.load(tmp_path / "expected.json")
    assert expected.counts == count(run.values()) and expected.failing == {"u": "wrong value or shape"}
    assert expected.lost(run) == {}
    worse = run | {"t[7]": entry("t[7]", "failed", error=["LoweringError", "", ""]), "new": entry("new", "failed")}
    assert expected.lost(worse) == {"t[7]": "refused by the emulation: LoweringError"}


@pytest.mark.parametrize("group", [name for name in GROUPS if (HERE / f"expected-{name}.json").is_file()])
def test_what_is_committed_can_be_read(group):
    expected = Expected.load(HERE / f"expected-{group}.json")
    assert len(expected.passed) == expected.counts[PASSED] > 0
    assert all(predicts(kind) and key_of(name) not in expected.passed for name, kind in expected.failing.items())
    assert json.dumps(dict(expected.failing)).count("/home/") == 0


def test_a_selection_is_even_and_shards_are_whole():
    ids = [f"f[{i}]" for i in range(100)] + [f"g[{i}]" for i in range(4)] + ["h"]
    some = choose(ids, Selection(10, 3))
    assert len(some) == 10 + 3 + 1 and len(set(some)) == len(some)
    numbers = [int(name[2:-1]) for name in some if name.startswith("f")]
    assert all(10 * i <= number < 10 * i + 10 for i, number in enumerate(numbers))
    assert choose(ids, Selection(1, 1)) == ids
    parts = [choose(ids, Selection(10, 3, i, 3)) for i in range(3)]
    assert sorted(name for part in parts for name in part) == sorted(some)
    assert Selection.parse(str(Selection(10, 3, 1, 4))) == Selection(10, 3, 1, 4)
