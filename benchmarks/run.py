"""``python -m benchmarks.run [BUNDLE...]``: latency here, beside eager PyTorch and ONNX Runtime."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from reference.errors import BadInput
from sdk_build.command import exit_with
from sdk_build.errors import ArtifactCrashed, BundleNotFound

NATIVE = ("litert", "executorch")  # an emulation's time says nothing about Core ML's


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE", help="default: every bundle in dist")
    parser.add_argument("--rounds", type=int, default=50, help="timed pairs of calls (default 50)")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a.bundles, a.rounds, a.json))


def run(bundles: list[Path], rounds: int, as_json: bool) -> int:
    """Measure every native artifact, each in a process of its own.

    Raises:
        BadInput: fewer than 5 rounds.
        BundleNotFound: there is no bundle.
        ArtifactCrashed: an artifact died.
    """
    if rounds < 5:
        raise BadInput(f"--rounds is {rounds}; allowed: at least 5, or a percentile means nothing")
    paths = bundles or sorted(p.parent for p in Path("dist").glob("[!.]*/bundle.json"))
    if not paths:
        raise BundleNotFound("no bundle in dist; run python -m sdk_build.export --target android first")
    records = [measure(path, runtime, rounds) for path in paths for runtime in native_runtimes(path)]
    if as_json:
        print(json.dumps({"records": records}))
        return 0
    print(f"{records[0]['device'] if records else ''}, one thread; no phone measured yet")
    numbers = f"{'p50 ms':>8}{'p90 ms':>8}{'load ms':>9}{'peak MB':>9}{'x eager':>9}{'x onnx':>8}"
    print(f"{'bundle':<34}{'runtime':<12}{'prec.':<7}{numbers}")
    for r in records:
        print(
            f"{r['bundle']:<34}{r['runtime']:<12}{r['precision']:<7}{r['p50_ms']:>8.2f}{r['p90_ms']:>8.2f}"
            f"{r['load_ms']:>9.1f}{r['peak_mb']:>9.0f}{_ratio(r, 'eager'):>9}{_ratio(r, 'onnxruntime'):>8}"
        )
    return 0


def _ratio(record: dict[str, Any], peer: str) -> str:
    """Time as a multiple of a peer's; below 1 is faster."""
    return f"{record['peers'][peer]['ratio']:.2f}" if peer in record["peers"] else "-"


def native_runtimes(path: Path) -> list[str]:
    """The bundle's runtimes that run natively here."""
    from sdk_build.bundle import open_bundle

    held = {entry.runtime for entry in open_bundle(path).manifest.model_files}
    return [runtime for runtime in NATIVE if runtime in held]


def measure(path: Path, runtime: str, rounds: int) -> dict[str, Any]:
    """Start the measuring process and read its record."""
    command = [sys.executable, "-m", "benchmarks.measure", str(path.resolve()), runtime, str(rounds)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if child.returncode:
        lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        raise ArtifactCrashed(f"{path.name} {runtime} could not be measured ({lines[-1]}); verify the bundle")
    record: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return record


if __name__ == "__main__":
    sys.exit(main())
