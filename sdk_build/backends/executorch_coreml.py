"""ExecuTorch (.pte) with the Core ML delegate.

The delegate runs on Apple systems only, but the .pte carries a whole Core ML model, packed into one block of bytes.
:func:`load` unpacks that model and runs it as :mod:`sdk_build.backends.coreml` would: emulated, except on a Mac.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, Runner, Tensors, coreml
from sdk_build.backends.coreml import always_float
from sdk_build.backends.delegation import Delegation
from sdk_build.backends.executorch import lower_with, observe
from sdk_build.backends.quantizers.recipes import FLOAT, Quantization, Recipe, get_recipe
from sdk_build.backends.signature import as_artifact_types, as_spec_types

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

    from sdk_build.backends.quantizers import mlpackage, pt2e

    mlpackage.mend_passes()
    recipe = get_recipe(precision)
    if recipe.needs_ranges:
        network = pt2e.quantize_for_coreml(network, spec, recipe, quantization)
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32 if precision == "fp32" else ct.precision.FLOAT16,
        minimum_deployment_target=ct.target.iOS17 if recipe.needs_ranges else ct.target.iOS16,
        model_type=CoreMLBackend.MODEL_TYPE.MODEL,
    )
    # Not by the delegate's own option, which takes every constant for weights (see mlpackage.WEIGHTED).
    pack = partial(shrink_packed, recipe=recipe if recipe.weights == "int8" else None)
    return lower_with(network, spec, path, CoreMLPartitioner(compile_specs=specs), "Core ML", "executorch_coreml", pack)


def shrink_packed(content: bytes, recipe: Recipe | None = None) -> bytes:
    """The delegate's data with a smaller Core ML model, and without the names that only ExecuTorch's profiler reads.

    Args:
        recipe: compress the model's weights after it; None: leave them as they are.
    """
    from executorch.backends.apple.coreml import executorchcoreml

    from sdk_build.backends.quantizers.shrink_mlpackage import content_uuid, shrink

    with tempfile.TemporaryDirectory() as folder:
        root = _unflatten(content, "the delegate", Path(folder))
        if recipe is not None:
            _compress(root / "model.mlpackage", recipe)
        shrink(root / "model.mlpackage")
        (root / "debug_info.json").unlink(missing_ok=True)
        # By its content instead of at random: the delegate keeps what it compiled on the phone under this name.
        metadata = json.loads((root / "metadata.json").read_text())
        metadata["identifier"] = f"executorch_{content_uuid(root / 'model.mlpackage')}"
        (root / "metadata.json").write_text(json.dumps(metadata))
        return bytes(executorchcoreml.flatten_directory_contents(str(root)))


def _compress(package: Path, recipe: Recipe) -> None:
    import coremltools as ct

    from sdk_build.backends.quantizers import mlpackage

    model = mlpackage.compress_weights(ct.models.MLModel(str(package), skip_model_load=True), recipe)
    shutil.rmtree(package)
    model.save(str(package))


class UnpackedRunner:
    """The Core ML model inside a .pte.

    Args:
        runner: of the Core ML model.
        names: of its inputs and outputs, in the order of the spec's; None for an input that the network never reads.
    """

    def __init__(self, runner: Runner, names: tuple[list[str | None], list[str]], spec: ModelSpec) -> None:
        self.runner = runner
        self.inputs, self.outputs = names
        self.spec = spec

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """See :class:`sdk_build.backends.Runner`."""
        typed = as_artifact_types(self.spec, inputs, RUNTIMES["coreml"].types)
        pairs = zip(self.inputs, self.spec.inputs, strict=True)
        given = {inner: typed[t.name] for inner, t in pairs if inner is not None}
        outputs = self.runner.predict(given)
        named = {t.name: outputs[inner] for inner, t in zip(self.outputs, self.spec.outputs, strict=True)}
        return as_spec_types(self.spec, named)


def load(path: Path, spec: ModelSpec, threads: int = 1) -> UnpackedRunner:
    """Unpack and load the Core ML model of a .pte file, which chooses its threads itself.

    Raises:
        BadInput: the file does not hold exactly one Core ML model.
    """
    del threads
    with tempfile.TemporaryDirectory() as folder:
        program = read_program(path)
        root = unpack(program, path.name, Path(folder))
        metadata = json.loads((root / "metadata.json").read_text())
        runner = coreml.open_package(root / "model.mlpackage")
        known = metadata["inputNames"]
        inputs, outputs = positions(program, path.name, len(known))
        names = [None if i is None else known[i] for i in inputs], [metadata["outputNames"][i] for i in outputs]
        return UnpackedRunner(runner, names, spec)


def read_program(path: Path) -> Any:
    """The program of a .pte file."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    file = deserialize_pte_binary(path.read_bytes())
    return getattr(file, "program", file)


def unpack(program: Any, name: str, folder: Path) -> Path:
    """Write the Core ML model inside a program to ``folder`` and return its root."""
    blobs = [bytes(entry.data) for entry in program.backend_delegate_data]
    if len(blobs) != 1:
        raise BadInput(f"{name} holds {len(blobs)} Core ML models; exactly one is needed; export it again")
    return _unflatten(blobs[0], name, folder)


def _unflatten(content: bytes, name: str, folder: Path) -> Path:
    from executorch.backends.apple.coreml import executorchcoreml

    root = folder / "model"
    root.mkdir()
    if not executorchcoreml.unflatten_directory_contents(content, str(root)):
        raise BadInput(f"the Core ML model inside {name} can't be unpacked; export it again")
    return root / "lowered_module"


def positions(program: Any, name: str, count: int) -> tuple[list[int | None], list[int]]:
    """Where in the delegate's lists the program's inputs and outputs stand; None for inputs that it does not take.

    Args:
        count: the delegate's inputs; those that the network never reads are none of them.

    The delegate lists its outputs in the order in which they are computed, which need not be the program's.
    """
    plan = program.execution_plan[0]
    calls = [i.instr_args for i in plan.chains[0].instructions]
    if len(calls) != 1 or not hasattr(calls[0], "delegate_index"):
        raise BadInput(f"{name} does more than call its Core ML model; export it again")
    values = list(calls[0].args)
    inputs, outputs = values[:count], values[count:]
    places = [inputs.index(value) if value in inputs else None for value in plan.inputs]
    return places, [outputs.index(value) for value in plan.outputs]
