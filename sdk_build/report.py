"""``python -m sdk_build.report dist``: size, parity, accuracy and delegation of every bundle in a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reference.errors import BadInput, OnParError
from sdk_build.command import error_line, exit_with

if TYPE_CHECKING:
    from sdk_build.bundle import Bundle
    from sdk_build.manifest import Manifest, ModelFile
    from sdk_build.records import Record

HEADER = (
    "model",
    "target",
    "file",
    "prec.",
    "MB",
    "run by",
    "SQNR dB",
    "task metric",
    "accuracy",
    "delegated",
    "parts",
)
# What a task metric is called in a narrow column.
SHORT = {
    "top1_agreement": "top-1 same",
    "nme_percent": "NME +",
    "voxel_iou": "IoU",
    "mask_iou": "IoU",
    "face_agreement": "IoU",
}


@dataclass(frozen=True)
class Row:
    """One artifact of one bundle, as measured when it was proved.

    Attributes:
        sqnr_db: the worst output's.
        max_abs_of_range: the worst output's.
        accuracy: the task's first metric of this artifact on validation data; None where it was not measured.
        accuracy_metric: its name.
        delegated: share of operations that the delegate took, e.g. ``151/151``.
        fallbacks: operations outside the delegate.
    """

    model: str
    target: str
    file: str
    precision: str
    size_mb: float
    executed_by: str
    sqnr_db: float
    max_abs_of_range: float
    task_metric: str
    task_value: float
    delegated: str
    partitions: int
    fallbacks: tuple[str, ...]
    accuracy: float | None = None
    accuracy_metric: str = ""

    def cells(self) -> tuple[str, ...]:
        """Texts in the order of ``HEADER``."""
        return (
            self.model,
            self.target,
            self.file,
            self.precision,
            f"{self.size_mb:.2f}",
            "emulation" if "emulated" in self.executed_by else "runtime",
            f"{self.sqnr_db:.1f}",
            f"{SHORT.get(self.task_metric, self.task_metric)} {self.task_value:.4g}",
            "-" if self.accuracy is None else f"{self.accuracy:.4g}",
            self.delegated,
            str(self.partitions) if self.partitions else "-",
        )


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sdk_build.report",
        description=__doc__,
        epilog="Exit codes: 0 done, 1 a bundle is damaged, 2 wrong use.",
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("dist"), help="folder with bundles (default dist)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page")
    parser.add_argument("--latency", type=Path, metavar="FILE", help="with --html: records that benchmarks wrote")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: report(a.folder, a.html, a.markdown, a.json, a.latency))


def report(folder: Path, page: Path | None, markdown: bool, as_json: bool, latency: Path | None = None) -> int:
    """The command's body; damaged bundles are named and make the exit code 1."""
    if latency is not None and page is None:
        raise BadInput("--latency goes into the page; name one with --html FILE")
    bundles, broken = read_bundles(folder)
    manifests = [bundle.manifest for bundle in bundles]
    rows = [row for manifest in manifests for row in rows_of(manifest)]
    if as_json:
        print(json.dumps({"artifacts": [asdict(row) for row in rows], "broken": broken}))
    elif markdown:
        print("\n".join(markdown_table(HEADER, [row.cells() for row in rows])))
    else:
        print_table(rows)
    for line in broken:
        print(line, file=sys.stderr)
    if page is not None:
        write_page(page, bundles, latency)
        if not as_json:
            print(f"wrote {page}")
    return 1 if broken else 0


def read_bundles(folder: Path) -> tuple[list[Bundle], list[str]]:
    """The intact bundles in a folder, and a line for each damaged one.

    Raises:
        BundleNotFound: there is none.
    """
    from sdk_build.bundle import MANIFEST, open_bundle
    from sdk_build.errors import BundleNotFound

    paths = sorted(p.parent for p in folder.glob(f"[!.]*/{MANIFEST}"))
    if not paths:
        raise BundleNotFound(f"no bundle in {folder}; run python -m sdk_build.export --target ios first")
    bundles, broken = [], []
    for path in paths:
        try:
            bundles.append(open_bundle(path))
        except OnParError as error:
            broken.append(error_line(error))
    return bundles, broken


