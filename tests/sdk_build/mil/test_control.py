"""Branches, loops, lists, states and random numbers: what one operation on tensors can't show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sdk_build.errors import BadInput, LoweringError, UnsupportedOperation
from sdk_build.mil import EmulatedCoreML, MilBlock, MilOperation, MilProgram, MilTensor, OpTrace, Ref

from .harness import Case, array, ints, noise, run_case, scalar


def tensor(name: str, *shape: int | None, dtype: str = "fp32") -> MilTensor:
    return MilTensor(name, shape, dtype)


def op(op_type: str, output: MilTensor | tuple[MilTensor, ...], *blocks: MilBlock, **inputs: Any) -> MilOperation:
    outputs = output if isinstance(output, tuple) else (output,)
    return MilOperation(op_type, f"{op_type}_{outputs[0].name if outputs else ''}", inputs, outputs, blocks)


def program(
    operations: list[MilOperation], inputs: list[MilTensor], *outputs: MilTensor, **rest: Any
) -> EmulatedCoreML:
    return EmulatedCoreML(MilProgram("hand.mlpackage", tuple(operations), tuple(inputs), outputs, **rest))


X = tensor("x", 2)


@pytest.mark.parametrize(("flag", "expected"), [(True, [2, 3]), (False, [-2, -4])])
def test_cond_runs_one_branch_and_sees_values_around_it(flag: bool, expected: list[float]) -> None:
    up = MilBlock((), (op("add", tensor("a", 2), x=Ref("x"), y=scalar(1.0)),), ("a",))
    down = MilBlock((), (op("mul", tensor("b", 2), x=Ref("x"), y=scalar(-2.0)),), ("b",))
    out = tensor("out", 2)
    model = program(
        [
            op("cast", tensor("flag", dtype="bool"), x=Ref("given"), dtype="bool"),
            op("cond", out, up, down, pred=Ref("flag")),
        ],
        [X, tensor("given", dtype="int32")],
        out,
    )
    traces: list[OpTrace] = []
    result = model.predict({"x": array(1.0, 2.0), "given": np.array(int(flag), np.int32)}, traces.append)
    assert result["out"].tolist() == expected
    assert [trace.op_type for trace in traces] == ["cast", "add" if flag else "mul", "cond"]
    assert model.op_counts()["mul"] == 1


def _power() -> EmulatedCoreML:
    """x to the power n by a loop whose variables keep their outer names inside."""
    less = MilBlock(("i", "r"), (op("less", tensor("go", dtype="bool"), x=Ref("i"), y=Ref("n")),), ("go",))
    body = MilBlock(
        ("i", "r"),
        (
            op("add", tensor("i2", dtype="int32"), x=Ref("i"), y=scalar(1)),
            op("mul", tensor("r2", 2), x=Ref("r"), y=Ref("x")),
        ),
        ("i2", "r2"),
    )
    outs = (tensor("count", dtype="int32"), tensor("out", 2))
    loop = op("while_loop", outs, less, body, loop_vars=(scalar(0), array(1.0, 1.0)))
    return program([loop], [X, tensor("n", dtype="int32")], *outs)


def test_while_loop() -> None:
    result = _power().predict({"x": array(2.0, 3.0), "n": np.array(3, np.int32)})
    assert result["out"].tolist() == [8, 27]
    assert result["count"] == 3
    assert _power().predict({"x": array(2.0, 3.0), "n": np.array(-1, np.int32)})["out"].tolist() == [1, 1]


def test_a_loop_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk_build.mil.ops.control.MAX_ITERATIONS", 5)
    with pytest.raises(LoweringError, match="failed: more than 5 iterations"):
        _power().predict({"x": array(1.0, 1.0), "n": np.array(6, np.int32)})


def test_an_unknown_operation_inside_a_block_is_refused_at_construction() -> None:
    inner = MilBlock((), (op("no_such", tensor("a", 2), x=Ref("x")),), ("a",))
    with pytest.raises(UnsupportedOperation, match="type 'no_such' is not emulated"):
        program([op("cond", X, inner, inner, pred=scalar(True))], [X], X)


def test_lists_grow_gather_and_scatter() -> None:
    ls = MilTensor("", (), "list")
    named = [MilTensor(f"l{n}", (), "list") for n in range(4)]
    outs = (tensor("first", 2), tensor("length", dtype="int32"), tensor("some", 3, 2))
    model = program(
        [
            op("make_list", named[0], init_length=scalar(2), elem_shape=(scalar(2),), dtype="fp32"),
            op("list_read", outs[0], ls=Ref("l0"), index=scalar(0)),
            op("list_write", named[1], ls=Ref("l0"), index=scalar(4), value=Ref("x")),
            op("list_scatter", named[2], ls=Ref("l1"), indices=ints(2, 1), value=array([-1, -2], [-4, -5])),
            op("list_length", outs[1], ls=Ref("l2")),
            op("list_gather", outs[2], ls=Ref("l2"), indices=ints(4, 2, 3)),
        ],
        [X],
        *outs,
    )
    result = model.predict({"x": array(7.0, 8.0)})
    assert result["first"].tolist() == [0, 0]
    assert result["length"] == 5
    assert result["some"].tolist() == [[7, 8], [-1, -2], [0, 0]]
    assert ls.dtype == "list"


def test_a_list_of_fixed_length_does_not_grow() -> None:
    made, out = MilTensor("made", (), "list"), MilTensor("out", (), "list")
    model = program(
        [
            op("make_list", made, init_length=scalar(2), elem_shape=(scalar(2),), dynamic_length=scalar(False)),
            op("list_write", out, ls=Ref("made"), index=scalar(2), value=Ref("x")),
        ],
        [X],
        out,
    )
    with pytest.raises(LoweringError, match="indices from 2 to 2 of a list of 2"):
        model.predict({"x": array(1.0, 2.0)})


def _counter() -> EmulatedCoreML:
    """Adds x to a state and gives back the state before and after."""
    before, after = tensor("before", 2, dtype="fp16"), tensor("after", 2, dtype="fp16")
    return program(
        [
            op("read_state", before, input=Ref("total")),
            op("add", tensor("sum", 2, dtype="fp16"), x=Ref("before"), y=Ref("x")),
            op("write_state", (), input=Ref("total"), data=Ref("sum")),
            op("read_state", after, input=Ref("total")),
        ],
        [X],
        before,
        after,
        states=(tensor("total", 2, dtype="fp16"),),
    )


def test_a_state_outlives_a_prediction_and_no_state_starts_at_zero() -> None:
    model, x = _counter(), array(1.0, 0.1)
    state = model.make_state()
    model.predict({"x": x}, state=state)
    result = model.predict({"x": x}, state=state)
    assert result["before"].tolist() == [1, np.float16(0.1)]
    assert result["after"].dtype == np.float16
    assert state.read_state("total").tolist() == result["after"].tolist()
    assert model.predict({"x": x})["before"].tolist() == [0, 0]


def test_a_state_can_be_written_and_is_checked() -> None:
    model = _counter()
    state = model.make_state()
    state.write_state("total", np.array([5, 6]))
    assert model.predict({"x": array(0.0, 0.0)}, state=state)["before"].tolist() == [5, 6]
    with pytest.raises(BadInput, match=r"state 'total' given as float32 \(3,\); allowed: numbers of shape \(2,\)"):
        state.write_state("total", noise(3))
    with pytest.raises(BadInput, match="state 'x'; allowed: total"):
        state.read_state("x")


def test_coreml_update_state_gives_back_what_it_wrote() -> None:
    out = tensor("out", 2)
    model = program(
        [op("coreml_update_state", out, state=Ref("s"), value=Ref("x"))], [X], out, states=(tensor("s", 2),)
    )
    state = model.make_state()
    assert model.predict({"x": array(1.0, 2.0)}, state=state)["out"].tolist() == [1, 2]
    assert state.read_state("s").tolist() == [1, 2]


def test_an_optional_input_is_filled_with_its_default() -> None:
    out = tensor("out", 2)
    other = MilTensor("y", (2,), "fp32", default=0.5, default_shape=(2,))
    model = program([op("add", out, x=Ref("x"), y=Ref("y"))], [X, other], out)
    assert model.predict({"x": array(1.0, 2.0)})["out"].tolist() == [1.5, 2.5]
    assert model.predict({"x": array(1.0, 2.0), "y": array(1.0, 1.0)})["out"].tolist() == [2, 3]
    with pytest.raises(BadInput, match=r"inputs y; allowed: exactly x, y \(optional\)"):
        model.predict({"y": array(1.0, 1.0)})


COUNT = 20_000


def _drawn(op_type: str, **arguments: Any) -> np.ndarray:
    shape = np.zeros((COUNT,))
    result: np.ndarray = run_case(Case(op_type, "", {"shape": ints(COUNT), **arguments}, shape))[0]
    return result


@pytest.mark.parametrize(
    ("op_type", "arguments", "mean", "deviation"),
    [
        ("random_normal", {"mean": scalar(2.0), "stddev": scalar(3.0)}, 2.0, 3.0),
        ("random_uniform", {"low": scalar(-1.0), "high": scalar(3.0)}, 1.0, 4 / math.sqrt(12)),
        ("random_bernoulli", {"prob": scalar(0.3)}, 0.3, math.sqrt(0.21)),
    ],
)
def test_random_numbers_have_their_distribution(
    op_type: str, arguments: dict[str, Any], mean: float, deviation: float
) -> None:
    drawn = _drawn(op_type, seed=scalar(7), **arguments)
    # Five standard errors: a fixed seed makes this one outcome, which is far inside.
    assert abs(drawn.mean() - mean) < 5 * deviation / math.sqrt(COUNT)
    assert drawn.std() == pytest.approx(deviation, rel=0.03)
    np.testing.assert_array_equal(drawn, _drawn(op_type, seed=scalar(7), **arguments))
    assert (drawn != _drawn(op_type, seed=scalar(8), **arguments)).any()
    assert (_drawn(op_type, **arguments) != _drawn(op_type, **arguments)).any()


def test_uniform_numbers_stay_inside_and_bernoulli_at_its_ends_is_certain() -> None:
    drawn = _drawn("random_uniform", low=scalar(-1.0), high=scalar(3.0))
    assert drawn.min() >= -1
    assert drawn.max() < 3
    assert _drawn("random_bernoulli", prob=scalar(1.0)).min() == 1
    assert _drawn("random_bernoulli", prob=scalar(0.0)).max() == 0


@pytest.mark.parametrize("mode", ["probs", "logits"])
def test_random_categorical(mode: str) -> None:
    shares = np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]], np.float32)
    x = shares if mode == "probs" else np.log(shares + 1e-30)
    arguments = {"x": x, "mode": mode, "size": scalar(COUNT), "seed": scalar(3)}
    drawn = run_case(Case("random_categorical", "", arguments, np.zeros((2, COUNT))))[0]
    counts = np.array([[(row == k).mean() for k in range(3)] for row in drawn])
    np.testing.assert_allclose(counts, shares, atol=5 * 0.5 / math.sqrt(COUNT))
