"""The phone runtimes. Every backend has the same two functions::

    lower(network, spec, precision, path) -> Delegation   write the artifact of a lowered network
    load(path, spec) -> Runner                            run it on this machine

:data:`RUNTIMES` names them without importing a toolchain.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reference.spec import ModelSpec
from sdk_build.delegation import Delegation
from sdk_build.errors import BackendUnavailable

if TYPE_CHECKING:
    from torch import nn

Tensors = dict[str, NDArray[np.float32]]


class Runner(Protocol):
    """A loaded artifact."""

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Outputs by name, of inputs by name; shapes as in the spec."""


class Backend(Protocol):
    """What a backend module offers."""

    def lower(self, network: nn.Module, spec: ModelSpec, precision: str, path: Path) -> Delegation:
        """Write the artifact to ``path`` and say what its delegate got."""

    def load(self, path: Path, spec: ModelSpec) -> Runner:
        """Load an artifact that :meth:`lower` wrote."""


@dataclass(frozen=True)
class Runtime:
    """One way to run a model.

    Attributes:
        module: the backend's module in this package.
        file: name of the artifact in a bundle.
        precisions: what the artifact can hold, by the bundle's precision.
        packages: what must be installed to make or run it here, and whose versions are recorded.
        minimum: the oldest runtime or system version that the artifact is made for.
    """

    name: str
    module: str
    file: str
    precisions: Mapping[str, str]
    packages: tuple[str, ...]
    minimum: str


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            "coreml", "coreml", "model.mlpackage", {"fp32": "fp32", "fp16": "fp16"}, ("coremltools", "torch"), "iOS 16"
        ),
        Runtime(
            "executorch_coreml",
            "executorch_coreml",
            "model_coreml.pte",
            {"fp32": "fp32", "fp16": "fp16"},
            ("executorch", "coremltools", "torch"),
            "iOS 16, ExecuTorch 1.4",
        ),
        # XNNPACK runs float16 only by casting around every operation (19 pieces for MobileNetV3), so float32 stays.
        Runtime(
            "executorch",
            "executorch",
            "model.pte",
            {"fp32": "fp32", "fp16": "fp32"},
            ("executorch", "torch"),
            "ExecuTorch 1.4",
        ),
        Runtime(
            "litert",
            "litert",
            "model.tflite",
            {"fp32": "fp32", "fp16": "fp16"},
            ("ai-edge-litert", "litert-torch", "ai-edge-quantizer", "torch"),
            "LiteRT 1.0",
        ),
    )
}
TARGETS = {
    "ios": ("coreml", "executorch", "executorch_coreml"),
    "android": ("litert", "executorch"),
    "web": ("litert",),
}
PRECISIONS = ("fp32", "fp16")


def get_backend(runtime: str) -> Backend:
    """The backend module of a runtime.

    Raises:
        BackendUnavailable: its toolchain is not installed.
    """
    try:
        return importlib.import_module(f"sdk_build.backends.{RUNTIMES[runtime].module}")
    except ImportError as error:
        raise missing_package(runtime, error) from error


def missing_package(runtime: str, error: ImportError) -> BackendUnavailable:
    """The error for a toolchain that can't be imported; backends import theirs when they are used."""
    what = f"the package {error.name}" if error.name else f"a package ({error})"
    return BackendUnavailable(
        f"{runtime} needs {what}, which is not installed; run 'make setup' or pip install 'onpar[export]'"
    )
