"""The measuring process: one artifact and its eager peer, nothing else. Prints one JSON line.

``python -m benchmarks.measure BUNDLE RUNTIME ROUNDS`` is started by :mod:`benchmarks.run`; a crash of the artifact
ends this process only.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.records import Record, device_name

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
        with torch.inference_mode():
            samples, eager = _interleave(lambda: runner.predict(inputs), lambda: network(tensor), rounds)
    return Record(
        bundle=bundle.manifest.id,
        model=spec.name,
        runtime=runtime,
        precision=entry.precision,
        threads=1,
        device=device_name(),
        samples_ms=tuple(samples),
        eager_samples_ms=tuple(eager),
        load_ms=statistics.median(loads),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _interleave(
    first: Callable[[], object], second: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Alternate the two, so that whatever else the machine does hits both."""
    for _ in range(WARM_UP):
        first()
        second()
    pairs = [(_milliseconds(first), _milliseconds(second)) for _ in range(rounds)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
