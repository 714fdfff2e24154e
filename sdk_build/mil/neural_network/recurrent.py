"""Recurrent layers: settings joined gate by gate when a layer is read, and what they compute.

Values are (sequence, batch, C, 1, 1). Every sum before an activation is held between -50 and 50, as Apple's definition
of these layers says; ML programs have no such limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdk_build.errors import BadInput, UnsupportedOperation
from sdk_build.mil.neural_network.settings import weights_of
from sdk_build.mil.ops.recurrent import scan
from sdk_build.mil.program import Constant

KINDS = ("simpleRecurrent", "gru", "uniDirectionalLSTM", "biDirectionalLSTM")
_LSTM_GATES = ("inputGate", "forgetGate", "outputGate", "blockInput")
_GRU_GATES = ("updateGate", "resetGate", "outputGate")
_SUM_LIMIT = 50.0
_CELL_LIMIT = 50.0  # where a layer states none
_ACTIVATIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "linear": lambda x, alpha, beta: alpha * x + beta,
    "ReLU": lambda x, alpha, beta: torch.relu(x),
    "scaledTanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
    "sigmoid": lambda x, alpha, beta: torch.sigmoid(x),
    "sigmoidHard": lambda x, alpha, beta: torch.clamp(alpha * x + beta, 0, 1),
    "tanh": lambda x, alpha, beta: torch.tanh(x),
}
# What a layer means that leaves both at zero; coremltools' builder writes neither.
_STANDARD = {"linear": (1.0, 0.0), "scaledTanh": (1.0, 1.0), "sigmoidHard": (0.2, 0.5)}
Activation = Callable[[Tensor], Tensor]


# Reading


def recurrent_settings(kind: str, layer: Any) -> dict[str, Constant]:
    """A recurrent layer's settings: one matrix, of all gates, for the input and one for the state.

    Args:
        kind: One of ``KINDS``.
        layer: Its parameters' message.

    Raises:
        BadInput: Weights of another size than the layer states, or another number of activations.
        UnsupportedOperation: An activation that recurrent layers don't have.
    """
    settings: dict[str, Constant]
    if kind.endswith("LSTM"):
        return _lstm_settings(kind, layer)
    gates = [""] if kind == "simpleRecurrent" else list(_GRU_GATES)
    has_bias = layer.hasBiasVector if kind == "simpleRecurrent" else layer.hasBiasVectors
    settings = _gates(layer, layer, gates, has_bias, layer)
    activations = [layer.activation] if kind == "simpleRecurrent" else layer.activations
    settings |= _activations(activations, 1 if kind == "simpleRecurrent" else 2)
    return settings | {"sequence_output": _flag(layer.sequenceOutput), "is_reversed": _flag(layer.reverseInput)}


def _flag(value: Any) -> np.ndarray:
    return np.array(bool(value))


def _lstm_settings(kind: str, layer: Any) -> dict[str, Constant]:
    both = kind == "biDirectionalLSTM"
    directions = list(layer.weightParams) if both else [layer.weightParams]
    activations = list(layer.activationsForwardLSTM if both else layer.activations)
    if len(directions) != 1 + both:
        raise BadInput(f"weights of {len(directions)} directions; allowed: {1 + both}")
    if both and [a.SerializeToString() for a in layer.activationsBackwardLSTM] not in (
        [],
        [a.SerializeToString() for a in activations],
    ):
        raise UnsupportedOperation("other activations backward than forward; allowed: the same")
    shared = layer.params
    parts = [_gates(d, layer, list(_LSTM_GATES), shared.hasBiasVectors, shared) for d in directions]
    settings: dict[str, Constant] = {name: np.stack([np.asarray(p[name]) for p in parts]) for name in parts[0]}
    return {
        **settings,
        **_activations(activations, 3),
        "clip": np.array(shared.cellClipThreshold or _CELL_LIMIT, np.float32),
        "is_coupled": _flag(shared.coupledInputAndForgetGate),
        "sequence_output": _flag(shared.sequenceOutput),
        "is_reversed": _flag(not both and layer.reverseInput),
    }


def _gates(weights: Any, layer: Any, gates: Sequence[str], has_bias: bool, shared: Any) -> dict[str, Constant]:
    """The gates' matrices and vectors, below each other in the order of ``gates``."""
    inputs, size = int(layer.inputVectorSize), int(layer.outputVectorSize)

    def joined(ending: str, names: Sequence[str], *sizes: int) -> np.ndarray:
        fields = [f"{name}{ending}" if name else ending[0].lower() + ending[1:] for name in names]
        return np.concatenate([_shaped(getattr(weights, field), field, size, *sizes) for field in fields])

    names = {"": ("weightMatrix", "recursionMatrix", "biasVector")} if gates == [""] else {}
    matrix, recursion, bias = names.get("", ("WeightMatrix", "RecursionMatrix", "BiasVector"))
    found: dict[str, Constant] = {
        "weight_ih": joined(matrix, gates, inputs),
        "weight_hh": joined(recursion, gates, size),
        "bias": joined(bias, gates) if has_bias else np.zeros(len(gates) * size, np.float32),
    }
    if getattr(shared, "forgetBias", False):
        found["bias"][size : 2 * size] += 1  # type: ignore[index, operator]
    if getattr(shared, "hasPeepholeVectors", False):
        found["peephole"] = joined("PeepholeVector", gates[:3])
    return found


