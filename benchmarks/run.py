"""``python -m benchmarks.run [BUNDLE...]``: latency here, beside eager PyTorch and ONNX Runtime.

Protocol: threads pinned to as many cores; warm-up; the artifact and its peers called in turn, so that noise hits all
of them alike; all of it in several fresh processes, since each has a speed of its own for as long as it runs; median,
p90 and p99; cold load as the median of three fresh processes; memory of a process of its own; on request a sustained
run and torch.compile as a peer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import FEWEST, WARM_UP
from reference.errors import BadInput
from reference.program import program
from sdk_build.bundle.records import Peer, Record, Sustained, bundle_digest, check_place, this_device, write_records
from sdk_build.command import exit_with
from sdk_build.errors import ArtifactCrashed, BundleNotFound

if TYPE_CHECKING:
    from sdk_build.bundle.manifest import Manifest, ModelFile

NATIVE = ("litert", "executorch")  # an emulation's time says nothing about Core ML's
PEERS = ("eager", "onnxruntime", "compile")
LOADS = 3
LAUNCHES = 10  # processes at most
MOST, SECONDS = 40, 5.0  # where nobody says how many: rounds in each process at most, and how long they may take
PACKAGES = {"litert": "ai-edge-litert", "executorch": "executorch"}


@dataclass(frozen=True)
class Protocol:
    """How to measure.

    Attributes:
        rounds: timed calls of each contender, about: in all processes together; 0 for forty in each process, or as
            many as take five seconds.
        sustained_s: seconds of calls without a pause afterwards; 0 for none.
        peers: names out of ``PEERS``.
        launches: processes that share the rounds; 0 for as many as have enough of them, ten at most.
    """

    threads: int = 1
    rounds: int = 0
    sustained_s: float = 0.0
    peers: tuple[str, ...] = ("eager", "onnxruntime")
    launches: int = 0

    def __post_init__(self) -> None:
        if self.rounds and self.rounds < FEWEST:
            raise BadInput(f"--rounds is {self.rounds}; allowed: at least {FEWEST}, or a percentile means nothing")
        if self.launches < 0:
            raise BadInput(f"--launches is {self.launches}; allowed: 1 and more, 0 for {LAUNCHES} at most")
        if self.rounds and self.launches > self.rounds // FEWEST:
            most = self.rounds // FEWEST
            raise BadInput(
                f"--launches is {self.launches}; allowed: 1 to {most}, {FEWEST} of the {self.rounds} rounds in each"
            )
        cores = this_device().cores
        if not 1 <= self.threads <= cores:
            raise BadInput(f"--threads is {self.threads}; allowed: 1 to {cores}, the cores of this machine")
        if not 0 <= self.sustained_s < math.inf:
            raise BadInput(f"--sustained is {self.sustained_s}; allowed: 0 or more seconds")
        for name in self.peers:
            if name not in PEERS:
                raise BadInput(f"--peers has {name!r}; allowed: {', '.join(PEERS)}")

    @property
    def processes(self) -> int:
        """How many share the rounds."""
        return self.launches or (min(LAUNCHES, self.rounds // FEWEST) if self.rounds else LAUNCHES)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog=program("benchmarks.run"), description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE", help="default: every bundle in dist")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], metavar="N", help="thread counts (default 1)")
    counted = f"timed calls of each contender (default: {MOST} in each process, or as many as take {SECONDS:g} s)"
    parser.add_argument("--rounds", type=int, default=0, help=counted)
    parser.add_argument(
        "--launches", type=int, default=0, metavar="N", help=f"processes that share them (default {LAUNCHES} at most)"
    )
    parser.add_argument("--sustained", type=float, default=0.0, metavar="S", help="then S seconds without a pause")
    parser.add_argument("--peers", nargs="*", default=["eager", "onnxruntime"], metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the records")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a.bundles, a.threads, a.rounds, a.launches, a.sustained, a.peers, a.output, a.json))


def run(
    bundles: list[Path],
    threads: list[int],
    rounds: int,
    launches: int,
    sustained_s: float,
    peers: Sequence[str],
    output: Path | None,
    as_json: bool,
) -> int:
    """Measure every native artifact, each in processes of its own.

    Raises:
        BadInput: the protocol makes no sense.
        BundleNotFound: there is no bundle.
        ArtifactCrashed: an artifact died.
    """
    protocols = [Protocol(n, rounds, sustained_s, tuple(peers), launches) for n in threads]
    paths = bundles or sorted(p.parent for p in Path("dist").glob("[!.]*/bundle.json"))
    if not paths:
        raise BundleNotFound("no bundle in dist; run python -m sdk_build.export --target android first")
    if output is not None:
        check_place(output)  # before minutes of measuring, not after
    records = measure_all(paths, protocols, _progress(as_json))
    if output is not None:
        write_records(output, records)
    if as_json:
        print(json.dumps({"records": [record.summary() for record in records]}))
    else:
        print_records(records)
    return 0


def _progress(as_json: bool) -> Callable[[str], None]:
    """What is running, on a terminal only."""
    quiet = as_json or not sys.stderr.isatty()
    return lambda line: None if quiet else print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def measure_all(
    paths: Sequence[Path],
    protocols: Sequence[Protocol],
    progress: Callable[[str], None] = lambda line: None,
    runtimes: Sequence[str] = NATIVE,
) -> list[Record]:
    """Records of every native artifact of several bundles, or of these runtimes alone, under every protocol."""
    from sdk_build.bundle.files import open_bundle

    work = [
        (path, open_bundle(path).manifest, runtime, protocol)
        for path in paths
        for runtime in native_runtimes(path)
        if runtime in runtimes
        for protocol in protocols
    ]
    records = []
    for number, (path, manifest, runtime, protocol) in enumerate(work, 1):
        progress(f"{number}/{len(work)} {manifest.id} {runtime}, {protocol.threads} threads")
        records.append(measure(path, manifest, runtime, protocol))
    progress("")
    return records


def native_runtimes(path: Path) -> list[str]:
    """The bundle's runtimes that run natively here."""
    from sdk_build.bundle.files import open_bundle

    held = {entry.runtime for entry in open_bundle(path).manifest.model_files}
    return [runtime for runtime in NATIVE if runtime in held]


def measure(path: Path, manifest: Manifest, runtime: str, protocol: Protocol) -> Record:
    """Start the measuring processes of one artifact and collect its record."""
    loads = [_child("load", path, runtime, protocol, []) for _ in range(LOADS)]
    parts = _latencies(path, runtime, protocol)
    entry: ModelFile = next(e for e in manifest.model_files if e.runtime == runtime)
    versions = {v.name: v.value for v in manifest.tool_versions}
    return Record(
        bundle=manifest.id,
        bundle_sha256=bundle_digest(path),
        model=manifest.model,
        runtime=runtime,
        runtime_version=versions.get(PACKAGES[runtime], "unknown"),
        precision=entry.precision,
        delegate=entry.delegation.delegate,
        threads=protocol.threads,
        device=this_device(),
        thermal="unknown",
        warm_up=WARM_UP,
        samples_ms=_joined(part["samples_ms"] for part in parts),
        load_samples_ms=tuple(load["load_ms"] for load in loads),
        peak_mb=min(load["peak_mb"] for load in loads),
        model_mb=min(load["model_mb"] for load in loads),
        peers=tuple(Peer(name, _joined(part["peers"][name] for part in parts)) for name in parts[0]["peers"]),
        sustained=Sustained(**parts[-1]["sustained"]) if parts[-1]["sustained"] else None,
        launches=len(parts),
    )


def _latencies(path: Path, runtime: str, protocol: Protocol) -> list[dict[str, Any]]:
    """Rounds of several processes, equally many in each; the last one goes on without a pause where that is asked."""
    last = protocol.processes - 1
    rounds, limit_s = (-(-protocol.rounds // (last + 1)), math.inf) if protocol.rounds else (MOST, SECONDS)
    parts: list[dict[str, Any]] = []
    for number in range(last + 1):
        sustained_s = protocol.sustained_s if number == last else 0.0
        rest = [str(rounds), str(limit_s), str(sustained_s), ",".join(protocol.peers)]
        parts.append(_child("latency", path, runtime, protocol, rest))
        rounds, limit_s = len(parts[0]["samples_ms"]), math.inf  # the first one finds out how many fit
    return parts


def _joined(parts: Iterable[Sequence[float]]) -> tuple[float, ...]:
    return tuple(itertools.chain.from_iterable(parts))


def _child(what: str, path: Path, runtime: str, protocol: Protocol, rest: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.measure", what, str(path.resolve()), runtime, str(protocol.threads)]
    child = subprocess.run(
        [*command, *rest],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
        # Read by OpenMP when it starts, before any Python runs.
        # ACTIVE is what a process has that knows nothing of OnPar.
        env=os.environ | {"OMP_NUM_THREADS": str(protocol.threads), "OMP_WAIT_POLICY": "ACTIVE"},
    )
    if child.returncode:
        lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        raise ArtifactCrashed(f"{path.name} {runtime} could not be measured ({lines[-1]}); verify the bundle")
    result: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return result


def print_records(records: Sequence[Record]) -> None:
    """A table of at most 100 columns, a header a device."""
    device = None
    for r in records:
        if r.device != device:
            device = r.device
            note = "a host's times say nothing about a phone's; no phone measured yet" if device.kind == "host" else ""
            print(f"{device.name}, {device.os}{'; ' + note if note else ''}")
            numbers = f"{'p50 ms':>7}{'p90':>7}{'p99':>7}{'load':>6}{'MB':>5}{'x eager':>8}{'x onnx':>7}"
            print(f"{'bundle':<28}{'runtime':<11}{'prec.':<11}{'thr':>3}{numbers}")
        print(
            f"{r.bundle[:27]:<28}{r.runtime:<11}{r.precision:<11}{r.threads:>3}{r.percentile(50):>7.2f}"
            f"{r.percentile(90):>7.2f}{r.percentile(99):>7.2f}{r.load_ms:>6.1f}{r.model_mb:>5.0f}"
            f"{ratio_text(r, 'eager'):>8}{ratio_text(r, 'onnxruntime'):>7}"
        )
        if r.sustained:
            s = r.sustained
            print(f"    {s.seconds:g} s without a pause: {s.first_p50_ms:.2f} ms at first, {s.last_p50_ms:.2f} at last")


def ratio_text(record: Record, peer: str) -> str:
    """Time as a multiple of a peer's; below 1 is faster."""
    ratio = record.ratio_to(peer)
    return "-" if ratio is None else f"{ratio:.2f}"


if __name__ == "__main__":
    sys.exit(main())
