"""The phone runtimes. Every backend has the same four functions::

    lower(network, spec, precision, path, quantization) -> Delegation   write the artifact of a lowered network
    observe(network, spec, samples) -> Ranges                           what static quantisation needs to know
    always_float(network) -> module paths                               what it can't compute in 8 bits
    load(path, spec, threads) -> Runner                                 run it on this machine

:data:`RUNTIMES` names them without importing a toolchain.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from reference.spec import ModelSpec
from sdk_build.backends.delegation import Delegation
from sdk_build.backends.quantizers.recipes import FLOAT, PRECISIONS, Quantization, Ranges
from sdk_build.errors import BackendUnavailable

__all__ = [
    "ON_REQUEST",
    "PRECISIONS",
    "RUNTIMES",
    "TARGETS",
    "Backend",
    "Runner",
    "Runtime",
    "Tensors",
    "get_backend",
    "runtimes_of",
]

if TYPE_CHECKING:
    from torch import nn

Tensors = dict[str, NDArray[Any]]


class Runner(Protocol):
    """A loaded artifact."""

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Outputs by name, of inputs by name; shapes as in the spec."""


class Backend(Protocol):
    """What a backend module offers."""

    def lower(
        self, network: nn.Module, spec: ModelSpec, precision: str, path: Path, quantization: Quantization = FLOAT
    ) -> Delegation:
        """Write the artifact to ``path`` and say what its delegate got."""

    def observe(self, network: nn.Module, spec: ModelSpec, samples: Sequence[Tensors]) -> Ranges:
        """Ranges of the activations over calibration samples, in the names of this backend's toolchain."""

    def always_float(self, network: nn.Module) -> tuple[str, ...]:
        """Paths of modules that this backend can't compute in 8 bits."""

    def load(self, path: Path, spec: ModelSpec, threads: int = 1) -> Runner:
        """Load an artifact that :meth:`lower` wrote."""


@dataclass(frozen=True)
class Inner:
    """What one operation of an artifact wrote.

    Attributes:
        name: the value's, as the artifact calls it.
        operation: its kind, as the runtime calls it.
        value: real numbers, in the runtime's own layout.
    """

    name: str
    operation: str
    value: NDArray[Any]


@dataclass(frozen=True)
class Runtime:
    """One way to run a model.

    Attributes:
        module: the backend's module in this package.
        file: name of the artifact in a bundle.
        precisions: what the artifact holds, by the bundle's precision; a precision that is not a key can't be
            had from this runtime.
        ranges: whose names calibrated ranges go by; runtimes with the same name share one calibration.
        packages: what must be installed to make or run it here, and whose versions are recorded.
        minimum: the oldest runtime or system version that the artifact is made for.
        extra: the optional dependencies of this project that bring the packages.
        types: how the artifact has a tensor of a type that this runtime's inputs and outputs can't have.
        family: runtimes of one family share most of a conversion, so one process makes them one after the other; empty:
            it shares nothing.
        stand_in: what runs the artifact off Apple's systems; empty: the runtime itself, there as elsewhere.
    """

    name: str
    module: str
    file: str
    precisions: Mapping[str, str]
    packages: tuple[str, ...]
    minimum: str
    ranges: str = "pytorch"
    extra: str = "export"
    types: Mapping[str, str] = field(default_factory=dict)
    stand_in: str = ""
    family: str = ""

    def minimum_for(self, precision: str) -> str:
        """The oldest version that runs an artifact which holds ``precision``."""
        return self.minimum.replace("iOS 16", "iOS 17") if precision == "w8a8" else self.minimum