def rows_of(manifest: Manifest) -> list[Row]:
    """One row per artifact."""
    return [_row(manifest, entry) for entry in manifest.model_files]


def _row(manifest: Manifest, entry: ModelFile) -> Row:
    from sdk_build.delegation import PLACED_ON_DEVICE
    from sdk_build.metrics import TASK_METRICS
    from sdk_build.parity import ARTIFACT_STAGES

    mine = [c for c in manifest.parity if c.runtime == entry.executed_here_by and c.stage in ARTIFACT_STAGES]
    task = TASK_METRICS[manifest.task]
    d = entry.delegation
    return Row(
        model=manifest.model,
        target=manifest.target,
        file=entry.file,
        precision=entry.precision,
        size_mb=entry.bytes / 1e6,
        executed_by=entry.executed_here_by,
        sqnr_db=min(c.value for c in mine if c.metric == "sqnr_db"),
        max_abs_of_range=max(c.value for c in mine if c.metric == "max_abs_of_range"),
        task_metric=task,
        task_value=next(c.value for c in mine if c.metric == task),
        delegated="on device" if d.delegate == PLACED_ON_DEVICE else f"{d.delegated}/{d.total}",
        partitions=d.partitions,
        fallbacks=d.explained,
        accuracy=entry.accuracy[0].value if entry.accuracy else None,
        accuracy_metric=entry.accuracy[0].name if entry.accuracy else "",
    )


def print_table(rows: Sequence[Row]) -> None:
    """A table of at most 100 columns: each bundle is a line, its artifacts stand below."""
    from rich.console import Console

    console = Console(width=100, highlight=False)
    cells = [HEADER[2:], *(row.cells()[2:] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADER) - 2)]

    def line(texts: Sequence[str]) -> str:
        # Names to the left, numbers to the right.
        padded = [
            t.ljust(w) if i in (0, 1, 3, 5) else t.rjust(w) for i, (t, w) in enumerate(zip(texts, widths, strict=True))
        ]
        return "  " + "  ".join(padded)

    console.print(f"[bold]{line(HEADER[2:])}[/]", soft_wrap=True)
    previous = None
    for row in rows:
        if (row.model, row.target) != previous:
            console.print(f"[bold]{row.model}[/] for {row.target}{_accuracy_name(row)}")
        previous = (row.model, row.target)
        console.print(line(row.cells()[2:]), soft_wrap=True)
        if row.fallbacks:
            console.print(f"    outside the delegate: {', '.join(row.fallbacks)}")
    console.print("[dim]emulation: OnPar's executor of Core ML programs, not Apple's. No phone measured yet.[/]")


def _accuracy_name(row: Row) -> str:
    return f", accuracy is {row.accuracy_metric}" if row.accuracy_metric else ""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def write_page(path: Path, bundles: Sequence[Bundle], records: Path | None) -> None:
    """One HTML file without scripts, links or outside parts; readable at phone width.

    Raises:
        BadInput: it can't be written, or the records can't be read.
    """
    from sdk_build.report_page import Entry, page, read_analysis

    entries = [Entry(b.manifest, tuple(rows_of(b.manifest)), read_analysis(b.path)) for b in bundles]
    try:
        path.write_text(page(entries, HEADER[2:], read_latency(records, bundles) if records else []))
    except OSError as error:
        raise BadInput(f"can't write {path} ({error.strerror}); give a file in a writable folder") from error


def read_latency(path: Path, bundles: Sequence[Bundle]) -> list[Record]:
    """Latency records of a file that are about these very bundles.

    Raises:
        BadInput: missing, truncated or no records; none is about one of the bundles, or one is about another export.
    """
    from sdk_build.records import bundle_digest, read_records

    known = {bundle.manifest.id: bundle_digest(bundle.path) for bundle in bundles}
    records = [record for record in read_records(path) if record.bundle in known]
    if not records:
        raise BadInput(f"{path} has no record about {', '.join(known) or 'any bundle here'}; measure these bundles")
    for record in records:
        if record.bundle_sha256 != known[record.bundle]:
            raise BadInput(
                f"{path}: the record of {record.bundle} is about another export ({record.bundle_sha256[:12]}, here "
                f"{known[record.bundle][:12]}); measure this bundle again"
            )
    return records


if __name__ == "__main__":
    sys.exit(main())
