"""The peak memory of this process since a chosen moment."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): sets the peak back to what is resident now


def reset_peak() -> None:
    """Forget the peak so far, where the system can (Linux)."""
    if CLEAR.exists():
        CLEAR.write_text(RESET_PEAK)


def peak_bytes() -> int:
    """Most bytes that were resident since :func:`reset_peak`, or since the process began.

    Linux counts ``ru_maxrss`` on from the process that started this one, so a small child of a large parent would look
    as large as its parent; the kernel's own high-water mark belongs to this process alone.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
