"""action.yml: well formed, its shell steps parse, and its inputs are those that docs/ci.md describes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = [step for step in ACTION["runs"]["steps"] if "run" in step]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def test_it_is_composite() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert len(STEPS) == 4


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["name"])
def test_a_step_is_bash_that_takes_inputs_as_variables(step: dict[str, Any]) -> None:
    assert step["shell"] == "bash"
    assert "${{" not in step["run"], "an input inside a script could run as one"
    done = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    named = set(re.findall(r"\$\{?([A-Z_]+)", step["run"]))
    assert named <= {*step["env"], "RUNNER_TEMP", "RUNNER_OS", "RUNNER_ARCH", "GITHUB_OUTPUT"}


def test_every_input_is_used_and_described() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([a-z-]+)", text)) == set(ACTION["inputs"])
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == set(ACTION["inputs"])


def test_the_page_gives_inputs_that_there_are() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (step,) = [s for s in yaml.safe_load(block)["jobs"]["model"]["steps"] if "onpar" in s["uses"]]
    assert set(step["with"]) <= set(ACTION["inputs"])
