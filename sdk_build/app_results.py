"""``python -m sdk_build.app_results DIST``: Python's results of every bundle's golden inputs, for the apps' tests.

Writes ``DIST/results.json``: bundle id -> one result per golden input. The Kotlin, Swift and web tests put the same raw
files through their own library and must get the same class, points, mask or solid.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput
from sdk_build.app_encoding import encode
from sdk_build.command import exit_with

if TYPE_CHECKING:
    from reference.postprocess import Result
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
    for target in ("android", "web"):
        named = {b.manifest.model: b for b in bundles if b.manifest.target == target}
        if "face_detector" in named and "template_keypoints" in named:
            found[f"face_pipeline-{target}"] = pipeline_results(named["face_detector"], named["template_keypoints"])
    if not found:
        raise BadInput(f"{dist} holds no bundle with a .tflite file; run python -m sdk_build.export --target web first")
    (dist / "results.json").write_text(json.dumps(found), encoding="utf-8")
    return 0


def pipeline_results(detector: Bundle, keypoints: Bundle) -> list[dict[str, Any]]:
    """The pipeline's faces in each golden picture of the detector: points as base64, largest face first."""
    from reference.preprocess import load_picture
    from sdk_build.predict_faces import Helpers, open_pipeline

    with open_pipeline(keypoints, "litert", Helpers(detector)) as pipeline:
        pictures = [load_picture(detector.path / case.raw) for case in detector.manifest.golden]
        return [{"faces": [encode(face.points_px) for face in pipeline.detect(picture)]} for picture in pictures]


def golden_results(bundle: Bundle) -> list[dict[str, Any]]:
    """What the apps must give for each golden input: the result's JSON, but points unrounded and masks as bits."""
    from reference.golden import read_input
    from reference.postprocess import postprocess
    from sdk_build.sandbox import run_artifact

    spec = bundle.manifest.spec
    entry = next(e for e in bundle.manifest.model_files if e.runtime == "litert")
    read = [read_input(bundle.path / case.raw, spec) for case in bundle.manifest.golden]
    inputs = [{spec.input.name: tensor} for tensor, _, _ in read]
    outputs = run_artifact("litert", bundle.path / entry.file, spec, inputs)
    return [
        _comparable(postprocess(out, spec, region), picture.shape[1], picture.shape[0])
        for out, (_, region, picture) in zip(outputs, read, strict=True)
    ]


def _comparable(result: Result, width: int, height: int) -> dict[str, Any]:
    import numpy as np

    from reference.postprocess import Keypoints, Mask

    if isinstance(result, Keypoints):
        return {"points_px": result.points_px.tolist()}
    if isinstance(result, Mask):
        bits = np.packbits(result.filled(width, height), bitorder="little")
        return {"filled_bits": base64.b64encode(bits.tobytes()).decode()}
    return result.to_json()


if __name__ == "__main__":
    sys.exit(main())
