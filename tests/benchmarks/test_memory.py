import subprocess
import sys

import numpy as np
import pytest

from benchmarks.memory import CLEAR, peak_bytes, reset_peak

LARGE = 64 << 20

pytestmark = pytest.mark.skipif(not CLEAR.exists(), reason="only Linux can set the peak back")


def test_the_peak_holds_what_was_given_back_and_forgets_it_on_reset():
    reset_peak()
    before = peak_bytes()
    block = np.ones(LARGE, np.uint8)
    assert block.any()
    del block
    assert peak_bytes() - before > 0.9 * LARGE
    reset_peak()
    assert peak_bytes() - before < 0.5 * LARGE


def test_a_child_does_not_inherit_its_parents_peak():
    held = np.ones(4 * LARGE, np.uint8)
    code = "from benchmarks.memory import peak_bytes; print(peak_bytes())"
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert held.any()
    assert int(child.stdout) < 2 * LARGE
