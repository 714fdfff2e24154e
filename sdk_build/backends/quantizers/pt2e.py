"""Quantising an exported PyTorch program (PT2E, torchao 0.18): for XNNPACK and for Core ML.

Ranges are named after the nodes of ``torch.export``'s graph, so that one calibration serves every quantiser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from reference.spec import ModelSpec
from sdk_build.backends import Tensors
from sdk_build.backends.quantizers.patterns import only_patterns_for
from sdk_build.backends.quantizers.recipes import FEW_CHANNELS, Quantization, Ranges, Recipe, is_inside
from sdk_build.backends.signature import as_tensors, example_inputs

if TYPE_CHECKING:
    from torch import fx, nn

MOVES = (
    *("slice", "select", "view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "contiguous"),
    *("constant_pad_nd", "pad", "clone", "expand"),
)
RESHAPES = ("view", "reshape", "flatten", "unflatten", "permute", "transpose")
ACTIVATIONS = (
    *("relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "sigmoid", "tanh", "silu", "gelu", "elu", "leaky_relu"),
    "clamp",
)
_QUANTIZED: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
EPS = 2**-12  # the smallest scale that XNNPACK's kernels take


def observe(network: nn.Module, spec: ModelSpec, samples: Sequence[Tensors]) -> Ranges:
    """Smallest and largest value of every activation over the calibration samples."""
    import torch
    from torch import fx

    ranges: dict[str, tuple[float, float]] = {}

    class Observer(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor) and value.is_floating_point() and n.op != "get_attr" and value.numel():
                low, high = (float(v) for v in value.aminmax())
                before = ranges.get(n.name, (low, high))
                ranges[n.name] = (min(low, before[0]), max(high, before[1]))
            return value

    graph = export(network, spec)
    with torch.no_grad():
        for sample in samples:
            Observer(graph).run(*as_tensors(spec, sample))
    for node in graph.graph.nodes:
        # XNNPACK refuses a slice whose two sides differ in scale, and moving numbers needs no scale of its own.
        if operation(node) in MOVES and node.args[0].name in ranges:
            ranges[node.name] = ranges[node.args[0].name]
    return ranges


def operation(node: fx.Node) -> str:
    """Name of an operation without its overload, e.g. ``conv2d``; empty for what is no operation."""
    return str(node.target).removeprefix("aten.").split(".")[0] if node.op == "call_function" else ""


def export(network: nn.Module, spec: ModelSpec) -> fx.GraphModule:
    """The network as a graph of ATen operations for one sample."""
    import torch

    graph: fx.GraphModule = torch.export.export(network, example_inputs(spec), strict=False).module(check_guards=False)
    return graph


def quantize(network: nn.Module, spec: ModelSpec, quantizer: Any, ranges: Ranges) -> fx.GraphModule:
    """The network with quantise and dequantise operations where ``quantizer`` puts them.

    Args:
        ranges: as :func:`observe` gives them; tensors that are not in it (constants) show their range themselves.
    """
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(export(network, spec), quantizer)
    with torch.no_grad():
        prepared(*example_inputs(spec))  # shows the observers of weights what they observe
    for node, observer in _observers(prepared):
        if node.name in ranges:
            low, high = ranges[node.name]
            observer.min_val.fill_(low)
            observer.max_val.fill_(high)
    return convert_pt2e(prepared)


def quantize_for_coreml(
    network: nn.Module, spec: ModelSpec, recipe: Recipe, quantization: Quantization
) -> fx.GraphModule:
    """The network as Core ML's quantiser leaves it; the last one is kept, as two runtimes hold it."""
    key = recipe, quantization.keep_float, tuple(quantization.ranges.items())
    held = _QUANTIZED.get(network)
    if held is None or held[0] != key:
        graph = quantize(network, spec, coreml_quantizer(recipe, quantization), quantization.ranges)
        held = _QUANTIZED[network] = (key, graph)
    found: fx.GraphModule = held[1]
    return found


def holds_integers(graph: nn.Module) -> bool:
    """True if a quantised program has anything quantised in it."""
    return any("dequantize" in str(node.target) for node in graph.graph.nodes)  # type: ignore[union-attr]


