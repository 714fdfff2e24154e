"""Batch normalisation folds into whatever convolutions or matrix products gave its channels.

Between them and it there may be reshapes, permutes and concatenations, as long as nothing else reads what lies between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from sdk_build.lowering.graph.inline import add_constant, attribute

aten = torch.ops.aten
BATCH_NORM = aten.batch_norm.default
CONVOLUTIONS = {
    *(aten.conv1d.default, aten.conv2d.default, aten.conv3d.default),
    *(aten.conv1d.padding, aten.conv2d.padding, aten.conv3d.padding),
}
TRANSPOSED = {aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input}
RESHAPES = {
    *(aten.view.default, aten.reshape.default, aten.flatten.using_ints, aten.unflatten.int),
    *(aten.squeeze.dim, aten.squeeze.dims, aten.squeeze.default, aten.unsqueeze.default),
}
SAME = {aten.contiguous.default, aten.clone.default, aten.alias.default, aten.detach.default}


@dataclass(frozen=True)
class _Source:
    """A layer that gives the channels ``start`` to ``start + count`` of a normalisation."""

    node: fx.Node
    start: int
    count: int


def fold_batch_norms(module: fx.GraphModule) -> bool:
    """Fold every batch normalisation in evaluation mode that can be; True if any was."""
    changed = False
    for node in list(module.graph.nodes):
        if node.target == BATCH_NORM and _fold(module, node):
            changed = True
    return changed


def _fold(module: fx.GraphModule, node: fx.Node) -> bool:
    given: tuple[Any, ...] = node.args
    x, *values = given[:5]
    training, eps = given[5], float(given[7])
    weight, bias, mean, variance = (attribute(module, v) for v in values)
    if training or mean is None or variance is None or not isinstance(x, fx.Node):
        return False
    if (weight is None) != (values[0] is None) or (bias is None) != (values[1] is None):
        return False  # computed, not stored
    sources = _sources(x, 1, 0, len(mean))
    layers = [_layer(module, source) for source in sources or ()]
    if not layers or any(layer is None for layer in layers) or len({s.node for s in sources or ()}) != len(layers):
        return False
    scale = (1.0 if weight is None else weight.double()) / torch.sqrt(variance.double() + eps)
    shift = (0.0 if bias is None else bias.double()) - mean.double() * scale
    for source, layer in zip(sources or (), layers, strict=True):
        span = slice(source.start, source.start + source.count)
        _scale(module, source.node, layer, scale[span], shift[span])  # type: ignore[arg-type]
    node.replace_all_uses_with(x)
    module.graph.erase_node(node)
    return True


def _sources(node: Any, axis: int, start: int, count: int) -> list[_Source] | None:
    """The layers that give the channels along an axis; None where anything else does, or is given them, too."""
    if not isinstance(node, fx.Node) or node.op != "call_function" or len(node.users) != 1:
        return None
    rank = node.meta["val"].dim()
    if node.target in CONVOLUTIONS | TRANSPOSED:
        batched = rank == node.args[1].meta["val"].dim()  # type: ignore[union-attr]
        return [_Source(node, start, count)] if batched and axis == 1 else None
    if node.target == aten.linear.default:
        return [_Source(node, start, count)] if axis == rank - 1 else None
    if node.target in SAME:
        return _sources(node.args[0], axis, start, count)
    if node.target in RESHAPES:
        before = _before_reshape(node.args[0].meta["val"].shape, node.meta["val"].shape, axis)  # type: ignore[union-attr]
        return None if before is None else _sources(node.args[0], before, start, count)
    if node.target == aten.permute.default:
        return _sources(node.args[0], list(node.args[1])[axis] % rank, start, count)  # type: ignore[arg-type]
    if node.target == aten.transpose.int:
        first, second = (int(a) % rank for a in node.args[1:3])  # type: ignore[arg-type]
        return _sources(node.args[0], {first: second, second: first}.get(axis, axis), start, count)
    if node.target == aten.cat.default:
        return _joined(node, axis, start, count)
    return None


def _joined(node: fx.Node, axis: int, start: int, count: int) -> list[_Source] | None:
    tensors: Sequence[Any] = node.args[0]  # type: ignore[assignment]
    along = int(node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)) % node.meta["val"].dim()  # type: ignore[arg-type]
    found: list[_Source] = []
    for tensor in tensors:
        size = tensor.meta["val"].shape[axis]
        part = _sources(tensor, axis, start, size)
        if part is None:
            return None
        found += part
        start += size if along == axis else 0
    return found


def _before_reshape(old: Sequence[int], new: Sequence[int], axis: int) -> int | None:
    """The axis that a reshape left whole: of the same size, with as many values behind it."""
    behind = math.prod(new[axis + 1 :])
    for place, size in enumerate(old):
        if size == new[axis] and math.prod(old[place + 1 :]) == behind:
            return place
    return None


def _layer(module: fx.GraphModule, source: _Source) -> tuple[Tensor, Tensor | None] | None:
    """Stored weight and bias; None if either is computed or there are other channels than the source says."""
    node = source.node
    weight, given = attribute(module, node.args[1]), node.args[2] if len(node.args) > 2 else None
    bias = attribute(module, given)
    if weight is None or (given is not None and bias is None) or "bias" in node.kwargs:
        return None
    channels = weight.shape[1] * _groups(node) if node.target in TRANSPOSED else weight.shape[0]
    return (weight, bias) if channels == source.count else None


def _groups(node: fx.Node) -> int:
    """Of a transposed convolution; (x, weight, bias, stride, padding, output_padding, groups)."""
    return int(node.args[6]) if len(node.args) > 6 else 1  # type: ignore[arg-type]


def _scale(
    module: fx.GraphModule, node: fx.Node, layer: tuple[Tensor, Tensor | None], scale: Tensor, shift: Tensor
) -> None:
    """Write the folded weight and bias: in float64, rounded once."""
    weight, bias = layer
    wide = weight.double()
    if node.target in TRANSPOSED:
        groups = _groups(node)
        blocks = wide.reshape(groups, -1, *weight.shape[1:])
        folded = (blocks * scale.reshape(groups, 1, -1, *[1] * (wide.dim() - 2))).reshape(weight.shape)
    else:
        folded = wide * scale.reshape(-1, *[1] * (wide.dim() - 1))
    moved = shift if bias is None else shift + bias.double() * scale
    with module.graph.inserting_before(node):
        new = [add_constant(module, value.to(weight.dtype)) for value in (folded, moved)]
    node.args = (node.args[0], *new, *node.args[3:])
