"""ExecuTorch (.pte) with the Core ML delegate.

The delegate runs on Apple systems only, but the .pte carries a whole Core ML model, packed into one block of bytes.
:func:`load` unpacks that model and runs it as :mod:`sdk_build.backends.coreml` would: emulated, except on a Mac.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from reference.spec import ModelSpec
from sdk_build.backends import Runner, Tensors, coreml
from sdk_build.backends.coreml import always_float
from sdk_build.backends.executorch import lower_with, observe
from sdk_build.delegation import Delegation
from sdk_build.errors import BadInput
from sdk_build.quantize.recipes import FLOAT, Quantization, get_recipe

if TYPE_CHECKING:
    from torch import nn

__all__ = ["always_float", "load", "lower", "observe"]


def lower(
    network: nn.Module, spec: ModelSpec, precision: str, path: Path, quantization: Quantization = FLOAT
) -> Delegation:
    """Write a .pte file whose operations are all in a Core ML model, for iOS 16, or 17 with quantised activations."""
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    from sdk_build.quantize import mlpackage, pt2e

    recipe = get_recipe(precision)
    if recipe.needs_ranges:
        network = pt2e.quantize(network, spec, pt2e.coreml_quantizer(recipe, quantization), quantization.ranges)
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32 if precision == "fp32" else ct.precision.FLOAT16,
        minimum_deployment_target=ct.target.iOS17 if recipe.needs_ranges else ct.target.iOS16,
        model_type=CoreMLBackend.MODEL_TYPE.MODEL,
        op_linear_quantizer_config=mlpackage.LINEAR if recipe.weights == "int8" else None,
        pass_names=mlpackage.passes().passes,
    )
    return lower_with(network, spec, path, CoreMLPartitioner(compile_specs=specs), "Core ML")


class UnpackedRunner:
    """The Core ML model inside a .pte; its tensors go by position, not by name."""

    def __init__(self, runner: Runner, names: tuple[list[str], list[str]], spec: ModelSpec) -> None:
        self.runner = runner
        self.inputs, self.outputs = names
        self.spec = spec

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """See :class:`sdk_build.backends.Runner`."""
        given = {inner: inputs[t.name] for inner, t in zip(self.inputs, self.spec.inputs, strict=True)}
        outputs = self.runner.predict(given)
        return {t.name: outputs[inner] for inner, t in zip(self.outputs, self.spec.outputs, strict=True)}


def load(path: Path, spec: ModelSpec, threads: int = 1) -> UnpackedRunner:
    """Unpack and load the Core ML model of a .pte file.

    Raises:
        BadInput: the file does not hold exactly one Core ML model.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = unpack(path, Path(folder))
        metadata = json.loads((root / "metadata.json").read_text())
        runner = coreml.load(root / "model.mlpackage", spec, threads)
        return UnpackedRunner(runner, (metadata["inputNames"], metadata["outputNames"]), spec)


def unpack(path: Path, folder: Path) -> Path:
    """Write the Core ML model inside a .pte to ``folder`` and return its root."""
    from executorch.backends.apple.coreml import executorchcoreml
    from executorch.exir._serialize._program import deserialize_pte_binary

    blobs = _delegate_blobs(deserialize_pte_binary(path.read_bytes()))
    if len(blobs) != 1:
        raise BadInput(f"{path.name} holds {len(blobs)} Core ML models; exactly one is needed; export it again")
    root = folder / "model"
    root.mkdir()
    if not executorchcoreml.unflatten_directory_contents(blobs[0], str(root)):
        raise BadInput(f"the Core ML model inside {path.name} can't be unpacked; export it again")
    return root / "lowered_module"


def _delegate_blobs(file: Any) -> list[bytes]:
    program = getattr(file, "program", file)
    return [bytes(entry.data) for entry in program.backend_delegate_data]
