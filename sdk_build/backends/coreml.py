"""Core ML (.mlpackage), converted anywhere; on a Mac it runs in Core ML, elsewhere in :mod:`sdk_build.mil`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, Runner, Tensors
from sdk_build.backends.delegation import PLACED_ON_DEVICE, Delegation
from sdk_build.backends.known_issues import prepare
from sdk_build.backends.quantizers.recipes import FLOAT, Quantization, Ranges, get_recipe
from sdk_build.backends.signature import as_artifact_types, as_spec_types, example_inputs, with_types

if TYPE_CHECKING:
    from torch import nn


def lower(
    network: nn.Module, spec: ModelSpec, precision: str, path: Path, quantization: Quantization = FLOAT
) -> Delegation:
    """Write an .mlpackage with float32 inputs and outputs; everything but ``fp32`` computes in half precision.

    For iOS 16; quantised activations need iOS 17.
    """
    import coremltools as ct
    import torch

    from sdk_build.backends.quantizers import mlpackage, pt2e
    from sdk_build.backends.quantizers.shrink_mlpackage import shrink

    mlpackage.mend_passes()
    recipe = get_recipe(precision)
    if recipe.needs_ranges:
        network = pt2e.quantize_for_coreml(network, spec, recipe, quantization)
    types = RUNTIMES["coreml"].types
    examples = example_inputs(spec, types)
    network = prepare(with_types(network, spec, types), examples, "coreml")
    program = torch.export.export(network, examples).run_decompositions({})
    model = ct.convert(
        program,
        inputs=[ct.TensorType(t.name, t.shape, dtype=np.dtype(types.get(t.dtype, t.dtype)).type) for t in spec.inputs],
        outputs=[ct.TensorType(t.name, dtype=np.dtype(types.get(t.dtype, t.dtype)).type) for t in spec.outputs],
        minimum_deployment_target=ct.target.iOS17 if recipe.needs_ranges else ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32 if precision == "fp32" else ct.precision.FLOAT16,
        skip_model_load=True,
    )
    if recipe.quantized:  # in w8a8, what the quantiser knows no pattern for: transposed convolutions
        model = mlpackage.compress_weights(model, recipe)
    model.short_description = spec.description
    model.license = "Code: Apache-2.0. Weights: see card.md in the bundle."
    model.version = precision
    for tensor in (*spec.inputs, *spec.outputs):
        where = model.input_description if tensor in spec.inputs else model.output_description
        span = "" if tensor.value_range is None else f", {tensor.value_range[0]:g} to {tensor.value_range[1]:g}"
        where[tensor.name] = f"{tensor.layout} {tensor.shape}, {tensor.unit}{span}"
    if spec.labels:
        model.user_defined_metadata["classes"] = ",".join(spec.labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(str(path))
    shrink(path)
    return inspect(path)


def observe(network: nn.Module, spec: ModelSpec, samples: Sequence[Tensors]) -> Ranges:
    """Ranges by the names of PyTorch's exported graph."""
    from sdk_build.backends.quantizers import pt2e

    return pt2e.observe(network, spec, samples)


def always_float(network: nn.Module) -> tuple[str, ...]:
    """Nothing: every operation has an 8-bit form."""
    return ()


def inspect(path: Path) -> Delegation:
    """Core ML decides on the phone where an operation runs; here only their number is known."""
    from sdk_build.mil.files.reader import read_program

    operations = [o for o in read_program(path).operations if o.op_type != "const"]
    return Delegation(PLACED_ON_DEVICE, len(operations), 0, 0)


class CoreMLRunner:
    """Apple's Core ML on a Mac, or the emulation of it: what has ``predict`` with the artifact's own types."""

    def __init__(self, model: Any, spec: ModelSpec) -> None:
        self.model, self.spec = model, spec

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """See :class:`sdk_build.backends.Runner`."""
        given = as_artifact_types(self.spec, inputs, RUNTIMES["coreml"].types)
        return as_spec_types(self.spec, self.model.predict(given))


def load(path: Path, spec: ModelSpec, threads: int = 1) -> Runner:
    """Load an .mlpackage: Core ML on a Mac, the emulation elsewhere; both choose their threads themselves."""
    del threads
    return CoreMLRunner(open_package(path), spec)


def open_package(path: Path) -> Any:
    """An .mlpackage in Core ML on a Mac, in the emulation elsewhere."""
    if sys.platform == "darwin":
        import coremltools as ct

        return ct.models.MLModel(str(path))
    from sdk_build.mil.emulator import EmulatedCoreML

    return EmulatedCoreML(path)
