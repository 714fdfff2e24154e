"""Every value that the PyTorch network computes, with the module and the source line it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.backends import Tensors
from sdk_build.backends.signature import as_tensors, example_inputs

if TYPE_CHECKING:
    from torch import nn

MOST_BYTES = 2 << 30  # all values of one input are held at once
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


@dataclass(frozen=True)
class Step:
    """One operation of the exported graph.

    Attributes:
        name: of its result in the graph, e.g. ``conv2d_3``.
        operation: ATen's, e.g. ``conv2d``.
        module: path of the module that it belongs to, e.g. ``features.3.0``; empty for the network's own forward.
        line: file and line of the source that called it; empty where it isn't known.
        reads: names of the steps whose results it takes; inputs of the network are not among them.
    """

    name: str
    operation: str
    module: str
    line: str
    reads: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where a reader finds it: the module, or the source line, or the name in the graph."""
        return self.module or self.line or self.name


def trace_steps(network: nn.Module, spec: ModelSpec) -> tuple[Any, list[Step]]:
    """The network as torch.export sees it, and its operations that give one float tensor, in their order."""
    import torch

    with torch.no_grad():
        whole = torch.export.export(network, example_inputs(spec)).module()
    seen: dict[str, tuple[str, ...]] = {}  # steps that a node's value comes from
    steps = []
    for node in whole.graph.nodes:
        before = tuple(dict.fromkeys(name for n in node.all_input_nodes for name in seen.get(n.name, ())))
        value = node.meta.get("val")
        if node.op == "call_function" and isinstance(value, torch.Tensor) and value.is_floating_point():
            steps.append(Step(node.name, _operation(node), _module(node), _line(node), before))
            seen[node.name] = (node.name,)
        else:
            seen[node.name] = before
    return whole, steps


def step_values(whole: Any, steps: Sequence[Step], spec: ModelSpec, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
    """Every step's result for one input, float32, by its name.

    Raises:
        BadInput: they don't fit into memory.
    """
    import torch

    wanted = {step.name for step in steps}
    values: Tensors = {}

    class Recorder(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            result = super().run_node(n)
            if n.name in wanted:
                values[n.name] = result.detach().float().numpy().copy()
            return result

    sizes = [n.meta["val"].numel() * 4 for n in whole.graph.nodes if n.name in wanted]
    if sum(sizes) > MOST_BYTES:
        raise BadInput(
            f"the values inside {spec.name} take {sum(sizes) >> 20} MB; allowed: up to {MOST_BYTES >> 20}; "
            "take a smaller network of the same kind"
        )
    with torch.no_grad():
        Recorder(whole).run(*as_tensors(spec, inputs))
    return values


def _operation(node: Any) -> str:
    return str(getattr(node.target, "__name__", node.target)).split(".")[0]


def _module(node: Any) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return re.sub(r"^L\['self'\]\.?|^L__self___?|@\d+$", "", path)


def _line(node: Any) -> str:
    frames = [f for f in _FRAME.findall(node.meta.get("stack_trace") or "") if "torch" not in Path(f[0]).parts]
    return f"{Path(frames[-1][0]).name}:{frames[-1][1]}" if frames else ""
