"""One record per artifact, thread count and run: what was measured, where, and every raw sample.

Phones write the same records (BenchmarkRecord in Kotlin and Swift), so that one table and one comparison serve all.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.spec import from_json
from sdk_build.backends import RUNTIMES

SCHEMA_VERSION = 2
KINDS = ("phone", "emulator", "host")
THERMAL_STATES = ("unknown", "nominal", "fair", "serious", "critical")


@dataclass(frozen=True)
class Device:
    """Where a record was taken.

    Attributes:
        name: model of a phone, or the processor of a computer.
        kind: one of ``KINDS``; a computer's milliseconds say nothing about a phone's, an emulated phone's neither.
        os: name and version.
        cores: those that the process could use.
    """

    name: str
    kind: str
    os: str
    arch: str
    cores: int


@dataclass(frozen=True)
class Peer:
    """The same weights in another runtime, timed in the same rounds.

    Attributes:
        name: ``eager``, ``compile`` (torch.compile) or ``onnxruntime``.
    """

    name: str
    samples_ms: tuple[float, ...]


@dataclass(frozen=True)
class Sustained:
    """A minute without a pause: what heat and the scheduler do to the burst's figures.

    Attributes:
        first_p50_ms, last_p50_ms: medians of the first and the last tenth of the calls.
    """

    seconds: float
    calls: int
    first_p50_ms: float
    last_p50_ms: float


@dataclass(frozen=True)
class Record:
    """Latency of one artifact.

    Attributes:
        bundle_sha256: of bundle.json: which very bundle was measured.
        delegate: what computed it, e.g. ``XNNPACK``.
        thermal: state at the end, one of ``THERMAL_STATES``.
        warm_up: calls before the first timed one.
        samples_ms: every timed call, in order.
        launches: processes that the samples are of, equally many of each, one after the other.
        load_samples_ms: loads in fresh processes, the file dropped from the page cache where the system allows it.
        peak_mb: largest resident memory of a process that only loads and runs the artifact, with its runtime.
        model_mb: what loading and running added to it.
    """

    bundle: str
    bundle_sha256: str
    model: str
    runtime: str
    runtime_version: str
    precision: str
    delegate: str
    threads: int
    device: Device
    thermal: str
    warm_up: int
    samples_ms: tuple[float, ...]
    load_samples_ms: tuple[float, ...]
    peak_mb: float
    model_mb: float
    peers: tuple[Peer, ...] = ()
    sustained: Sustained | None = None
    launches: int = 1
    schema_version: int = SCHEMA_VERSION

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What two runs are paired by."""
        return self.model, self.runtime, self.precision, self.threads

    @property
    def load_ms(self) -> float:
        """Median of the cold loads."""
        return float(np.median(self.load_samples_ms))

    def peer(self, name: str) -> Peer | None:
        """A peer by name."""
        return next((p for p in self.peers if p.name == name), None)

    def ratio_to(self, name: str) -> float | None:
        """This artifact's time by a peer's; below 1 is faster. None without that peer."""
        ratios = self.ratios_to(name)
        return center(np.reshape(ratios, (self.launches, -1))) if ratios else None

    def ratios_to(self, name: str) -> tuple[float, ...]:
        """The same of every round. Empty without that peer."""
        peer = self.peer(name)
        if peer is None:
            return ()
        return tuple(mine / theirs for mine, theirs in zip(self.samples_ms, peer.samples_ms, strict=True))

    def percentile(self, q: float) -> float:
        """Milliseconds that ``q`` percent of the calls stayed below."""
        return float(np.percentile(self.samples_ms, q))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict of the raw record; :func:`parse_record` is its inverse."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """Raw record with the derived figures beside it, as ``benchmarks.run --json`` prints it."""
        quantiles = {f"p{q}_ms": self.percentile(q) for q in (50, 90, 99)}
        peers = {p.name: {"p50_ms": float(np.median(p.samples_ms)), "ratio": self.ratio_to(p.name)} for p in self.peers}
        return {**self.to_json(), **quantiles, "load_ms": self.load_ms, "peers": peers, "raw_peers": self._raw_peers()}

    def _raw_peers(self) -> dict[str, list[float]]:
        return {p.name: list(p.samples_ms) for p in self.peers}


def center(samples: NDArray[np.float64]) -> float:
    """Mean over processes of their medians, of (processes, rounds) samples.

    Where a process lies in memory decides about some percent of its speed, for as long as it runs: the median over all
    samples would jump from one such state to the next, and their mean does not.
    """
    return float(np.median(samples, axis=1).mean())


def parse_record(document: Any) -> Record:
    """A record of :meth:`Record.to_json`, or of ``benchmarks.run --json``.

    Raises:
        BadInput: another schema version, a missing key, or values that can't be measurements.
    """
    if not isinstance(document, dict):
        raise BadInput(f"a record is a {type(document).__name__}; a JSON object is needed")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BadInput(f"record has schema_version {version!r}; allowed: {SCHEMA_VERSION}; measure again")
    raw = {k: v for k, v in document.items() if k not in ("p50_ms", "p90_ms", "p99_ms", "load_ms", "raw_peers")}
    if isinstance(document.get("peers"), Mapping):
        peers = document.get("raw_peers", {})
        if not isinstance(peers, Mapping):
            raise BadInput(f"raw_peers is a {type(peers).__name__}; a JSON object of samples is needed")
        raw["peers"] = [{"name": n, "samples_ms": s} for n, s in peers.items()]
    record = from_json(Record, raw)
    if not record.samples_ms or not record.load_samples_ms:
        raise BadInput(f"record of {record.bundle} has no samples; measure again")
    numbers = [*record.samples_ms, *record.load_samples_ms, *(v for p in record.peers for v in p.samples_ms)]
    if not all(_is_finite(v) and v > 0 for v in numbers):
        raise BadInput(f"record of {record.bundle} holds a time that is not positive; measure again")
    if not all(_is_finite(v) and v >= 0 for v in (record.peak_mb, record.model_mb)):
        raise BadInput(f"record of {record.bundle} holds a size of memory that is none; measure again")
    if record.threads < 1 or record.warm_up < 0:
        what = f"{record.threads} threads and {record.warm_up} calls of warm-up"
        raise BadInput(f"record of {record.bundle} has {what}; allowed: 1 thread or more, 0 calls or more")
    if not re.fullmatch("[0-9a-f]{64}", record.bundle_sha256):
        raise BadInput(f"record of {record.bundle}: bundle_sha256 is {record.bundle_sha256[:64]!r}, no sha256")
    if record.device.kind not in KINDS:
        raise BadInput(
            f"record of {record.bundle}: the device's kind is {record.device.kind!r}; allowed: {', '.join(KINDS)}"
        )
    if record.runtime not in RUNTIMES:
        raise BadInput(f"record of {record.bundle}: runtime is {record.runtime!r}; allowed: {', '.join(RUNTIMES)}")
    if record.thermal not in THERMAL_STATES:
        raise BadInput(
            f"record of {record.bundle}: thermal is {record.thermal!r}; allowed: {', '.join(THERMAL_STATES)}"
        )
    if record.launches < 1 or len(record.samples_ms) % record.launches:
        what = f"{len(record.samples_ms)} samples of {record.launches} processes"
        raise BadInput(f"record of {record.bundle} has {what}; each must have equally many: measure again")
    if any(len(p.samples_ms) != len(record.samples_ms) for p in record.peers):
        raise BadInput(f"record of {record.bundle}: a peer has another number of rounds; measure again")
    return record


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def read_records(path: Path) -> list[Record]:
    """Records of a file: one, or a document ``{"records": [...]}``.

    Raises:
        BadInput: the file is missing, truncated or no record.
    """
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise BadInput(
            f"can't read {path}: {error.strerror or error}; give a file that benchmarks.run wrote"
        ) from error
    except ValueError as error:
        raise BadInput(f"{path} is no JSON ({error}); it is truncated or another file: measure again") from error
    entries = document.get("records") if isinstance(document, dict) and "records" in document else [document]
    if not isinstance(entries, list) or not entries:
        raise BadInput(f"{path} holds no records; give a file that benchmarks.run wrote")
    try:
        return [parse_record(entry) for entry in entries]
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def bundle_digest(path: Path) -> str:
    """sha256 of a bundle's bundle.json, which holds the digest of everything else."""
    return hashlib.sha256((path / "bundle.json").read_bytes()).hexdigest()


def check_place(path: Path) -> None:
    """Make sure that a file can be written, and leave what is there as it is.

    Raises:
        BadInput: it can't.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadInput(f"can't write {path}: {error.strerror}; give a file in a writable folder") from error


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write ``{"records": [...]}``, one record a line, replacing the file at once.

    Raises:
        BadInput: it can't be written.
    """
    lines = ",\n".join(json.dumps(_rounded(record.to_json())) for record in records)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(f'{{"records": [\n{lines}\n]}}\n')
        os.replace(temporary, path)
    except OSError as error:
        raise BadInput(f"can't write {path}: {error.strerror}; give a file in a writable folder") from error


def _rounded(value: Any) -> Any:
    """Times to a tenth of a microsecond: more digits are noise."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, (list, tuple)) else value


def this_device() -> Device:
    """This machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Device(name, "host", f"{platform.system()} {platform.release()}", platform.machine(), cores)
