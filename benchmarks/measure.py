"""The measuring processes: one artifact, and in another process the artifact with its peers.

``python -m benchmarks.measure WHAT BUNDLE RUNTIME THREADS ...`` is started by :mod:`benchmarks.run`; a crash of the
artifact ends this process only. ``WHAT`` is ``load`` (one cold load, memory) or ``latency`` (interleaved rounds).
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.memory import peak_bytes, reset_peak

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sdk_build.bundle.files import Bundle

WARM_UP = 10
FEWEST = 5  # rounds; fewer tell no percentile
MEMORY_CALLS = 3
MEBI = 1 << 20


def main(arguments: Sequence[str]) -> int:
    """Measure and print one JSON line."""
    what, path, runtime, threads, *rest = arguments
    pin(int(threads))
    from sdk_build.bundle.files import open_bundle

    bundle = open_bundle(Path(path))
    if what == "load":
        result = measure_load(bundle, runtime, int(threads))
    else:
        rounds, limit_s, sustained_s = int(rest[0]), float(rest[1]), float(rest[2])
        peers = rest[3].split(",") if rest[3] else []
        result = measure_latency(bundle, runtime, int(threads), rounds, limit_s, sustained_s, peers)
    print(json.dumps(result))
    return 0


def pin(threads: int) -> None:
    """Keep this process on as many cores as it has threads, so that the scheduler moves nothing."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(cores[-threads:]))  # interrupts prefer the first core


def measure_load(bundle: Bundle, runtime: str, threads: int) -> dict[str, float]:
    """One load in a fresh process, and the memory that loading and a few calls take."""
    from sdk_build.backends import get_backend
    from sdk_build.quiet import quiet

    spec = bundle.manifest.spec
    path = artifact_of(bundle, runtime)
    inputs = {spec.input.name: bundle.golden_tensor(0, spec.input.name)}
    with quiet():
        backend = get_backend(runtime)
        _import_runtime(runtime)
        drop_from_cache(path)
        gc.collect()
        reset_peak()
        before = peak_bytes()
        began = time.perf_counter()
        runner = backend.load(path, spec, threads)
        load_ms = 1000 * (time.perf_counter() - began)
        for _ in range(MEMORY_CALLS):
            runner.predict(inputs)
    peak = peak_bytes()
    return {"load_ms": load_ms, "peak_mb": peak / MEBI, "model_mb": (peak - before) / MEBI}


def _import_runtime(runtime: str) -> None:
    """Import the runtime's library before the clock runs: an app links it, and loads only the model."""
    if runtime == "litert":
        import ai_edge_litert.interpreter  # noqa: F401
    elif runtime == "executorch":
        import executorch.runtime
        import torch  # noqa: F401

        executorch.runtime.Runtime.get()


def drop_from_cache(path: Path) -> None:
    """Ask the system to forget a file's pages; a load then reads the disk."""
    if hasattr(os, "posix_fadvise"):
        for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def artifact_of(bundle: Bundle, runtime: str) -> Path:
    """Path of a runtime's artifact."""
    return bundle.path / next(e.file for e in bundle.manifest.model_files if e.runtime == runtime)


def measure_latency(
    bundle: Bundle, runtime: str, threads: int, rounds: int, limit_s: float, sustained_s: float, peers: Sequence[str]
) -> dict[str, Any]:
    """Interleaved rounds of the artifact and its peers on the first golden input, then a sustained run."""
    import torch

    from sdk_build.quiet import quiet

    torch.set_num_threads(threads)
    spec = bundle.manifest.spec
    given = bundle.golden_tensor(0, spec.input.name)
    with quiet():
        call = call_litert if runtime == "litert" else call_runner
        contenders: dict[str, Callable[[], object]] = {"artifact": call(bundle, runtime, threads, given)}
        contenders |= _peers(spec.name, given, threads, peers)
        with torch.inference_mode():
            samples = interleave(contenders, rounds, limit_s)
            sustained = _sustain(contenders["artifact"], sustained_s) if sustained_s else None
    return {"samples_ms": samples.pop("artifact"), "peers": samples, "sustained": sustained}


