"""The command that damages files by the thousand: it damages, and it sees whatever must not come of it."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sdk_build.mil import damage, test_damage

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads a process's memory in /proc")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return test_damage._write(test_damage._model(), tmp_path / "net.mlpackage")


@pytest.mark.parametrize("kind", dict.fromkeys(damage.DAMAGES))
def test_every_kind_of_damage_changes_the_file(kind: Any, package: Path) -> None:
    whole = (package / test_damage.SPEC).read_bytes()
    found = []
    for seed in range(8):
        data = bytearray(whole)
        kind(data, random.Random(seed))
        found.append(bytes(data))
    assert sum(data != whole for data in found) >= 6
    assert len(set(found)) >= 5


def test_damaged_models_are_refused_or_run(package: Path) -> None:
    entries = list(damage.batch([package], range(40)))
    assert [entry["seed"] for entry in entries] == list(range(40))
    assert [entry for entry in entries if entry["fault"]] == []
    assert {entry["outcome"] for entry in entries} == {"refused", "runs"}


def test_a_child_that_dies_or_hangs_costs_one_damage(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(model: Path, folder: Path, seed: int) -> dict[str, Any]:
        if seed == 2:
            os._exit(3)
        if seed == 4:
            signal.pause()
        return {"seed": seed, "outcome": "runs", "fault": False}

    monkeypatch.setattr(damage, "_one", one)
    monkeypatch.setattr(damage, "_warm_up", lambda models, folder: None)
    monkeypatch.setattr(damage, "HANGS_S", 0.5)
    entries = list(damage.batch([package], range(6)))
    assert [entry["outcome"] for entry in entries] == ["runs", "runs", "the process ends", "runs", "hangs", "runs"]
    assert [entry["seed"] for entry in entries if entry["fault"]] == [2, 4]


@pytest.mark.parametrize(("megabytes", "outcome"), [(1, "refused"), (512, "memory")])
def test_memory_is_measured(megabytes: int, outcome: str, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: Path) -> dict[str, Any]:
        np.ones(megabytes << 20, np.uint8)
        return {"outcome": "refused", "message": "", "fault": False}

    monkeypatch.setattr(damage, "opened", opened)
    monkeypatch.setattr(damage, "_warm_up", lambda models, folder: None)
    (entry,) = damage.batch([package], range(1))
    assert (entry["outcome"], entry["fault"]) == (outcome, outcome == "memory")
    # The kernel may drop up to tens of megabytes of mapped files meanwhile, which the peak then lacks.
    assert outcome == "refused" or entry["more"] > (megabytes - 128) << 20


def test_what_a_command_must_not_do_is_a_fault(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sdk_build.mil.__main__ as command

    def raising(arguments: list[str]) -> int:
        raise KeyError("x")

    def one_line_too_many(arguments: list[str]) -> int:
        import sys

        print("a\nb", file=sys.stderr)
        return 2

    for main, outcome in ((raising, "traceback"), (one_line_too_many, "refused"), (lambda arguments: 0, "no JSON")):
        monkeypatch.setattr(command, "main", main)
        entry = damage.opened(package)
        assert (entry["outcome"], entry["fault"]) == (outcome, True)


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert damage.main(["nowhere.mlmodel"]) == 2
    assert "no nowhere.mlmodel" in capsys.readouterr().err
