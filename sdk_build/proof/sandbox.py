"""Run an artifact in a child process: a native crash becomes an error with a name, never a dead command.

``python -m sdk_build.proof.sandbox RUNTIME ARTIFACT SPEC`` is the child's side; it is not a public command. Parent and
child exchange tensors over pipes, each message a length of 8 bytes and a safetensors document.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import OnParError
from reference.spec import ModelSpec
from sdk_build.backends import Tensors, get_backend, missing_package
from sdk_build.errors import ArtifactCrashed, BackendUnavailable

TIMEOUT_S = 900
_REFUSED = 3  # exit code of a child that raised an OnParError; its message is on the last line
_UNAVAILABLE = 4
_LENGTH_BYTES = 8


class ArtifactProcess:
    """An artifact loaded once in a child process, for one input after the other (frames, validation pictures).

    A context manager; the child ends with it.

    Args:
        runtime: one of :data:`sdk_build.backends.RUNTIMES`.
        path: the artifact.
        spec: names and shapes of its tensors.
    """

    def __init__(self, runtime: str, path: Path, spec: ModelSpec) -> None:
        self.runtime, self.path, self.spec = runtime, path, spec
        self._folder = tempfile.TemporaryDirectory(prefix="onpar-")
        self._errors = (Path(self._folder.name) / "errors.txt").open("w+b")
        described = Path(self._folder.name) / "spec.json"
        described.write_text(json.dumps(spec.to_json()))
        # The child runs in another folder, so a relative path must be resolved here.
        command = [sys.executable, "-m", "sdk_build.proof.sandbox", runtime, str(path.resolve()), str(described)]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=Path(__file__).parents[2],
        )

    def __enter__(self) -> ArtifactProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.communicate()
        self._errors.close()
        self._folder.cleanup()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Outputs for one input.

        Raises:
            ArtifactCrashed: the child died, hung, or the runtime refused the artifact.
            BackendUnavailable: the runtime is not installed.
        """
        from safetensors.numpy import load, save

        assert self._child.stdin is not None and self._child.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._child.kill()  # whatever it is at, this ends the read below

        timer = threading.Timer(TIMEOUT_S, stop)
        timer.start()
        try:
            _write(self._child.stdin, save({name: np.array(t, order="C") for name, t in inputs.items()}))
            answer = _read(self._child.stdout)
        except BrokenPipeError:
            answer = None
        finally:
            timer.cancel()
        if late.is_set():
            raise ArtifactCrashed(
                f"{self.path.name} did not finish in {TIMEOUT_S} s in {self.runtime}; export it again"
            )
        if answer is None:
            raise self._failure(self._child.wait())
        outputs: Tensors = load(answer)
        for tensor in self.spec.outputs:
            if outputs[tensor.name].shape != tensor.shape:
                raise ArtifactCrashed(
                    f"{self.runtime} gives {tensor.name!r} of {self.path.name} as {outputs[tensor.name].shape}, "
                    f"the model has {tensor.shape}; export it again"
                )
        return outputs

    def _failure(self, code: int) -> OnParError:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "no message"
        name = self.path.name
        if code == _UNAVAILABLE:
            return BackendUnavailable(last)
        if code == _REFUSED:
            return ArtifactCrashed(f"{self.runtime} can't run {name}: {last}")
        reason = f"died with {signal.Signals(-code).name}" if code < 0 else f"failed: {last}"
        return ArtifactCrashed(
            f"{self.runtime} {reason} while running {name}; the artifact is damaged or unsupported: export it again"
        )


def run_artifact(
    runtime: str, path: Path, spec: ModelSpec, inputs: Sequence[Mapping[str, NDArray[Any]]]
) -> list[Tensors]:
    """Outputs of an artifact for each of several inputs, computed in one child process.

    Raises:
        ArtifactCrashed: the child died, hung, or the runtime refused the artifact.
        BackendUnavailable: the runtime is not installed.
    """
    with ArtifactProcess(runtime, path, spec) as process:
        return [process.run(case) for case in inputs]


def _write(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(len(message).to_bytes(_LENGTH_BYTES, "little"))
    pipe.write(message)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """The next message; None if the other side ended."""
    header = pipe.read(_LENGTH_BYTES)
    if len(header) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(header, "little")
    message = pipe.read(length)
    return message if len(message) == length else None


def main(arguments: Sequence[str]) -> int:
    """The child's side: load the artifact, then answer one message after the other until the pipe closes."""
    from safetensors.numpy import load, save

    from sdk_build.quiet import quiet

    runtime, path, described = arguments
    spec = ModelSpec.from_json(json.loads(Path(described).read_text()))
    # The runtimes print; what they print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        with quiet():
            runner = get_backend(runtime).load(Path(path), spec)
        while (message := _read(sys.stdin.buffer)) is not None:
            with quiet():
                outputs = runner.predict(load(message))
            _write(answers, save({name: np.array(t, order="C") for name, t in outputs.items()}))
    except OnParError as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # one line: the parent reads the last one
        return _UNAVAILABLE if isinstance(error, BackendUnavailable) else _REFUSED
    except ImportError as error:
        print(missing_package(runtime, error), file=sys.stderr)
        return _UNAVAILABLE
    except Exception as error:  # noqa: BLE001 - runtimes raise anything; a traceback would end in their captured noise
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
