"""Recurrent networks against torch's own, and against the formulas where torch has no such form."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .harness import Case, noise, scalar, t

S, B, WIDTH, H = 4, 2, 3, 5
X = noise(S, B, WIDTH, seed=1)
H0, C0 = noise(B, H, seed=2), noise(B, H, seed=3)


def _blocks(gates: int, width: int, seed: int) -> list[np.ndarray]:
    return [noise(H, width, seed=seed + gate) if width else noise(H, seed=seed + gate) for gate in range(gates)]


def _cat(parts: list[np.ndarray], order: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([parts[place] for place in order])


def _torch_net(net: torch.nn.Module, suffix: str, w_ih: np.ndarray, w_hh: np.ndarray, bias: np.ndarray) -> None:
    with torch.no_grad():
        getattr(net, f"weight_ih_l0{suffix}").copy_(t(w_ih))
        getattr(net, f"weight_hh_l0{suffix}").copy_(t(w_hh))
        getattr(net, f"bias_ih_l0{suffix}").copy_(t(bias))
        getattr(net, f"bias_hh_l0{suffix}").zero_()


# MIL orders the gates i, f, o, cell; torch i, f, cell, o.
W_IH, W_HH, BIAS = _blocks(4, WIDTH, 10), _blocks(4, H, 20), _blocks(4, 0, 30)
W_IH_BACK, W_HH_BACK, BIAS_BACK = _blocks(4, WIDTH, 40), _blocks(4, H, 50), _blocks(4, 0, 60)
MIL, TORCH = (0, 1, 2, 3), (0, 1, 3, 2)
LSTM = {
    "x": X,
    "initial_h": H0,
    "initial_c": C0,
    "weight_ih": _cat(W_IH, MIL),
    "weight_hh": _cat(W_HH, MIL),
    "bias": _cat(BIAS, MIL),
}


def _lstm_expected(direction: str) -> tuple[np.ndarray, ...]:
    net = torch.nn.LSTM(WIDTH, H, bidirectional=direction == "bidirectional")
    _torch_net(net, "", _cat(W_IH, TORCH), _cat(W_HH, TORCH), _cat(BIAS, TORCH))
    h0, c0 = t(H0)[None], t(C0)[None]
    if direction == "bidirectional":
        _torch_net(net, "_reverse", _cat(W_IH_BACK, TORCH), _cat(W_HH_BACK, TORCH), _cat(BIAS_BACK, TORCH))
        h0, c0 = torch.cat([h0, -h0]), torch.cat([c0, -c0])
    x = t(X[::-1].copy()) if direction == "reverse" else t(X)
    with torch.no_grad():
        sequence, (h, c) = net(x, (h0, c0))
    return sequence.numpy(), np.concatenate(list(h.numpy()), axis=-1), np.concatenate(list(c.numpy()), axis=-1)


def _lstm_case(direction: str) -> Case:
    arguments: dict[str, Any] = {**LSTM, "direction": direction, "output_sequence": scalar(True)}
    if direction == "bidirectional":
        arguments |= {
            "weight_ih_back": _cat(W_IH_BACK, MIL),
            "weight_hh_back": _cat(W_HH_BACK, MIL),
            "bias_back": _cat(BIAS_BACK, MIL),
            "initial_h": np.concatenate([H0, -H0], axis=-1),
            "initial_c": np.concatenate([C0, -C0], axis=-1),
        }
    return Case("lstm", direction, arguments, _lstm_expected(direction))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _lstm_by_hand() -> tuple[np.ndarray, ...]:
    """Peephole, clipped cell, and three other activations; the last step alone."""
    peep_i, peep_f, peep_o = _blocks(3, 0, 70)
    h, c = H0, C0
    for x in X:
        i, f, o, z = (x @ W_IH[g].T + h @ W_HH[g].T + BIAS[g] for g in range(4))
        i, f = np.tanh(i + c * peep_i), np.tanh(f + c * peep_f)
        c = np.clip(f * c + i * np.maximum(z, 0), -0.3, 0.3)
        h = np.tanh(o + c * peep_o) * np.clip(0.2 * c + 0.5, 0, 1)
    return h[None], h, c


# MIL orders reset, output, update; torch reset, update, new.
GRU_IH, GRU_HH, GRU_BIAS, GRU_INPUT_BIAS = (
    _blocks(3, WIDTH, 80),
    _blocks(3, H, 90),
    _blocks(3, 0, 100),
    _blocks(3, 0, 110),
)
GRU = {"x": X, "initial_h": H0, "weight_ih": np.concatenate(GRU_IH), "weight_hh": np.concatenate(GRU_HH)}


def _gru_by_hand(is_reversed: bool) -> tuple[np.ndarray, ...]:
    h, sequence = H0, []
    for x in X[::-1] if is_reversed else X:
        r = _sigmoid(x @ GRU_IH[0].T + h @ GRU_HH[0].T + GRU_BIAS[0])
        z = _sigmoid(x @ GRU_IH[2].T + h @ GRU_HH[2].T + GRU_BIAS[2])
        o = np.tanh(x @ GRU_IH[1].T + (r * h) @ GRU_HH[1].T + GRU_BIAS[1])
        h = (1 - z) * o + z * h
        sequence.append(h)
    return np.stack(sequence), h


def _gru_of_torch() -> tuple[np.ndarray, ...]:
    net = torch.nn.GRU(WIDTH, H)
    order = (0, 2, 1)
    _torch_net(net, "", _cat(GRU_IH, order), _cat(GRU_HH, order), _cat(GRU_INPUT_BIAS, order))
    with torch.no_grad():
        net.bias_hh_l0.copy_(t(_cat(GRU_BIAS, order)))
        sequence, h = net(t(X), t(H0)[None])
    return sequence.numpy(), h[0].numpy()


def _rnn_of_torch() -> tuple[np.ndarray, ...]:
    net = torch.nn.RNN(WIDTH, H, nonlinearity="relu")
    _torch_net(net, "", W_IH[0], W_HH[0], BIAS[0])
    with torch.no_grad():
        sequence, h = net(t(X[::-1].copy()), t(H0)[None])
    return sequence.numpy(), h[0].numpy()


RNN = {"x": X, "initial_h": H0, "weight_ih": W_IH[0], "weight_hh": W_HH[0], "bias": BIAS[0]}
LAST = X[:1] @ W_IH[0].T + H0 @ W_HH[0].T + BIAS[0]
TRUE = scalar(True)
BY_HAND = {
    **LSTM,
    "peephole": np.concatenate(_blocks(3, 0, 70)),
    "clip": scalar(0.3),
    "recurrent_activation": "tanh",
    "cell_activation": "relu",
    "activation": "hard_sigmoid",
}
GRU_WITH_BIAS = {**GRU, "bias": np.concatenate(GRU_BIAS), "output_sequence": TRUE}

CASES = [
    _lstm_case("forward"),
    _lstm_case("reverse"),
    _lstm_case("bidirectional"),
    Case("lstm", "peephole-clip-activations-last", BY_HAND, _lstm_by_hand()),
    Case("gru", "forward", GRU_WITH_BIAS, _gru_by_hand(False)),
    Case("gru", "reverse", {**GRU_WITH_BIAS, "direction": "reverse"}, _gru_by_hand(True)),
    Case(
        "gru",
        "reset_after",
        {**GRU_WITH_BIAS, "reset_after": TRUE, "input_bias": np.concatenate(GRU_INPUT_BIAS)},
        _gru_of_torch(),
    ),
    Case(
        "rnn",
        "reverse-relu",
        {**RNN, "activation": "relu", "direction": "reverse", "output_sequence": TRUE},
        _rnn_of_torch(),
    ),
    Case("rnn", "linear-last", {**RNN, "x": X[:1], "activation": "linear"}, (LAST, LAST[0])),
    Case(
        "rnn", "scaled_tanh-last", {**RNN, "x": X[:1], "activation": "scaled_tanh"}, (np.tanh(LAST), np.tanh(LAST[0]))
    ),
    Case("rnn", "sigmoid-last", {**RNN, "x": X[:1], "activation": "sigmoid"}, (_sigmoid(LAST), _sigmoid(LAST[0]))),
]
