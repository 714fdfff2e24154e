"""The emulation's speed: what is too slow, and that opening a package needs no converter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sdk_build.mil.files.schema as schema
from benchmarks import mil_speed


def _result(model: str, ratio: float, open_s: float) -> dict[str, object]:
    return {"model": model, "eager_ms": 10.0, "emulation_ms": 10 * ratio, "ratio": ratio, "open_s": open_s}


@pytest.mark.parametrize(("ratio", "open_s", "code"), [(1.29, 0.9, 0), (1.31, 0.1, 1), (1.0, 1.1, 1)])
def test_check_fails_where_a_ratio_or_an_opening_is_too_slow(
    ratio: float, open_s: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mil_speed, "pin", lambda threads: None)
    monkeypatch.setattr(mil_speed, "measure", lambda model, rounds, threads: _result(model, ratio, open_s))
    assert mil_speed.main(["classifier", "--check", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["models"][0]["ratio"] == ratio
    assert mil_speed.main(["classifier"]) == 0
    assert f"{ratio:.2f}" in capsys.readouterr().out


def test_opening_imports_no_coremltools(tmp_path: Path) -> None:
    model = schema.message_class("Model")(specificationVersion=4)
    model.neuralNetwork.SetInParent()
    (tmp_path / "net.mlmodel").write_bytes(model.SerializeToString())
    command = [sys.executable, "-m", "benchmarks.mil_speed", "--open", str(tmp_path / "net.mlmodel")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["imports_coremltools"] is False
