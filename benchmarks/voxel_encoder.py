"""``python -m benchmarks.voxel_encoder [SIZE]``: the voxel network's encoder in int8 against float, on this machine.

The encoder is all convolutions and rectifiers, where int8 should be worth most; it is lowered alone, in both runtimes
and both precisions, and the four are called in turn in one process with one thread.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import interleave, pin
from reference.registry import get_spec
from reference.spec import TensorSpec
from sdk_build.backends import get_backend
from sdk_build.backends.quantizers.recipes import Quantization
from sdk_build.build.reference import load_reference
from sdk_build.command import exit_with
from sdk_build.quiet import quiet

ROUNDS = 100
PRECISIONS = ("fp32", "w8a8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voxel_encoder", description=__doc__.splitlines()[0])
    parser.add_argument("size", type=int, nargs="?", default=64, help="side of the volume in voxels (default 64)")
    size = parser.parse_args(arguments).size
    return exit_with(lambda: run(size))


def run(size: int) -> int:
    """Measure and print the ratios.

    Raises:
        BadInput: there is no network of this size.
    """
    pin(1)
    samples = measure(size)
    for runtime in ("litert", "executorch"):
        one, two = (np.array(samples[f"{runtime} {p}"]) for p in PRECISIONS)
        print(
            f"voxel{size} encoder in {runtime}: fp32 {np.median(one):.3f} ms, w8a8 {np.median(two):.3f} ms, "
            f"int8 is {np.median(one / two):.2f} x as fast (median of {len(one)} pairs, one thread)"
        )
    return 0


def measure(size: int) -> dict[str, tuple[float, ...]]:
    """Milliseconds of every call, by runtime and precision."""
    reference = load_reference(get_spec(f"voxel{size}"))
    encoder = reference.lowered.get_submodule("encoder")
    inputs = [case.inputs for case in reference.golden]
    import torch

    with torch.no_grad():
        shape = tuple(encoder(torch.from_numpy(reference.golden[0].input)).shape)
    spec = replace(reference.spec, outputs=(TensorSpec("features", shape, "NCHW", "feature"),))
    contenders: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder, quiet():
        for runtime in ("litert", "executorch"):
            backend = get_backend(runtime)
            ranges = backend.observe(encoder, spec, inputs)
            for precision in PRECISIONS:
                path = Path(folder) / f"{runtime}-{precision}"
                backend.lower(encoder, spec, precision, path, Quantization((), ranges))
                runner = backend.load(path, spec)
                contenders[f"{runtime} {precision}"] = _call(runner.predict, inputs[0])
        return interleave(contenders, ROUNDS)


def _call(predict: Callable[[dict[str, np.ndarray]], object], inputs: dict[str, np.ndarray]) -> Callable[[], object]:
    return lambda: predict(inputs)


if __name__ == "__main__":
    sys.exit(main())