_FLOATS = {"fp32": "fp32", "fp16": "fp16"}
# Core ML's inputs and outputs are floats or int32, whatever the program between them computes with.
WHOLE_AS_INT32 = {"int64": "int32", "uint8": "int32", "bool": "int32"}
RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            "coreml",
            "coreml",
            "model.mlpackage",
            # Core ML has no dynamic activations, and no 4-bit integers before iOS 18; 8-bit weights come closest.
            {**_FLOATS, "w8": "w8", "dynamic_w8": "w8", "w8a8": "w8a8", "w4": "w8", "p6": "p6"},
            ("coremltools", "torch"),
            "iOS 16",
            types=WHOLE_AS_INT32,
            stand_in="coreml (emulated)",
            family="coreml",
        ),
        Runtime(
            "executorch_coreml",
            "executorch_coreml",
            "model_coreml.pte",
            # The delegate's converter has no palettes.
            {**_FLOATS, "w8": "w8", "dynamic_w8": "w8", "w8a8": "w8a8", "w4": "w8", "p6": "w8"},
            ("executorch", "coremltools", "torch", "torchao"),
            "iOS 16, ExecuTorch 1.4",
            types={"uint8": "int32", "bool": "int32"},  # the delegate knows no bytes; it narrows int64 itself
            stand_in="executorch_coreml (emulated)",
            family="coreml",
        ),
        # XNNPACK runs float16 only by casting around every operation (19 pieces for MobileNetV3), so float32 stays;
        # it has no float convolution with int8 weights, so those come with dynamic activations.
        Runtime(
            "executorch",
            "executorch",
            "model.pte",
            {
                "fp32": "fp32",
                "fp16": "fp32",
                "w8": "dynamic_w8",
                "dynamic_w8": "dynamic_w8",
                "w8a8": "w8a8",
                "w4": "dynamic_w8",
                "p6": "dynamic_w8",
            },
            ("executorch", "torch", "torchao"),
            "ExecuTorch 1.4",
        ),
        Runtime(
            "litert",
            "litert",
            "model.tflite",
            {**_FLOATS, "w8": "w8", "dynamic_w8": "dynamic_w8", "w8a8": "w8a8"},
            ("ai-edge-litert", "litert-torch", "ai-edge-quantizer", "torch"),
            "LiteRT 1.0",
            ranges="litert",
            types={"int64": "int32"},  # litert-torch narrows them, as phones have no use for 64 bits
        ),
        Runtime(
            "coreai",
            "coreai",
            "model.aimodel",
            # Activations stay float, so 8-bit weights come closest to w8a8. coreai-opt's palettes take minutes, and a
            # network gets palettes where its 8-bit weights are not close enough, as face3d's are not here.
            {**_FLOATS, "w8": "w8", "dynamic_w8": "w8", "w8a8": "w8", "w4": "w4", "p6": "fp16"},
            ("coreai-core", "coreai-torch", "coreai-opt", "torch"),
            "iOS 27",
            extra="coreai",
            stand_in="Core AI interpreter",
        ),
    )
}
TARGETS = {
    "ios": ("coreml", "executorch", "executorch_coreml"),
    "android": ("litert", "executorch"),
    "web": ("litert",),
}
# What a target's bundle holds only if it is asked for (``export --with``): coreai-core is a beta.
ON_REQUEST = {"ios": ("coreai",)}


def runtimes_of(target: str, extra: Collection[str] = ()) -> tuple[str, ...]:
    """The runtimes of a target's bundle.

    Args:
        extra: runtimes that were asked for; those of other targets don't matter.
    """
    return TARGETS[target] + tuple(name for name in ON_REQUEST.get(target, ()) if name in extra)


def precisions_of(target: str, extra: Collection[str] = ()) -> tuple[str, ...]:
    """The precisions that a target's bundle can have: every runtime holds something for it, one holds it exactly."""
    runtimes = [RUNTIMES[name] for name in runtimes_of(target, extra)]
    return tuple(
        p
        for p in PRECISIONS
        if all(p in runtime.precisions for runtime in runtimes) and any(r.precisions[p] == p for r in runtimes)
    )


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
    extra = RUNTIMES[runtime].extra
    return BackendUnavailable(
        f"{runtime} needs {what}, which is not installed; run 'make setup' or pip install 'onpar[{extra}]'"
    )


def lacking(runtime: str) -> list[str]:
    """The packages of a runtime that are not installed here."""
    installed = {re.sub(r"[-_.]+", "-", found.name).lower() for found in metadata.distributions()}
    return [package for package in RUNTIMES[runtime].packages if package not in installed]


def execution_name(runtime: str) -> str:
    """What runs an artifact on this machine; what stands in for Apple's system says so."""
    return runtime if sys.platform == "darwin" else RUNTIMES[runtime].stand_in or runtime
