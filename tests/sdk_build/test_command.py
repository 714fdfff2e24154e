"""Errors of every command: one line, the right exit code, never a traceback for what OnPar foresees."""

import inspect

import pytest

from reference.errors import BadInput, OnParError
from sdk_build import command, errors
from sdk_build.command import error_line, exit_with, need_checkout
from sdk_build.errors import ParityError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, OnParError)]


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BadInput("a is 1;\n  allowed: 2"), 2, "BadInput: a is 1; allowed: 2\n"),
        (ParityError("31 dB < 40 dB"), 1, "ParityError: 31 dB < 40 dB\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_an_error_is_one_line_and_a_code(error, code, line, capsys):
    assert exit_with(raising(error)) == code
    assert capsys.readouterr() == ("", line)


def test_a_mistake_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_with(raising(ZeroDivisionError()))


def test_the_result_is_the_code():
    assert exit_with(lambda: 7) == 7


def test_error_lines_hold_no_line_break():
    assert error_line(BadInput("a\n\tb  c")) == "BadInput: a b c"


@pytest.mark.parametrize("kind", KINDS)
def test_the_tree_in_the_docstring_is_the_real_one(kind):
    (line,) = [line for line in errors.__doc__.splitlines() if f" {kind.__name__} " in line]
    assert f"exit {kind.exit_code}" in line
    parent = kind.__mro__[1]
    if parent is not Exception:
        above = errors.__doc__.splitlines()
        before = above[: above.index(line)]
        depth = line.index(kind.__name__)
        indented = [li for li in before if li.strip() and "exit" in li and _start(li) < depth]
        assert parent.__name__ in indented[-1]


def _start(line):
    return next(i for i, letter in enumerate(line) if letter.isalpha())


def test_every_error_is_public():
    assert set(errors.__all__) == {kind.__name__ for kind in KINDS}


def test_what_works_on_our_own_files_needs_a_checkout(monkeypatch, refused):
    need_checkout("benchmarks.arm64", "a toolchain's folder")
    monkeypatch.setattr(command, "IN_CHECKOUT", False)
    with refused(
        BadInput, "benchmarks.arm64 needs a toolchain's folder", "a wheel doesn't hold", "a checkout of OnPar"
    ):
        need_checkout("benchmarks.arm64", "a toolchain's folder")
