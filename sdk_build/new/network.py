"""What a network says about itself when it is run once."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.errors import BadInput
from reference.golden import Tensors
from reference.model_folder import cause
from reference.spec import ANY, DTYPES, TensorSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

SINGLE = "output"
# Outputs of two inputs that differ by less of their range could not be told apart by any check.
SMALLEST_RESPONSE = 2e-3


def run_once(network: nn.Module, inputs: Tensors, path: Path) -> list[tuple[str, Tensor]]:
    """Every tensor of a network's answer with its path.

    Raises:
        BadInput: the network fails; names its line.
    """
    import torch

    from reference.networks.adapter import flatten, places, takes_by_name

    tensors = {name: torch.tensor(values) for name, values in inputs.items()}
    tensors = {name: x.float() if x.dtype == torch.float16 else x for name, x in tensors.items()}
    try:
        with torch.no_grad():
            named = takes_by_name(network, tuple(tensors))
            values = tuple(tensors.values())
            answer = network(**tensors) if named else network(*(values[i] for i in places(network, tuple(tensors))))
    except BadInput:
        raise
    except Exception as error:  # a user's network raises anything
        given = ", ".join(f"{name} {values.dtype} {values.shape}" for name, values in inputs.items())
        raise BadInput(f"the network fails with {given}: {cause(error, path)}; give inputs that it takes") from error
    found = list(flatten(answer))
    if not found:
        raise BadInput("the network answers with no tensor; it must give one or more")
    return found


def describe_outputs(answers: Sequence[Sequence[tuple[str, Tensor]]], taken: Sequence[str]) -> tuple[TensorSpec, ...]:
    """Names, shapes and types of the outputs.

    Args:
        answers: what the network gave for each case.
        taken: names that inputs have.

    Raises:
        BadInput: shapes depend on the input, a value is not finite, a type has no form on phones, or nothing responds.
    """
    names = _names([path for path, _ in answers[0]], set(taken))
    specs = []
    for number, name in enumerate(names):
        values = [answer[number][1].detach().cpu() for answer in answers]
        arrays = [x.float().numpy() if x.is_floating_point() else x.numpy() for x in values]
        if len({a.shape for a in arrays}) > 1:
            shapes = " and ".join(str(a.shape) for a in arrays[:2])
            raise BadInput(f"output {name} has shapes {shapes} for two inputs; shapes must be fixed: cut or pad it")
        if str(arrays[0].dtype) not in DTYPES:
            raise BadInput(
                f"output {name} is {arrays[0].dtype}; allowed: {', '.join(DTYPES)}: convert it in the network"
            )
        if not all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f"):
            raise BadInput(
                f"output {name} holds NaN or infinity; mend the weights, or give inputs like those of training"
            )
        specs.append(TensorSpec(name, arrays[0].shape, ANY, "value", dtype=str(arrays[0].dtype)))
    _require_response(names, answers)
    return tuple(specs)


def _names(paths: Sequence[str], taken: set[str]) -> list[str]:
    """Identifiers from the places of tensors in an answer, apart from each other and from the inputs' names."""
    names: list[str] = []
    for path in paths:
        name = re.sub(r"\W", "_", path) or SINGLE
        name = f"{SINGLE}_{name}" if name[0].isdigit() or name in taken else name
        while name in taken or name in names:
            name += "_"
        names.append(name)
    return names


def _require_response(names: Sequence[str], answers: Sequence[Sequence[tuple[str, Tensor]]]) -> None:
    """Refuse golden inputs that no check could tell apart by their outputs."""
    deaf = []
    for number, name in enumerate(names):
        first, second = (answer[number][1].detach().double() for answer in answers[:2])
        span = float(first.max() - first.min()) or float(first.abs().max()) or 1.0
        difference = float((first - second).abs().max()) / span
        if difference == 0 or (answers[0][number][1].is_floating_point() and difference < SMALLEST_RESPONSE):
            deaf.append((name, difference))
    floats = [n for number, n in enumerate(names) if answers[0][number][1].is_floating_point()]
    if len(deaf) == len(names) or any(name in floats for name, _ in deaf):
        name, difference = next(((n, d) for n, d in deaf if n in floats), deaf[0])
        raise BadInput(
            f"output {name} is the same for two golden inputs ({difference:.1g} of its range apart), so that no check "
            "could fail; give inputs that differ more, or weights that were trained"
        )


def check_export(network: Callable[..., Any], examples: tuple[Tensor, ...], path: Path) -> None:
    """Refuse what torch.export can't trace, and networks that draw random numbers, before any converter sees them.

    Raises:
        BadInput: its reason, and the line of the user's code.
    """
    import torch

    from sdk_build.backends.known_issues import is_random, random_line
    from sdk_build.quiet import quiet

    try:
        with contextlib.redirect_stderr(io.StringIO()), quiet(), torch.no_grad():  # it prints the graph, too
            program = torch.export.export(network, examples, strict=False)  # type: ignore[arg-type]
    except Exception as error:  # torch.export raises anything
        raise BadInput(
            f"torch.export can't trace the network: {cause(error, path)}; take the control flow out of forward, or "
            "write it with torch.where or torch.cond"
        ) from error
    drawn = next((node for node in program.graph.nodes if is_random(node)), None)
    if drawn is not None:
        raise BadInput(random_line(drawn))
