"""Known answers for the elementwise operations; numpy, the formulas of MIL's documents or torch."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, inf, nan
from typing import Any

import numpy as np
import torch.nn.functional as F

from .harness import Case, array, ints, noise, scalar, t

X = array(-9.0, -2.5, -1.0, -0.4, 0.0, 0.5, 1.5, 2.5, 7.0).reshape(3, 3)
POSITIVE = np.abs(X) + 0.25
UNIT = X / 10
FEATURES = noise(2, 3, 4, 5)
CHANNEL = array(0.1, 0.2, 0.7)
ROWS, OTHER = array(7, -7, 6, 0), array(2, 2, -4, 3)
INT_ROWS, INT_OTHER = ints(7, -7, 6, 0), ints(2, 2, -4, 3)

UNARY: dict[str, tuple[np.ndarray, Callable[[np.ndarray], Any]]] = {
    "abs": (X, np.abs),
    "acos": (UNIT, np.arccos),
    "asin": (UNIT, np.arcsin),
    "atan": (X, np.arctan),
    "atanh": (UNIT, np.arctanh),
    "ceil": (X, np.ceil),
    "cos": (X, np.cos),
    "cosh": (X, np.cosh),
    "erf": (X, np.vectorize(erf)),
    "exp": (X, np.exp),
    "exp2": (X, np.exp2),
    "floor": (X, np.floor),
    "relu": (X, lambda x: np.maximum(x, 0)),
    "relu6": (X, lambda x: np.clip(x, 0, 6)),
    "round": (X, np.rint),  # ties go to even
    "sigmoid": (X, lambda x: 1 / (1 + np.exp(-x))),
    "sign": (X, np.sign),
    "silu": (X, lambda x: x / (1 + np.exp(-x))),
    "sin": (X, np.sin),
    "sinh": (X, np.sinh),
    "softplus": (X, lambda x: np.log1p(np.exp(x))),
    "softsign": (X, lambda x: x / (1 + np.abs(x))),
    "sqrt": (POSITIVE, np.sqrt),
    "square": (X, np.square),
    "tan": (X, np.tan),
    "tanh": (X, np.tanh),
}
BINARY: dict[str, tuple[np.ndarray, str]] = {
    "add": (ROWS + OTHER, "fp32"),
    "equal": (array(False, False, False, False, dtype=bool), "bool"),
    "floor_div": (array(3, -4, -2, 0), "fp32"),
    "greater": (ROWS > OTHER, "bool"),
    "greater_equal": (ROWS >= OTHER, "bool"),
    "less": (ROWS < OTHER, "bool"),
    "less_equal": (ROWS <= OTHER, "bool"),
    "maximum": (array(7, 2, 6, 3), "fp32"),
    "minimum": (array(2, -7, -4, 0), "fp32"),
    "mod": (array(1, 1, -2, 0), "fp32"),  # the sign of the divisor, as in Python
    "mul": (ROWS * OTHER, "fp32"),
    "not_equal": (array(True, True, True, True, dtype=bool), "bool"),
    "pow": (array(49, 49, 6.0**-4, 0), "fp32"),
    "real_div": (array(3.5, -3.5, -1.5, 0), "fp32"),
    "sub": (ROWS - OTHER, "fp32"),
}
LEFT, RIGHT = array(True, True, False, False, dtype=bool), array(True, False, True, False, dtype=bool)


def _alpha_beta(op_type: str, alpha: float, beta: float, expected: np.ndarray) -> Case:
    return Case(op_type, "values", {"x": X, "alpha": scalar(alpha), "beta": scalar(beta)}, expected)


CASES = [
    *[Case(name, "values", {"x": x}, np.asarray(f(x), np.float32)) for name, (x, f) in UNARY.items()],
    *[Case(name, "values", {"x": ROWS, "y": OTHER}, expected, dtype) for name, (expected, dtype) in BINARY.items()],
    Case("softplus", "large", {"x": array(30.0, 90.0)}, array(30.0, 90.0)),
    Case(
        "add",
        "broadcast",
        {"x": FEATURES, "y": CHANNEL.reshape(3, 1, 1)},
        FEATURES + CHANNEL.reshape(3, 1, 1),
    ),
    Case("floor_div", "int", {"x": INT_ROWS, "y": INT_OTHER}, ints(3, -4, -2, 0), "int32"),
    Case("mod", "int", {"x": INT_ROWS, "y": INT_OTHER}, ints(1, 1, -2, 0), "int32"),
    Case("pow", "int", {"x": ints(2, 3, 5), "y": ints(10, 0, -1)}, ints(1024, 1, 0), "int32"),
    Case("real_div", "int", {"x": ints(7, 9), "y": ints(2, 3)}, ints(3, 3), "int32"),
    Case("sign", "int", {"x": ints(-3, 0, 8)}, ints(-1, 0, 1), "int32"),
    Case(
        "mul",
        "fp16 overflow",
        {"x": array(300.0, -300.0, 0.1), "y": scalar(300.0)},
        array(inf, -inf, 30.0),
        "fp16",
    ),
    Case("add", "fp16 rounding", {"x": array(2048.0, 2050.0), "y": scalar(1.0)}, array(2048.0, 2052.0), "fp16"),
    Case("maximum", "nan", {"x": array(nan), "y": array(1.0)}, array(nan)),
    Case("logical_and", "table", {"x": LEFT, "y": RIGHT}, LEFT & RIGHT, "bool"),
    Case("logical_or", "table", {"x": LEFT, "y": RIGHT}, LEFT | RIGHT, "bool"),
    Case("logical_xor", "table", {"x": LEFT, "y": RIGHT}, LEFT ^ RIGHT, "bool"),
    Case("logical_not", "table", {"x": LEFT}, ~LEFT, "bool"),
    Case("elu", "values", {"x": X, "alpha": scalar(0.5)}, np.where(X > 0, X, 0.5 * np.expm1(X))),
    Case("leaky_relu", "values", {"x": X, "alpha": scalar(0.1)}, np.where(X >= 0, X, 0.1 * X)),
    Case("prelu", "channels", {"x": FEATURES, "alpha": CHANNEL}, F.prelu(t(FEATURES), t(CHANNEL)).numpy()),
    Case("threshold", "lower bound", {"x": X, "alpha": scalar(0.5)}, np.maximum(X, 0.5)),
    Case("thresholded_relu", "keeps alpha", {"x": X, "alpha": scalar(0.5)}, np.where(X >= 0.5, X, 0)),
    Case("thresholded_relu", "negative", {"x": X, "alpha": scalar(-2.5)}, np.where(X >= -2.5, X, 0)),
    _alpha_beta("clamped_relu", 0.25, 2.0, np.minimum(np.where(X >= 0, X, 0.25 * X), 2.0)),
    _alpha_beta("clip", -1.0, 2.0, np.clip(X, -1, 2)),
    _alpha_beta("linear_activation", 3.0, -1.0, 3 * X - 1),
    _alpha_beta("scaled_tanh", 2.0, 0.3, 2 * np.tanh(0.3 * X)),
    _alpha_beta("sigmoid_hard", 0.2, 0.5, np.clip(0.2 * X + 0.5, 0, 1)),
    Case(
        "softplus_parametric",
        "channels",
        {"x": FEATURES, "alpha": CHANNEL, "beta": CHANNEL + 1},
        CHANNEL.reshape(3, 1, 1) * np.log1p(np.exp((CHANNEL + 1).reshape(3, 1, 1) * FEATURES)),
    ),
    Case("gelu", "default", {"x": X}, F.gelu(t(X)).numpy()),
    Case("gelu", "exact", {"x": X, "mode": "EXACT"}, F.gelu(t(X)).numpy()),
    Case(
        "gelu",
        "tanh",
        {"x": X, "mode": "TANH_APPROXIMATION"},
        0.5 * X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3))),
    ),
    Case("gelu", "sigmoid", {"x": X, "mode": "SIGMOID_APPROXIMATION"}, X / (1 + np.exp(-1.702 * X))),
    Case("log", "default epsilon", {"x": POSITIVE}, np.log(POSITIVE)),
    Case("log", "epsilon", {"x": POSITIVE, "epsilon": scalar(0.5)}, np.log(POSITIVE + 0.5)),
    Case("rsqrt", "default epsilon", {"x": POSITIVE}, 1 / np.sqrt(POSITIVE)),
    Case("rsqrt", "epsilon", {"x": POSITIVE, "epsilon": scalar(0.5)}, 1 / np.sqrt(POSITIVE + 0.5)),
    Case("inverse", "default epsilon", {"x": array(0.0, 1.0)}, array(1e4, 1 / 1.0001)),
    Case("inverse", "epsilon", {"x": POSITIVE, "epsilon": scalar(0.5)}, 1 / (POSITIVE + 0.5)),
    Case("cast", "to int32 truncates", {"x": array(-1.7, 1.7), "dtype": "int32"}, ints(-1, 1), "int32"),
    Case("cast", "to bool", {"x": array(-1.7, 0, 0.2), "dtype": "bool"}, array(1, 0, 1, dtype=bool), "bool"),
    Case("cast", "from bool", {"x": array(1, 0, dtype=bool), "dtype": "fp32"}, array(1.0, 0.0)),
    Case("cast", "to fp16 rounds", {"x": array(0.1, 1e6), "dtype": "fp16"}, array(np.float16(0.1), inf), "fp16"),
    Case("cast", "to uint8", {"x": array(3.9, 255.0), "dtype": "uint8"}, array(3, 255, dtype=np.uint8), "uint8"),
    Case(
        "select",
        "broadcast",
        {"cond": array(True, False, True, dtype=bool), "a": X, "b": scalar(0.0)},
        np.where([True, False, True], X, 0).astype(np.float32),
    ),
]
