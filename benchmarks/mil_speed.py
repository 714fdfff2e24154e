"""``python -m benchmarks.mil_speed [MODEL...]``: the emulation of Core ML beside eager PyTorch, and how fast it opens.

The stored weights in float32, one process, calls in turn; what counts is the ratio in each round. Opening is timed in a
process of its own that has imported PyTorch and the emulation, and has never imported coremltools.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import interleave, pin
from sdk_build.command import exit_with
from sdk_build.errors import BenchmarkFailed

MODELS = ("classifier", "saliency", "voxel64")
LARGEST_RATIO, LONGEST_OPENING_S = 1.3, 1.0


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mil_speed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=40, help="timed calls of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a ratio or an opening is too slow")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--open", type=Path, metavar="PACKAGE", help=argparse.SUPPRESS)
    a = parser.parse_args(arguments)
    if a.open is not None:
        print(json.dumps(time_opening(a.open)))
        return 0
    return exit_with(lambda: run(a.models, a.rounds, a.threads, a.check, a.json))


def run(models: Sequence[str], rounds: int, threads: int, check: bool, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    pin(threads)
    found = [measure(model, rounds, threads) for model in models]
    if as_json:
        print(json.dumps({"rounds": rounds, "threads": threads, "models": found}))
    else:
        title = f"float32, threads: {threads}"
        print(f"{title:<26}{'eager ms':>10}{'emulation ms':>14}{'ratio':>8}{'open s':>8}")
        for m in found:
            print(
                f"{m['model']:<26}{m['eager_ms']:>10.2f}{m['emulation_ms']:>14.2f}{m['ratio']:>8.2f}{m['open_s']:>8.2f}"
            )
    slow = [m["model"] for m in found if m["ratio"] > LARGEST_RATIO or m["open_s"] > LONGEST_OPENING_S]
    return 1 if check and slow else 0


def measure(model: str, rounds: int, threads: int) -> dict[str, Any]:
    """Median times, the median ratio of a round, and the opening of a clean process."""
    import torch

    from reference.card import MODELS_DIR
    from reference.checkpoint import TRAINING_HEADS, load_weights
    from reference.registry import build_network, get_spec
    from sdk_build.backends import coreml
    from sdk_build.build.reference import load_reference
    from sdk_build.mil import EmulatedCoreML
    from sdk_build.quiet import quiet

    torch.set_num_threads(threads)
    spec = get_spec(model)
    eager = build_network(spec).eval()
    load_weights(eager, MODELS_DIR / model / "weights.safetensors", ignore=TRAINING_HEADS)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpackage"
        reference = load_reference(spec)
        with quiet():
            coreml.lower(reference.lowered, spec, "fp32", package)
        emulation = EmulatedCoreML(package)
        given = reference.golden[0].input
        tensor = torch.from_numpy(given)
        contenders = {
            "eager": lambda: eager(tensor),
            "emulation": lambda: emulation.predict({spec.input.name: given}),
        }
        with torch.inference_mode():
            samples = {name: np.array(values) for name, values in interleave(contenders, rounds).items()}
        opening = _opening(package)
    return {
        "model": model,
        "eager_ms": float(np.median(samples["eager"])),
        "emulation_ms": float(np.median(samples["emulation"])),
        "ratio": float(np.median(samples["emulation"] / samples["eager"])),
        **opening,
    }


def time_opening(package: Path) -> dict[str, Any]:
    """Seconds from a path to a model that can run; PyTorch is imported before."""
    from sdk_build.mil import EmulatedCoreML

    begin = time.perf_counter()
    EmulatedCoreML(package)
    return {"open_s": time.perf_counter() - begin, "imports_coremltools": "coremltools" in sys.modules}


def _opening(package: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.mil_speed", "--open", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkFailed(f"a clean process could not open {package.name}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
