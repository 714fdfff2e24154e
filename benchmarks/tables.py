"""``python -m benchmarks.tables``: every table of sizes, accuracy and latency, made anew by one command.

Exports each model for each target in each precision that was measured for its present weights
(``sdk_build.quantize``), times every artifact of Android's bundles once with one and two threads, with one beside eager
PyTorch and ONNX Runtime, and writes ``benchmarks/results/host.json`` (every sample) and
``benchmarks/results/tables.md``. An artifact that several bundles hold is one row. Run it on a quiet
machine; the load average at the start and the end is part of the result.

Bundles for iOS and the web are not timed: Core ML does not run here, and a browser's WebAssembly has a speed of its
own, which the native runtime tells nothing about.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.run import Protocol, measure_all
from reference.card import load_card
from reference.errors import BadInput, OnParError
from reference.registry import get_spec
from sdk_build.bundle.records import Record, bundle_digest, read_records, this_device, write_records
from sdk_build.command import error_line, exit_with, need_checkout

if TYPE_CHECKING:
    from reference.spec import ModelSpec
    from sdk_build.build.measured import Measured
    from sdk_build.bundle.manifest import Manifest, ModelFile

RESULTS = Path(__file__).parent / "results"
WORK = Path(__file__).parents[1] / "build" / "tables"
COLUMNS = (
    *("file", "precision", "targets", "MB", "of fp32", "{metric}", "SQNR dB", "delegated"),
    *("ms, 1 thread", "ms, 2 threads", "x onnxruntime", "MB of memory"),
)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and make the tables; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["all"], metavar="NAME", help="registered models, or all")
    parser.add_argument("--precision", nargs="+", metavar="P", help="only these; default: every one that was measured")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="default 1 2")
    parser.add_argument("--rounds", type=int, default=0, help="timed calls of each contender (default: see run)")
    parser.add_argument("--launches", type=int, default=0, metavar="N", help="processes that share them (see run)")
    parser.add_argument("--target", nargs="+", choices=("ios", "android", "web"), help="only these; default: all")
    parser.add_argument("--reuse", action="store_true", help="take bundles that an earlier run left as they are")
    parser.add_argument(
        "--time", nargs="*", metavar="NAME", help="time these models anew, keep other records; no NAME: keep them all"
    )
    parser.add_argument("--export-only", action="store_true", help="make the bundles; time them later with --reuse")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIR", help="default benchmarks/results")
    a = parser.parse_args(arguments)
    chosen = Choice(a.model, a.precision, a.target, a.reuse, a.time)
    return exit_with(lambda: run(chosen, a.threads, a.rounds, a.launches, a.output, a.export_only))


@dataclass(frozen=True)
class Choice:
    """Which bundles; None: every precision that was measured, every target.

    Attributes:
        timed: models whose records are made anew; None: all.
    """

    models: list[str]
    precisions: list[str] | None
    targets: list[str] | None
    reuse: bool
    timed: list[str] | None = None


def run(chosen: Choice, threads: list[int], rounds: int, launches: int, output: Path, export_only: bool) -> int:
    """The command's body; a model that can't be exported is named, and the rest goes on."""
    from sdk_build.export import choose_models

    need_checkout("benchmarks.tables", "the folders of OnPar's own tables")
    cores = this_device().cores
    # The tables hold a ratio for one thread alone: peers beside more threads would take time and tell nothing.
    one = Protocol(1, rounds, launches=launches)
    protocols = [one if n == 1 else replace(one, threads=n, peers=()) for n in threads if n <= cores]
    if not protocols:
        raise BadInput(f"--threads is {threads}; this machine has {cores} cores")
    code = 0
    paths: list[Path] = []
    for spec in choose_models(chosen.models):
        try:
            paths += export_all(spec, chosen, WORK)
        except OnParError as error:
            code = code or error.exit_code
            print(f"{spec.name}: {error_line(error)}", file=sys.stderr)
    if export_only:
        print(f"{len(paths)} bundles in {WORK.relative_to(Path.cwd()) if WORK.is_relative_to(Path.cwd()) else WORK}")
        return code
    before = os.getloadavg()[0]
    output.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    earlier = kept(output / "host.json", chosen.timed)
    held = {
        (path, runtime): [r for r in earlier.get(bundle_digest(path), []) if r.runtime == runtime]
        for path, runtime in once_each(paths)
    }
    old = sum(map(len, held.values()))
    for path, runtime in held:  # stored one by one: this may take an hour, and what was measured shall not be lost
        try:
            held[path, runtime] = held[path, runtime] or measure_all([path], protocols, _say, [runtime])
        except OnParError as error:
            code = code or error.exit_code
            print(f"{path.name} {runtime}: {error_line(error)}", file=sys.stderr)
        records = [record for each in held.values() for record in each]
        write_records(output / "host.json", records)
    note = f"Load average {before:.1f} before, {os.getloadavg()[0]:.1f} after, on {this_device().cores} cores."
    note += f" {old} of {len(records)} records are of an earlier run." if old else ""
    (output / "tables.md").write_text(page(paths, records, note))
    print(f"wrote {output / 'host.json'} and {output / 'tables.md'}: {len(records)} records. {note}")
    return code


def once_each(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """The native artifacts of Android's bundles, each once: a bundle that holds it, and its runtime."""
    from sdk_build.bundle.files import open_bundle

    found: dict[str, tuple[Path, str]] = {}
    for path in paths:
        manifest = open_bundle(path).manifest
        if manifest.target == "android":
            for file in manifest.model_files:
                found.setdefault(file.sha256, (path, file.runtime))
    return list(found.values())


