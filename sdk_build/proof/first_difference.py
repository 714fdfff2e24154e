"""The first operation of a network at which an artifact leaves PyTorch, by cutting the network there.

A cut network ends at one operation's result. It goes through the same converter and runtime as the whole, so nothing of
a runtime's inside is needed; halving the network finds the operation in a handful of conversions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.spec import ModelSpec, TensorSpec
from sdk_build.backends import Tensors, execution_name, get_backend
from sdk_build.backends.signature import as_tensors, example_inputs
from sdk_build.errors import OnParError
from sdk_build.proof.metrics import known_metrics
from sdk_build.proof.sandbox import run_artifact
from sdk_build.quiet import quiet

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Difference:
    """Where an artifact leaves PyTorch.

    Attributes:
        operation: its place in the exported graph, e.g. ``upsample_nearest2d (aten.upsample_nearest2d.vec)``.
        executed_by: what ran the artifact.
        detail: how far it is off, or what the toolchain said.
    """

    operation: str
    executed_by: str
    detail: str

    def describe(self) -> str:
        """One line."""
        return f"first at {self.operation} in {self.executed_by}, {self.detail}"


def first_difference(
    network: nn.Module,
    spec: ModelSpec,
    artifacts: Mapping[str, str],
    limits: Mapping[str, float],
    inputs: Sequence[Tensors],
    folder: Path,
) -> Difference | None:
    """The first operation whose result, as one of the runtimes computes it, breaks ``limits``.

    Args:
        artifacts: runtimes and the precision that each of them holds.
        limits: by metric, those of the whole network; metrics of a task are left out.
        inputs: of the network; the worst counts.
        folder: for the artifacts of the cut networks.

    Returns:
        None if even the last operation keeps the limits: they differ on other inputs only.
    """
    import torch

    with torch.no_grad():
        whole = torch.export.export(network, example_inputs(spec)).module()
    places = _operations(whole)

    def look(number: int) -> Difference | None:
        cut = _cut(whole, places[number])
        for runtime, held in artifacts.items():
            detail = _deviation(cut, spec, runtime, held, limits, inputs, folder / f"{number}-{runtime}")
            if detail:
                node = places[number]
                target = next(n.target for n in whole.graph.nodes if n.name == node)
                return Difference(f"{node} ({target})", execution_name(runtime), detail)
        return None

    return _search(len(places), look)


def _search(count: int, look: Callable[[int], Difference | None]) -> Difference | None:
    """The first of ``count`` places where something is found, if all behind it show it, too."""
    found = look(count - 1)
    low, high = 0, count - 1
    while found is not None and low < high:
        middle = (low + high) // 2
        earlier = look(middle)
        found, low, high = (earlier, low, middle) if earlier else (found, middle + 1, high)
    return found


def _operations(whole: Any) -> list[str]:
    """Names of the operations that give one float tensor, in the order in which they run."""
    import torch

    values = [(n.name, n.meta.get("val")) for n in whole.graph.nodes if n.op == "call_function"]
    return [name for name, v in values if isinstance(v, torch.Tensor) and v.is_floating_point()]


def _cut(whole: Any, name: str) -> nn.Module:
    """The network up to one operation, whose result is its only output, flat: (1, values)."""
    import torch

    class Cut(torch.nn.Module):
        def __init__(self, body: torch.nn.Module) -> None:
            super().__init__()
            self.body = body

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            return self.body(*given)[0].reshape(1, -1)

    graph = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    for node in whole.graph.nodes:
        if node.op != "call_module":  # the guards of torch.export
            copies[node] = graph.node_copy(node, copies.__getitem__)
        if node.name == name:
            graph.output((copies[node],))
            break
    graph.eliminate_dead_code()
    return Cut(torch.fx.GraphModule(whole, graph))


def _deviation(
    cut: nn.Module,
    spec: ModelSpec,
    runtime: str,
    held: str,
    limits: Mapping[str, float],
    inputs: Sequence[Tensors],
    folder: Path,
) -> str:
    """How a runtime's result of a cut network breaks the limits; empty if it keeps them."""
    import torch

    with torch.no_grad():
        expected = [cut(*as_tensors(spec, x)).numpy() for x in inputs]
    inner = replace(spec, outputs=(TensorSpec("result", expected[0].shape, "NC", "value"),))
    path = folder / {"coreml": "cut.mlpackage", "coreai": "cut.aimodel"}.get(runtime, "cut.bin")
    try:
        with quiet():
            get_backend(runtime).lower(cut, inner, held, path)
        actual = run_artifact(runtime, path, inner, inputs)
    except OnParError as error:
        return str(error)
    for name, limit in limits.items():
        metric = known_metrics()[name]
        values = [metric.function(a["result"], e) for a, e in zip(actual, expected, strict=True)]
        worst = min(values) if metric.larger_is_better else max(values)
        if not metric.passes(worst, limit):
            return f"{name} {worst:.4g} {metric.unit}".rstrip()
    return ""
