"""``python -m benchmarks.export_speed``: seconds of an export that makes everything, and of the next ones.

Three exports in processes of their own, into empty folders and with a cache of their own: cold; unchanged; and with the
bundle's entry gone, as after a change of a card, which proves the kept artifacts again. Processor seconds count every
process of an export, so that they mean something on a busy machine, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sdk_build.command import exit_with
from sdk_build.errors import BenchmarkFailed

# A cold export of one model and of all, and an unchanged one, on two quiet cores.
ONE_COLD_S, ALL_COLD_S, UNCHANGED_S = 25, 240, 3


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and measure; returns the exit code."""
    doc = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export_speed", description=doc)
    parser.add_argument("--model", nargs="+", default=["classifier"], metavar="MODEL", help="or all")
    parser.add_argument("--target", default="ios")
    parser.add_argument("--precision", default="default")
    parser.add_argument("--jobs", type=int, metavar="N")
    parser.add_argument("--check", action="store_true", help="exit with 1 where an export takes too long")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    options = ["--target", a.target, "--precision", a.precision, "--model", *a.model]
    return exit_with(lambda: run([*options, *(["--jobs", str(a.jobs)] if a.jobs else [])], a.check, a.json))


def run(options: list[str], check: bool, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, Path(folder))
    if as_json:
        print(json.dumps({"options": options, "cores": os.cpu_count(), "exports": rows}))
    else:
        print(f"{'export':<12}{'seconds':>10}{'cpu s':>10}{'cores':>8}{'bundles':>9}")
        for row in rows:
            share = row["cpu_s"] / row["seconds"]
            print(f"{row['export']:<12}{row['seconds']:>10.1f}{row['cpu_s']:>10.1f}{share:>8.2f}{row['bundles']:>9}")
    return 1 if check and too_slow(rows) else 0


def measure(options: list[str], folder: Path) -> list[dict[str, Any]]:
    """Export three times; what the second and third find is what the first left."""
    cache, dist = folder / "cache", folder / "dist"
    rows = [export("cold", options, cache, dist), export("unchanged", options, cache, dist)]
    for entry in cache.iterdir():  # a bundle's entry has its manifest
        if (entry / "content" / "bundle.json").is_file():
            shutil.rmtree(entry)
    return [*rows, export("proved again", options, cache, folder / "again")]


def export(what: str, options: list[str], cache: Path, dist: Path) -> dict[str, Any]:
    """One export and what it took.

    Raises:
        BenchmarkFailed: it failed.
    """
    command = [sys.executable, "-m", "sdk_build.export", *options, "--cache", str(cache), "--output-dir", str(dist)]
    before, began = _cpu_s(), time.monotonic()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    seconds, cpu_s = time.monotonic() - began, _cpu_s() - before
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise BenchmarkFailed(f"the export ended with {done.returncode}: {lines[-1] if lines else 'no message'}")
    bundles = json.loads(done.stdout)["bundles"]
    cached = sum(bundle["cached"] for bundle in bundles)
    return {"export": what, "seconds": seconds, "cpu_s": cpu_s, "bundles": len(bundles), "cached": cached}


def too_slow(rows: list[dict[str, Any]]) -> bool:
    """True if an export takes longer than it may, or an unchanged one made something."""
    cold, same = rows[0], rows[1]
    limit = ONE_COLD_S if cold["bundles"] == 1 else ALL_COLD_S
    return bool(cold["seconds"] > limit or same["seconds"] > UNCHANGED_S or same["cached"] < same["bundles"])


def _cpu_s() -> float:
    """Processor seconds of every child that has ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
