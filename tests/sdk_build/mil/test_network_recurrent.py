"""Recurrent layers, branches and loops of the older format, made by coremltools' builder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sdk_build.errors import BadInput, LoweringError, UnsupportedOperation
from sdk_build.mil import EmulatedCoreML

from .harness import array, noise, t

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS, INPUTS, SIZE = 5, 3, 4
X = noise(STEPS, 1, INPUTS, seed=1)
W_X, W_H = noise(4 * SIZE, INPUTS, seed=2), noise(4 * SIZE, SIZE, seed=3)
B, PEEP = noise(4 * SIZE, seed=4), noise(3 * SIZE, seed=5)
W_X2, W_H2, B2 = noise(4 * SIZE, INPUTS, seed=6), noise(4 * SIZE, SIZE, seed=7), noise(4 * SIZE, seed=8)


def _builder(outputs: tuple[str, ...], inputs: dict[str, int] | None = None, **rest: Any) -> Any:
    from coremltools.models.datatypes import Array
    from coremltools.models.neural_network import NeuralNetworkBuilder

    features = [(name, Array(size)) for name, size in (inputs or {"x": INPUTS}).items()]
    return NeuralNetworkBuilder(features, [(name, None) for name in outputs], **rest)


def _run(builder: Any, folder: Path, **inputs: np.ndarray) -> dict[str, Any]:
    return EmulatedCoreML(_save(builder, folder)).predict(inputs)


def _save(builder: Any, folder: Path) -> Path:
    import coremltools as ct

    ct.models.utils.save_spec(builder.spec, str(folder / "net.mlmodel"))
    return folder / "net.mlmodel"


def _parts(values: np.ndarray, count: int) -> list[np.ndarray]:
    return np.split(values, count)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _lstm(x: np.ndarray, w_x: np.ndarray, w_h: np.ndarray, b: np.ndarray, **rest: Any) -> tuple[np.ndarray, Any]:
    """Apple's equations, step by step: gates input, forget, output, block."""
    p = _parts(rest.get("peep", np.zeros(3 * SIZE)), 3)
    h, c, clip = rest.get("h", np.zeros(SIZE)), rest.get("c", np.zeros(SIZE)), rest.get("clip", 50.0)
    results = []
    for step in x:
        i, f, o, z = _parts(w_x @ step + w_h @ h + b, 4)
        i = _sigmoid(i + p[0] * c)
        f = 1 - i if rest.get("coupled") else _sigmoid(f + p[1] * c + rest.get("forget", 0))
        c = np.clip(c * f + i * np.tanh(z), -clip, clip)
        h = _sigmoid(o + p[2] * c) * np.tanh(c)
        results.append(h)
    return np.stack(results), (h, c)


def _add_lstm(b: Any, names: tuple[list[str], list[str]] = (["x"], ["y"]), **rest: Any) -> None:
    settings = {"output_all": True, **rest}
    b.add_unilstm("l", _parts(W_H, 4), _parts(W_X, 4), _parts(B, 4), SIZE, INPUTS, *names, **settings)


LSTMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "peephole": ({"peep": _parts(PEEP, 3)}, {"peep": PEEP}),
    "clipped": ({"cell_clip_threshold": 0.2}, {"clip": 0.2}),
    "coupled": ({"coupled_input_forget_gate": True}, {"coupled": True}),
    "forget bias": ({"forget_bias": True}, {"forget": 1}),
}


@pytest.mark.parametrize("name", LSTMS)
def test_lstm(name: str, tmp_path: Path) -> None:
    settings, rest = LSTMS[name]
    builder = _builder(("y",))
    _add_lstm(builder, **settings)
    expected, _ = _lstm(X[:, 0], W_X, W_H, B, **rest)
    np.testing.assert_allclose(_run(builder, tmp_path, x=X)["y"][:, 0], expected, rtol=1e-4, atol=1e-5)
    plain, _ = _lstm(X[:, 0], W_X, W_H, B)
    assert name == "plain" or np.abs(plain - expected).max() > 1e-3


def test_lstm_is_torchs(tmp_path: Path) -> None:
    """Against another implementation: torch has the gates in the order i, f, z, o."""
    net = torch.nn.LSTM(INPUTS, SIZE)
    order = [0, 1, 3, 2]
    for name, values in (("weight_ih_l0", W_X), ("weight_hh_l0", W_H), ("bias_ih_l0", B)):
        ours = _parts(values, 4)
        getattr(net, name).data = t(np.concatenate([ours[n] for n in order]))
    net.bias_hh_l0.data.zero_()
    builder = _builder(("y",))
    _add_lstm(builder)
    with torch.no_grad():
        expected = net(t(X))[0].numpy()
    np.testing.assert_allclose(_run(builder, tmp_path, x=X)["y"], expected, rtol=1e-4, atol=1e-5)