def _shaped(weights: Any, name: str, *sizes: int) -> np.ndarray:
    numbers = weights_of(weights)
    if numbers.size < math.prod(sizes):
        raise BadInput(f"{name} has {numbers.size} weights; allowed: {' x '.join(map(str, sizes))}")
    return numbers[: math.prod(sizes)].reshape(sizes)


def _activations(messages: Sequence[Any], count: int) -> dict[str, Constant]:
    kinds = [message.WhichOneof("NonlinearityType") for message in messages]
    if len(kinds) != count:
        raise BadInput(f"{len(kinds)} activations; allowed: {count}")
    constants = []
    for message, kind in zip(messages, kinds, strict=True):
        if kind not in _ACTIVATIONS:
            raise UnsupportedOperation(f"activation '{kind}' is not emulated; allowed: {', '.join(_ACTIVATIONS)}")
        inner = getattr(message, kind)
        given = (getattr(inner, "alpha", 0.0), getattr(inner, "beta", 0.0))
        constants.append(given if any(given) else _STANDARD.get(kind, (0.0, 0.0)))
    return {"activations": np.array(kinds, dtype=object), "constants": np.array(constants, np.float32)}


# Computing


def _functions(activations: np.ndarray, constants: Tensor) -> list[Activation]:
    def function(kind: str, alpha: float, beta: float) -> Activation:
        return lambda x: _ACTIVATIONS[kind](torch.clamp(x, -_SUM_LIMIT, _SUM_LIMIT), alpha, beta)

    return [function(kind, *pair) for kind, pair in zip(activations.tolist(), constants.tolist(), strict=True)]


def _steps(x: Tensor) -> Tensor:
    if x.dim() != 5 or x.shape[3:] != (1, 1):
        raise ValueError(f"an input of shape {tuple(x.shape)}; allowed: (sequence, batch, C, 1, 1)")
    return x[..., 0, 0]


def _states(values: Sequence[Tensor], count: int, batch: int, size: int) -> list[Tensor]:
    """Initial states (batch, size): given as (1, batch, size, 1, 1), or zero."""
    if len(values) not in (0, count):
        raise ValueError(f"{len(values)} states; allowed: none or {count}")
    return [value.reshape(-1, size).expand(batch, size) for value in values] or [torch.zeros(batch, size)] * count


def _results(sequence: Tensor, states: Sequence[Tensor], sequence_output: Tensor | bool, count: int) -> Any:
    """The sequence or its last result, and as many states as the layer gives out."""
    y = sequence if bool(sequence_output) else sequence[-1:]
    return tuple(value[..., None, None] for value in (y, *(state[None] for state in states)))[:count]


def _ordered(x: Tensor, is_reversed: Tensor | bool) -> Tensor:
    """A reversed sequence's results come in the order in which they are made."""
    return x.flip(0) if bool(is_reversed) else x


