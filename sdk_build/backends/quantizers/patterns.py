"""The patterns that Core ML's quantiser looks for, traced only where a graph may hold them (ExecuTorch 1.4)."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import fx

# What functions become in an exported graph, where the name alone does not say it.
ALSO_CALLED = {"relu6": ("relu6", "hardtanh"), "logsigmoid": ("log_sigmoid",), "iadd": ("add",), "imul": ("mul",)}
ROLES = ("input", "mod", "weight", "bias", "binary_op", "output")  # what a search may ask a pattern for


@contextmanager
def only_patterns_for(graph: fx.GraphModule) -> Iterator[None]:
    """Let the quantiser look for what ``graph`` may hold.

    ExecuTorch 1.4 traces more than three hundred patterns anew for every network, each with TorchDynamo, which takes a
    minute; most are of operations that the network does not have, and none depends on the network. Can go when it keeps
    them itself.
    """
    from executorch.backends.apple.coreml.quantizer import _coreml_quantizer_utils as utils

    present = operations_of(graph)
    names = [n for n in vars(utils) if n.startswith("get_") and n.endswith("_pattern")]
    saved = {name: getattr(utils, name) for name in (*names, "_get_aten_graph_module")}
    utils._get_aten_graph_module = trace
    for name in names:
        setattr(utils, name, functools.partial(_pattern, saved[name], name, present))
    try:
        yield
    finally:
        for name, function in saved.items():
            setattr(utils, name, function)


def operations_of(graph: fx.GraphModule) -> set[str]:
    """Names of a graph's operations, without overloads and the line that marks those in place."""
    called = (str(node.target) for node in graph.graph.nodes if node.op == "call_function")
    return {name.removeprefix("aten.").split(".")[0].rstrip("_") for name in called}


def needs(name: str, arguments: Collection[Any]) -> list[tuple[str, ...]]:
    """The operations that a pattern is made of, each with all its names.

    Args:
        name: of the function that makes it, as ``get_conv_pattern``.
        arguments: of that function: the dimensions of a convolution, functions, and whether it works in place.
    """
    functions = [getattr(a, "__name__", "") for a in arguments if callable(a)]
    found = [ALSO_CALLED.get(function, (function,)) for function in functions]
    found += [(f"conv{a}d",) for a in arguments if isinstance(a, int) and not isinstance(a, bool)]
    return found + ([("linear",)] if "_linear_" in name else [])


def _pattern(make: Callable[..., Any], name: str, present: set[str], *arguments: Any, **options: Any) -> Any:
    given = (*arguments, *options.values())
    if not all(present.intersection(names) for names in needs(name, given)):
        return copy.deepcopy(_absent())
    # A fresh copy: the search takes a pattern apart.
    return copy.deepcopy(_traced(make, arguments, tuple(options.items())))


@functools.cache
def _traced(make: Callable[..., Any], arguments: tuple[Any, ...], options: tuple[tuple[str, Any], ...]) -> Any:
    return make(*arguments, **dict(options))


@functools.cache
def _absent() -> fx.GraphModule:
    """A pattern that is in no graph: its operation is one that no network for phones has."""
    import torch

    class Absent(torch.nn.Module):
        def forward(self, value: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            result = torch.special.bessel_y1(value)
            return result, dict.fromkeys(ROLES, result)

    return trace(Absent(), (torch.ones(1),))


def trace(pattern: Any, example: tuple[Any, ...], is_cuda: bool = False) -> fx.GraphModule:
    """A pattern's graph; without TorchDynamo, which gives the same in ten times the time."""
    import torch

    del is_cuda
    program = torch.export.export(pattern, example, strict=False)
    graph: fx.GraphModule = program.module(check_guards=False)
    graph.graph.eliminate_dead_code()
    for node in graph.graph.nodes:  # module() writes what was changed in place back to the inputs
        if node.op == "call_function" and node.target == torch.ops.aten.copy_.default and not node.users:
            graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph
