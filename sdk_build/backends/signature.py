"""A model's inputs and outputs as its artifact has them: examples to trace with, and the types of each runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.spec import ModelSpec
from sdk_build.backends import Tensors

if TYPE_CHECKING:
    from torch import Tensor, nn


def example_inputs(spec: ModelSpec, types: Mapping[str, str] | None = None) -> tuple[Tensor, ...]:
    """Zeros in the shape and type of every input, in the spec's order.

    Args:
        types: the runtime's own types for those that it does not have (:attr:`sdk_build.backends.Runtime.types`).
    """
    import torch

    chosen = ((types or {}).get(t.dtype, t.dtype) for t in spec.inputs)
    return tuple(torch.zeros(t.shape, dtype=getattr(torch, name)) for t, name in zip(spec.inputs, chosen, strict=True))


def as_tensors(spec: ModelSpec, inputs: Mapping[str, NDArray[Any]]) -> tuple[Tensor, ...]:
    """Input arrays by name as tensors in the spec's order."""
    import torch

    return tuple(torch.tensor(inputs[t.name]) for t in spec.inputs)


def as_artifact_types(spec: ModelSpec, inputs: Mapping[str, NDArray[Any]], types: Mapping[str, str]) -> Tensors:
    """Inputs by name in the artifact's own types."""
    return {t.name: np.asarray(inputs[t.name], types.get(t.dtype, t.dtype), order="C") for t in spec.inputs}


def as_spec_types(spec: ModelSpec, outputs: Mapping[str, NDArray[Any]]) -> Tensors:
    """Outputs by name in the spec's order, shapes and types, copied: runtimes reuse their memory.

    Some runtimes give one dimension where the spec has none; other shapes stay as they are, for whoever checks them.
    """
    found = {}
    for t in spec.outputs:
        values = np.array(outputs[t.name], dtype=t.dtype, order="C")
        found[t.name] = values.reshape(()) if t.shape == () and values.size == 1 else values
    return found


def with_types(network: nn.Module, spec: ModelSpec, types: Mapping[str, str]) -> nn.Module:
    """The network behind inputs and outputs of a runtime's own types; itself where they are the spec's."""
    import torch

    if not any(t.dtype in types for t in (*spec.inputs, *spec.outputs)):
        return network

    class Typed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *given: torch.Tensor) -> Any:
            inputs = [_cast(x, t.dtype) if t.dtype in types else x for x, t in zip(given, spec.inputs, strict=True)]
            answer = self.network(*inputs)
            outputs = answer if isinstance(answer, tuple) else (answer,)
            cast = [_cast(y, types.get(t.dtype, t.dtype)) for y, t in zip(outputs, spec.outputs, strict=True)]
            return cast[0] if len(cast) == 1 else tuple(cast)

    return Typed().eval()


def _cast(tensor: Tensor, name: str) -> Tensor:
    import torch

    wanted = getattr(torch, name)
    if tensor.dtype == wanted:
        return tensor
    return tensor != 0 if wanted == torch.bool else tensor.to(wanted)
