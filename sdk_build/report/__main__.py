"""``python -m sdk_build.report dist``: size, parity, accuracy and delegation of every bundle in a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from reference.errors import BadInput
from reference.program import program
from sdk_build.command import exit_with

if TYPE_CHECKING:
    from sdk_build.bundle.files import Bundle


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("sdk_build.report"),
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
    from sdk_build.bundle.markdown import markdown_table
    from sdk_build.report.sources import read_bundles
    from sdk_build.report.table import HEADER, print_table, rows_of

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


def write_page(path: Path, bundles: Sequence[Bundle], records: Path | None) -> None:
    """One HTML file without scripts, links or outside parts; readable at phone width.

    Raises:
        BadInput: it can't be written, or the records can't be read.
    """
    from sdk_build.report.page import Entry, page, read_analysis
    from sdk_build.report.sources import read_latency
    from sdk_build.report.table import HEADER, rows_of

    entries = [Entry(b.manifest, tuple(rows_of(b.manifest)), read_analysis(b.path)) for b in bundles]
    try:
        path.write_text(page(entries, HEADER[2:], read_latency(records, bundles) if records else []))
    except OSError as error:
        raise BadInput(f"can't write {path} ({error.strerror}); give a file in a writable folder") from error


if __name__ == "__main__":
    sys.exit(main())
