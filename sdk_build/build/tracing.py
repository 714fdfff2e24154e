"""One trace at a time: torch.export keeps its state in variables of the process, and models are built in threads."""

from __future__ import annotations

import threading

ONE_AT_A_TIME = threading.RLock()
