"""LiteRT (.tflite) through litert-torch; XNNPACK runs it on phones and here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, Tensors
from sdk_build.backends.delegation import Delegation, count
from sdk_build.backends.known_issues import prepare
from sdk_build.backends.quantizers.recipes import FLOAT, Quantization, Ranges, get_recipe
from sdk_build.backends.signature import as_artifact_types, as_spec_types, example_inputs

if TYPE_CHECKING:
    import torch
    from torch import nn


# Types of tensors that XNNPACK takes in one operation or another; int32 as biases, shapes and axes.
XNNPACK_TYPES = {"float32", "float16", "int8", "uint8", "int32"}
_CONVERTED: WeakKeyDictionary[Any, bytes] = WeakKeyDictionary()


def lower(
    network: nn.Module, spec: ModelSpec, precision: str, path: Path, quantization: Quantization = FLOAT
) -> Delegation:
    """Write a .tflite file; ``fp16`` stores weights in half precision and computes as the delegate likes."""
    from sdk_build.backends.quantizers import tflite
    from sdk_build.backends.quantizers.shrink_tflite import shrink

    model = convert(network, spec)
    if precision != "fp32":
        model = tflite.quantize(model, get_recipe(precision), quantization)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(shrink(model))
    return inspect(path)


def observe(network: nn.Module, spec: ModelSpec, samples: Sequence[Tensors]) -> Ranges:
    """Ranges by the names of the float .tflite's tensors."""
    from sdk_build.backends.quantizers import tflite

    return tflite.observe(convert(network, spec), samples)


def always_float(network: nn.Module) -> tuple[str, ...]:
    """Nothing: every operation has an 8-bit form."""
    return ()


def convert(network: nn.Module, spec: ModelSpec) -> bytes:
    """The network as a float32 .tflite; kept as long as the network, because a conversion takes ten seconds."""
    if network not in _CONVERTED:
        _CONVERTED[network] = _convert(network, spec)
    return _CONVERTED[network]


def _convert(network: nn.Module, spec: ModelSpec) -> bytes:
    import litert_torch
    import torch

    lowered = prepare(network, example_inputs(spec), "litert")
    _let_pads_keep_channels_last()
    _name_tensors_by_module()

    class Named(torch.nn.Module):
        """Outputs by the spec's names, which litert-torch takes from a dict."""

        def __init__(self) -> None:
            super().__init__()
            self.network = lowered

        def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            given = [inputs[t.name] for t in spec.inputs]
            outputs = self.network(*given) if self.network is network else _run_with_places(self.network, given)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return {tensor.name: value for tensor, value in zip(spec.outputs, outputs, strict=True)}

    example = dict(zip((t.name for t in spec.inputs), example_inputs(spec), strict=True))
    # As bytes, not by its export(): litert-torch 0.10 writes natively and ends the whole process on a full disk.
    return bytes(litert_torch.convert(Named().eval(), sample_kwargs=example).model_content())


def _run_with_places(graph: Any, given: Sequence[torch.Tensor]) -> Any:
    """Run a rewritten graph operation by operation, so that each keeps the path of the module that it comes from."""
    import torch
    from torch.fx import traceback

    for node in graph.graph.nodes:
        stack = node.meta.get("nn_module_stack") or {}
        named = {key: (f"network.{path}".rstrip("."), cls) for key, (path, cls) in stack.items()}
        node.meta = {**node.meta, "nn_module_stack": named} if named else node.meta
    with traceback.preserve_node_meta():
        return torch.fx.Interpreter(graph).run(*given)


def _name_tensors_by_module() -> None:
    """Let litert-torch call tensors by the path of their module, as in ``network.features.1.layers.0;2``.

    litert-torch 0.10.0 gives the last part of each path alone and leaves out containers that are only iterated over, so
    that no one can tell ``features.0`` from ``heads.0``: parts that were to stay float got 8 bits all the same.
    """
    from litert_torch.backend.debuginfo import _build

    def path(node: torch.fx.Node) -> str:
        stack = node.meta.get("nn_module_stack") or {}
        return f"{[name for name, _ in stack.values()][-1] if stack else ''};"

    _build._get_hierarchy = path