def _observers(prepared: fx.GraphModule) -> Iterator[tuple[fx.Node, Any]]:
    """Observed nodes with the observer that holds their range."""
    for node in prepared.graph.nodes:
        if node.op == "call_module" and "activation_post_process" in str(node.target):
            observer = prepared.get_submodule(str(node.target))
            observer = getattr(observer, "activation_post_process", observer)
            if hasattr(observer, "min_val"):
                yield node.args[0], observer


def module_path(node: fx.Node) -> str:
    """Path of the module that an operation belongs to, e.g. ``features.0.0``; empty for the network's own forward."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [str(path) for path, _ in stack.values()]
    return paths[-1].removeprefix("L['self']").lstrip(".").replace("['", ".").replace("']", "") if paths else ""


def filter_of(keep_float: tuple[str, ...]) -> Callable[[Any], bool]:
    """True for the nodes that may be quantised; weights and inputs belong to no module and never stand in the way."""
    return lambda node: node.op != "call_function" or not is_inside(module_path(_fused_into(node)), keep_float)


def _fused_into(node: fx.Node) -> fx.Node:
    """The operation that a runtime fuses an activation into, or the node itself.

    Quantisers annotate such a pair at the activation and ask about it alone.
    """
    while operation(node).rstrip("_") in ACTIVATIONS and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def xnnpack_quantizer(recipe: Recipe, quantization: Quantization) -> Any:
    """XNNPACK's quantiser: per output channel; ranges are the plain minimum and maximum."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e import MinMaxObserver

    dynamic = recipe.activations == "dynamic"
    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
    if not dynamic:
        # The stock HistogramObserver searches a clipped range for minutes and can't be given a stored one.
        observed = dataclasses.replace(
            config.input_activation, observer_or_fake_quant_ctr=MinMaxObserver.with_args(eps=EPS)
        )
        config = dataclasses.replace(config, input_activation=observed, output_activation=observed)
    quantizer = XNNPACKQuantizer().set_global(config)
    allowed = filter_of(quantization.keep_float)
    quantizer.set_filter_function(lambda node: allowed(node) and (not dynamic or _can_be_dynamic(node)))
    return quantizer


def _can_be_dynamic(node: fx.Node) -> bool:
    """True for matrix products that give more than :data:`FEW_CHANNELS` numbers.

    Other dynamic convolutions lower in ExecuTorch 1.4 and fail later: with groups, strides or an input that was
    reshaped into a map XNNPACK refuses them at run time, and a 3x3 one gave garbage (0 dB).
    """
    if operation(node) == "linear":
        given: tuple[Any, ...] = node.args
        return bool(given[1].meta["val"].shape[0] > FEW_CHANNELS)
    if not operation(node).startswith("conv"):
        return True
    defaults: tuple[Any, ...] = (None, None, None, (1, 1), (0, 0), (1, 1), 1)
    weight, stride, groups = ((*node.args, *defaults[len(node.args) :])[i] for i in (1, 3, 6))
    pointwise = set(weight.meta["val"].shape[2:]) == {1}
    reshaped = operation(node.all_input_nodes[0]) in RESHAPES
    return operation(node) == "conv2d" and pointwise and groups == 1 and set(stride) == {1} and not reshaped


def coreml_quantizer(recipe: Recipe, quantization: Quantization) -> Any:
    """Core ML's quantiser: ``w8`` compresses weights only, ``w8a8`` activations too."""
    from coremltools.optimize.torch.quantization import LinearQuantizerConfig
    from executorch.backends.apple.coreml.quantizer._coreml_quantizer import (
        CoreMLQuantizer,
        _AnnotationConfig,
        _AnnotationPatternRegistry,
    )

    class Filtered(CoreMLQuantizer):  # type: ignore[misc]
        """Leaves parts of the network float; the quantiser's own option knows whole names only."""

        def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
            config = _AnnotationConfig.from_quantization_config(self._config.global_config)
            with only_patterns_for(model):
                for name, annotate in _AnnotationPatternRegistry.get_annotators().items():
                    if "bn" not in name:  # folded before, and each search costs seconds
                        annotate(model, config, filter_of(quantization.keep_float))
            return model

    options = {
        "quantization_scheme": "symmetric",
        "weight_per_channel": True,
        # The default, a moving average, measured 17.7 dB where this measures 31.3 (MobileNetV3-Small).
        "activation_observer": "min_max",
        "weight_observer": "min_max",
        "activation_dtype": "quint8" if recipe.needs_ranges else "float32",
    }
    return Filtered(LinearQuantizerConfig.from_dict({"global_config": options}))
