"""Each in a process of its own: a long-lived one has freed memory to give, and its peak does not move."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.memory import CLEAR

LARGE = 64 << 20
PEAKS = f"""
import numpy as np
from benchmarks.memory import peak_bytes, reset_peak
reset_peak()
before = peak_bytes()
block = np.ones({LARGE}, np.uint8)
del block
after = peak_bytes()
reset_peak()
print(after - before, peak_bytes() - before)
"""

pytestmark = pytest.mark.skipif(not CLEAR.exists(), reason="only Linux can set the peak back")


def run(code):
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return [int(word) for word in child.stdout.split()]


def test_the_peak_holds_what_was_given_back_and_forgets_it_on_reset():
    held, forgotten = run(PEAKS)
    assert held > 0.9 * LARGE
    assert forgotten < 0.5 * LARGE


def test_a_child_does_not_inherit_its_parents_peak():
    held = np.ones(4 * LARGE, np.uint8)
    (peak,) = run("from benchmarks.memory import peak_bytes; print(peak_bytes())")
    assert held.any()
    assert peak < 2 * LARGE
