"""The measuring process: one artifact and its peers, nothing else. Prints one JSON line.

``python -m benchmarks.measure BUNDLE RUNTIME ROUNDS`` is started by :mod:`benchmarks.run`; a crash of the artifact
ends this process only.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.records import Record, device_name

if TYPE_CHECKING:
    from torch import Tensor, nn

WARM_UP = 5
LOADS = 3


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    bundle, runtime, rounds = Path(arguments[0]), arguments[1], int(arguments[2])
    print(json.dumps(measure(bundle, runtime, rounds).to_json()))
    return 0


def measure(path: Path, runtime: str, rounds: int) -> Record:
    """Time an artifact of a bundle on its first golden input, one thread."""
    import torch

    from reference.card import MODELS_DIR
    from reference.checkpoint import load_weights
    from reference.registry import build_network
    from sdk_build.backends import get_backend
    from sdk_build.bundle import open_bundle
    from sdk_build.quiet import quiet

    torch.set_num_threads(1)
    bundle = open_bundle(path)
    spec = bundle.manifest.spec
    entry = next(e for e in bundle.manifest.model_files if e.runtime == runtime)
    given = bundle.golden_tensor(0, spec.input.name)
    inputs = {spec.input.name: given}
    with quiet():
        backend = get_backend(runtime)
        loads = [_milliseconds(lambda: backend.load(path / entry.file, spec)) for _ in range(LOADS)]
        runner = backend.load(path / entry.file, spec)
        network = build_network(spec)
        load_weights(network, MODELS_DIR / spec.name / "weights.safetensors", ignore=("type_head.",))
        tensor = torch.from_numpy(given)
        contenders: dict[str, Callable[[], object]] = {"artifact": lambda: runner.predict(inputs)}
        contenders["eager"] = lambda: network(tensor)
        session = _onnx_session(network, tensor)
        if session is not None:
            contenders["onnxruntime"] = lambda: session.run(None, {"input": given})
        with torch.inference_mode():
            samples = _interleave(contenders, rounds)
    return Record(
        bundle=bundle.manifest.id,
        model=spec.name,
        runtime=runtime,
        precision=entry.precision,
        threads=1,
        device=device_name(),
        samples_ms=samples.pop("artifact"),
        peer_samples_ms=samples,
        load_ms=statistics.median(loads),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _onnx_session(network: nn.Module, tensor: Tensor) -> Any:
    """The same weights in ONNX Runtime, one thread; None without the ``bench`` extra."""
    import torch

    try:
        import onnx  # noqa: F401  (torch's exporter needs it)
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.onnx"
        # The TorchScript exporter: the newer one needs a further package and gives the same graph here.
        torch.onnx.export(network, (tensor,), file, dynamo=False, input_names=["input"])
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _interleave(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Time every contender once a round, so that whatever else the machine does hits all of them."""
    for _ in range(WARM_UP):
        for work in contenders.values():
            work()
    times = [[_milliseconds(work) for work in contenders.values()] for _ in range(rounds)]
    return {name: tuple(column) for name, column in zip(contenders, zip(*times, strict=True), strict=True)}


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