def _let_pads_keep_channels_last() -> None:
    """Teach litert-torch that zero padding has a channels-last form.

    litert-torch 0.10.0 lacks it and so puts a TRANSPOSE before and behind every padding that stands between
    convolutions. Can go with a release that registers ``constant_pad_nd`` itself.
    """
    import torch
    from litert_torch._convert.fx_passes.optimize_layout_transposes_pass import layout_rewrite

    def rewrite(node: torch.fx.Node) -> None:
        widths: list[int] = list(node.args[1])  # type: ignore[arg-type]
        widths += [0] * (8 - len(widths))  # two for each dimension, the last one first: W, H, C, N
        node.args = (node.args[0], [*widths[4:6], *widths[:4], *widths[6:]], *node.args[2:])

    operation = torch.ops.aten.constant_pad_nd.default
    if operation not in layout_rewrite.rewriters:
        layout_rewrite.rewriters.register(operation)(rewrite)


class LiteRtRunner:
    """A .tflite file in the LiteRT interpreter."""

    def __init__(self, path: Path, spec: ModelSpec, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.spec = spec
        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.runner = self.interpreter.get_signature_runner()

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """See :class:`sdk_build.backends.Runner`."""
        return as_spec_types(self.spec, self.runner(**as_artifact_types(self.spec, inputs, RUNTIMES["litert"].types)))


def load(path: Path, spec: ModelSpec, threads: int = 1) -> LiteRtRunner:
    """Load a .tflite file.

    Raises:
        BadInput: the interpreter refuses the file.
    """
    try:
        return LiteRtRunner(path, spec, threads)
    except (ValueError, RuntimeError) as error:
        raise BadInput(f"{path.name} is no .tflite file that LiteRT can run ({error}); export it again") from error


def inspect(path: Path) -> Delegation:
    """Count what XNNPACK takes when LiteRT loads the file.

    The interpreter lists the original operations first and the delegates behind them, but not which of them run.
    Walking from the outputs to their producers, delegates first, finds those that run outside.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter._get_ops_details()
    delegates = [d for d in details if d["op_name"] == "DELEGATE"]
    operations = [d for d in details if d["op_name"] != "DELEGATE"]
    producers = {int(t): d for group in (operations, delegates) for d in group for t in d["outputs"]}
    outside: dict[int, str] = {}
    waiting = [int(d["index"]) for d in interpreter.get_output_details()]
    seen: set[int] = set()
    while waiting:
        tensor = waiting.pop()
        producer = producers.get(tensor)
        if tensor in seen or producer is None:  # a constant or a graph input
            continue
        seen.add(tensor)
        if producer["op_name"] != "DELEGATE":
            outside[int(producer["index"])] = producer["op_name"]
        waiting += [int(t) for t in producer["inputs"] if t >= 0]
    inside = Counter(d["op_name"] for d in operations) - Counter(outside.values())
    types = {d["index"]: np.dtype(d["dtype"]).name for d in interpreter.get_tensor_details()}
    ports = {
        name: {types.get(int(t), "") for d in operations if outside.get(int(d["index"])) == name
               for t in (*d["inputs"], *d["outputs"]) if t >= 0}
        for name in outside.values()
    }  # fmt: skip
    return count(
        "XNNPACK", inside, Counter(outside.values()), len(delegates), lambda name: _why(ports[name], name in inside)
    )


def _why(types: set[str], also_inside: bool) -> str:
    """Why XNNPACK leaves an operation out, which LiteRT does not say: from its tensors' types."""
    foreign = sorted(types - XNNPACK_TYPES - {""})
    if foreign:
        return f"XNNPACK takes no tensor of {', '.join(foreign)}"
    if also_inside:
        return "XNNPACK takes others of its kind, but not of this form"
    return f"XNNPACK has no such operation for {', '.join(sorted(types - {''}))}"
