"""One record per artifact and run: what was measured, where, and every raw sample."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Record:
    """Latency of one artifact against eager PyTorch, their calls interleaved in one process.

    Attributes:
        load_ms: median of three loads in one process; the first finds a cold cache only by chance.
        samples_ms, eager_samples_ms: every timed call, in order.
        peak_mb: largest resident memory of the measuring process, with Python and its libraries.
    """

    bundle: str
    model: str
    runtime: str
    precision: str
    threads: int
    device: str
    samples_ms: tuple[float, ...]
    eager_samples_ms: tuple[float, ...]
    load_ms: float
    peak_mb: float
    schema_version: int = SCHEMA_VERSION

    @property
    def ratio_to_eager(self) -> float:
        """Median over the pairs of this artifact's time by eager PyTorch's; below 1 is faster."""
        return float(np.median(np.array(self.samples_ms) / np.array(self.eager_samples_ms)))

    def percentile(self, q: float) -> float:
        """Milliseconds that ``q`` percent of the calls stayed below."""
        return float(np.percentile(self.samples_ms, q))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict with the derived figures beside the raw samples."""
        quantiles = {f"p{q}_ms": self.percentile(q) for q in (50, 90, 99)}
        peers = {"eager": {"p50_ms": float(np.median(self.eager_samples_ms))}}
        return {**asdict(self), **quantiles, "peers": peers, "ratio_to_eager": self.ratio_to_eager}


def device_name() -> str:
    """Processor and operating system, e.g. ``Intel(R) Xeon(R) Processor @ 2.50GHz, Linux``."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {platform.system()}"
