"""``python -m sdk_build.app_results DIST``: Python's results of every bundle's golden inputs, for the apps' tests.

Writes ``DIST/results.json``: bundle id -> one result per golden input. The Kotlin, Swift and web tests put the same raw
files through their own library and must get the same class, points, mask or solid.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput
from sdk_build.command import exit_with

if TYPE_CHECKING:
    from sdk_build.bundle import Bundle


def main(arguments: list[str] | None = None) -> int:
    """Write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdk_build.app_results", description=__doc__.splitlines()[0])
    parser.add_argument("dist", type=Path, metavar="DIST", help="folder with bundles that hold a .tflite file")
    a = parser.parse_args(arguments)
    return exit_with(lambda: write(a.dist))


def write(dist: Path) -> int:
    """Run every bundle that has a .tflite file.

    Raises:
        BadInput: there is none.
    """
    from sdk_build.bundle import open_bundle

    bundles = [open_bundle(path.parent) for path in sorted(dist.glob("*/bundle.json"))]
    found = {
        b.manifest.id: golden_results(b) for b in bundles if any(e.runtime == "litert" for e in b.manifest.model_files)
    }
    if not found:
        raise BadInput(f"{dist} holds no bundle with a .tflite file; run python -m sdk_build.export --target web first")
    (dist / "results.json").write_text(json.dumps(found), encoding="utf-8")
    return 0


def golden_results(bundle: Bundle) -> list[dict[str, Any]]:
    """The typed result of each golden input as a JSON-ready dict; points are not rounded."""
    from reference.golden import read_input
    from reference.postprocess import Keypoints, postprocess
    from sdk_build.sandbox import run_artifact

    spec = bundle.manifest.spec
    entry = next(e for e in bundle.manifest.model_files if e.runtime == "litert")
    read = [read_input(bundle.path / case.raw, spec) for case in bundle.manifest.golden]
    outputs = run_artifact(
        "litert", bundle.path / entry.file, spec, [{spec.input.name: tensor} for tensor, _, _ in read]
    )
    results = [postprocess(out, spec, region) for out, (_, region, _) in zip(outputs, read, strict=True)]
    return [
        {"points_px": result.points_px.tolist()} if isinstance(result, Keypoints) else result.to_json()
        for result in results
    ]


if __name__ == "__main__":
    sys.exit(main())
