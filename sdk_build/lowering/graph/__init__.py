"""Exact rewrites of any network on its exported graph, for one runtime.

Each file is one kind of rewrite in plain PyTorch and can be read alone; :mod:`.tables` says which runtime takes which.
A network in which nothing is to be rewritten stays what it is, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

__all__ = ["lower_graph", "rewrite", "trace"]


# What operations networks have is found out once for all runtimes.
_TRACED: WeakKeyDictionary[nn.Module, fx.GraphModule] = WeakKeyDictionary()


def lower_graph(
    network: nn.Module,
    examples: tuple[Tensor, ...],
    runtime: str,
    check: Callable[[fx.GraphModule], None] = lambda graph: None,
    first: Callable[[fx.GraphModule], None] = lambda graph: None,
) -> nn.Module:
    """The same function in operations that ``runtime`` takes; ``network`` itself if it needs no rewrite.

    Args:
        check: looks at what is left, and may refuse it.
        first: likewise at the graph as it was traced.
    """
    from sdk_build.lowering.graph.batch_norm import BATCH_NORM
    from sdk_build.lowering.graph.outputs import shared_outputs
    from sdk_build.lowering.graph.tables import OWN_OUTPUTS, TABLES

    graph, new = _TRACED.get(network), None
    if graph is None:
        graph = new = _TRACED.setdefault(network, trace(network, examples))
    first(graph)
    changed = False
    concerned = not {n.target for n in graph.graph.nodes}.isdisjoint({*TABLES[runtime], BATCH_NORM})
    if concerned or (runtime in OWN_OUTPUTS and shared_outputs(graph)):
        graph = new or trace(network, examples)  # anew, as its weights may be others by now
        changed = rewrite(graph, runtime)
        if changed:
            _TRACED.pop(network, None)
    check(graph)
    return graph if changed else network


def trace(network: nn.Module, examples: tuple[Tensor, ...]) -> fx.GraphModule:
    """The network's graph of ATen operations, with the modules and source lines they come from."""
    import torch

    graph: fx.GraphModule = torch.export.export(network, examples, strict=False).module(check_guards=False)
    for name in ("train", "eval"):  # which refuse in an exported program, and converters call them
        vars(graph).pop(name, None)
    return graph.eval()


def rewrite(graph: fx.GraphModule, runtime: str) -> bool:
    """Rewrite a traced graph in place; True if anything was.

    A graph that writes into what other operations see is left alone.
    """
    from sdk_build.lowering.graph.batch_norm import fold_batch_norms
    from sdk_build.lowering.graph.functional import make_functional
    from sdk_build.lowering.graph.inline import apply_table
    from sdk_build.lowering.graph.outputs import part_outputs
    from sdk_build.lowering.graph.tables import LATE, OWN_OUTPUTS, TABLES
    from sdk_build.lowering.graph.tidy import tidy

    if not make_functional(graph):
        return False
    folded = fold_batch_norms(graph)
    replaced = apply_table(graph, TABLES[runtime])
    if folded or replaced:
        tidy(graph)
        if apply_table(graph, LATE.get(runtime, {})):
            tidy(graph)
    parted = runtime in OWN_OUTPUTS and part_outputs(graph)
    changed = folded or replaced or parted
    if changed:
        graph.graph.lint()
        graph.recompile()
    return changed