def kept(path: Path, timed: list[str] | None) -> dict[str, list[Record]]:
    """Earlier records by their bundle's digest, but those of models that are timed anew."""
    found: dict[str, list[Record]] = {}
    if timed is None:
        return found
    for name in timed:
        get_spec(name)
    for record in read_records(path):
        if record.model not in timed and record.device == this_device():
            found.setdefault(record.bundle_sha256, []).append(record)
    return found


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def wanted(chosen: Choice, measured: Measured | None) -> dict[str, list[str]]:
    """Targets by precision: those of which every artifact passed.

    A target that is not measured at all for the model's present weights has its float precisions.
    """
    from sdk_build.backends import TARGETS, precisions_of
    from sdk_build.backends.quantizers.recipes import FLOAT_PRECISIONS
    from sdk_build.build.measured import passing

    found: dict[str, list[str]] = {}
    for target in chosen.targets or TARGETS:
        good = [p for p in precisions_of(target) if measured and passing(measured, target, p) is not None]
        for precision in good or FLOAT_PRECISIONS:
            if chosen.precisions is None or precision in chosen.precisions:
                found.setdefault(precision, []).append(target)
    return found


def export_all(spec: ModelSpec, chosen: Choice, folder: Path) -> list[Path]:
    """Bundles of one model in every chosen precision."""
    from sdk_build.build.bundles import build
    from sdk_build.build.measured import load_measured
    from sdk_build.bundle.contents import bundle_name

    paths: list[Path] = []
    for precision, targets in wanted(chosen, load_measured(spec.name)).items():
        places = {target: folder / bundle_name(spec, target, precision) for target in targets}
        missing = [target for target, place in places.items() if not (chosen.reuse and place.is_dir())]
        if missing:
            _say(f"{spec.name} {precision}: {', '.join(missing)}")
            build(spec, missing, precision, folder)
        paths += places.values()
    return paths


