"""Outputs that are tensors of their own, for runtimes that have no second name for a tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

aten = torch.ops.aten


def shared_outputs(graph: fx.GraphModule) -> list[int]:
    """Places of the outputs that are an input, or another output before them."""
    seen: set[fx.Node] = set()
    found = []
    for number, node in enumerate(_outputs(graph)):
        if node.op == "placeholder" or node in seen:
            found.append(number)
        seen.add(node)
    return found


def part_outputs(graph: fx.GraphModule) -> bool:
    """Give each of them operations of its own that change nothing; True if there were any.

    An axis more and less: converters drop copies, sums with 0 and products with 1, and these exist for every dtype.
    """
    shared = shared_outputs(graph)
    outputs = _outputs(graph)
    for number in shared:
        node = outputs[number]
        with graph.graph.inserting_before(graph.graph.output_node()):
            wider = graph.graph.call_function(aten.unsqueeze.default, (node, 0))
            same = graph.graph.call_function(aten.squeeze.dims, (wider, [0]))
        for new, value in ((wider, node.meta["val"].unsqueeze(0)), (same, node.meta["val"])):
            new.meta = {**node.meta, "val": value}
        outputs[number] = same
    if shared:
        graph.graph.output_node().args = (tuple(outputs),)
    return bool(shared)


def _outputs(graph: fx.GraphModule) -> list[fx.Node]:
    given: Any = graph.graph.output_node().args[0]
    return list(given) if isinstance(given, (list, tuple)) else [given]
