"""``python -m benchmarks.gates [DIST]``: parity, size, delegation and latency of bundles against committed figures.

Nothing here is a millisecond: sizes and operations are counts, and latency is a multiple of eager PyTorch's in the
same rounds, so the same gates hold on any machine. ``--update`` writes the figures of the present bundles to
``benchmarks/results/gates.json``, to be looked at and committed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.run import Protocol, measure_all
from reference.errors import BadInput, OnParError
from reference.program import program
from reference.spec import from_json
from sdk_build.bundle.records import Record
from sdk_build.command import error_line, exit_with, need_checkout
from sdk_build.errors import BundleNotFound

BASELINE = Path(__file__).parent / "results" / "gates.json"
SCHEMA_VERSION = 1
SIZE_MARGIN = 1.01
LATENCY_MARGIN = 1.3
PEER = "eager"
PROTOCOL = Protocol(rounds=60, peers=(PEER,), launches=3)


@dataclass(frozen=True)
class Figures:
    """What one artifact may not exceed.

    Attributes:
        outside: operations outside the delegate.
        ratio: time by eager PyTorch's; None where the runtime does not run here.
    """

    bundle: str
    file: str
    bytes: int
    outside: int
    partitions: int
    ratio: float | None


@dataclass(frozen=True)
class Gate:
    """One check."""

    bundle: str
    file: str
    gate: str
    value: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.value <= self.limit

    def describe(self) -> str:
        """One line."""
        state = "ok" if self.passed else "RED"
        return f"{state:<4}{self.bundle:<44}{self.file:<16}{self.gate:<12}{self.value:>10.4g} of {self.limit:.4g}"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and check; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("benchmarks.gates"),
        description=__doc__.splitlines()[0],
        epilog="Exit codes: 0 all gates are green, 1 one is red, 2 wrong use or bad input.",
    )
    parser.add_argument("dist", type=Path, nargs="?", default=Path("dist"), help="folder with bundles (default dist)")
    parser.add_argument("--baseline", type=Path, default=BASELINE, metavar="FILE", help="the committed figures")
    parser.add_argument("--update", action="store_true", help="write the figures of these bundles instead of checking")
    parser.add_argument("--partial", action="store_true", help="bundles with committed figures may be missing")
    parser.add_argument("--no-latency", action="store_true", help="counts only")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a.dist, a.baseline, a.update, a.partial, not a.no_latency, a.json))


def run(dist: Path, baseline: Path, update: bool, partial: bool, latency: bool, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    if update and baseline == BASELINE:
        need_checkout("benchmarks.gates --update without --baseline FILE", "the figures of the built-in models")
    paths = sorted(p.parent for p in dist.glob("[!.]*/bundle.json"))
    if not paths:
        raise BundleNotFound(f"no bundle in {dist}; run python -m sdk_build.export --target all first")
    broken = prove(paths)
    records = measure_all(paths, [PROTOCOL]) if latency and not broken else []
    now = [] if broken else collect(paths, records)
    if update and not broken:
        write_baseline(baseline, now, read_baseline(baseline) if baseline.is_file() else [])
        said = {"wrote": str(baseline), "artifacts": len(now)}
        print(json.dumps(said) if as_json else f"wrote {baseline}: {len(now)} artifacts")
        return 0
    gates = [] if broken else compare(now, read_baseline(baseline), partial)
    if as_json:
        print(json.dumps({"gates": [{**asdict(g), "passed": g.passed} for g in gates], "broken": broken}))
    else:
        for line in broken:
            print(f"RED {line}")
        for gate in gates:
            print(gate.describe())
    return 1 if broken or any(not gate.passed for gate in gates) else 0


def prove(paths: Sequence[Path]) -> list[str]:
    """The parity gate: replay every bundle's golden cases; a line for each that fails."""
    from sdk_build.verify import verify

    broken = []
    for path in paths:
        try:
            verified = verify(path)
        except OnParError as error:
            broken.append(f"{path.name} {error_line(error)}")
            continue
        broken += [f"{path.name} parity: {check.describe()}" for check in verified.checks if not check.passed]
    return broken


