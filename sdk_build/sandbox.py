"""Run an artifact in a child process: a native crash becomes an error with a name, never a dead command.

``python -m sdk_build.sandbox RUNTIME ARTIFACT SPEC INPUTS OUTPUTS`` is the child's side; it is not a public command.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.spec import ModelSpec
from sdk_build.backends import Tensors, get_backend, missing_package
from sdk_build.errors import ArtifactCrashed, BackendUnavailable, OnParError

TIMEOUT_S = 900
_REFUSED = 3  # exit code of a child that raised an OnParError; its message is on the last line
_UNAVAILABLE = 4


def run_artifact(
    runtime: str, path: Path, spec: ModelSpec, inputs: Sequence[Mapping[str, NDArray[np.float32]]]
) -> list[Tensors]:
    """Outputs of an artifact for each of several inputs, computed in one child process.

    Raises:
        ArtifactCrashed: the child died, hung, or the runtime refused the artifact.
        BackendUnavailable: the runtime is not installed.
    """
    from safetensors.numpy import load_file, save_file

    with tempfile.TemporaryDirectory(prefix="onpar-") as folder:
        given, taken = Path(folder) / "inputs.safetensors", Path(folder) / "outputs.safetensors"
        described = Path(folder) / "spec.json"
        described.write_text(json.dumps(spec.to_json()))
        save_file(
            {f"{i}/{name}": np.ascontiguousarray(t) for i, case in enumerate(inputs) for name, t in case.items()}, given
        )
        # The child runs in another folder, so a relative path must be resolved here.
        command = [
            sys.executable,
            "-m",
            "sdk_build.sandbox",
            runtime,
            *map(str, (path.resolve(), described, given, taken)),
        ]
        try:
            child = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                cwd=Path(__file__).parents[1],
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ArtifactCrashed(
                f"{path.name} did not finish in {TIMEOUT_S} s in {runtime}; export it again"
            ) from error
        if child.returncode:
            raise _failure(child.returncode, child.stderr, path, runtime)
        stored = load_file(taken)
    outputs = [{t.name: stored[f"{i}/{t.name}"] for t in spec.outputs} for i in range(len(inputs))]
    for tensor in spec.outputs:
        shapes = {case[tensor.name].shape for case in outputs} - {tensor.shape}
        if shapes:
            raise ArtifactCrashed(
                f"{runtime} gives {tensor.name!r} of {path.name} as {shapes.pop()}, "
                f"the model has {tensor.shape}; export it again"
            )
    return outputs


def _failure(code: int, stderr: str, path: Path, runtime: str) -> OnParError:
    lines = stderr.strip().splitlines()
    last = lines[-1] if lines else "no message"
    if code == _UNAVAILABLE:
        return BackendUnavailable(last)
    if code == _REFUSED:
        return ArtifactCrashed(f"{runtime} can't run {path.name}: {last}")
    reason = f"died with {signal.Signals(-code).name}" if code < 0 else f"failed: {last}"
    return ArtifactCrashed(
        f"{runtime} {reason} while running {path.name}; the artifact is damaged or unsupported: export it again"
    )


def main(arguments: Sequence[str]) -> int:
    """The child's side."""
    from safetensors.numpy import load_file, save_file

    from sdk_build.quiet import quiet

    runtime, path, described, given, taken = arguments
    spec = ModelSpec.from_json(json.loads(Path(described).read_text()))
    stored = load_file(given)
    try:
        outputs: Tensors = {}
        with quiet():
            runner = get_backend(runtime).load(Path(path), spec)
            for i in range(len({key.split("/")[0] for key in stored})):
                case = {key.split("/")[1]: value for key, value in stored.items() if key.startswith(f"{i}/")}
                outputs |= {f"{i}/{name}": np.ascontiguousarray(t) for name, t in runner.predict(case).items()}
    except OnParError as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # one line: the parent reads the last one
        return _UNAVAILABLE if isinstance(error, BackendUnavailable) else _REFUSED
    except ImportError as error:
        print(missing_package(runtime, error), file=sys.stderr)
        return _UNAVAILABLE
    except Exception as error:  # noqa: BLE001 - runtimes raise anything; a traceback would end in their captured noise
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return _REFUSED
    save_file(outputs, taken)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
