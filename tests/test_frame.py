"""The project's own set-up: verbs, lock file, CI script."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
VERBS = [
    "help",
    "setup",
    "wheel",
    "export",
    "parity",
    "predict",
    "test",
    "test-slow",
    "coremltools-suite",
    "lint",
    "format",
    "gltf",
    "bench",
    "phones",
    "apps",
    "apps-bundles",
    "apps-web",
    "apps-android",
    "apps-ios",
    "gates",
    "quantize",
    "tables",
    "arm64",
    "arm64-counts",
    "lock",
    "clean",
]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][0-9A-Za-z.]*)")
LOCK_LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
# What the lock file is made for; markers are judged for it on every machine.
LOCK_ENVIRONMENT = {"python_version": "3.11", "python_full_version": "3.11.7", "sys_platform": "linux", "extra": ""}


def _requirements() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    texts = [*PROJECT["project"]["dependencies"], *(text for extra in extras for text in extra)]
    return [Requirement(text) for text in texts]


def _pins() -> dict[str, Version]:
    return {canonicalize_name(m[1]): Version(m[2]) for m in map(PIN.fullmatch, LOCK_LINES) if m}


def _make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Without the variables of a make that may be running these tests.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
@pytest.mark.parametrize("verb", VERBS)
def test_make_knows_the_verb(verb: str) -> None:
    done = _make("-n", verb)
    assert done.returncode == 0, done.stderr


@needs_make
def test_make_alone_lists_every_verb() -> None:
    listed = [line.split()[0] for line in _make().stdout.splitlines()]
    assert sorted(listed) == sorted(VERBS)


@needs_make
def test_make_passes_its_settings_on() -> None:
    done = _make("-n", "export", "TARGET=ios", "MODEL=voxel64", "PRECISION=fp16")
    assert "-m sdk_build.export --target ios --model voxel64 --precision fp16" in done.stdout


def test_lock_holds_exact_pins_only() -> None:
    assert [line for line in LOCK_LINES if not PIN.fullmatch(line)] == []
    assert len(_pins()) == len(LOCK_LINES), "a package is pinned twice"
    assert LOCK_LINES == sorted(LOCK_LINES, key=str.lower), "run make lock"


@pytest.mark.parametrize("requirement", _requirements(), ids=str)
def test_lock_satisfies_pyproject(requirement: Requirement) -> None:
    if requirement.marker and not requirement.marker.evaluate(LOCK_ENVIRONMENT):
        return
    pinned = _pins().get(canonicalize_name(requirement.name))
    assert pinned is not None, f"requirements.lock lacks {requirement.name}; run make lock"
    assert pinned in requirement.specifier, f"requirements.lock has {requirement.name} {pinned}; run make lock"


def test_makefile_and_pyproject_name_the_same_torch() -> None:
    (line,) = (text for text in (ROOT / "Makefile").read_text().splitlines() if text.startswith("TORCH := "))
    named = {str(requirement) for requirement in _requirements() if requirement.name == "torch"}
    assert named == {line.removeprefix("TORCH := ")}


def test_every_package_is_checked_and_installed() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(PROJECT["tool"]["mypy"]["files"])
    found = re.search(r"include=(\[[^\]]*\])", (ROOT / "setup.py").read_text(encoding="utf-8"))
    assert found is not None and {f"{name}*" for name in packages} == set(json.loads(found[1]))


@pytest.mark.skipif(os.name == "nt", reason="no executable bit")
def test_ci_script_can_be_executed() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
