"""``python -m benchmarks.voxel_speed [SIZE]``: a voxel network in both phone runtimes, ONNX Runtime and eager PyTorch.

One process, one thread, the stored weights in float32, calls in turn; what counts is the ratio in each round. The peak
memory of LiteRT is measured in a process of its own that imports neither PyTorch nor anything else large, and set
against 1.5 times the two largest tensors of the network plus its weights.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measure import interleave, onnx_session, pin
from benchmarks.memory import peak_bytes, reset_peak
from sdk_build.command import exit_with

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reference.spec import ModelSpec

ROUNDS = {64: 60, 80: 40, 128: 15, 160: 10, 320: 3}
# ONNX Runtime's export of the largest member alone takes minutes.
WITH_ONNX = 160
MEMORY_CALLS = 2
MEGA = 1e6


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voxel_speed", description=__doc__.splitlines()[0])
    parser.add_argument("size", type=int, nargs="?", default=64, choices=sorted(ROUNDS))
    parser.add_argument("--rounds", type=int, help="timed calls of each (default: fewer for larger networks)")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--memory-of", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    a = parser.parse_args(arguments)
    if a.memory_of is not None:
        print(json.dumps(measure_memory(a.memory_of)))
        return 0
    return exit_with(lambda: run(a.size, a.rounds or ROUNDS[a.size], a.json))


def run(size: int, rounds: int, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    pin(1)
    document = measure(size, rounds)
    if as_json:
        print(json.dumps(document))
        return 0
    times, memory = document["median_ms"], document["memory"]
    print(f"voxel{size}, one thread, float32, {rounds} rounds")
    print(f"{'':<14}{'median ms':>10}{'x eager':>10}{'x onnxruntime':>15}")
    for name, value in times.items():
        ratios = [document["ratios"][peer].get(name) for peer in ("eager", "onnxruntime")]
        print(f"{name:<14}{value:>10.2f}" + "".join(f"{_shown(r):>{w}}" for r, w in zip(ratios, (10, 15), strict=True)))
    print(
        f"LiteRT in a clean process: {memory['model_mb']:.0f} MB for the model at its peak, of {memory['limit_mb']:.0f}"
        f" (1.5 x {memory['two_largest_mb']:.0f} MB of tensors + {memory['weights_mb']:.0f} MB of weights);"
        f" {memory['process_mb']:.0f} MB with the interpreter"
    )
    return 0


def _shown(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def measure(size: int, rounds: int) -> dict[str, Any]:
    """Median times, median ratios by peer and contender, and the peak memory."""
    import torch

    from reference.registry import get_spec, load_network
    from sdk_build.backends import get_backend
    from sdk_build.build.reference import load_reference
    from sdk_build.quiet import quiet

    torch.set_num_threads(1)
    spec = get_spec(f"voxel{size}")
    eager = load_network(spec)
    reference = load_reference(spec)
    given = reference.golden[0].input
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        contenders: dict[str, Callable[[], object]] = {}
        with quiet():
            for runtime, suffix in (("litert", "tflite"), ("executorch", "pte")):
                file = Path(folder) / f"model.{suffix}"
                get_backend(runtime).lower(reference.lowered, spec, "fp32", file)
                contenders[runtime] = _call(runtime, file, spec, given)
            tensor = torch.from_numpy(given)
            contenders["eager"] = lambda: eager(tensor)
            session = onnx_session(eager, tensor, 1) if size <= WITH_ONNX else None
            if session is not None:
                contenders["onnxruntime"] = lambda: session.run(None, {"input": given})
            samples = {name: np.array(values) for name, values in interleave(contenders, rounds).items()}
        memory = _memory(Path(folder) / "model.tflite", spec)
    return {
        "size": size,
        "rounds": rounds,
        "median_ms": {name: float(np.median(values)) for name, values in samples.items()},
        "ratios": {peer: ratios_to(samples, peer) if peer in samples else {} for peer in ("eager", "onnxruntime")},
        "memory": memory,
    }


def ratios_to(samples: Mapping[str, NDArray[np.float64]], peer: str) -> dict[str, float]:
    """Median over rounds of each contender's time by that of a peer in the same round."""
    return {name: float(np.median(values / samples[peer])) for name, values in samples.items() if name != peer}


def _call(runtime: str, file: Path, spec: ModelSpec, given: NDArray[np.float32]) -> Callable[[], object]:
    """One call as an app makes it: fill the input, execute, look at the output."""
    from sdk_build.backends import get_backend

    if runtime == "litert":
        return litert_call(file, given)
    runner = get_backend(runtime).load(file, spec, 1)
    return lambda: runner.predict({spec.input.name: given})


def litert_call(file: Path, given: NDArray[np.float32] | None = None) -> Callable[[], object]:
    """A call through the interpreter itself; the output is looked at where it lies, as an app does."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    tensor = np.full(source["shape"], 0.5, np.float32) if given is None else given
    look = interpreter.tensor(target["index"])

    def call() -> object:
        interpreter.set_tensor(source["index"], tensor)
        interpreter.invoke()
        return float(look()[0, 0, 0, 0])

    return call


def _memory(file: Path, spec: ModelSpec) -> dict[str, float]:
    """Peak memory in a fresh process, and its limit, in MB of a million bytes."""
    command = [sys.executable, "-m", "benchmarks.voxel_speed", "--memory-of", str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    largest, weights = largest_tensors(spec)
    return {
        **json.loads(done.stdout),
        "two_largest_mb": largest / MEGA,
        "weights_mb": weights / MEGA,
        "limit_mb": (1.5 * largest + weights) / MEGA,
    }


def measure_memory(file: Path) -> dict[str, float]:
    """What loading a .tflite and a few calls add to this process, and the whole of it, at the peak."""
    import ai_edge_litert.interpreter  # noqa: F401 - an app links the runtime; its memory is not the model's

    reset_peak()
    before = peak_bytes()
    call = litert_call(file)
    for _ in range(MEMORY_CALLS):
        call()
    peak = peak_bytes()
    return {"process_mb": peak / MEGA, "model_mb": (peak - before) / MEGA}


def largest_tensors(spec: ModelSpec) -> tuple[int, int]:
    """Bytes of the two largest tensors that the network's layers give, and of its weights, without running it.

    A rectifier's output counts with the layer before it: it can be written in place.
    """
    import torch
    from torch import nn

    from reference.registry import build_network

    sizes: list[int] = []
    with torch.device("meta"):
        network = build_network(spec)
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose3d)):
                layer.register_forward_hook(lambda _m, _i, out: sizes.append(out.numel() * 4))
        network(torch.zeros(spec.input.shape))
    return sum(sorted(sizes)[-2:]), sum(4 * p.numel() for p in network.parameters())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
