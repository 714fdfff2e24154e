"""Ranges of operations, the first difference, and sums in half precision."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sdk_build.errors import BadInput
from sdk_build.mil import EmulatedCoreML, MilOperation, MilProgram, MilTensor, Ref, sqnr_db
from sdk_build.mil import __main__ as command
from sdk_build.mil.command.compare import load_network
from sdk_build.mil.command.trace import draw_ranges
from sdk_build.mil.difference import compare_with_model, compare_with_network
from sdk_build.mil.ops import OPERATIONS
from sdk_build.mil.ops.accumulate import HALF_OPERATIONS
from sdk_build.mil.tracing import trace_ranges

from .harness import array, ints, noise, scalar, t

X = MilTensor("x", (4,), "fp32")


def chain(
    *steps: tuple[str, dict[str, np.ndarray]], dtype: str = "fp32", name: str = "chain.mlpackage"
) -> EmulatedCoreML:
    """x through one operation after the other, each with its other arguments."""
    operations, read = [], "x"
    for number, (op_type, arguments) in enumerate(steps):
        out = MilTensor(f"v{number}", (4,), dtype)
        operations.append(MilOperation(op_type, f"{op_type}_{number}", {"x": Ref(read), **arguments}, (out,)))
        read = out.name
    return EmulatedCoreML(MilProgram(name, tuple(operations), (X,), (operations[-1].outputs[0],)))


def test_ranges_and_what_half_precision_cannot_hold() -> None:
    model = chain(
        ("mul", {"y": scalar(1e5)}), ("add", {"y": array(0, 0, math.inf, math.nan)}), ("mul", {"y": scalar(1e-14)})
    )
    large, broken, small = trace_ranges(model, {"x": array(1, -2, 0, 0.5)})
    assert (large.low, large.high, large.beyond_fp16, large.is_suspicious) == (-2e5, 1e5, 2, True)
    assert (broken.nan, broken.infinite) == (1, 1)
    assert small.lost_in_fp16 == 2
    assert small.name == "mul_2"


def test_an_overflow_of_half_precision_is_infinity_at_its_operation() -> None:
    model = chain(("mul", {"y": scalar(300.0)}), ("mul", {"y": scalar(300.0)}), dtype="fp16")
    first, second = trace_ranges(model, {"x": array(1, 1, 1, 1)})
    assert first.infinite == 0
    assert second.infinite == 4
    assert not first.is_suspicious


def test_the_picture_shows_bars_and_alarms() -> None:
    model = chain(("mul", {"y": scalar(2.0)}), ("mul", {"y": scalar(1e6)}))
    picture = np.asarray(draw_ranges(trace_ranges(model, {"x": array(1, 2, 3, 4)}), "chain"))
    assert (picture == (0, 122, 204)).all(-1).any()
    assert (picture == (200, 40, 40)).all(-1).sum() > 2 * picture.shape[1]  # more than the two lines


def test_the_first_difference_between_two_models() -> None:
    one = chain(("mul", {"y": scalar(2.0)}), ("add", {"y": scalar(1.0)}), ("exp", {}))
    two = chain(("mul", {"y": scalar(2.0)}), ("add", {"y": scalar(1.5)}), ("exp", {}))
    found = compare_with_model(one, two, {"x": array(1, 2, 3, 4)}, 60.0)
    assert (found.first, found.last_equal, found.compared) == ("add_1", "mul_0", 3)
    same = compare_with_model(one, one, {"x": array(1, 2, 3, 4)}, 60.0)
    assert same.first is None


class Swish(torch.nn.Module):
    def __init__(self, shift: float = 3.0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.sin(x)
        return torch.exp(y * F.relu6(y + self.shift) / 6)


def swish() -> torch.nn.Module:
    return Swish()


def other_swish() -> torch.nn.Module:
    return Swish(1.0)


def _rewritten() -> EmulatedCoreML:
    """The same with operations that the network doesn't have: (y / 6 + 0.5), cut to 0..1, times y."""
    values = [MilTensor(f"v{n}", (4,), "fp32") for n in range(4)]
    operations = (
        MilOperation("sin", "sin", {"x": Ref("x")}, (values[0],)),
        MilOperation(
            "sigmoid_hard", "gate", {"x": Ref("v0"), "alpha": scalar(1 / 6), "beta": scalar(0.5)}, (values[1],)
        ),
        MilOperation("mul", "mul", {"x": Ref("v0"), "y": Ref("v1")}, (values[2],)),
        MilOperation("exp", "exp", {"x": Ref("v2")}, (values[3],)),
    )
    return EmulatedCoreML(MilProgram("swish.mlpackage", operations, (X,), (values[3],)))


def test_a_rewritten_operation_is_no_difference_as_long_as_what_follows_agrees() -> None:
    found = compare_with_network(_rewritten(), swish(), {"x": array(1, 2, 3, -1)}, 60.0)
    assert found.first is None
    levels = {entry.name: entry.sqnr_db for entry in found.entries}
    assert levels["gate"] < 60.0 < levels["mul"]


def test_the_first_difference_to_a_network() -> None:
    found = compare_with_network(_rewritten(), other_swish(), {"x": array(1, 2, 3, -1)}, 60.0)
    assert (found.first, found.last_equal) == ("gate", "sin")


