"""Operations of an exported graph written in other operations, in place.

A rewrite is a plain function in PyTorch with the arguments of the ATen operation that it stands for. It is traced once
for the shapes of each operation and put in its place; ``NotImplemented`` leaves the operation as it is.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

aten = torch.ops.aten
Rewrite = Callable[..., Any]
Table = Mapping[Any, Rewrite]
_ROUNDS = 8  # rewrites of rewrites: attention gives a softmax, which gives a permute


def constant(values: NDArray[Any] | Sequence[float], like: Tensor) -> Tensor:
    """Numbers as a constant of the graph, in the type of ``like``."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=str(like.dtype).removeprefix("torch.")))


def apply_table(module: fx.GraphModule, table: Table) -> bool:
    """Rewrite every operation that ``table`` has a rewrite for, and what the rewrites give; True if any was."""
    changed = False
    refused: set[str] = set()
    seen: dict[str, fx.GraphModule | None] = {}
    for _ in range(_ROUNDS):
        waiting = [n for n in module.graph.nodes if n.target in table and n.name not in refused]
        if not waiting:
            break
        for node in waiting:
            if _replace(module, node, table[node.target], seen):
                changed = True
            else:
                refused.add(node.name)
    return changed


def _replace(module: fx.GraphModule, node: fx.Node, rewrite: Rewrite, seen: dict[str, fx.GraphModule | None]) -> bool:
    """Put a traced rewrite where the operation is; False if it leaves the operation.

    Args:
        seen: rewrites by operation, shapes and parameters: the blocks of a network repeat them.
    """
    wanted: set[Any] | None = {user.args[1] for user in node.users if user.users} if _gives_several(node) else None
    sources = [value for value in pytree.tree_leaves((node.args, dict(node.kwargs))) if isinstance(value, fx.Node)]
    if not all(isinstance(source.meta.get("val"), Tensor) for source in sources):  # sizes that are computed
        return False
    form = fx.map_arg((node.args, dict(node.kwargs)), lambda n: (tuple(n.meta["val"].shape), n.meta["val"].dtype))
    key = repr((node.target, form, wanted))
    if key not in seen:
        seen[key] = _trace(node, rewrite, wanted)
    traced = seen[key]
    if traced is None:
        return False
    inputs = [n for n in traced.graph.nodes if n.op == "placeholder"]
    placed: dict[fx.Node, Any] = dict(zip(inputs, sources, strict=True))
    with module.graph.inserting_before(node):
        for inner in traced.graph.nodes:
            if inner.op == "placeholder":
                continue
            if inner.op == "output":
                results = fx.map_arg(inner.args[0], placed.__getitem__)
            elif inner.target == aten.lift_fresh_copy.default:  # what constants are read through
                placed[inner] = placed[inner.args[0]]
            elif inner.op == "get_attr":
                placed[inner] = add_constant(module, getattr(traced, str(inner.target)))
            else:
                placed[inner] = module.graph.node_copy(inner, placed.__getitem__)
                placed[inner].meta = {**_origin(node), "val": inner.meta.get("val")}
    if wanted is None:
        node.replace_all_uses_with(results)
    else:
        for user in list(node.users):
            if user.users:
                user.replace_all_uses_with(results[user.args[1]])
            module.graph.erase_node(user)
    module.graph.erase_node(node)
    return True


def _gives_several(node: fx.Node) -> bool:
    return bool(node.users) and all(user.target is operator.getitem for user in node.users)


def _trace(node: fx.Node, rewrite: Rewrite, wanted: set[Any] | None) -> fx.GraphModule | None:
    """The rewrite as a graph over the operation's tensors."""
    flat, form = pytree.tree_flatten((node.args, dict(node.kwargs)))
    places = [place for place, value in enumerate(flat) if isinstance(value, fx.Node)]
    left = False

    def body(*tensors: Tensor) -> Any:
        nonlocal left
        filled = list(flat)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        args, kwargs = pytree.tree_unflatten(filled, form)
        result = rewrite(*args, **kwargs)
        left = result is NotImplemented or (isinstance(result, tuple) and not _covers(result, wanted))
        return () if left else result

    examples = [_example(flat[place]) for place in places]
    with torch.no_grad():
        traced = make_fx(body, pre_dispatch=True)(*examples)
    return None if left else traced


def _covers(results: tuple[Any, ...], wanted: set[Any] | None) -> bool:
    """True if every result that is used is there; None stands for one that a rewrite doesn't give."""
    return all(results[number] is not None for number in wanted or ())


def _example(node: fx.Node) -> Tensor:
    value = node.meta["val"]
    return torch.zeros(tuple(value.shape), dtype=value.dtype)


def _origin(node: fx.Node) -> dict[str, Any]:
    return {key: node.meta[key] for key in ("nn_module_stack", "stack_trace", "torch_fn") if key in node.meta}


def add_constant(module: fx.GraphModule, value: Tensor) -> fx.Node:
    """A node that gives a tensor; the same numbers are held once. Inserted where the graph stands."""
    value = value.detach()
    for name, held in module.named_buffers():
        if name.startswith("_lowered_") and held.dtype == value.dtype and torch.equal(held, value):
            break
    else:
        name = f"_lowered_{sum(1 for held, _ in module.named_buffers() if held.startswith('_lowered_'))}"
        module.register_buffer(name, value.clone())
    node = module.graph.get_attr(name)
    node.meta["val"] = value
    return node


def attribute(module: fx.GraphModule, node: Any) -> Tensor | None:
    """The tensor that a node reads from the module; None if it computes one."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    found: Any = module
    for part in str(node.target).split("."):
        found = getattr(found, part)
    return found.detach() if isinstance(found, Tensor) else None
