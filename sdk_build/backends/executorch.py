"""ExecuTorch (.pte) with the XNNPACK delegate: phone CPUs, and here."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, Tensors
from sdk_build.backends.delegation import Delegation, count
from sdk_build.backends.known_issues import prepare
from sdk_build.backends.quantizers.recipes import FLOAT, Quantization, Ranges, get_recipe
from sdk_build.backends.signature import as_spec_types, as_tensors, example_inputs, with_types
from sdk_build.errors import LoweringError

if TYPE_CHECKING:
    from torch import nn

# Bookkeeping of the exporter: they move no data, so an artifact that has only these outside is fully delegated.
BOOKKEEPING = {"getitem", "executorch_call_delegate", "dim_order_ops__to_dim_order_copy_default"}


def lower(
    network: nn.Module, spec: ModelSpec, precision: str, path: Path, quantization: Quantization = FLOAT
) -> Delegation:
    """Write a .pte file."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    from sdk_build.backends.quantizers import pt2e
    from sdk_build.lowering.gates import fold_hard_sigmoids

    recipe = get_recipe(precision)
    if not recipe.quantized:
        # Three operations fewer a gate, each a call of its own. With 8 bits the graph stays as it was calibrated.
        network = fold_hard_sigmoids(network)
    else:
        network = pt2e.quantize(network, spec, pt2e.xnnpack_quantizer(recipe, quantization), quantization.ranges)
        if not pt2e.holds_integers(network):
            raise LoweringError(
                f"executorch can't hold {spec.name} in {precision}: XNNPACK has no such form of any of its operations; "
                "try w8a8 or fp32"
            )
    return lower_with(network, spec, path, XnnpackPartitioner(), "XNNPACK")


def observe(network: nn.Module, spec: ModelSpec, samples: Sequence[Tensors]) -> Ranges:
    """Ranges by the names of PyTorch's exported graph."""
    from sdk_build.backends.quantizers import pt2e

    return pt2e.observe(network, spec, samples)


def always_float(network: nn.Module) -> tuple[str, ...]:
    """Transposed convolutions, with the arithmetic of the module around them.

    ExecuTorch 1.4 lowers them in int8, splits the graph around the slices behind them, and fails at run time with
    an output of no channels.
    """
    from torch import nn

    modules = dict(network.named_modules())
    found = []
    for name, module in modules.items():
        if isinstance(module, nn.ConvTranspose2d):
            parent = name.rpartition(".")[0]
            found.append(name if isinstance(modules[parent], nn.Sequential) or not parent else parent)
    return tuple(dict.fromkeys(found))


def lower_with(
    network: nn.Module,
    spec: ModelSpec,
    path: Path,
    partitioner: Any,
    delegate: str,
    runtime: str = "executorch",
    rewrite: Callable[[bytes], bytes] | None = None,
) -> Delegation:
    """Export, partition and write; shared with the Core ML delegate.

    Args:
        runtime: which of the two, for the types of its inputs and outputs.
        rewrite: what becomes of the delegate's own data.
    """
    import torch
    from executorch.exir import to_edge_transform_and_lower
    from executorch.exir.lowered_backend_module import LoweredBackendModule

    _share_history()
    types = RUNTIMES[runtime].types
    examples = example_inputs(spec, types)
    program = torch.export.export(prepare(with_types(network, spec, types), examples, runtime), examples)
    with _refusals() as refused:
        edge = to_edge_transform_and_lower(program, partitioner=[partitioner])
    graph_module = edge.exported_program().graph_module
    delegation = inspect(graph_module, delegate, refused)
    if rewrite is not None:
        for module in graph_module.modules():
            if isinstance(module, LoweredBackendModule):
                module._processed_bytes = rewrite(module.processed_bytes)  # has no public way in, ExecuTorch 1.4
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        edge.to_executorch().write_to_file(file)
    return delegation


@functools.cache
def _share_history() -> None:
    """Let the passes of the lowering share what they know of an operation's past instead of copying it.

    Each of sixty passes makes every operation anew, with a copy of the record of all passes before: 15 % of the calls
    of a lowering (torch 2.13). Nothing ever changes a record.
    """
    from torch.fx.traceback import NodeSource

    setattr(NodeSource, "__deepcopy__", lambda self, memo: self)  # noqa: B010 - mypy knows no such attribute


@contextmanager
def _refusals() -> Iterator[dict[str, str]]:
    """Reasons that XNNPACK's partitioner gives for leaving operations out, by their names.

    It logs them for debugging and nowhere else (ExecuTorch 1.4).
    """
    found: dict[str, str] = {}

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            node, reason = getattr(record.msg, "node", None), getattr(record.msg, "reason", "")
            if node is not None and reason:
                name = getattr(node.target, "__name__", str(node.target)).replace(".", "_")
                found.setdefault(name, " ".join(reason.split()))

    logger, listener = logging.getLogger("executorch.backends.xnnpack.partition"), Listener()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(listener)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
        logger.propagate = propagate


def inspect(graph_module: Any, delegate: str, refused: Mapping[str, str]) -> Delegation:
    """Count operations inside and outside the delegate of a lowered program.

    Args:
        refused: reasons that the partitioner gave, by operation.
    """
    from executorch.devtools.backend_debug import get_delegation_info

    info = get_delegation_info(graph_module)
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for operation in info.delegation_by_operator.values():
        inside[operation.op_type] += operation.delegated
        if operation.op_type not in BOOKKEEPING:
            outside[operation.op_type] += operation.non_delegated

    def why(name: str) -> str:
        return next((reason for key, reason in refused.items() if key in name), f"no rule for it in {delegate}")

    return count(delegate, +inside, +outside, info.num_delegated_subgraphs, why)


class ExecuTorchRunner:
    """A .pte file in the ExecuTorch runtime."""

    def __init__(self, path: Path, spec: ModelSpec, threads: int) -> None:
        from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
        from executorch.runtime import Runtime

        _unsafe_reset_threadpool(threads)
        self.spec = spec
        # The program must outlive the method, and Python would free it.
        self.program = Runtime.get().load_program(str(path))
        self.method = self.program.load_method("forward")
        assert self.method is not None

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """See :class:`sdk_build.backends.Runner`."""
        outputs = self.method.execute(list(as_tensors(self.spec, inputs)))
        named = {t.name: o.numpy() for t, o in zip(self.spec.outputs, outputs, strict=True)}
        return as_spec_types(self.spec, named)


def load(path: Path, spec: ModelSpec, threads: int = 1) -> ExecuTorchRunner:
    """Load a .pte file.

    Raises:
        BadInput: the runtime refuses the file.
    """
    try:
        return ExecuTorchRunner(path, spec, threads)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise BadInput(f"{path.name} is no .pte file that ExecuTorch can run ({error}); export it again") from error