def _simple(
    values: list[Tensor],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    activations: np.ndarray,
    constants: Tensor,
    count: Tensor,
    sequence_output: Tensor | bool = False,
    is_reversed: Tensor | bool = False,
) -> Any:
    """y_t = f(W x_t + R y_(t-1) + b)."""
    (f,) = _functions(activations, constants)
    x = _ordered(_steps(values[0]), is_reversed)
    (h,) = _states(values[1:], 1, x.shape[1], weight_hh.shape[1])
    sequence, state = scan(x @ weight_ih.T + bias, (h,), lambda z, s: (f(z + s[0] @ weight_hh.T),), False)
    return _results(sequence, state, sequence_output, int(count))


def _gru(
    values: list[Tensor],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    activations: np.ndarray,
    constants: Tensor,
    count: Tensor,
    sequence_output: Tensor | bool = False,
    is_reversed: Tensor | bool = False,
) -> Any:
    """Gates in the order update, reset, output; the reset gate multiplies the state before its matrix."""
    f, g = _functions(activations, constants)
    size = weight_hh.shape[1]
    r_z, r_r, r_o = weight_hh.split(size)
    x = _ordered(_steps(values[0]), is_reversed)
    (h,) = _states(values[1:], 1, x.shape[1], size)

    def cell(projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (y,) = state
        p_z, p_r, p_o = projected.split(size, dim=-1)
        z, r = f(p_z + y @ r_z.T), f(p_r + y @ r_r.T)
        return ((1 - z) * g(p_o + (y * r) @ r_o.T) + z * y,)

    sequence, state = scan(x @ weight_ih.T + bias, (h,), cell, False)
    return _results(sequence, state, sequence_output, int(count))


def _lstm(
    values: list[Tensor],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    activations: np.ndarray,
    constants: Tensor,
    count: Tensor,
    clip: Tensor,
    peephole: Tensor | None = None,
    is_coupled: Tensor | bool = False,
    sequence_output: Tensor | bool = False,
    is_reversed: Tensor | bool = False,
) -> Any:
    """Weights have a direction in front: (1 or 2, gates, ...); gates in the order input, forget, output, block."""
    x = _ordered(_steps(values[0]), is_reversed)
    directions, size = weight_ih.shape[0], weight_hh.shape[-1]
    given = _states(values[1:], 2 * directions, x.shape[1], size)
    sequences: list[Tensor] = []
    states: list[Tensor] = []
    for number in range(directions):
        peep = None if peephole is None else peephole[number].chunk(3)
        cell = _lstm_cell(weight_hh[number], peep, _functions(activations, constants), float(clip), bool(is_coupled))
        projected = x @ weight_ih[number].T + bias[number]
        sequence, state = scan(projected, tuple(given[2 * number : 2 * number + 2]), cell, number == 1)
        sequences.append(sequence)
        states.extend(state)
    if not bool(sequence_output) and directions == 2:
        sequences = [states[0][None], states[2][None]]
    return _results(torch.cat(sequences, dim=-1), states, sequence_output, int(count))


def _lstm_cell(
    weight_hh: Tensor, peephole: Sequence[Tensor] | None, functions: list[Activation], clip: float, is_coupled: bool
) -> Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    f, g, h = functions
    p_i, p_f, p_o = (0.0, 0.0, 0.0) if peephole is None else peephole

    def cell(projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        y, c = state
        z_i, z_f, z_o, z_b = (projected + y @ weight_hh.T).chunk(4, dim=-1)
        i = f(z_i + p_i * c)
        forget = 1 - i if is_coupled else f(z_f + p_f * c)
        c = (c * forget + i * g(z_b)).clamp(-clip, clip)
        return f(z_o + p_o * c) * h(c), c

    return cell


RECURRENT_LAYERS: dict[str, Callable[..., Any]] = {
    "biDirectionalLSTM": _lstm,
    "gru": _gru,
    "simpleRecurrent": _simple,
    "uniDirectionalLSTM": _lstm,
}
