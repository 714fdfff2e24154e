"""Core AI (.aimodel) through coreai-torch; the package's own interpreter runs it here, iOS 27 on phones.

The interpreter is Apple's and comes with ``coreai-core`` for Linux, too. It proves the program and its weights, not the
kernels of a phone's processors: those exist on Apple's systems alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import datetime
import hashlib
import json
import math
import platform
import random
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.spec import ModelSpec
from sdk_build.backends import Tensors
from sdk_build.backends.delegation import PLACED_BY_CORE_AI, Delegation
from sdk_build.backends.known_issues import prepare
from sdk_build.backends.quantizers.recipes import FLOAT, Quantization, Ranges, get_recipe
from sdk_build.backends.signature import as_artifact_types, as_spec_types, example_inputs
from sdk_build.errors import BackendUnavailable, BadInput, LoweringError

if TYPE_CHECKING:
    from torch import nn

FUNCTION = "main"
_CONSTANT = "coreai.constant"
# Apple's tool stamps the hour; a fixed one lets the same weights give the same bytes.
CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def require(converter: bool = True) -> None:
    """Say what the interpreter lacks on this machine.

    Args:
        converter: whether the converter is needed, too; it imports PyTorch, which an artifact runs without.

    Raises:
        BackendUnavailable: the package is not installed, with the reason where this machine can't have it.
    """
    try:
        with warnings.catch_warnings():  # it takes torch's CPU build for a newer version than the one that it knows
            warnings.simplefilter("ignore")
            import coreai.runtime  # noqa: F401

            if converter:
                import coreai_torch  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(unavailable(str(error))) from error


def unavailable(why: str) -> str:
    """One line on why Core AI can't be used here, and what to do."""
    libc, version = platform.libc_ver()
    system = f"{platform.system()} on {platform.machine()}"
    if sys.version_info < (3, 11):
        found = f"Python {platform.python_version()}; coreai-core needs 3.11 or newer: make .venv with one"
    elif system not in ("Linux on x86_64", "Darwin on arm64"):
        found = f"{system}; coreai-core has wheels for Linux on x86_64 and macOS on arm64: leave out --with coreai"
    elif libc == "glibc" and tuple(map(int, version.split("."))) < (2, 34):
        found = f"glibc {version}; coreai-core needs 2.34 or newer (Debian 12, Ubuntu 22.04): leave out --with coreai"
    else:
        found = f"no coreai-core ({' '.join(why.split())}); run 'make setup' or pip install 'onpar[coreai]'"
    return f"Core AI can't be made or run here: this is {found}"


def lower(
    network: nn.Module, spec: ModelSpec, precision: str, path: Path, quantization: Quantization = FLOAT
) -> Delegation:
    """Write an .aimodel with float32 inputs and outputs; everything but ``fp32`` computes in half precision.

    Raises:
        LoweringError: the converter refuses an operation, or the precision left the weights as they were.
    """
    require()
    from coreai.runtime import AIModelAssetMetadata

    program = convert(network, spec, half=precision != "fp32")
    recipe = get_recipe(precision)
    if recipe.quantized:
        from sdk_build.backends.quantizers import aimodel

        program = aimodel.compress_weights(program, recipe, spec.name)
    about = AIModelAssetMetadata()
    about.model_description = spec.description
    about.license = "Code: Apache-2.0. Weights: see card.md in the bundle."
    path.parent.mkdir(parents=True, exist_ok=True)
    asset = program.save_asset(path, about)
    asset.update_metadata(lambda metadata: setattr(metadata, "creation_date", CREATED.timestamp()))
    _sort_keys(path / "metadata.json")
    return inspect(path)


def _sort_keys(path: Path) -> None:
    """Let the same network give the same bytes: Apple's tool writes the keys in an order that differs between runs."""
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2, sort_keys=True) + "\n")


def convert(network: nn.Module, spec: ModelSpec, half: bool = False) -> Any:
    """The network as a Core AI program, with the spec's names.

    Args:
        half: compute in float16; input and outputs stay float32.

    Raises:
        LoweringError: the converter has no form for an operation.
    """
    import coreai_torch
    import torch

    from sdk_build.lowering.core_ai import decompositions

    table = decompositions(coreai_torch.get_decomp_table())
    network = prepare(network, example_inputs(spec), "coreai")
    module = _in_half(network) if half else network
    with torch.no_grad():
        exported = torch.export.export(module, example_inputs(spec)).run_decompositions(table)
        # RELEASE: without paths of this machine's source files in the artifact.
        converter = coreai_torch.TorchConverter(mode=coreai_torch.TorchConverter.Mode.RELEASE)
        names = [tensor.name for tensor in spec.outputs]
        try:
            converter.add_exported_program(exported, input_names=[t.name for t in spec.inputs], output_names=names)
        except ValueError as error:  # "The exported program contains unsupported ATen ops: ... Use ..."
            what = str(error).partition("ops: ")[2].partition(". ")[0] or str(error)
            raise LoweringError(
                f"Core AI's converter has no {what}, which {spec.name} uses; "
                "write the layer in other operations, or leave out --with coreai"
            ) from error
        with _repeatable_names():
            return converter.to_coreai()


