"""docs/your-model.md: its files and commands run as they stand there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sdk_build
from sdk_build import export, verify
from sdk_build.new.__main__ import main as new
from sdk_build.predict.__main__ import main as predict

PAGE = (Path(__file__).parent.parent / "docs" / "your-model.md").read_text(encoding="utf-8")
SECTIONS = {part.splitlines()[0]: part for part in PAGE.split("\n## ")[1:]}
COMMANDS = {
    "sdk_build.new": new,
    "sdk_build.export": export.main,
    "sdk_build.verify": verify.main,
    "sdk_build.predict": predict,
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with what the page takes for granted."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i, name in enumerate(("cat", "dog")):
        picture = rng.integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(picture).resize((160, 120)).save(f"{name}.png")
        np.save(f"f{i}.npy", rng.normal(size=(1, 16)).astype(np.float32))
        np.save(f"w{i}.npy", rng.integers(0, 100, (1, 1)))
    Path("labels.txt").write_text("cat\ndog\ncow\n")
    for name, text in re.findall(r"```python file=(\S+)\n(.*?)```", PAGE, re.DOTALL):
        Path(name).write_text(text)
    scope = {}
    exec(Path("net.py").read_text(), scope)
    torch.manual_seed(0)
    torch.save(scope["small_net"]().state_dict(), "trained.pt")
    return tmp_path


@pytest.mark.parametrize("title", ["A classifier", "A detector", "Two inputs"])
def test_the_commands_of_a_section_run(title, here, capsys):
    blocks = re.findall(r"```sh\n(.*?)```", SECTIONS[title], re.DOTALL)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    assert len(lines) >= 2
    for line in lines:
        python, dash, module, *arguments = shlex.split(line)
        assert (python, dash) == ("python", "-m")
        assert COMMANDS[module](arguments) == 0, (line, capsys.readouterr().err)
    assert list(here.glob("dist/*/bundle.json"))


def test_the_python_of_the_page_runs(here):
    (code,) = re.findall(r"```python\n(.*?)```", SECTIONS["In Python"], re.DOTALL)
    exec(code, {})
    assert (here / "dist" / "pets-web-fp16" / "bundle.json").is_file()


def test_the_public_functions_are_documented_and_on_the_page():
    assert sdk_build.__all__ == sorted(sdk_build.__all__)
    for name in sdk_build.__all__:
        assert getattr(sdk_build, name).__doc__
    assert {"new_model", "build_bundles", "verify_bundle"} <= set(re.findall(r"\w+", SECTIONS["In Python"]))


def test_every_task_for_any_network_is_on_the_page():
    from reference.tasks import TASKS

    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert listed == {name for name, task in TASKS.items() if task.signature is not None}
