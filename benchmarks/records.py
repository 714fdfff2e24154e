"""One record per artifact and run: what was measured, where, and every raw sample."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Record:
    """Latency of one artifact and of its peers with the same weights, their calls interleaved in one process.

    Attributes:
        load_ms: median of three loads in one process; the first finds a cold cache only by chance.
        samples_ms: every timed call, in order.
        peer_samples_ms: likewise for each peer: ``eager`` PyTorch and, where it is installed, ``onnxruntime``.
        peak_mb: largest resident memory of the measuring process, with Python and its libraries.
    """

    bundle: str
    model: str
    runtime: str
    precision: str
    threads: int
    device: str
    samples_ms: tuple[float, ...]
    peer_samples_ms: Mapping[str, tuple[float, ...]]
    load_ms: float
    peak_mb: float
    schema_version: int = SCHEMA_VERSION

    def ratio_to(self, peer: str) -> float:
        """Median over the rounds of this artifact's time by the peer's in the same round; below 1 is faster."""
        return float(np.median(np.array(self.samples_ms) / np.array(self.peer_samples_ms[peer])))

    def percentile(self, q: float) -> float:
        """Milliseconds that ``q`` percent of the calls stayed below."""
        return float(np.percentile(self.samples_ms, q))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict with the derived figures beside the raw samples."""
        quantiles = {f"p{q}_ms": self.percentile(q) for q in (50, 90, 99)}
        peers = {
            name: {"p50_ms": float(np.median(samples)), "ratio": self.ratio_to(name)}
            for name, samples in self.peer_samples_ms.items()
        }
        return {**asdict(self), **quantiles, "peers": peers}


def device_name() -> str:
    """Processor and operating system, e.g. ``Intel(R) Xeon(R) Processor @ 2.50GHz, Linux``."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {platform.system()}"