def test_a_network_of_other_shapes_is_refused() -> None:
    with pytest.raises(BadInput, match="the reference can't compute the model's inputs"):
        compare_with_network(_rewritten(), torch.nn.Linear(3, 3), {"x": array(1, 2, 3, 4)}, 60.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests", "--reference tests; allowed: module:function"),
        ("tests.no_such:thing", "No module named 'tests.no_such'"),
        ("tests.sdk_build.mil.harness:nothing", "has no attribute 'nothing'"),
        ("tests.sdk_build.mil.harness:ints", "gives a ndarray; allowed: a torch.nn.Module"),
    ],
)
def test_a_reference_that_is_none(name: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_network(name)
    assert message in str(caught.value)


def _by_hand(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Row by column with a float16 sum."""
    total = np.zeros((x.shape[0], y.shape[1]), np.float16)
    for k in range(x.shape[1]):
        total = (total.astype(np.float32) + np.outer(x[:, k], y[k])).astype(np.float16)
    return total.astype(np.float32)


def test_half_precision_sums_of_a_product() -> None:
    x, y = noise(3, 40), noise(40, 5, seed=1)
    result = HALF_OPERATIONS["matmul"](t(x), t(y)).numpy()
    np.testing.assert_array_equal(result, _by_hand(x, y))
    assert 30 < sqnr_db(x @ y, result) < 80
    transposed = HALF_OPERATIONS["matmul"](t(x), t(y.T.copy()), transpose_y=True).numpy()
    np.testing.assert_array_equal(transposed, result)
    np.testing.assert_array_equal(HALF_OPERATIONS["linear"](t(x), t(y.T.copy())).numpy(), result)


def test_a_half_precision_sum_stops_growing_where_its_steps_are_too_wide() -> None:
    ones = np.ones((1, 4096), np.float32)
    assert HALF_OPERATIONS["matmul"](t(ones), t(ones.T.copy())).item() == 2048


CONVS = [
    (
        "conv",
        {"x": noise(1, 4, 7, 6), "weight": noise(6, 2, 3, 2, seed=1), "bias": noise(6, seed=2), "groups": scalar(2)},
    ),
    ("conv", {"x": noise(2, 2, 9), "weight": noise(3, 2, 3, seed=1), "strides": ints(2), "dilations": ints(2)}),
    ("conv", {"x": noise(1, 2, 4, 5, 4), "weight": noise(3, 2, 2, 2, 2, seed=1), "pad_type": "same"}),
    (
        "conv_transpose",
        {"x": noise(1, 4, 3, 4), "weight": noise(4, 2, 3, 2, seed=1), "groups": scalar(2), "strides": ints(2, 1)},
    ),
    (
        "conv_transpose",
        {"x": noise(1, 2, 5), "weight": noise(2, 3, 4, seed=1), "pad_type": "custom", "pad": ints(1, 0)},
    ),
]


@pytest.mark.parametrize(("op_type", "arguments"), CONVS)
def test_half_precision_sums_of_convolutions(op_type: str, arguments: dict[str, np.ndarray | str]) -> None:
    """The same shape as in float32, close to it, and not it."""
    tensors = {name: t(value) if isinstance(value, np.ndarray) else value for name, value in arguments.items()}
    exact, half = OPERATIONS[op_type](**tensors).numpy(), HALF_OPERATIONS[op_type](**tensors).numpy()
    assert half.shape == exact.shape
    np.testing.assert_array_equal(half, half.astype(np.float16).astype(np.float32))
    assert 45 < sqnr_db(exact, half) < 80


def test_accumulate_is_checked() -> None:
    with pytest.raises(BadInput, match="accumulate 'fp8'; allowed: fp32 or fp16"):
        EmulatedCoreML(_rewritten().program, accumulate="fp8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "no.mlpackage"],
            "BadInput: no.mlpackage doesn't exist; allowed: an .mlpackage folder or an .mlmodel file",
        ),
        (["run", "no.mlpackage", "--steps", "0"], "BadInput: --steps 0; allowed: 1 or more"),
        (["inspect", "no.mlmodel"], "BadInput: no.mlmodel doesn't exist"),
        (["compare", "a.mlpackage"], "BadInput: compare takes one of a second model and --reference"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_what_json_does_not_know_becomes_a_word() -> None:
    from sdk_build.mil.command.values import described

    nan, infinity = float("nan"), float("inf")
    found = [described(value) for value in ({"a": nan, "b": 1.0}, infinity, np.array([nan, 1.0]))]
    assert json.loads(json.dumps(found, allow_nan=False))[0]["probabilities"]["a"] == "nan"
    assert found[1] == {"value": "inf"}
    assert found[2]["values"] == ["nan", 1.0]


@pytest.mark.parametrize("pairs", [[], ["image=photo.png"]])
def test_a_picture_that_no_machine_holds(pairs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from sdk_build.mil.command.values import given_inputs

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (4, 4)).save("photo.png")
    declared = MilTensor("image", ((1 << 31) - 1, 32, 3), "uint8", color="rgb")
    with pytest.raises(BadInput, match=r"input 'image' is a tensor of shape \(2147483647, 32, 3\); allowed: up to"):
        given_inputs([declared], pairs, 1)
