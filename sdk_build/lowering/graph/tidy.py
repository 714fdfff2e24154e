"""What rewrites leave behind: constants computed, permutes and reshapes joined, nothing that nobody reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from sdk_build.lowering.graph.batch_norm import RESHAPES, SAME
from sdk_build.lowering.graph.inline import add_constant, attribute

aten = torch.ops.aten
_LARGEST_GROWTH = 1 << 16  # a constant may be that much larger than what it is computed from
# Operations that broadcast by themselves.
_BROADCASTS = {getattr(aten, name).Tensor for name in ("add", "sub", "mul", "div")}


def tidy(module: fx.GraphModule) -> None:
    """Repeat until nothing changes."""
    steps = (_fold_constant, _drop_same, _drop_expand, _join_permutes, _join_reshapes)
    changed = True
    while changed:
        changed = False
        for node in list(module.graph.nodes):
            if node.op == "call_function" and node.users and any(step(module, node) for step in steps):
                changed = True
        module.graph.eliminate_dead_code()


def _fold_constant(module: fx.GraphModule, node: fx.Node) -> bool:
    """Compute what depends on stored tensors alone."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return False
    if torch.Tag.nondeterministic_seeded in target.tags or target._schema.is_mutable:
        return False
    sources = [attribute(module, n) for n in node.all_input_nodes]
    value = node.meta.get("val")
    if any(s is None for s in sources) or not isinstance(value, torch.Tensor):
        return False
    if value.numel() > sum(s.numel() for s in sources if s is not None) + _LARGEST_GROWTH:
        return False
    args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda n: attribute(module, n))
    with torch.no_grad():
        result = target(*args, **kwargs)
    with module.graph.inserting_before(node):
        held = add_constant(module, result.contiguous())
    node.replace_all_uses_with(held)
    return True


def _drop_same(module: fx.GraphModule, node: fx.Node) -> bool:
    """Remove copies, dropout in evaluation mode, and casts, slices and expansions that change nothing."""
    if not node.args or not isinstance(node.args[0], fx.Node):
        return False
    source = node.args[0]
    value, before = node.meta.get("val"), source.meta.get("val")
    if not isinstance(value, torch.Tensor) or not isinstance(before, torch.Tensor):
        return False
    same: Any = node.target in SAME or (node.target == aten.dropout.default and node.args[2] is False)
    if value.shape == before.shape and value.dtype == before.dtype:
        maybe = {aten.to.dtype, aten._to_copy.default, aten.expand.default, aten.expand_as.default, aten.slice.Tensor}
        whole = node.target != aten.slice.Tensor or len(node.args) < 5 or node.args[4] == 1
        same = same or (node.target in maybe and whole)
    if same:
        node.replace_all_uses_with(source)
    return bool(same)


def _drop_expand(module: fx.GraphModule, node: fx.Node) -> bool:
    """Let an operation broadcast by itself where it is all that reads an expanded value."""
    if node.target not in (aten.expand.default, aten.expand_as.default):
        return False
    source: Any = node.args[0]
    for user in node.users:
        others = [n for n in user.all_input_nodes if n is not node]
        shapes = [tuple(n.meta["val"].shape) for n in (source, *others)]
        if user.target not in _BROADCASTS or not others or torch.broadcast_shapes(*shapes) != user.meta["val"].shape:
            return False
    node.replace_all_uses_with(source)
    return True


def order_of(node: Any) -> list[int] | None:
    """The order of axes that an operation gives; None if it does something else."""
    if not isinstance(node, fx.Node) or not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    rank = node.meta["val"].dim()
    if node.target == aten.permute.default:
        return [int(axis) % rank for axis in node.args[1]]  # type: ignore[union-attr,arg-type]
    if node.target == aten.transpose.int:
        first, second = (int(axis) % rank for axis in node.args[1:3])  # type: ignore[arg-type]
        order = list(range(rank))
        order[first], order[second] = second, first
        return order
    return None


def _join_permutes(module: fx.GraphModule, node: fx.Node) -> bool:
    """One permute for two, none where they cancel."""
    order = order_of(node)
    if order is None:
        return False
    source: Any = node.args[0]
    inner = order_of(source)
    joined = order if inner is None else [inner[axis] for axis in order]
    start = source if inner is None else source.args[0]
    if joined == list(range(len(joined))):
        node.replace_all_uses_with(start)
        return True
    if inner is None:
        return False
    _insert(module, node, aten.permute.default, (start, joined))
    return True


def _join_reshapes(module: fx.GraphModule, node: fx.Node) -> bool:
    """One reshape for two, none where the shape is back."""
    if node.target not in RESHAPES:
        return False
    source: Any = node.args[0]
    shape = list(node.meta["val"].shape)
    while source.op == "call_function" and source.target in RESHAPES:
        source = source.args[0]
    if list(source.meta["val"].shape) == shape:
        node.replace_all_uses_with(source)
        return True
    if source is node.args[0]:
        return False
    _insert(module, node, aten.reshape.default, (source, shape))
    return True


def _insert(module: fx.GraphModule, node: fx.Node, target: Any, args: tuple[Any, ...]) -> None:
    with module.graph.inserting_before(node):
        new = module.graph.call_function(target, args)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
