"""``python -m sdk_build.report dist``: size, parity, accuracy and delegation of every bundle in a folder."""

from __future__ import annotations

import argparse
import html
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reference.errors import OnParError
from sdk_build.command import error_line, exit_with

if TYPE_CHECKING:
    from sdk_build.manifest import Manifest, ModelFile

HEADER = (
    "model",
    "target",
    "file",
    "prec.",
    "MB",
    "run by",
    "SQNR dB",
    "max diff",
    "task metric",
    "delegated",
    "parts",
)
# What a task metric is called in a narrow column.
SHORT = {"top1_agreement": "top-1 same", "nme_percent": "NME +", "voxel_iou": "IoU"}


@dataclass(frozen=True)
class Row:
    """One artifact of one bundle, as measured when it was proved.

    Attributes:
        sqnr_db: the worst output's.
        max_abs_of_range: the worst output's.
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
            f"{self.max_abs_of_range:.1e}",
            f"{SHORT.get(self.task_metric, self.task_metric)} {self.task_value:.4g}",
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
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: report(a.folder, a.html, a.markdown, a.json))


def report(folder: Path, page: Path | None, markdown: bool, as_json: bool) -> int:
    """The command's body; damaged bundles are named and make the exit code 1."""
    manifests, broken = read_bundles(folder)
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
        write_page(page, manifests)
        if not as_json:
            print(f"wrote {page}")
    return 1 if broken else 0


def read_bundles(folder: Path) -> tuple[list[Manifest], list[str]]:
    """Manifests of the intact bundles in a folder, and a line for each damaged one.

    Raises:
        BundleNotFound: there is none.
    """
    from sdk_build.bundle import MANIFEST, open_bundle
    from sdk_build.errors import BundleNotFound

    paths = sorted(p.parent for p in folder.glob(f"[!.]*/{MANIFEST}"))
    if not paths:
        raise BundleNotFound(f"no bundle in {folder}; run python -m sdk_build.export --target ios first")
    manifests, broken = [], []
    for path in paths:
        try:
            manifests.append(open_bundle(path).manifest)
        except OnParError as error:
            broken.append(error_line(error))
    return manifests, broken


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
        fallbacks=d.fallbacks,
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
            t.ljust(w) if i in (0, 1, 3, 6) else t.rjust(w) for i, (t, w) in enumerate(zip(texts, widths, strict=True))
        ]
        return "  " + "  ".join(padded)

    console.print(f"[bold]{line(HEADER[2:])}[/]", soft_wrap=True)
    previous = None
    for row in rows:
        if (row.model, row.target) != previous:
            console.print(f"[bold]{row.model}[/] for {row.target}")
        previous = (row.model, row.target)
        console.print(line(row.cells()[2:]), soft_wrap=True)
        if row.fallbacks:
            console.print(f"    outside the delegate: {', '.join(row.fallbacks)}")
    console.print("[dim]emulation: OnPar's executor of Core ML programs, not Apple's. No phone measured yet.[/]")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def write_page(path: Path, manifests: Sequence[Manifest]) -> None:
    """One HTML file without scripts, links or outside parts; readable at phone width.

    Raises:
        BadInput: it can't be written.
    """
    from sdk_build.errors import BadInput

    bodies = "\n".join(_section(m, rows_of(m)) for m in manifests)
    try:
        path.write_text(_PAGE.replace("{bodies}", bodies).replace("{count}", str(len(manifests))))
    except OSError as error:
        raise BadInput(f"can't write {path} ({error.strerror}); give a file in a writable folder") from error


def _section(manifest: Manifest, rows: Sequence[Row]) -> str:
    e = html.escape
    accuracy = "".join(f"<li><b>{v.value:.4g}</b> {e(v.name)}</li>" for v in manifest.accuracy)
    cells = "".join(
        "<tr>"
        + "".join(f"<td data-name='{e(n)}'>{e(c)}</td>" for n, c in zip(HEADER[2:], r.cells()[2:], strict=True))
        + "</tr>"
        for r in rows
    )
    outside = "".join(
        f"<p class=warn>{e(r.file)} leaves {e(', '.join(r.fallbacks))} to the CPU</p>" for r in rows if r.fallbacks
    )
    bars = "".join(_bar(r, max(x.size_mb for x in rows)) for r in rows)
    head = "".join(f"<th>{e(n)}</th>" for n in HEADER[2:])
    return f"""<section><h2>{e(manifest.id)}</h2><p>{e(manifest.description)}. Document {e(manifest.document)}.</p>
<h3>Accuracy of the reference</h3><ul class=figures>{accuracy}</ul><p class=small>{e(manifest.accuracy_data)}</p>
<h3>Artifacts</h3><table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>{outside}
<h3>Size and closeness</h3>{bars}
<p class=small>Weights: {e(manifest.weights_license)} Commit {e(manifest.git_commit[:12])}.
{e(_tools(manifest))}</p></section>"""


def _bar(row: Row, largest_mb: float) -> str:
    """Size as a bar; closeness as text, because dB and MB share no axis."""
    width = 100 * row.size_mb / largest_mb
    name = f"{html.escape(row.file)} <i>{row.precision}</i>"
    return (
        f"<div class=bar><span>{name}</span><b style='width:{width:.1f}%'></b>"
        f"<em>{row.size_mb:.2f} MB, {row.sqnr_db:.0f} dB</em></div>"
    )


def _tools(manifest: Manifest) -> str:
    return ", ".join(f"{t.name} {t.value}" for t in manifest.tool_versions)


_PAGE = """<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1"><title>OnPar report</title>
<style>
:root{color-scheme:light dark;--ink:#1c1e22;--soft:#6a6f78;--paper:#fafaf8;--card:#fff;--line:#e2e2de;--accent:#007acc}
@media(prefers-color-scheme:dark){
:root{--ink:#e9e9e6;--soft:#9aa0a8;--paper:#16181b;--card:#1e2125;--line:#33373d;--accent:#4db2ff}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
margin:0 auto;max-width:1080px;padding:24px 16px}
h1{margin:0 0 4px}h2{margin:0;font-size:1.25rem}h3{margin:18px 0 6px;font-size:.95rem;color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px;margin:20px 0}
p{margin:4px 0}.small{font-size:.82rem;color:var(--soft);overflow-wrap:anywhere}.warn{color:#c2410c;font-weight:600}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:500}th,td{padding:5px 10px 5px 0;border-bottom:1px solid var(--line)}
.figures{list-style:none;display:flex;flex-wrap:wrap;gap:8px 24px;padding:0;margin:0}.figures b{font-size:1.2rem}
.bar{display:grid;grid-template-columns:15rem 1fr 9rem;gap:12px;align-items:center;font-size:.86rem;margin:4px 0}
.bar b{height:12px;background:var(--accent);border-radius:6px}.bar em,.bar i{font-style:normal;color:var(--soft)}
@media(max-width:720px){thead{display:none}tr{display:block;border-bottom:2px solid var(--line);padding:6px 0}
td{display:flex;justify-content:space-between;gap:16px;border:0;padding:2px 0}
td:before{content:attr(data-name);color:var(--soft)}
.bar{grid-template-columns:1fr auto}.bar span{grid-column:1/3}}
</style>
<h1>OnPar report</h1><p>{count} bundles. Every figure was measured when the artifact was proved against the PyTorch
reference. <b>Emulated</b> means run by OnPar's own executor of Core ML programs, not by Apple's.
No phone measured yet.</p>
{bodies}
</html>
"""


if __name__ == "__main__":
    sys.exit(main())
