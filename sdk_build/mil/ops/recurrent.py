"""Recurrent networks: gru, lstm and rnn over (sequence, batch, features)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdk_build.errors import UnsupportedOperation

# Core ML's names in ML programs and in neural networks; alpha and beta are the standard ones, which a program can't
# change.
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "hard_sigmoid": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "linear": lambda x: x,
    "relu": torch.relu,
    "scaled_tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "sigmoid_hard": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "tanh": torch.tanh,
}
_ONE_WAY, _BOTH_WAYS = ("forward", "reverse"), ("forward", "reverse", "bidirectional")
Cell = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    if name not in _ACTIVATIONS:
        raise UnsupportedOperation(f"activation '{name}' is not emulated; allowed: {', '.join(sorted(_ACTIVATIONS))}")
    return _ACTIVATIONS[name]


def _check_direction(direction: str, allowed: tuple[str, ...]) -> None:
    if direction not in allowed:
        raise UnsupportedOperation(f"direction '{direction}' is not emulated; allowed: {', '.join(allowed)}")


def _project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The inputs' part of every gate for all steps at once: (s, b, I) -> (s, b, gates * H)."""
    projected = x @ weight.T
    return projected if bias is None else projected + bias


def scan(
    projected: Tensor, state: tuple[Tensor, ...], cell: Cell, is_reversed: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Runs a cell over the steps; returns h of each step, in the order of the steps, and the last state."""
    steps = range(projected.shape[0])
    outputs = []
    for step in reversed(steps) if is_reversed else steps:
        state = cell(projected[step], state)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if is_reversed else outputs), state


def _outputs(sequence: Tensor, last: Tensor, output_sequence: Tensor | bool) -> Tensor:
    return sequence if bool(output_sequence) else last.unsqueeze(0)


def _rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """h = activation(W_ih x + W_hh h + b); a reversed sequence's outputs come in the order in which they are made."""
    _check_direction(direction, _ONE_WAY)
    act = _activation(activation)

    def cell(projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (act(projected + state[0] @ weight_hh.T),)

    sequence, (h,) = scan(_project(_ordered(x, direction), weight_ih, bias), (initial_h,), cell, False)
    return _outputs(sequence, h, output_sequence), h


def _ordered(x: Tensor, direction: str) -> Tensor:
    return x.flip(0) if direction == "reverse" else x


def _gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: Tensor | bool = False,
    input_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Gates in the order reset, output, update.

    The reset gate multiplies h before its matrix, where torch's multiplies the product; ``reset_after`` (iOS 18)
    does it as torch, with ``bias`` inside the gate and ``input_bias`` outside.
    """
    _check_direction(direction, _ONE_WAY)
    gate, act = _activation(recurrent_activation), _activation(activation)
    hidden = weight_hh.shape[1]
    (w_r, w_o, w_z) = weight_hh.split(hidden)
    recurrent_bias = torch.zeros(3 * hidden) if bias is None else bias
    b_r, b_o, b_z = recurrent_bias.split(hidden)

    def cell(projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = state
        p_r, p_o, p_z = projected.split(hidden, dim=-1)
        r, z = gate(p_r + h @ w_r.T + b_r), gate(p_z + h @ w_z.T + b_z)
        recurrent = r * (h @ w_o.T + b_o) if bool(reset_after) else (r * h) @ w_o.T + b_o
        return ((1 - z) * act(p_o + recurrent) + z * h,)

    sequence, (h,) = scan(_project(_ordered(x, direction), weight_ih, input_bias), (initial_h,), cell, False)
    return _outputs(sequence, h, output_sequence), h


def _lstm_one_way(
    x: Tensor,
    state: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor, Tensor | None, Tensor | None],
    activations: tuple[str, str, str],
    clip: float | None,
    is_reversed: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One direction; ``weights`` are of the input, of h, the bias and the peephole, in the order i, f, o, cell."""
    weight_ih, weight_hh, bias, peephole = weights
    gate, cell_act, act = (_activation(name) for name in activations)
    p_i, p_f, p_o = (None, None, None) if peephole is None else peephole.chunk(3)

    def peep(z: Tensor, weight: Tensor | None, c: Tensor) -> Tensor:
        return z if weight is None else z + c * weight

    def cell(projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, c = state
        z_i, z_f, z_o, z_c = (projected + h @ weight_hh.T).chunk(4, dim=-1)
        i, f = gate(peep(z_i, p_i, c)), gate(peep(z_f, p_f, c))
        c = f * c + i * cell_act(z_c)
        c = c if clip is None else c.clamp(-clip, clip)
        return gate(peep(z_o, p_o, c)) * act(c), c

    return scan(_project(x, weight_ih, bias), state, cell, is_reversed)


def _lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gates in the order input, forget, output, cell; both directions side by side in the last dimension.

    The backward half of a bidirectional sequence is in the order of the steps; a reversed sequence alone comes in the
    order in which it is made, as in gru and rnn.
    """
    _check_direction(direction, _BOTH_WAYS)
    activations = (recurrent_activation, cell_activation, activation)
    limit = None if clip is None else float(clip)
    forward = (weight_ih, weight_hh, bias, peephole)
    if direction != "bidirectional":
        sequence, (h, c) = _lstm_one_way(
            _ordered(x, direction), (initial_h, initial_c), forward, activations, limit, False
        )
        return _outputs(sequence, h, output_sequence), h, c
    if weight_ih_back is None or weight_hh_back is None:
        raise ValueError("a bidirectional lstm without weight_ih_back and weight_hh_back")
    backward = (weight_ih_back, weight_hh_back, bias_back, peephole_back)
    (h_f, h_b), (c_f, c_b) = initial_h.chunk(2, dim=-1), initial_c.chunk(2, dim=-1)
    ahead, (h_f, c_f) = _lstm_one_way(x, (h_f, c_f), forward, activations, limit, False)
    back, (h_b, c_b) = _lstm_one_way(x, (h_b, c_b), backward, activations, limit, True)
    h, c = torch.cat([h_f, h_b], dim=-1), torch.cat([c_f, c_b], dim=-1)
    return _outputs(torch.cat([ahead, back], dim=-1), h, output_sequence), h, c


RECURRENT_OPERATIONS: dict[str, Callable[..., Any]] = {"gru": _gru, "lstm": _lstm, "rnn": _rnn}
