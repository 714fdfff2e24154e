"""How much each part of a network loses by 8 bits, in PyTorch and before any toolchain.

Each part (a convolution or matrix product with the rectifier that a runtime fuses into it, or the arithmetic of one
module) is given int8 weights and activations alone, and the network's outputs are compared with the float ones. The
order that results is where mixed precision begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reference.spec import ModelSpec
from sdk_build.backends import Tensors
from sdk_build.backends.quantizers.pt2e import export, module_path, operation
from sdk_build.backends.quantizers.recipes import Ranges
from sdk_build.backends.signature import as_tensors
from sdk_build.proof.metrics import CAP_DB, sqnr_db

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

WEIGHTED = ("conv1d", "conv2d", "conv_transpose2d", "linear")
ARITHMETIC = ("add", "sub", "mul", "div", "cat", "mean", "adaptive_avg_pool2d", "softmax", "upsample_bilinear2d")
FUSED = ("relu", "hardtanh", "relu6")


def measure_parts(
    network: nn.Module, spec: ModelSpec, samples: Sequence[Tensors], ranges: Ranges
) -> list[tuple[str, float]]:
    """Parts with the SQNR in dB of the worst output when they alone have 8 bits, the worst first.

    Args:
        ranges: as :func:`sdk_build.backends.quantizers.pt2e.observe` gives them.
    """
    import torch

    graph = export(network, spec)
    parts: dict[str, set[str]] = {}
    for node in graph.graph.nodes:
        if operation(node) in WEIGHTED + ARITHMETIC:
            parts.setdefault(module_path(node), set()).add(node.name)
    with torch.no_grad():
        given = [as_tensors(spec, sample) for sample in samples]
        exact = [_flat(graph(*g)) for g in given]
        found = []
        for part, names in parts.items():
            quantized = [_flat(_run(graph, names, ranges, g)) for g in given]
            values = [
                sqnr_db(a.numpy(), e.numpy())
                for out, kept in zip(quantized, exact, strict=True)
                for a, e in zip(out, kept, strict=True)
            ]
            found.append((part, min([*values, CAP_DB])))
    return sorted(found, key=lambda item: item[1])


def _run(graph: fx.GraphModule, names: set[str], ranges: Ranges, given: tuple[Tensor, ...]) -> Any:
    """The network with 8 bits in the named operations."""
    import torch
    from torch import fx

    class Quantizing(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if n.name not in names:
                value = super().run_node(n)
                inside = operation(n) in FUSED and any(a.name in names for a in n.all_input_nodes)
                return _to_8_bits(value, ranges.get(n.name)) if inside else value
            arguments, options = self.fetch_args_kwargs_from_env(n)
            given = [_quantize_argument(v, node, ranges) for v, node in zip(arguments, n.args, strict=True)]
            if operation(n) in WEIGHTED:
                given[1] = _weights_to_8_bits(arguments[1], 1 if operation(n) == "conv_transpose2d" else 0)
                if len(given) > 2:
                    given[2] = arguments[2]  # a bias keeps 32 bits everywhere
            value = self.call_function(n.target, tuple(given), options)
            fused = any(operation(user) in FUSED for user in n.users)
            return value if fused or not isinstance(value, torch.Tensor) else _to_8_bits(value, ranges.get(n.name))

    return Quantizing(graph).run(*given)


def _quantize_argument(value: Any, node: Any, ranges: Ranges) -> Any:
    """An activation in 8 bits; constants and settings as they are."""
    if isinstance(value, (list, tuple)) and isinstance(node, (list, tuple)):
        return [_quantize_argument(v, n, ranges) for v, n in zip(value, node, strict=True)]
    return _to_8_bits(value, ranges.get(node.name)) if hasattr(node, "name") and hasattr(value, "dim") else value


def _to_8_bits(value: Tensor, span: tuple[float, float] | None) -> Tensor:
    """Rounded to 256 levels over a range that holds 0."""
    if span is None or not value.is_floating_point():
        return value
    low, high = min(span[0], 0.0), max(span[1], 0.0)
    scale = (high - low) / 255 or 1.0
    levels = (value / scale).round().clamp(round(low / scale), round(high / scale))
    return levels * scale


def _weights_to_8_bits(weight: Tensor, axis: int) -> Tensor:
    """Symmetric, one scale per output channel."""
    others = [i for i in range(weight.dim()) if i != axis]
    scale = weight.abs().amax(others, keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round() * scale


def _flat(outputs: Any) -> list[Tensor]:
    return list(_tensors(outputs))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    else:
        yield value