def collect(paths: Sequence[Path], records: Sequence[Record]) -> list[Figures]:
    """The present figures."""
    from sdk_build.bundle.files import open_bundle

    ratios = {(r.bundle, r.runtime): r.ratio_to(PEER) for r in records}
    found = []
    for path in paths:
        manifest = open_bundle(path).manifest
        for entry in manifest.model_files:
            d = entry.delegation
            ratio = ratios.get((manifest.id, entry.runtime))
            found.append(Figures(manifest.id, entry.file, entry.bytes, d.outside, d.partitions, ratio))
    return found


def compare(now: Sequence[Figures], allowed: Sequence[Figures], partial: bool = False) -> list[Gate]:
    """One gate per figure and artifact, and a red one for each committed artifact that is not there.

    Args:
        partial: whole bundles may be missing.

    Raises:
        BadInput: an artifact has no committed figures.
    """
    known = {(f.bundle, f.file): f for f in allowed}
    gates = []
    for f in now:
        if (f.bundle, f.file) not in known:
            raise BadInput(f"{f.bundle} {f.file} has no committed figures; look at it and run with --update")
        limit = known[f.bundle, f.file]
        gates.append(Gate(f.bundle, f.file, "bytes", f.bytes, int(limit.bytes * SIZE_MARGIN)))
        gates.append(Gate(f.bundle, f.file, "fallbacks", f.outside, limit.outside))
        gates.append(Gate(f.bundle, f.file, "partitions", f.partitions, limit.partitions))
        if f.ratio is not None and limit.ratio is not None:
            gates.append(Gate(f.bundle, f.file, f"x {PEER}", f.ratio, limit.ratio * LATENCY_MARGIN))
    here = {(f.bundle, f.file) for f in now}
    bundles = {f.bundle for f in now}
    missing = [key for key in known if key not in here and (key[0] in bundles or not partial)]
    return [*gates, *(Gate(bundle, file, "missing", 1, 0) for bundle, file in missing)]


def read_baseline(path: Path) -> list[Figures]:
    """Committed figures.

    Raises:
        BadInput: missing, damaged, or of another version.
    """
    try:
        document: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"can't read {path} ({error}); run with --update to write it") from error
    if not isinstance(document, Mapping) or document.get("schema_version") != SCHEMA_VERSION:
        raise BadInput(f"{path} is of another version; allowed: {SCHEMA_VERSION}; run with --update")
    artifacts = document.get("artifacts")
    if not isinstance(artifacts, list):
        raise BadInput(f"{path} has no list of artifacts; run with --update to write it")
    return [from_json(Figures, entry) for entry in artifacts]


def write_baseline(path: Path, now: Sequence[Figures], old: Sequence[Figures]) -> None:
    """Write the present figures; bundles that are not here, and ratios that were not measured, keep theirs."""
    before = {(f.bundle, f.file): f for f in old}
    kept = {key: f for key, f in before.items() if key not in {(n.bundle, n.file) for n in now}}
    merged = [
        Figures(**{**asdict(f), "ratio": f.ratio if f.ratio is not None else _ratio(before.get((f.bundle, f.file)))})
        for f in now
    ]
    entries = sorted([*kept.values(), *merged], key=lambda f: (f.bundle, f.file))
    lines = ",\n".join(json.dumps({**asdict(f), "ratio": f.ratio and round(f.ratio, 4)}) for f in entries)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"schema_version": {SCHEMA_VERSION}, "artifacts": [\n{lines}\n]}}\n')
    except OSError as error:
        raise BadInput(f"can't write {path} ({error.strerror}); give --baseline in a writable folder") from error


def _ratio(figures: Figures | None) -> float | None:
    return figures.ratio if figures else None


if __name__ == "__main__":
    sys.exit(main())