def page(paths: Sequence[Path], records: Sequence[Record], note: str) -> str:
    """The Markdown page, a table for each model."""
    from sdk_build.bundle.files import open_bundle

    models: dict[str, list[Manifest]] = {}
    for path in paths:
        manifest = open_bundle(path).manifest
        models.setdefault(manifest.model, []).append(manifest)
    device = this_device()
    return "\n".join(
        [
            "# Sizes, accuracy and latency",
            "",
            "Made by `python -m benchmarks.tables`; raw samples are in `host.json`.",
            f"Times: {device.name}, {device.os}; no phone measured yet. {note}",
            "Core ML runs nowhere but on Apple's systems: its accuracy is from the emulation, and it has no time here.",
            "A `model.tflite` of the web is Android's, to the byte; a browser runs it through WebAssembly, at another",
            "speed. `of fp32` is the size beside the same runtime's fp32 artifact.",
            "Memory is what loading and running the artifact added to a process that held only the runtime.",
            *(line for manifests in models.values() for line in section(manifests, records)),
            "",
        ]
    )


def section(manifests: Sequence[Manifest], records: Sequence[Record]) -> list[str]:
    """One model: its card's budget, and its artifacts."""
    from sdk_build.backends import RUNTIMES
    from sdk_build.backends.quantizers.recipes import PRECISIONS
    from sdk_build.bundle.markdown import markdown_table

    name = manifests[0].model
    # Not by their digests: Core ML Tools gives every package other random identifiers.
    artifacts: dict[tuple[str, str, int], list[tuple[Manifest, ModelFile]]] = {}
    for manifest in manifests:
        for file in manifest.model_files:
            artifacts.setdefault((file.runtime, file.precision, file.bytes), []).append((manifest, file))
    order, runtimes = list(PRECISIONS), list(RUNTIMES)
    entries = sorted(
        artifacts.values(), key=lambda same: (runtimes.index(same[0][1].runtime), order.index(same[0][1].precision))
    )
    floats = {file.runtime: file.bytes for (_, file), *_ in entries if file.precision == "fp32"}
    metric = next((file.accuracy[0].name for (_, file), *_ in entries if file.accuracy), "accuracy")
    budget = ", ".join(f"{key} {value:+g}" for key, value in load_card(name).budget.items())
    rows = [row(same, records, floats) for same in entries]
    header = [column.format(metric=metric) for column in COLUMNS]
    return ["", f"## {name}", "", f"What 8 bits may cost by its card: {budget}.", "", *markdown_table(header, rows)]


def row(
    same: Sequence[tuple[Manifest, ModelFile]], records: Sequence[Record], floats: Mapping[str, int]
) -> tuple[str, ...]:
    """One artifact.

    Args:
        same: it in every bundle that holds it.
        floats: bytes of the fp32 artifacts by runtime.
    """
    from sdk_build.proof.parity import ARTIFACT_STAGES

    manifest, file = same[0]
    bundles = {holder.id for holder, _ in same}
    by_threads = {r.threads: r for r in records if r.runtime == file.runtime and r.bundle in bundles}
    one = by_threads.get(1)
    ratio = one.ratio_to("onnxruntime") if one else None
    sqnr = min(
        c.value
        for c in manifest.parity
        if c.runtime == file.executed_here_by and c.stage in ARTIFACT_STAGES and c.metric == "sqnr_db"
    )
    d = file.delegation
    return (
        file.file,
        file.precision,
        ", ".join(dict.fromkeys(holder.target for holder, _ in same)),
        f"{file.bytes / 1e6:.2f}",
        f"{file.bytes / floats[file.runtime]:.3f}" if file.runtime in floats else "-",
        f"{file.accuracy[0].value:.4g}" if file.accuracy else "-",
        f"{sqnr:.1f}",
        ", ".join([f"{d.delegated}/{d.total} in {d.partitions}" if d.partitions else "on device", *d.fallbacks]),
        *(f"{by_threads[n].percentile(50):.2f}" if n in by_threads else "-" for n in (1, 2)),
        "-" if ratio is None else f"{ratio:.2f}",
        f"{one.model_mb:.0f}" if one else "-",
    )


if __name__ == "__main__":
    sys.exit(main())
