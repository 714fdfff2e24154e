"""What an artifact computes on the way; ``python -m sdk_build.bisect.inside`` is the side of the child process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import OnParError
from reference.spec import ModelSpec
from sdk_build.backends import Inner
from sdk_build.errors import ArtifactCrashed

LOOKED_INTO = {"coreml": "OnPar's executor", "litert": "LiteRT's own kernels, without XNNPACK"}
_TIMEOUT_S = 900


def values_inside(runtime: str, path: Path, spec: ModelSpec, inputs: Mapping[str, NDArray[Any]]) -> list[Inner]:
    """Every value of one of :data:`LOOKED_INTO`, in the order in which they are computed.

    Raises:
        ArtifactCrashed: the artifact can't be run, or the process died.
    """
    from safetensors.numpy import load_file, save_file

    with tempfile.TemporaryDirectory(prefix="onpar-") as name:
        folder = Path(name)
        (folder / "spec.json").write_text(json.dumps(spec.to_json()))
        save_file({k: np.array(v, order="C") for k, v in inputs.items()}, folder / "inputs.safetensors")
        command = [sys.executable, "-m", "sdk_build.bisect.inside", runtime, str(path.resolve()), str(folder)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise ArtifactCrashed(f"{path.name} did not finish in {_TIMEOUT_S} s in {runtime}") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            died = f"died with {signal.Signals(-done.returncode).name}: " if done.returncode < 0 else ""
            raise ArtifactCrashed(f"{runtime} can't run {path.name}: {died}{lines[-1]}")
        values = load_file(folder / "values.safetensors")
        return [Inner(n, o, values[str(i)]) for i, (n, o) in enumerate(json.loads((folder / "names.json").read_text()))]


def _coreml(path: Path, spec: ModelSpec, inputs: Mapping[str, NDArray[Any]]) -> list[Inner]:
    from sdk_build.backends import RUNTIMES
    from sdk_build.backends.signature import as_artifact_types
    from sdk_build.mil.emulator import EmulatedCoreML
    from sdk_build.mil.executor import OpTrace

    found: list[Inner] = []

    def keep(trace: OpTrace) -> None:
        for name, value in trace.outputs.items():
            if value.dtype.kind == "f":
                found.append(Inner(name, trace.op_type, np.array(value, np.float32)))

    EmulatedCoreML(path).predict(as_artifact_types(spec, inputs, RUNTIMES["coreml"].types), keep)
    return found


def _litert(path: Path, spec: ModelSpec, inputs: Mapping[str, NDArray[Any]]) -> list[Inner]:
    from sdk_build.backends.litert_inside import values_inside as inside

    return inside(path, spec, inputs)


def main(arguments: list[str]) -> int:
    """The child's side: the values of one input, written beside it."""
    from safetensors.numpy import load_file, save_file

    from sdk_build.quiet import quiet

    runtime, path, folder = arguments[0], Path(arguments[1]), Path(arguments[2])
    spec = ModelSpec.from_json(json.loads((folder / "spec.json").read_text()))
    try:
        with quiet():
            found = {"coreml": _coreml, "litert": _litert}[runtime](
                path, spec, load_file(folder / "inputs.safetensors")
            )
    except OnParError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - runtimes raise anything; a traceback would end in their captured noise
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    save_file({str(i): np.array(v.value, order="C") for i, v in enumerate(found)}, folder / "values.safetensors")
    (folder / "names.json").write_text(json.dumps([[v.name, v.operation] for v in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