@contextlib.contextmanager
def _repeatable_names() -> Iterator[None]:
    """Let the same network give the same bytes: coreai-core 1.0.0b3 draws the ends of functions' names from secrets."""
    from coreai.authoring import func, graph_builder

    kept, draw = graph_builder.choice, random.Random(0).choice
    for module in (func, graph_builder):
        module.choice = draw
    try:
        yield
    finally:
        for module in (func, graph_builder):
            module.choice = kept


def _in_half(network: nn.Module) -> nn.Module:
    import torch

    class Half(torch.nn.Module):
        """The network in float16 behind float32 tensors, as the apps hand and take them."""

        def __init__(self) -> None:
            super().__init__()
            self.network = copy.deepcopy(network).half()

        def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            outputs = self.network(*(x.half() if x.is_floating_point() else x for x in given))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return tuple(y.float() if y.is_floating_point() else y for y in outputs)

    return Half().eval()


def observe(network: nn.Module, spec: ModelSpec, samples: Sequence[Tensors]) -> Ranges:
    """Ranges by the names of PyTorch's exported graph; no precision of this backend needs any yet."""
    from sdk_build.backends.quantizers import pt2e

    return pt2e.observe(network, spec, samples)


def always_float(network: nn.Module) -> tuple[str, ...]:
    """Nothing: activations are always float."""
    return ()


def inspect(path: Path) -> Delegation:
    """Core AI decides on the phone where an operation runs; here only their number is known."""
    from coreai.authoring import AIModelAsset

    summary = AIModelAsset.load(path).summary()
    counts = {} if summary is None else dict(summary.operation_distribution)
    return Delegation(PLACED_BY_CORE_AI, sum(n for name, n in counts.items() if name != "constant"), 0, 0)


def steps_of(path: Path) -> list[tuple[str, ...]]:
    """The operations of an .aimodel in their order, each with the types, settings and constants that it has."""
    from coreai._compiler.ir import WalkResult
    from coreai.authoring import AIModelAsset

    steps: list[tuple[str, ...]] = []

    def look(operation: Any) -> Any:
        if operation.name != _CONSTANT:
            readings = [_digest(value.owner) for value in operation.operands if _is_constant(value.owner)]
            settings = [f"{entry.name} = {entry.attr}" for entry in operation.attributes]
            types = [str(result.type) for result in operation.results]
            steps.append((operation.name, *types, *settings, *readings))
        return WalkResult.ADVANCE

    AIModelAsset.load(path).program._module._mlir_module.operation.walk(look)
    return steps


def _is_constant(owner: Any) -> bool:
    return getattr(owner, "name", "") == _CONSTANT


def _digest(constant: Any) -> str:
    """Of the numbers: a large constant's attribute is the name of its place in the file, whatever is there."""
    text = str(constant.attributes["value"])
    if text.startswith("dense_resource"):
        from coreai._compiler._mlir_libs._coreaiIR import _bindings

        kind = constant.result.type
        content = np.zeros(-(-math.prod(kind.shape) * kind.element_type.width // 8), np.uint8)
        compiler: Any = vars(_bindings)["compiler"]  # the package's stubs don't know it
        compiler.copy_constant_value_to_array(constant_op=constant, destination=content)
        return hashlib.sha256(content.tobytes()).hexdigest()
    return text


class CoreAIRunner:
    """An .aimodel in Apple's interpreter; on macOS 27 the system's own Core AI takes its place."""

    def __init__(self, path: Path, spec: ModelSpec) -> None:
        from coreai.authoring import AIModelAsset

        self.spec = spec
        self._loop = asyncio.new_event_loop()
        self._function = self._loop.run_until_complete(self._open(AIModelAsset.load(path)))

    @staticmethod
    async def _open(asset: Any) -> Any:
        # What it unpacks on the disk is gone behind the block: the function holds everything in memory.
        async with asset.executable() as model:
            return model.load_function(FUNCTION)

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """See :class:`sdk_build.backends.Runner`."""
        from coreai.runtime import NDArray as Array

        typed = as_artifact_types(self.spec, inputs, {})
        given = {name: Array(value) for name, value in typed.items()}
        outputs = self._loop.run_until_complete(self._function(given))
        return as_spec_types(self.spec, {t.name: outputs[t.name].numpy() for t in self.spec.outputs})


def load(path: Path, spec: ModelSpec, threads: int = 1) -> CoreAIRunner:
    """Load an .aimodel; the interpreter chooses its threads itself.

    Raises:
        BadInput: the interpreter refuses it.
        BackendUnavailable: Core AI is not installed.
    """
    del threads
    require(converter=False)
    _check_digest(path)
    try:
        return CoreAIRunner(path, spec)
    except (RuntimeError, ValueError, KeyError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"{path.name} is no .aimodel that Core AI can run ({why}); export it again") from error


def _check_digest(path: Path) -> None:
    """Hold the program to the digest beside it: the interpreter ends the whole process over a damaged one."""
    program, digest = path / "main.mlirb", path / "main.hash"
    if not program.is_file() or not digest.is_file():
        raise BadInput(f"{path.name} is no .aimodel: main.mlirb or main.hash is missing in it; export it again")
    if hashlib.sha256(program.read_bytes()).digest() != digest.read_bytes():
        raise BadInput(f"{path.name}: the program differs from its digest in main.hash; export it again")
