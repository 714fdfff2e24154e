"""Known answers for convolutions and pooling: torch's where it has the setting, else by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Case, array, ints, noise, scalar, t

LINE, IMAGE, VOLUME = noise(2, 4, 9), noise(2, 4, 8, 9), noise(1, 4, 5, 6, 7)
FIVE = noise(1, 2, 5)
RAMP = array(1, 2, 3, 4).reshape(1, 1, 4)
SQUARE = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 2, 2)
BIAS = array(0.5, -1.0, 2.0, 0.25, 3.0, -0.5)
KERNEL_1D, KERNEL_2D, KERNEL_3D = (
    noise(6, 2, 3, seed=1),
    noise(6, 4, 3, 3, seed=1),
    noise(6, 4, 3, 3, 3, seed=1),
)
# (C_in, C_out / groups, kernel): transposed weights lead with the input channels.
UP_1D, UP_2D, UP_3D = noise(4, 3, 4, seed=2), noise(4, 6, 4, 4, seed=2), noise(4, 6, 4, 4, 4, seed=2)
CUSTOM = "custom"


def _conv(label: str, x: np.ndarray, weight: np.ndarray, expected: torch.Tensor, **settings: Any) -> Case:
    arguments = {"x": x, "weight": weight, "bias": BIAS, **settings}
    return Case("conv", label, arguments, expected.numpy())


def _up(label: str, x: np.ndarray, weight: np.ndarray, expected: torch.Tensor, **settings: Any) -> Case:
    arguments = {"x": x, "weight": weight, "bias": BIAS, **settings}
    return Case("conv_transpose", label, arguments, expected.numpy())


def _pool(op_type: str, label: str, x: np.ndarray, expected: Any, **settings: Any) -> Case:
    return Case(op_type, label, {"x": x, **settings}, np.asarray(expected, dtype=np.float32))


def _same_gradient() -> torch.Tensor:
    """conv_transpose 'same' is the gradient of a 'same' convolution: kernel 4 at stride 2 pads (1, 1)."""
    return F.conv_transpose2d(t(IMAGE), t(UP_2D), t(BIAS), stride=2, padding=1)


CASES = [
    _conv("1d groups", LINE, KERNEL_1D, F.conv1d(t(LINE), t(KERNEL_1D), t(BIAS), groups=2), groups=scalar(2)),
    _conv("2d valid", IMAGE, KERNEL_2D, F.conv2d(t(IMAGE), t(KERNEL_2D), t(BIAS)), pad_type="valid"),
    _conv(
        "2d valid ignores pad",
        IMAGE,
        KERNEL_2D,
        F.conv2d(t(IMAGE), t(KERNEL_2D), t(BIAS)),
        pad_type="valid",
        pad=ints(1, 1, 1, 1),
    ),
    _conv(
        "2d strides dilations",
        IMAGE,
        KERNEL_2D,
        F.conv2d(t(IMAGE), t(KERNEL_2D), t(BIAS), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        strides=ints(2, 1),
        dilations=ints(1, 2),
        pad_type=CUSTOM,
        pad=ints(1, 1, 2, 2),
    ),
    _conv(
        "2d asymmetric",
        IMAGE,
        KERNEL_2D,
        F.conv2d(F.pad(t(IMAGE), (2, 1, 0, 1)), t(KERNEL_2D), t(BIAS)),
        pad_type=CUSTOM,
        pad=ints(0, 1, 2, 1),
    ),
    _conv(
        "2d same",
        IMAGE,  # 8 x 9, stride 2: pads (0, 1) and (1, 1)
        KERNEL_2D,
        F.conv2d(F.pad(t(IMAGE), (1, 1, 0, 1)), t(KERNEL_2D), t(BIAS), stride=2),
        pad_type="same",
        strides=ints(2, 2),
    ),
    _conv(
        "2d same_lower",
        IMAGE,
        KERNEL_2D,
        F.conv2d(F.pad(t(IMAGE), (1, 1, 1, 0)), t(KERNEL_2D), t(BIAS), stride=2),
        pad_type="same_lower",
        strides=ints(2, 2),
    ),
    _conv(
        "3d",
        VOLUME,
        KERNEL_3D,
        F.conv3d(t(VOLUME), t(KERNEL_3D), t(BIAS), stride=2, padding=1),
        pad_type=CUSTOM,
        pad=ints(1, 1, 1, 1, 1, 1),
        strides=ints(2, 2, 2),
    ),
    Case("conv", "no bias", {"x": IMAGE, "weight": KERNEL_2D}, F.conv2d(t(IMAGE), t(KERNEL_2D)).numpy()),
    _up(
        "1d groups",
        LINE,
        UP_1D,
        F.conv_transpose1d(t(LINE), t(UP_1D), t(BIAS), stride=3, groups=2),
        strides=ints(3),
        groups=scalar(2),
        pad_type="valid",
    ),
    _up(
        "2d custom",
        IMAGE,
        UP_2D,
        F.conv_transpose2d(t(IMAGE), t(UP_2D), t(BIAS), stride=2, padding=1),
        strides=ints(2, 2),
        pad_type=CUSTOM,
        pad=ints(1, 1, 1, 1),
    ),
    _up(
        "2d asymmetric",
        IMAGE,
        UP_2D,
        F.conv_transpose2d(t(IMAGE), t(UP_2D), t(BIAS), stride=2)[:, :, 0:-2, 1:],
        strides=ints(2, 2),
        pad_type=CUSTOM,
        pad=ints(0, 2, 1, 0),
    ),
    _up(
        "2d output_shape",
        IMAGE,  # a larger output than the padding alone gives: torch's output_padding
        UP_2D,
        F.conv_transpose2d(t(IMAGE), t(UP_2D), t(BIAS), stride=2, padding=1, output_padding=1),
        strides=ints(2, 2),
        pad_type=CUSTOM,
        pad=ints(1, 1, 1, 1),
        output_shape=ints(2, 6, 17, 19),
    ),
    _up(
        "2d beyond the kernel",
        IMAGE,  # rows that no tap reaches hold the bias alone
        UP_2D[:, :, :1, :1].copy(),
        F.conv_transpose2d(t(IMAGE), t(UP_2D[:, :, :1, :1].copy()), t(BIAS), stride=2, output_padding=1),
        strides=ints(2, 2),
        pad_type="same",
    ),
    _up("2d same", IMAGE, UP_2D, _same_gradient(), strides=ints(2, 2), pad_type="same"),
    _up(
        "2d dilations",
        IMAGE,
        UP_2D,
        F.conv_transpose2d(t(IMAGE), t(UP_2D), t(BIAS), dilation=(2, 1)),
        dilations=ints(2, 1),
    ),
    _up(
        "3d",
        VOLUME,
        UP_3D,
        F.conv_transpose3d(t(VOLUME), t(UP_3D), t(BIAS), stride=2, padding=1),
        strides=ints(2, 2, 2),
        pad_type=CUSTOM,
        pad=ints(1, 1, 1, 1, 1, 1),
    ),
    _pool("avg_pool", "1d", RAMP, [[[1.5, 2.5, 3.5]]], kernel_sizes=ints(2), pad_type="valid"),
    _pool(
        "avg_pool",
        "counts the padding",
        RAMP,
        [[[0.5, 1.5, 2.5, 3.5, 2.0]]],
        kernel_sizes=ints(2),
        pad_type=CUSTOM,
        pad=ints(1, 1),
    ),
    _pool(
        "avg_pool",
        "excludes the padding",
        RAMP,
        [[[1.0, 1.5, 2.5, 3.5, 4.0]]],
        kernel_sizes=ints(2),
        pad_type=CUSTOM,
        pad=ints(1, 1),
        exclude_padding_from_average=scalar(True),
    ),
    _pool(
        "avg_pool",
        "same_lower",
        SQUARE,
        [[[[0.25, 0.75], [1.0, 2.5]]]],
        kernel_sizes=ints(2, 2),
        pad_type="same_lower",
    ),
    *[
        _pool(
            "avg_pool",
            f"2d ceil exclude={exclude}",
            IMAGE,
            F.avg_pool2d(t(IMAGE), 3, 2, padding=1, ceil_mode=True, count_include_pad=not exclude),
            kernel_sizes=ints(3, 3),
            strides=ints(2, 2),
            pad_type=CUSTOM,
            pad=ints(1, 1, 1, 1),
            ceil_mode=scalar(True),
            exclude_padding_from_average=scalar(exclude),
        )
        for exclude in (False, True)
    ],
    _pool(
        "avg_pool",
        "3d",
        VOLUME,
        F.avg_pool3d(t(VOLUME), 2, 2),
        kernel_sizes=ints(2, 2, 2),
        strides=ints(2, 2, 2),
        pad_type="valid",
    ),
    _pool(
        "max_pool",
        "2d negative with padding",
        -np.abs(IMAGE),
        F.max_pool2d(-t(IMAGE).abs(), 3, 2, padding=1),
        kernel_sizes=ints(3, 3),
        strides=ints(2, 2),
        pad_type=CUSTOM,
        pad=ints(1, 1, 1, 1),
    ),
    _pool(
        "max_pool",
        "2d ceil",
        IMAGE,
        F.max_pool2d(t(IMAGE), 2, 2, ceil_mode=True),
        kernel_sizes=ints(2, 2),
        strides=ints(2, 2),
        pad_type="valid",
        ceil_mode=scalar(True),
    ),
    # The last window would start in the padding behind, so it is dropped: 3 outputs, not 4.
    *[
        _pool(
            op_type,
            "1d ceil drops a window",
            FIVE,
            expected,
            kernel_sizes=ints(2),
            strides=ints(2),
            pad_type=CUSTOM,
            pad=ints(1, 1),
            ceil_mode=scalar(True),
        )
        for op_type, expected in (
            ("max_pool", F.max_pool1d(t(FIVE), 2, 2, 1, ceil_mode=True)),
            ("avg_pool", F.avg_pool1d(t(FIVE), 2, 2, 1, ceil_mode=True)),
        )
    ],
    _pool(
        "max_pool",
        "3d same",
        VOLUME,
        F.max_pool3d(F.pad(t(VOLUME), (0, 1, 0, 1, 0, 1), value=-np.inf), 2, 1),
        kernel_sizes=ints(2, 2, 2),
        pad_type="same",
    ),
    # Core ML's own answers, as coremltools' tests state them.
    _pool(
        "l2_pool",
        "same_lower",
        SQUARE,
        [[[[1, 2.236068], [3.162278, 5.477226]]]],
        kernel_sizes=ints(2, 2),
        pad_type="same_lower",
    ),
    Case(
        "conv_quantized",
        "scale and bias per channel",
        {
            "x": array([[1, 2, 3]]),
            "weight": np.array([[[1, 2]], [[3, 255]]], np.uint8),
            "quantization_type": "linear",
            "quant_scale": array(0.5, 1.0),
            "quant_bias": array(-1.0, 0.0),
            "bias": array(10.0, 0.0),
        },
        array([[9.5, 9.0], [513.0, 771.0]]),
    ),
]