def test_lstm_takes_and_gives_states(tmp_path: Path) -> None:
    """Two halves of a sequence with the states handed on give what the whole gives; left out, states are zero."""
    builder = _builder(("y", "h_out", "c_out"))
    builder.add_optionals([("h", SIZE), ("c", SIZE)], [("unused", SIZE)])
    del builder.spec.description.output[-1]
    _add_lstm(builder, (["x", "h", "c"], ["y", "h_out", "c_out"]))
    model = EmulatedCoreML(_save(builder, tmp_path))
    whole = model.predict({"x": X})
    first = model.predict({"x": X[:2]})
    second = model.predict({"x": X[2:], "h": first["h_out"].reshape(-1), "c": first["c_out"].reshape(-1)})
    np.testing.assert_allclose(second["y"], whole["y"][2:], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second["c_out"], whole["c_out"], rtol=1e-5, atol=1e-6)
    _, (h, c) = _lstm(X[:, 0], W_X, W_H, B)
    np.testing.assert_allclose(whole["h_out"].reshape(-1), h, rtol=1e-4)
    np.testing.assert_allclose(whole["c_out"].reshape(-1), c, rtol=1e-4)


def test_reversed_lstm_gives_results_as_they_are_made(tmp_path: Path) -> None:
    builder = _builder(("y",))
    _add_lstm(builder, reverse_input=True)
    expected, _ = _lstm(X[::-1, 0], W_X, W_H, B)
    np.testing.assert_allclose(_run(builder, tmp_path, x=X)["y"][:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("output_all", [True, False])
def test_bidirectional_lstm(output_all: bool, tmp_path: Path) -> None:
    builder = _builder(("y",))
    weights = [_parts(w, 4) for w in (W_H, W_X, B, W_H2, W_X2, B2)]
    builder.add_bidirlstm("l", *weights, SIZE, INPUTS, ["x"], ["y"], output_all=output_all)
    ahead, (h_f, _) = _lstm(X[:, 0], W_X, W_H, B)
    back, (h_b, _) = _lstm(X[::-1, 0], W_X2, W_H2, B2)
    expected = np.concatenate([ahead, back[::-1]], 1) if output_all else np.concatenate([h_f, h_b])
    found = _run(builder, tmp_path, x=X)["y"]
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)


def test_gru_resets_before_its_matrix(tmp_path: Path) -> None:
    w_x, w_h, b = (_parts(values[: 3 * SIZE], 3) for values in (W_X, W_H, B))
    builder = _builder(("y",))
    builder.add_gru("l", w_h, w_x, b, SIZE, INPUTS, ["x"], ["y"], inner_activation="SIGMOID", output_all=True)
    h, expected = np.zeros(SIZE), []
    for step in X[:, 0]:
        z, r = (_sigmoid(w_x[n] @ step + w_h[n] @ h + b[n]) for n in (0, 1))
        h = (1 - z) * np.tanh(w_x[2] @ step + w_h[2] @ (h * r) + b[2]) + z * h
        expected.append(h)
    np.testing.assert_allclose(_run(builder, tmp_path, x=X)["y"][:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["RELU", "SCALED_TANH", "SIGMOID_HARD", "LINEAR"])
def test_simple_recurrent(activation: str, tmp_path: Path) -> None:
    functions = {
        "RELU": lambda x: np.maximum(x, 0),
        "SCALED_TANH": np.tanh,  # as Apple's own test has it where nothing is stated
        "SIGMOID_HARD": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
        "LINEAR": lambda x: x,
    }
    w_x, w_h, b = W_X[:SIZE], W_H[:SIZE] * 0.3, B[:SIZE]
    builder = _builder(("y",))
    builder.add_simple_rnn("l", w_h, w_x, b, SIZE, INPUTS, activation, ["x"], ["y"], output_all=True)
    h, expected = np.zeros(SIZE), []
    for step in X[:, 0]:
        h = functions[activation](w_x @ step + w_h @ h + b)
        expected.append(h)
    np.testing.assert_allclose(_run(builder, tmp_path, x=X)["y"][:, 0], expected, rtol=1e-4, atol=1e-5)


def test_sums_are_held_at_fifty(tmp_path: Path) -> None:
    builder = _builder(("y",))
    builder.add_simple_rnn("l", np.zeros((1, 1)), np.full((1, INPUTS), 1e3), None, 1, INPUTS, "LINEAR", ["x"], ["y"])
    assert _run(builder, tmp_path, x=array(1, 1, 1))["y"].reshape(-1).tolist() == [50.0]


def test_recurrent_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    builder = _builder(("y",))
    _add_lstm(builder)
    layer = builder.nn_spec.layers[0].uniDirectionalLSTM
    layer.outputVectorSize = 1 << 40
    with pytest.raises(
        BadInput, match=r"'l' \(uniDirectionalLSTM\): inputGateWeightMatrix has 12 weights; allowed: 109"
    ):
        _run(builder, tmp_path, x=X)
    layer.outputVectorSize = SIZE
    del layer.activations[2:]
    with pytest.raises(BadInput, match="2 activations; allowed: 3"):
        _run(builder, tmp_path, x=X)
    layer.activations.add().ELU.alpha = 1
    with pytest.raises(UnsupportedOperation, match="activation 'ELU' is not emulated; allowed: linear, ReLU"):
        _run(builder, tmp_path, x=X)


# Branches and loops


def _shared(shape: tuple[int, ...] = (1,)) -> Any:
    return _builder(("y",), {"x": shape[0]}, disable_rank5_shape_mapping=True)


def _inner(network: Any) -> Any:
    from coremltools.models.neural_network import NeuralNetworkBuilder

    return NeuralNetworkBuilder(nn_spec=network, disable_rank5_shape_mapping=True)


def _power_of_two(turns: int, **rest: Any) -> Any:
    """y = x doubled in every turn; with ``stop_at``, as long as it is smaller."""
    builder = _shared()
    builder.add_copy("start", "x", "y")
    layer = builder.add_loop("loop", max_iterations=turns)
    if "stop_at" in rest:
        layer.loop.conditionVar = "go"
        condition = _inner(layer.loop.conditionNetwork)
        condition.add_less_than("less", ["y"], "go", alpha=rest["stop_at"])
    body = _inner(layer.loop.bodyNetwork)
    if "leave_at" in rest:
        body.add_greater_than("full", ["y"], "is_full", alpha=rest["leave_at"])
        branch = body.add_branch("if", "is_full")
        getattr(_inner(branch.branch.ifBranch), f"add_loop_{rest['how']}")("jump")
    body.add_elementwise("double", ["y"], "twice", "MULTIPLY", 2.0)
    body.add_copy("back", "twice", "y")
    return builder


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        (lambda: _power_of_two(3), 8.0),
        (lambda: _power_of_two(0, stop_at=50.0), 64.0),
        (lambda: _power_of_two(2, stop_at=50.0), 4.0),
        (lambda: _power_of_two(10, leave_at=5.0, how="break"), 8.0),
        (lambda: _power_of_two(10, leave_at=5.0, how="continue"), 8.0),
    ],
)
def test_loop(builder: Any, expected: float, tmp_path: Path) -> None:
    assert _run(builder(), tmp_path, x=array(1.0))["y"].tolist() == [expected]


