"""Every operation of the emulation against a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from sdk_build.errors import LoweringError, UnsupportedOperation
from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.ops import OPERATIONS
from sdk_build.mil.program import MilTensor

from . import (
    cases_boxes,
    cases_conv,
    cases_elementwise,
    cases_image,
    cases_index,
    cases_math,
    cases_quant,
    cases_recurrent,
    cases_tensor,
)
from .harness import Case, array, check_case, ints, program_of, run_case, scalar

CASES = [
    *cases_boxes.CASES,
    *cases_conv.CASES,
    *cases_elementwise.CASES,
    *cases_image.CASES,
    *cases_index.CASES,
    *cases_math.CASES,
    *cases_quant.CASES,
    *cases_recurrent.CASES,
    *cases_tensor.CASES,
]
TESTED = {case.op_type for case in CASES}
# Blocks, lists, states and random numbers are no functions of tensors: test_control.py.
ELSEWHERE = {
    *("cond", "while_loop", "make_list", "list_gather", "list_length", "list_read", "list_scatter", "list_write"),
    *("read_state", "write_state", "coreml_update_state"),
    *("random_bernoulli", "random_categorical", "random_normal", "random_uniform"),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_known_answer(case: Case) -> None:
    check_case(case)


@pytest.mark.parametrize("op_type", sorted(OPERATIONS))
def test_every_operation_has_a_case(op_type: str) -> None:
    assert op_type in TESTED | ELSEWHERE


def test_no_case_for_a_missing_operation() -> None:
    assert set(OPERATIONS) >= TESTED


def _setting(op_type: str, allowed: str, **arguments: object) -> tuple[str, dict[str, object], str]:
    return op_type, arguments, allowed


X = np.zeros((1, 1, 4, 4), np.float32)
TRUE = scalar(True)
AFFINE = {
    "x": X,
    "transform_matrix": np.zeros((1, 6), np.float32),
    "output_height": scalar(2),
    "output_width": scalar(2),
    "sampling_mode": "bilinear",
    "padding_mode": "constant",
    "padding_value": scalar(0.0),
    "coordinates_mode": "normalized_minus_one_to_one",
    "align_corners": scalar(False),
}
RESAMPLE = {
    "x": X,
    "coordinates": np.zeros((1, 2, 2, 2), np.float32),
    "sampling_mode": "bilinear",
    "padding_mode": "constant",
    "padding_value": scalar(0.0),
    "coordinates_mode": "normalized_minus_one_to_one",
    "align_corners": scalar(False),
}
REFUSED = [
    _setting("gelu", "allowed: EXACT", x=X, mode="FAST"),
    _setting("conv", "allowed: valid, same, same_lower, custom", x=X, weight=X, pad_type="full"),
    _setting("conv_transpose", "allowed: valid, same, custom", x=X, weight=X, pad_type="same_lower"),
    _setting("pad", "allowed: constant, reflect, replicate", x=X, pad=ints(1, 1), mode="circular"),
    _setting("split", "allowed: num_splits or split_sizes", x=X, axis=scalar(0)),
    _setting("scatter", "allowed: update", data=X, indices=ints(0), updates=X, mode="xor"),
    _setting("resize_bilinear", "allowed: STRICT_ALIGN", x=X, sampling_mode="CUBIC"),
    _setting(
        "resize",
        "NEAREST_NEIGHBOR with DEFAULT",
        x=X,
        shape=ints(2),
        resized_dims=scalar(1),
        interpolation_mode="NEAREST_NEIGHBOR",
        sampling_mode="ALIGN_CORNERS",
    ),
    _setting("crop_resize", "allowed: STRICT_ALIGN_CORNERS", x=X, boxes=X[0, 0], sampling_mode="NONE"),
    _setting(
        "crop_resize",
        "'DEFAULT' is not defined for a box that ends at 1, before its start 2; give the smaller corner first",
        x=X,
        boxes=np.array([[2, 2, 1, 1]], np.float32),
        sampling_mode="DEFAULT",
    ),
    _setting("upsample_bilinear", "at most one", x=X, align_corners=TRUE, half_pixel_centers=TRUE),
    ("affine", AFFINE, "allowed: ('bilinear', 'constant', 0.0, 'normalized_minus_one_to_one', True)"),
    _setting(
        "rnn",
        "allowed: hard_sigmoid, linear",
        x=X[0],
        initial_h=X[0, 0],
        weight_ih=X[0, 0],
        weight_hh=X[0, 0],
        activation="elu",
    ),
    _setting(
        "lstm",
        "allowed: forward, reverse, bidirectional",
        x=X,
        initial_h=X,
        initial_c=X,
        weight_ih=X,
        weight_hh=X,
        direction="up",
    ),
    _setting("random_categorical", "allowed: logits, probs", x=X, mode="odds"),
    _setting(
        "conv_quantized",
        "allowed: linear of 8 bits",
        x=X,
        weight=X,
        quantization_type="lut",
        quant_scale=X,
        quant_bias=X,
    ),
    ("resample", {**RESAMPLE, "padding_mode": "mirror"}, "bilinear, nearest with constant"),
    ("resample", {**RESAMPLE, "coordinates_mode": "metres"}, "allowed: unnormalized"),
]


@pytest.mark.parametrize(("op_type", "arguments", "message"), REFUSED)
def test_a_setting_that_is_not_emulated_is_refused(op_type: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UnsupportedOperation) as caught:
        run_case(Case(op_type, "", arguments, X))
    text = str(caught.value)
    assert text.startswith(f"hand.mlpackage operation 'op' ({op_type}): ")
    assert message in text
    assert "\n" not in text


def test_indices_outside_are_refused_where_core_ml_leaves_them_undefined() -> None:
    arguments = {"x": array(1, 2), "indices": ints(-1), "validate_indices": scalar(False)}
    message = r"operation 'op' \(gather\) failed: indices from -1 to -1; allowed: 0 to 1"
    with pytest.raises(LoweringError, match=message):
        run_case(Case("gather", "", arguments, array(2)))


IMAGE = array(*range(16)).reshape(1, 1, 4, 4)
KERNEL = array(1.0).reshape(1, 1, 1, 1)
FAR = {"pad_type": "custom", "pad": ints(0, 0, 1 << 20, 1 << 20)}
GROWN: list[tuple[str, dict[str, object], str]] = [
    ("conv", {"x": IMAGE, "weight": KERNEL, **FAR}, r"padding to shape \(1, 1, 4, 2097156\); allowed: up to 64 times"),
    ("max_pool", {"x": IMAGE, "kernel_sizes": ints(2, 2), **FAR}, r"padding to shape \(1, 1, 4, 2097156\)"),
    ("pad", {"x": IMAGE, "pad": ints(0, 0, 1 << 20, 1 << 20)}, r"padding to shape \(1, 1, 4, 2097156\)"),
    (
        "conv_transpose",
        {"x": IMAGE, "weight": KERNEL, "strides": ints(1 << 20, 1 << 20)},
        r"a tensor of shape \(1, 1, 3145729, 3145729\); allowed: up to 1073741824 numbers",
    ),
    (
        "upsample_bilinear",
        {"x": IMAGE, "scale_factor_height": scalar(1e5), "scale_factor_width": scalar(1e5)},
        r"a tensor of shape \(1, 1, 400000, 400000\); allowed: up to 1073741824 numbers",
    ),
]


@pytest.mark.parametrize(("op_type", "arguments", "message"), GROWN, ids=[case[0] for case in GROWN])
def test_a_damaged_number_does_not_take_the_memory(op_type: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(LoweringError, match=rf"operation 'op' \({op_type}\) failed: {message}"):
        run_case(Case(op_type, "", arguments, X))


def test_a_result_of_another_shape_than_the_program_states_is_refused() -> None:
    outputs = (MilTensor("out", (1, 4), "fp32"),)
    model = EmulatedCoreML(program_of("reshape", {"x": X, "shape": ints(4, 4)}, outputs))
    with pytest.raises(LoweringError, match=r"output 'out' has shape \(4, 4\), the program states \(1, 4\)"):
        model.predict({})


def test_an_unknown_operation_is_refused_at_construction() -> None:
    with pytest.raises(UnsupportedOperation) as caught:
        EmulatedCoreML(program_of("fancy_norm", {"x": X}, (MilTensor("out", (1,), "fp32"),)))
    text = str(caught.value)
    assert text.startswith("hand.mlpackage operation 'op': type 'fancy_norm' is not emulated; allowed: abs, acos, ")
    assert "\n" not in text


def test_an_unknown_parameter_is_refused_at_construction() -> None:
    arguments = {"x": X, "shape": ints(16), "order": "F"}
    message = r"\(reshape\): parameter 'order' is not emulated; allowed: x, shape"
    with pytest.raises(UnsupportedOperation, match=message):
        EmulatedCoreML(program_of("reshape", arguments, (MilTensor("out", (16,), "fp32"),)))
