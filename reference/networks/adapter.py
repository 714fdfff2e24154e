"""Any network behind the one face that every part of OnPar knows: tensors in, a tuple of tensors out.

A user's network may take its tensors by keyword, and answer with a dict, a list, a dataclass or all of these nested.
The adapter is the network that is exported; it adds no operation but what the spec asks for (normalisation of the
picture).
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from reference.errors import BadInput
from reference.spec import ModelSpec


class Adapter(nn.Module):
    """``network`` with the inputs of a spec in their order, and its outputs flat.

    Args:
        network: in evaluation mode; half precision is computed in single.

    Raises:
        BadInput: the network can't be called with the spec's inputs.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = network.float() if any(p.is_floating_point() for p in network.parameters()) else network
        self.names = tuple(t.name for t in spec.inputs)
        self.by_name = takes_by_name(network, self.names)
        self.order = places(network, self.names)
        self.singles = tuple(t.dtype == "float32" for t in spec.outputs)
        self.halves = tuple(t.dtype == "float16" for t in spec.inputs)
        self.writes: bool | None = None  # into its inputs; unknown before the first call
        mean, std = (spec.preprocess.mean, spec.preprocess.std) if spec.preprocess else ((), ())
        self.normalizes = any(m != 0 for m in mean) or any(s != 1 for s in std)
        self.mean: Tensor
        self.std: Tensor
        if self.normalizes:
            shape = (1, len(mean), 1, 1)
            self.register_buffer("mean", torch.tensor(mean).reshape(shape), persistent=False)
            self.register_buffer("std", torch.tensor(std).reshape(shape), persistent=False)

    def forward(self, *tensors: Tensor) -> Any:
        """Inputs in the spec's order to one tensor, or a tuple of several.

        Raises:
            BadInput: the network answers with another number of tensors than the spec has.
        """
        given = [x.float() if half else x for x, half in zip(tensors, self.halves, strict=True)]
        if self.normalizes:
            given[0] = (given[0] - self.mean) / self.std
        answer = self._answer(given)
        outputs = tuple(value for _, value in flatten(answer))
        if len(outputs) != len(self.singles):
            raise BadInput(
                f"the network answers with {len(outputs)} tensors, its spec names {len(self.singles)} outputs"
            )
        outputs = tuple(_single(y) if single else y for y, single in zip(outputs, self.singles, strict=True))
        return outputs[0] if len(outputs) == 1 else outputs

    def _answer(self, given: list[Tensor]) -> Any:
        """What the network gives; one that writes into its inputs is handed copies, as every runtime's inputs stay."""
        first = self.writes is None and not torch.compiler.is_compiling()
        if first or self.writes:
            given = [x.clone() for x in given]
        if self.by_name:
            answer = self.network(**dict(zip(self.names, given, strict=True)))
        else:
            answer = self.network(*(given[i] for i in self.order))
        if first and not any(x.is_inference() for x in given):  # which count no writes
            self.writes = any(x._version > 0 for x in given)
        return answer


def _single(output: Tensor) -> Tensor:
    """What the spec calls float32 must be that in the artifact, too, whatever float the network gives."""
    return output.float() if output.is_floating_point() and output.dtype != torch.float32 else output


class Traced(nn.Module):
    """A traced program as a module: it has no training mode, and says so with an exception."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program
        self.arguments = tuple(inspect.signature(program.forward).parameters)

    def train(self, mode: bool = True) -> Traced:
        """Nothing changes: a program was traced in one mode."""
        self.training = mode
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Traced:
        """Without the warning that torch gives of its own class when it copies a program."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return Traced(copy.deepcopy(self.program, memo)).train(self.training)

    def forward(self, *tensors: Tensor) -> Any:
        """As the program."""
        return self.program(*tensors)


def takes_by_name(network: nn.Module, names: tuple[str, ...]) -> bool:
    """True if every input is an argument of the network's ``forward``; otherwise they go by place."""
    arguments = inspect.signature(network.forward).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return set(names) <= {a.name for a in arguments if a.kind in named}


def arguments_of(network: nn.Module) -> tuple[str, ...]:
    """Names of the tensors that a network's forward takes, in order; empty where it does not say."""
    if isinstance(network, Traced):
        return network.arguments
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(p.name for p in inspect.signature(network.forward).parameters.values() if p.kind in kinds)


def places(network: nn.Module, names: tuple[str, ...]) -> tuple[int, ...]:
    """Where among ``names`` each argument of a network is that takes them by place."""
    known = arguments_of(network)
    return tuple(names.index(name) for name in known if name in names) or tuple(range(len(names)))


def flatten(answer: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a network's answer with its path, e.g. ``aux_logits``; None is left out.

    Raises:
        BadInput: it holds something that is no tensor.
    """
    if isinstance(answer, Tensor):
        yield path, answer
    elif answer is not None:
        for name, part in _parts(answer):
            yield from flatten(part, f"{path}_{name}" if path else name)


def _parts(answer: Any) -> list[tuple[str, Any]]:
    if isinstance(answer, Mapping):  # transformers' ModelOutput among them
        return [(str(name), part) for name, part in answer.items()]
    if dataclasses.is_dataclass(answer):
        return [(field.name, getattr(answer, field.name)) for field in dataclasses.fields(answer)]
    if isinstance(answer, (list, tuple)):
        names = getattr(answer, "_fields", None) or range(len(answer))
        return [(str(name), part) for name, part in zip(names, answer, strict=True)]
    raise BadInput(
        f"the network's answer holds {type(answer).__name__}; allowed: tensors, and dicts, lists, tuples and "
        "dataclasses of them"
    )
