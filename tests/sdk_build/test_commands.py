"""The console script: short names for the commands, imported when they are used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reference.program import program
from sdk_build import commands

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _called(monkeypatch):
    """What a command does to ``sys.argv[0]`` ends with the test."""
    monkeypatch.setattr(sys, "argv", ["onpar"])


def test_the_help_is_one_screen(capsys):
    assert commands.main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 30
    for name in commands.installed():
        assert any(re.fullmatch(rf"  {name} +\w.*", line) for line in lines), name


def test_the_help_loads_no_command():
    script = "import sys; from sdk_build.commands import main; main(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(eval_list(done.stdout.splitlines()[-1]))
    assert not loaded & {command.module for command in commands.COMMANDS.values()} - {"sdk_build.mil"}
    assert not loaded & {"numpy", "torch", "yaml", "rich", "cv2"}


def eval_list(text):
    return re.findall(r"'([^']+)'", text)


def test_without_a_command_the_help_and_the_code_of_wrong_use(capsys):
    assert commands.main([]) == 2
    assert capsys.readouterr().out == commands.usage() + "\n"


def test_the_version(capsys):
    assert commands.main(["--version"]) == 0
    assert re.fullmatch(r"onpar \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["exprot", "", "--json", "sdk_build.export"])
def test_an_unknown_command_is_one_line(name, fails):
    fails(commands.main, [name], 2, f"command is {name!r}", "allowed: ", "export, verify", "onpar --help")


@pytest.mark.parametrize("name", commands.installed())
def test_every_command_answers_with_its_short_name(name, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: onpar {name} [-h]")


def test_without_the_script_a_command_names_its_module(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/onpar/sdk_build/export.py"])
    assert program("sdk_build.export") == "python -m sdk_build.export"


def test_the_exit_code_is_the_commands(tmp_path, fails):
    fails(commands.main, ["verify", tmp_path / "none"], 2, "BundleNotFound")


def test_a_command_that_comes_later_breaks_nothing(monkeypatch, fails):
    monkeypatch.setitem(commands.COMMANDS, "later", commands.Command("sdk_build.later", "to come"))
    assert "later" not in commands.installed()
    assert "later" not in commands.usage()
    fails(commands.main, ["later"], 2, "later is not in this version", "allowed: ")


class Fake:
    """A command whose import of a package fails."""

    def __init__(self, package):
        self.package = package

    def main(self, arguments):
        raise ModuleNotFoundError(f"No module named {self.package!r}", name=self.package)


def test_a_package_of_an_extra_that_is_missing_is_one_line(monkeypatch, fails):
    monkeypatch.setattr(commands.importlib, "import_module", lambda name: Fake("torch.nn"))
    fails(commands.main, ["export"], 2, "export needs torch", "pip install 'onpar[export]'")
    fails(commands.main, ["train"], 2, "train needs torch", "pip install 'onpar[train]'")


@pytest.mark.parametrize("package", ["timm", "sdk_build.gone"])
def test_another_package_that_is_missing_is_no_matter_of_ours(package, monkeypatch):
    monkeypatch.setattr(commands.importlib, "import_module", lambda name: Fake(package))
    with pytest.raises(ModuleNotFoundError):
        commands.main(["export"])
