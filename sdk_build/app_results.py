"""``python -m sdk_build.app_results DIST``: Python's results of every bundle's golden inputs, for the apps' tests.

Writes ``DIST/results.json``: bundle id -> one result per golden input. The Kotlin, Swift and web tests put the same raw
files through their own library and must get the same class, points, mask or solid.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_build.app_vectors.results import write
from sdk_build.command import exit_with

if TYPE_CHECKING:
    pass


def main(arguments: list[str] | None = None) -> int:
    """Write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdk_build.app_results", description=__doc__.splitlines()[0])
    parser.add_argument("dist", type=Path, metavar="DIST", help="folder with bundles that hold a .tflite file")
    a = parser.parse_args(arguments)
    return exit_with(lambda: write(a.dist))


if __name__ == "__main__":
    sys.exit(main())
