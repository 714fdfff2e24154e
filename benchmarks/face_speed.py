"""``python -m benchmarks.face_speed``: the face networks against MobileNetV3-Small at 224 px, in LiteRT.

The unit is the time of the classifier's network at 224 px, which anyone can measure on any device. One process, one
thread, stored weights in float32, calls in turn; what counts is the median of the ratios of each round. "Both" is what
a new picture of 640 x 480 takes: the detector, which looks at all of it, and the keypoints of one face; "cascade" is
the same with the detector's second network, which looks at each box that may be a face, here at one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import call_file, interleave, pin
from sdk_build.command import exit_with

UNIT, UNIT_SIZE = "classifier at 224 px", 224
UNIT_MODEL = "classifier"
NETWORKS = ("template_keypoints", "hierarchical_keypoints", "face_detector", "face_detector_refined", "face3d")
TOGETHER = {
    "both": ("face_detector", "template_keypoints"),
    "cascade": ("face_detector", "face_detector_refined", "template_keypoints"),
}


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.face_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="timed calls of each (default 200)")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a.rounds, a.json))


def run(rounds: int, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    pin(1)
    document = summarize(measure(rounds))
    if as_json:
        print(json.dumps(document))
        return 0
    print(f"LiteRT, one thread, float32, {rounds} rounds")
    print(f"{'':<24}{'median ms':>10}{'x ' + UNIT:>24}")
    for name, value in document["median_ms"].items():
        print(f"{name:<24}{value:>10.2f}{document['ratio'][name]:>24.2f}")
    print(f"{'detector and keypoints':<34}{document['ratio']['both']:>24.2f}")
    print(f"{'detector, one box judged, keypoints':<35}{document['ratio']['cascade']:>23.2f}")
    return 0


def measure(rounds: int) -> dict[str, tuple[float, ...]]:
    """Milliseconds of every call, by network."""
    from reference.registry import get_spec
    from sdk_build.backends import get_backend
    from sdk_build.build.reference import load_reference
    from sdk_build.quiet import quiet

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, quiet():
        contenders = {}
        for name in (UNIT_MODEL, *NETWORKS):
            reference = load_reference(get_spec(name))
            spec = reference.spec
            if name == UNIT_MODEL:
                shape = (1, 3, UNIT_SIZE, UNIT_SIZE)
                larger = dataclasses.replace(spec.sampling, size=shape[2:])
                spec = dataclasses.replace(
                    spec, inputs=(dataclasses.replace(spec.input, shape=shape),), preprocess=larger
                )
            file = Path(folder) / f"{name}.tflite"
            get_backend("litert").lower(reference.lowered, spec, "fp32", file)
            given = rng.random(spec.input.shape, dtype=np.float32)
            contenders[UNIT if name == UNIT_MODEL else name] = call_file(file, 1, given)
        return interleave(contenders, rounds)


def summarize(samples: dict[str, tuple[float, ...]]) -> dict[str, Any]:
    """Medians, and medians of the ratios to the unit in the same round."""
    unit = np.array(samples[UNIT])
    times = {name: np.array(values) for name, values in samples.items()}
    sums = {name: np.sum([times[part] for part in parts], axis=0) for name, parts in TOGETHER.items()}
    return {
        "unit": UNIT,
        "median_ms": {name: float(np.median(values)) for name, values in times.items()},
        "ratio": {name: float(np.median(values / unit)) for name, values in (times | sums).items()},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
