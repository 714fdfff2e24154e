"""Toolchain noise is kept off the terminal, and shown when something fails."""

import logging
import os
import subprocess
import sys
import warnings

import pytest

from sdk_build.quiet import quiet

NOISE = """
import logging, os, sys, warnings
from sdk_build.quiet import quiet
print("before")
with quiet():
    print("python out"); print("python err", file=sys.stderr)
    os.write(1, b"native out\\n"); os.write(2, b"native err\\n")
    os.system("echo child")
    warnings.warn("careful"); logging.getLogger("coremltools").warning("untested")
print("after"); print("end", file=sys.stderr)
"""


def test_nothing_of_python_or_native_code_comes_through():
    done = subprocess.run([sys.executable, "-c", NOISE], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("before\nafter\n", "end\n")


def test_a_failure_brings_the_captured_text_along(capfd):
    with pytest.raises(ValueError, match="broken") as caught, quiet():  # noqa: PT012  (what comes before counts)
        os.write(2, b"the reason\n")
        raise ValueError("broken")
    assert caught.value.__notes__ == ["the reason"]
    assert capfd.readouterr() == ("", "")


def test_everything_is_as_before(monkeypatch, capfd):
    monkeypatch.setenv("TQDM_DISABLE", "0")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    level = logging.getLogger("torchao").level
    with quiet():
        assert os.environ["TQDM_DISABLE"] == "1"
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
        assert logging.getLogger("torchao").level == logging.ERROR
        warnings.warn("not an error in here", UserWarning, stacklevel=1)
    assert os.environ["TQDM_DISABLE"] == "0"
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    assert logging.getLogger("torchao").level == level
    with pytest.raises(UserWarning):
        warnings.warn("an error again", UserWarning, stacklevel=1)
    os.write(1, b"heard")
    assert capfd.readouterr().out == "heard"
