"""Writing in place as a value of its own, so that what reads a value can be told from the graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

aten = torch.ops.aten
# They may give their input itself, although their schemas don't say so.
_MAY_GIVE_INPUT = {aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default}


def make_functional(module: fx.GraphModule) -> bool:
    """Replace every operation that writes into its input where nothing else can see that; True if none is left."""
    graph = module.graph
    for node in list(graph.nodes):
        if not writes(node):
            continue
        twin, target = _twin(node.target), node.args[0]
        if twin is None or not isinstance(target, fx.Node) or not _is_own(target):
            return False
        nodes = list(graph.nodes)
        later = set(nodes[nodes.index(node) + 1 :])
        with graph.inserting_before(node):
            result = graph.call_function(twin, node.args, node.kwargs)
        result.meta = dict(node.meta)
        node.replace_all_uses_with(result)
        graph.erase_node(node)
        target.replace_all_uses_with(result, delete_user_cb=later.__contains__)
    return True


def writes(node: fx.Node) -> bool:
    """True for an operation that changes one of its inputs."""
    schema = getattr(node.target, "_schema", None)
    return node.op == "call_function" and schema is not None and schema.is_mutable


def _twin(target: Any) -> Any:
    """``aten.add.Tensor`` for ``aten.add_.Tensor``."""
    name, overload = target._schema.name.removeprefix("aten::"), target._overloadname
    packet = getattr(aten, name[:-1], None) if name.endswith("_") else None
    return getattr(packet, overload, None) if packet is not None else None


def _is_own(node: fx.Node) -> bool:
    """True if a value is computed here and nothing is a view of it or it of anything."""
    return node.op == "call_function" and not _is_view(node) and not any(_is_view(user) for user in node.users)


def _is_view(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    if schema is None:  # getitem
        return node.op == "call_function"
    if node.target in _MAY_GIVE_INPUT:
        return True
    return any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
