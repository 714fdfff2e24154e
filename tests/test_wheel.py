"""The wheel as its users have it: installed without the checkout, in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("reference", "sdk_build", "benchmarks")
MODEL = "template_keypoints"  # small, and quickly converted for the web
TRAININGS = ("training_log", "training_curves")  # of interest in the repository alone
OTHER = {"benchmarks/devices.yaml", "benchmarks/results/gates.json", "sdk_build/backends/known_issues.yaml"}
# A package index takes files of up to 100 MB without asking; of float weights nine tenths remain when packed.
MOST_BYTES = 120_000_000


TWO_INPUTS = """
import torch
from torch import nn


class Twin(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.see, self.read, self.out = nn.Conv2d(3, 8, 3, 2), nn.Embedding(9, 8), nn.Linear(16, 5)

    def forward(self, image, words):
        x = torch.cat([self.see(image).mean((2, 3)), self.read(words).mean(1)], 1)
        return {"scores": self.out(x), "features": x}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from links, so that nothing is written into the checkout; not compressed, which takes most of the time."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in (*PACKAGES, "models", "pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    script = (
        "import sys; from setuptools import build_meta; "
        "build_meta.build_wheel(sys.argv[1], {'--build-option': ['--compression=stored']})"
    )
    done = subprocess.run([sys.executable, "-c", script, out], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = out.iterdir()
    return path


@pytest.fixture(scope="module")
def content(wheel: Path) -> dict[str, int]:
    """The size in bytes of every file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.file_size for entry in archive.infolist()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's repository, with nothing of OnPar in it."""
    folder = tmp_path_factory.mktemp("project")
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Begin"], check=True)
    return folder


@pytest.fixture(scope="module")
def scripts(wheel: Path, project: Path) -> Path:
    """Where the programs of an environment inside that repository are, which has the wheel and this one's packages."""
    environment = project / ".venv"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-compile", str(wheel)], check=True)
    # A path in a .pth file isn't searched for other .pth files: an editable installation of OnPar stays out.
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "converters.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def run(project: Path, *command: object, code: int = 0) -> str:
    """Standard output of a command in the other repository."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        list(map(str, command)),
        cwd=project,
        env=kept | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr[-2000:]
    return done.stdout if code == 0 else done.stderr


def test_every_module_is_in_it(content: dict[str, int]) -> None:
    expected = {path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert {name for name in content if name.endswith(".py")} == expected


def test_every_file_of_the_models_is_in_it_but_how_they_were_trained(content: dict[str, int]) -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "models").rglob("*") if path.is_file()}
    wanted = {f"reference/{name}" for name in files if not Path(name).name.startswith(TRAININGS)}
    assert len(wanted) < len(files)
    assert {name for name in content if name.startswith("reference/models/")} == wanted


def test_nothing_else_is_in_it(content: dict[str, int]) -> None:
    rest = {name for name in content if not name.endswith(".py") and not name.startswith("reference/models/")}
    assert {name for name in rest if ".dist-info/" not in name} == OTHER


def test_it_stays_small_enough_for_an_index(content: dict[str, int]) -> None:
    assert sum(content.values()) < MOST_BYTES


def test_the_checkout_is_not_on_the_path(project: Path, scripts: Path) -> None:
    script = (
        "import sys, benchmarks, reference.card, sdk_build, json; "
        "print(json.dumps([*sys.path, benchmarks.__file__, sdk_build.__file__, str(reference.card.MODELS_DIR)]))"
    )
    *path, benchmarks, sdk_build, models = json.loads(run(project, scripts / "python", "-c", script))
    assert str(ROOT) not in path
    for place in (benchmarks, sdk_build, models):
        assert Path(place).is_relative_to(project)


def test_a_built_in_model_from_nothing_to_a_result(project: Path, scripts: Path) -> None:
    export = ("export", "--model", MODEL, "--target", "web", "--precision", "fp16", "--json")
    (built,) = json.loads(run(project, scripts / "onpar", *export))["bundles"]
    assert built["passed"]
    bundle = project / "dist" / f"{MODEL}-web-fp16"
    # The commit of the repository around the environment says nothing about OnPar.
    assert json.loads((bundle / "bundle.json").read_text())["git_commit"] == "unknown"

    assert run(project, scripts / "onpar", "verify", bundle.relative_to(project)).startswith("proved")
    picture = bundle / "golden" / "input_0.png"
    found = json.loads(run(project, scripts / "onpar", "predict", bundle, picture, "--box", "0,0,1,1", "--json"))
    assert len(found["predictions"][0]["results"]) == 1
    assert MODEL in run(project, scripts / "onpar", "report", "--html", "report.html")
    assert "<html" in (project / "report.html").read_text()


def test_a_network_of_the_users_own_with_two_inputs(project: Path, scripts: Path) -> None:
    (project / "net.py").write_text(TWO_INPUTS)
    cases = []
    for seed in range(2):
        generator = np.random.default_rng(seed)
        np.save(project / f"image{seed}.npy", generator.random((1, 3, 16, 16), np.float32))
        np.save(project / f"words{seed}.npy", generator.integers(0, 9, (1, 4)))
        cases += ["--input", f"image=image{seed}.npy", f"words=words{seed}.npy"]
    said = run(project, scripts / "onpar", "new", "./twin", "--network", "net.py:Twin", *cases)
    assert said.splitlines()[-1] == "next: onpar export --target ios --model twin"
    export = ("export", "--model", "./twin", "--target", "web", "--precision", "fp32", "--json")
    (built,) = json.loads(run(project, scripts / "onpar", *export))["bundles"]
    assert built["passed"]
    assert run(project, scripts / "onpar", "verify", "dist/twin-web-fp32").startswith("proved")


def test_data_that_other_commands_read_are_there(project: Path, scripts: Path) -> None:
    script = (
        "from benchmarks.devices import load_devices; from benchmarks.gates import BASELINE; "
        "from reference.animation.motion.library import read_labels, read_library; "
        "from reference.geometry.face_topology import load_topology; "
        "print(len(load_devices()) > 0, BASELINE.is_file(), len(read_library()) > 0, bool(read_labels()), "
        "len(load_topology().mean))"
    )
    assert run(project, scripts / "python", "-c", script).split() == ["True", "True", "True", "True", "2500"]


@pytest.mark.parametrize(
    "command",
    ["benchmarks.arm64", "benchmarks.tables", "sdk_build.app_vectors", f"sdk_build.quantize {MODEL}"],
)
def test_what_needs_the_checkout_says_so_in_one_line(command: str, project: Path, scripts: Path) -> None:
    more = ("--data", project) if command.endswith(MODEL) else ()
    message = run(project, scripts / "python", "-m", *command.split(), *more, code=2)
    assert message.count("\n") == 1 and f"{command} needs" in message and "a checkout of OnPar" in message


def test_models_of_the_users_own_are_made_beside_the_user(project: Path, scripts: Path) -> None:
    script = "from reference.card import OWN_MODELS_DIR; print(OWN_MODELS_DIR.resolve())"
    assert run(project, scripts / "python", "-c", script).strip() == str(project.resolve())


def test_the_script_and_the_modules_are_the_same_commands(project: Path, scripts: Path) -> None:
    assert run(project, scripts / "onpar", "--help").startswith("usage: onpar COMMAND")
    assert run(project, scripts / "onpar", "export", "--help").startswith("usage: onpar export [-h]")
    asked = run(project, scripts / "python", "-m", "sdk_build.export", "--help")
    assert asked.startswith("usage: python -m sdk_build.export [-h]")
    message = run(project, scripts / "onpar", "exprot", code=2)
    assert message.count("\n") == 1 and "allowed: " in message
