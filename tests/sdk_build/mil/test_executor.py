"""The executor on hand-made programs: inputs, rounding, memory, and the comparison of two programs."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from reference.errors import BadInput
from sdk_build.errors import LoweringError
from sdk_build.mil import executor, sqnr_db
from sdk_build.mil.compare import compare_traces
from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.executor import OpTrace
from sdk_build.mil.program import MilOperation, MilProgram, MilTensor, Ref

from .harness import array, noise

X = MilTensor("x", (2, 3), "fp32")


def _chain(dtype: str, *op_types: str, inputs: tuple[MilTensor, ...] = (X,), suffix: str = "") -> MilProgram:
    """x -> op_types[0] -> op_types[1] ...; operation and value names are the numbers of the steps."""
    operations = []
    previous = "x"
    for number, op_type in enumerate(op_types):
        out = MilTensor(f"v{number}", (2, 3), dtype)
        operations.append(MilOperation(op_type, f"{op_type}{number}{suffix}", {"x": Ref(previous)}, (out,)))
        previous = out.name
    return MilProgram(f"{dtype}.mlpackage", tuple(operations), inputs, (operations[-1].outputs[0],))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "inputs none; allowed: exactly x; rename or add the inputs"),
        ({"y": noise(2, 3)}, "inputs y; allowed: exactly x; rename or add the inputs"),
        ({"x": noise(3, 2)}, "input 'x' has shape (3, 2); allowed: (2, 3); resize or reshape it"),
        ({"x": noise(2, 3, 1)}, "input 'x' has shape (2, 3, 1); allowed: (2, 3); resize or reshape it"),
        (
            {"x": noise(2, 3).astype(np.float64)},
            "input 'x' is float64; allowed: float16 or float32; convert with .astype('float32')",
        ),
    ],
)
def test_wrong_inputs(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        EmulatedCoreML(_chain("fp32", "relu")).predict(given)
    assert str(caught.value) == message


def test_fp16_values_are_rounded_after_every_operation() -> None:
    x = noise(2, 3)
    result = EmulatedCoreML(_chain("fp16", "exp", "sqrt")).predict({"x": x})["v1"]
    expected = np.sqrt(np.exp(x).astype(np.float16).astype(np.float32)).astype(np.float16)
    assert result.dtype == np.float16
    np.testing.assert_array_equal(result, expected)


def test_fp16_input_is_rounded_and_the_callers_array_is_left_alone() -> None:
    x = array([0.1, 0.2, 0.3], [70000.0, -1.0, 0.0])
    kept = x.copy()
    program = _chain("fp16", "identity", inputs=(MilTensor("x", (2, 3), "fp16"),))
    result = EmulatedCoreML(program).predict({"x": x})["v0"]
    assert result[1].tolist() == [math.inf, -1.0, 0.0]
    np.testing.assert_array_equal(result[0], kept[0].astype(np.float16))
    np.testing.assert_array_equal(x, kept)


def test_cast_to_fp16_leaves_its_fp32_source_alone() -> None:
    x = array([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    half = MilTensor("half", (2, 3), "fp16")
    same, back = MilTensor("same", (2, 3), "fp32"), MilTensor("back", (2, 3), "fp32")
    operations = (
        MilOperation("identity", "keep", {"x": Ref("x")}, (same,)),
        MilOperation("cast", "cast", {"x": Ref("same"), "dtype": "fp16"}, (half,)),
        MilOperation("cast", "back", {"x": Ref("half"), "dtype": "fp32"}, (back,)),
    )
    result = EmulatedCoreML(MilProgram("cast.mlpackage", operations, (X,), (back, same))).predict({"x": x})
    np.testing.assert_array_equal(result["back"], x.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(result["same"], x)


def test_intermediates_are_released_when_nothing_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def counted(x: torch.Tensor) -> torch.Tensor:
        nonlocal most
        result = x + 1
        alive.append(weakref.ref(result))
        most = max(most, sum(reference() is not None for reference in alive))
        return result

    monkeypatch.setattr(executor, "OPERATIONS", {"relu": counted})
    result = EmulatedCoreML(_chain("fp32", *["relu"] * 12)).predict({"x": np.zeros((2, 3), np.float32)})
    np.testing.assert_array_equal(result["v11"], np.full((2, 3), 12, np.float32))
    assert len(alive) == 12
    assert most == 2  # what is read and what is written


def test_op_counts_and_precision() -> None:
    model = EmulatedCoreML(_chain("fp16", "relu", "relu", "exp"))
    assert model.op_counts() == {"relu": 2, "exp": 1}
    assert model.precision == "fp16"
    assert model.inputs == (X,)


def test_a_failing_operation_names_itself() -> None:
    out = MilTensor("out", (2, 2), "fp32")
    operation = MilOperation("matmul", "mm", {"x": Ref("x"), "y": Ref("x")}, (out,))
    model = EmulatedCoreML(MilProgram("bad.mlpackage", (operation,), (X,), (out,)))
    with pytest.raises(LoweringError) as caught:
        model.predict({"x": noise(2, 3)})
    text = str(caught.value)
    assert text.startswith("bad.mlpackage operation 'mm' (matmul) failed: mat1 and mat2 shapes cannot be")
    assert text.endswith("; check the input, or export it again")
    assert "\n" not in text


def test_sqnr_known_answers() -> None:
    reference = array(3.0, 4.0)
    assert sqnr_db(reference, array(3.0, 4.5)) == pytest.approx(20.0)
    assert sqnr_db(reference, reference) == math.inf
    assert sqnr_db(reference, array(3.0, math.inf)) == -math.inf
    assert sqnr_db(array(0.0), array(0.1)) == -math.inf


def test_compare_traces_puts_the_worst_operation_first() -> None:
    # exp of 10 is far beyond the steps of fp16's mantissa, relu of 10 is exact.
    x = array([10.0, 9.0, 8.0], [7.0, 6.0, 5.0])
    reference = EmulatedCoreML(_chain("fp32", "relu", "exp", "sigmoid"))
    other = EmulatedCoreML(_chain("fp16", "relu", "exp", "sigmoid", suffix="_cast_fp16"))
    found = compare_traces(reference, other, {"x": x})
    assert found[0].name == "exp1"
    assert {entry.name: entry.sqnr_db for entry in found}["relu0"] == math.inf
    assert len(found) == 3
    assert 50 < found[0].sqnr_db < 90


def test_compare_traces_refuses_unrelated_programs() -> None:
    message = "fp32.mlpackage and fp16.mlpackage share no operation; allowed: two packages of one network"
    with pytest.raises(BadInput, match=message):
        compare_traces(
            EmulatedCoreML(_chain("fp32", "relu")), EmulatedCoreML(_chain("fp16", "exp")), {"x": noise(2, 3)}
        )


def test_trace_is_called_once_per_operation() -> None:
    traces: list[OpTrace] = []
    EmulatedCoreML(_chain("fp32", "relu", "exp")).predict({"x": noise(2, 3)}, traces.append)
    assert [(trace.name, trace.op_type, list(trace.outputs)) for trace in traces] == [
        ("relu0", "relu", ["v0"]),
        ("exp1", "exp", ["v1"]),
    ]