def test_a_loop_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk_build.mil.neural_network.control.MAX_ITERATIONS", 100)
    builder = _power_of_two(0, stop_at=3e38)
    with pytest.raises(LoweringError, match=r"operation 'loop' \(loop\) failed: more than 100 iterations"):
        _run(builder, tmp_path, x=array(0.0))


@pytest.mark.parametrize(("x", "expected"), [(1.0, 2.0), (0.0, -0.5)])
def test_branch(x: float, expected: float, tmp_path: Path) -> None:
    builder = _shared()
    layer = builder.add_branch("if", "x")
    _inner(layer.branch.ifBranch).add_elementwise("a", ["x"], "y", "ADD", 1.0)
    _inner(layer.branch.elseBranch).add_elementwise("b", ["x"], "y", "ADD", -0.5)
    assert _run(builder, tmp_path, x=array(x))["y"].tolist() == [expected]


def test_what_a_branch_did_not_write_is_named(tmp_path: Path) -> None:
    builder = _shared()
    layer = builder.add_branch("if", "x")
    _inner(layer.branch.ifBranch).add_elementwise("a", ["x"], "z", "ADD", 1.0)
    builder.add_copy("c", "z", "y")
    assert _run(builder, tmp_path, x=array(1.0))["y"].tolist() == [2.0]
    with pytest.raises(LoweringError, match=r"'c' \(copy\) reads \"z'\", which only a branch that didn't run writes"):
        _run(builder, tmp_path, x=array(0.0))


def test_loops_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    builder = _shared()
    builder.add_copy("c", "x", "y")
    builder.add_loop_break("jump")
    with pytest.raises(BadInput, match="layer 'jump' is a loopBreak outside of a loop"):
        _run(builder, tmp_path, x=array(1.0))
    builder = _power_of_two(1, stop_at=2.0)
    builder.nn_spec.layers[1].loop.conditionVar = "nothing"
    with pytest.raises(BadInput, match="layer 'loop': nothing writes its condition 'nothing'"):
        _run(builder, tmp_path, x=array(1.0))
    builder = _shared()
    builder.add_copy("c", "x", "y")
    network = builder.nn_spec
    for _ in range(20):
        layer = network.layers.add(name="deep", input=["x"])
        network = layer.branch.ifBranch
    with pytest.raises(BadInput, match="branches and loops more than 16 deep"):
        _run(builder, tmp_path, x=array(1.0))