def call_runner(bundle: Bundle, runtime: str, threads: int, given: np.ndarray) -> Callable[[], object]:
    """One call as an app makes it: fill the input, execute, read every output."""
    from sdk_build.backends import get_backend

    spec = bundle.manifest.spec
    runner = get_backend(runtime).load(artifact_of(bundle, runtime), spec, threads)
    return lambda: runner.predict({spec.input.name: given})


def call_litert(bundle: Bundle, runtime: str, threads: int, given: np.ndarray) -> Callable[[], object]:
    """The same in LiteRT."""
    return call_file(artifact_of(bundle, runtime), threads, given)


def call_file(path: Path, threads: int, given: np.ndarray) -> Callable[[], object]:
    """A .tflite through the interpreter's own calls, which are what an app's C++ or Kotlin API does.

    Python's signature runner adds as much time as a small network takes.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (where,) = [d["index"] for d in interpreter.get_input_details()]
    outputs = [d["index"] for d in interpreter.get_output_details()]

    def call() -> object:
        interpreter.set_tensor(where, given)
        interpreter.invoke()
        return [interpreter.get_tensor(i) for i in outputs]

    return call


def _peers(model: str, given: np.ndarray, threads: int, names: Sequence[str]) -> dict[str, Callable[[], object]]:
    """The reference network with the same weights in other runtimes; one that can't run here is left out."""
    import torch

    from reference.registry import get_spec, load_network

    if not names:
        return {}
    network = load_network(get_spec(model))
    tensor = torch.from_numpy(given)
    found: dict[str, Callable[[], object]] = {}
    if "eager" in names:
        found["eager"] = lambda: network(tensor)
    session = onnx_session(network, tensor, threads) if "onnxruntime" in names else None
    if session is not None:
        found["onnxruntime"] = lambda: session.run(None, {"input": given})
    compiled = _compiled(network, tensor) if "compile" in names else None
    if compiled is not None:
        found["compile"] = lambda: compiled(tensor)
    return found


def _compiled(network: nn.Module, tensor: Tensor) -> Any:
    """torch.compile; None where there is no C++ compiler, or the network does not compile."""
    import torch

    compiled = torch.compile(network)
    try:
        with torch.inference_mode():
            compiled(tensor)
    except Exception:  # noqa: BLE001 - its compilers raise anything
        return None
    return compiled


def onnx_session(network: nn.Module, tensor: Tensor, threads: int) -> Any:
    """The same weights in ONNX Runtime; None without the ``bench`` extra."""
    import torch

    try:
        import onnx  # noqa: F401  (torch's exporter needs it)
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.onnx"
        # The TorchScript exporter: the newer one needs a further package and gives the same graph here.
        torch.onnx.export(network, (tensor,), file, dynamo=False, input_names=["input"])
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def interleave(
    contenders: Mapping[str, Callable[[], object]], rounds: int, limit_s: float = math.inf
) -> dict[str, tuple[float, ...]]:
    """Time every contender once a round, so that whatever else the machine does hits all of them.

    The order turns by one each round: who comes first finds the caches that the last one left.

    Args:
        limit_s: seconds after which no further round begins, once there are ``FEWEST``.
    """
    names = list(contenders)
    for _ in range(WARM_UP):
        for work in contenders.values():
            work()
    times: dict[str, list[float]] = {name: [] for name in names}
    end = time.perf_counter() + limit_s
    for number in range(rounds):
        if number >= FEWEST and time.perf_counter() > end:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            times[name].append(milliseconds(contenders[name]))
    return {name: tuple(values) for name, values in times.items()}


def _sustain(work: Callable[[], object], seconds: float) -> dict[str, float]:
    """Calls without a pause for a while."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        times.append(milliseconds(work))
    tenth = max(1, len(times) // 10)
    return {
        "seconds": seconds,
        "calls": len(times),
        "first_p50_ms": float(np.median(times[:tenth])),
        "last_p50_ms": float(np.median(times[-tenth:])),
    }


def milliseconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
