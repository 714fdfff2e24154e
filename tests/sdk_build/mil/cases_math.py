"""Known answers for matrix products, attention, normalisation and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Case, array, ints, noise, scalar, t

X = noise(2, 3, 4, 5)
POSITIVE = np.abs(X) + 0.1
A, B = noise(2, 3, 4), noise(2, 4, 5, seed=1)
WEIGHT, BIAS = noise(6, 4, seed=2), noise(6, seed=3)
MEAN, VARIANCE, GAMMA, BETA = (
    array(0.1, 0.2, 0.3),
    array(1.0, 2.0, 0.5),
    array(2.0, -1.0, 3.0),
    array(1.0, 0.0, -1.0),
)
Q, K, V = noise(1, 2, 3, 4), noise(1, 2, 5, 4, seed=1), noise(1, 2, 5, 6, seed=2)
MASK = array([1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1], dtype=bool)
FLOAT_MASK = noise(3, 5, seed=4)
LINE = array(1, 2, 3, 4)
BAND = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
INTS = ints(3, 4, 8).reshape(1, 3)
AXES = ints(-1, 1)


def _reduce(op_type: str, x: np.ndarray, function: Any) -> list[Case]:
    return [
        Case(op_type, "all axes", {"x": x}, np.asarray(function(x, axis=None, keepdims=False))),
        Case(
            op_type,
            "keeps",
            {"x": x, "axes": AXES, "keep_dims": scalar(True)},
            function(x, axis=(3, 1), keepdims=True),
        ),
        Case(op_type, "drops", {"x": x, "axes": AXES}, function(x, axis=(3, 1), keepdims=False)),
    ]


def _norm_over(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    result: np.ndarray = (x - mean) / np.sqrt(variance + epsilon)
    return result


CASES = [
    Case("linear", "bias", {"x": A, "weight": WEIGHT, "bias": BIAS}, A @ WEIGHT.T + BIAS),
    Case("linear", "no bias", {"x": A, "weight": WEIGHT}, A @ WEIGHT.T),
    Case("linear", "int", {"x": INTS, "weight": ints(1, 2, 3).reshape(1, 3)}, ints(35).reshape(1, 1), "int32"),
    Case("matmul", "plain", {"x": A, "y": B}, A @ B),
    Case(
        "matmul",
        "transposed",
        {"x": B, "y": A, "transpose_x": scalar(True), "transpose_y": scalar(True)},
        (A @ B).transpose(0, 2, 1),
    ),
    Case("matmul", "vector", {"x": LINE, "y": B}, LINE @ B),
    Case(
        "einsum",
        "rank 4",
        {"values": (noise(2, 3, 4, 5), noise(2, 5, 4, 6, seed=1)), "equation": "nchw,nwhu->nchu"},
        np.einsum("nchw,nwhu->nchu", noise(2, 3, 4, 5), noise(2, 5, 4, 6, seed=1)),
    ),
    Case("softmax", "default axis", {"x": X}, torch.softmax(t(X), -1).numpy()),
    Case("softmax", "axis 1", {"x": X * 50, "axis": scalar(1)}, torch.softmax(t(X * 50), 1).numpy()),
    Case(
        "scaled_dot_product_attention",
        "plain",
        {"query": Q, "key": K, "value": V},
        F.scaled_dot_product_attention(t(Q), t(K), t(V)).numpy(),
    ),
    Case(
        "scaled_dot_product_attention",
        "bool mask",
        {"query": Q, "key": K, "value": V, "attn_mask": MASK},
        F.scaled_dot_product_attention(t(Q), t(K), t(V), t(MASK)).numpy(),
    ),
    Case(
        "scaled_dot_product_attention",
        "float mask",
        {"query": Q, "key": K, "value": V, "attn_mask": FLOAT_MASK},
        F.scaled_dot_product_attention(t(Q), t(K), t(V), t(FLOAT_MASK)).numpy(),
    ),
    Case(
        "batch_norm",
        "full",
        {"x": X, "mean": MEAN, "variance": VARIANCE, "gamma": GAMMA, "beta": BETA, "epsilon": scalar(0.1)},
        (X - MEAN[:, None, None]) / np.sqrt(VARIANCE + 0.1)[:, None, None] * GAMMA[:, None, None] + BETA[:, None, None],
    ),
    Case(
        "batch_norm",
        "plain",
        {"x": X, "mean": MEAN, "variance": VARIANCE},
        F.batch_norm(t(X), t(MEAN), t(VARIANCE)).numpy(),
    ),
    Case(
        "instance_norm",
        "full",
        {"x": X, "gamma": GAMMA, "beta": BETA, "epsilon": scalar(0.1)},
        _norm_over(X, (2, 3), 0.1) * GAMMA[:, None, None] + BETA[:, None, None],
    ),
    Case(
        "layer_norm",
        "last axes",
        {
            "x": X,
            "axes": ints(2, -1),
            "gamma": noise(4, 5),
            "beta": noise(4, 5, seed=1),
            "epsilon": scalar(0.1),
        },
        _norm_over(X, (2, 3), 0.1) * noise(4, 5) + noise(4, 5, seed=1),
    ),
    Case(
        "layer_norm",
        "channel axis",
        {"x": X, "axes": ints(1), "gamma": GAMMA, "beta": BETA},
        _norm_over(X, (1,), 1e-5) * GAMMA[:, None, None] + BETA[:, None, None],
    ),
    Case("layer_norm", "all axes", {"x": X}, _norm_over(X, (0, 1, 2, 3), 1e-5)),
    Case(
        "l2_norm",
        "batch",
        {"x": X, "epsilon": scalar(0.5)},
        X / np.sqrt((X**2).sum((1, 2, 3), keepdims=True) + 0.5),
    ),
    Case(
        "local_response_norm",
        "channels",
        {"x": X, "size": scalar(3), "alpha": scalar(0.5), "beta": scalar(0.6), "k": scalar(2.0)},
        F.local_response_norm(t(X), 3, 0.5, 0.6, 2.0).numpy(),
    ),
    # coremltools' own answer, from Core ML: with one channel in rank 3 the window holds one number.
    Case(
        "local_response_norm",
        "rank 3",
        {"x": array([[1, -7], [5, -6], [-3, -5]]), "size": scalar(2)},
        array([[0.99996257, -6.98716545], [4.99531746, -5.99191284], [-2.99898791, -4.99531746]]),
    ),
    *_reduce("reduce_sum", X, np.sum),
    *_reduce("reduce_mean", X, np.mean),
    *_reduce("reduce_max", X, np.max),
    *_reduce("reduce_min", X, np.min),
    *_reduce("reduce_prod", X[:, :2, :2, :2].copy(), np.prod),
    *_reduce("reduce_l1_norm", X, lambda x, **how: np.abs(x).sum(**how)),
    *_reduce("reduce_l2_norm", X, lambda x, **how: np.sqrt((x**2).sum(**how))),
    *_reduce("reduce_sum_square", X, lambda x, **how: (x**2).sum(**how)),
    *_reduce("reduce_log_sum", POSITIVE, lambda x, **how: np.log(x.sum(**how))),
    *_reduce("reduce_log_sum_exp", X, lambda x, **how: np.log(np.exp(x).sum(**how))),
    Case("reduce_sum", "int", {"x": INTS, "axes": ints(1)}, ints(15), "int32"),
    Case("reduce_mean", "int truncates", {"x": ints(3, 4).reshape(1, 2), "axes": ints(1)}, ints(3), "int32"),
    Case("reduce_argmax", "default", {"x": X}, X.argmax(-1).astype(np.int32), "int32"),
    Case(
        "reduce_argmax",
        "keeps",
        {"x": X, "axis": scalar(1), "keep_dims": scalar(True), "output_dtype": "int32"},
        X.argmax(1, keepdims=True).astype(np.int32),
        "int32",
    ),
    Case("reduce_argmin", "axis", {"x": X, "axis": scalar(2)}, X.argmin(2).astype(np.int32), "int32"),
    Case("cumsum", "plain", {"x": LINE}, array(1, 3, 6, 10)),
    Case("cumsum", "axis", {"x": X, "axis": scalar(2)}, X.cumsum(2)),
    Case("cumsum", "exclusive", {"x": LINE, "axis": scalar(0), "exclusive": scalar(True)}, array(0, 1, 3, 6)),
    Case("cumsum", "reverse", {"x": LINE, "axis": scalar(0), "reverse": scalar(True)}, array(10, 9, 7, 4)),
    Case(
        "cumsum",
        "reverse exclusive",
        {"x": LINE, "exclusive": scalar(True), "reverse": scalar(True)},
        array(9, 7, 4, 0),
    ),
    Case("band_part", "upper triangle", {"x": BAND, "lower": scalar(0), "upper": scalar(-1)}, np.triu(BAND)),
    Case("band_part", "lower triangle", {"x": BAND, "lower": scalar(-1), "upper": scalar(0)}, np.tril(BAND)),
    Case(
        "band_part",
        "band",
        {"x": BAND, "lower": scalar(1), "upper": scalar(1)},
        np.triu(np.tril(BAND, 1), -1),
    ),
    Case("matmul", "int32 by float", {"x": np.array([[1, 2]], np.int32), "y": array([0.5], [0.25])}, array([1.0])),
    Case("matmul", "float by int32", {"x": array([0.5, 0.25]), "y": np.array([[1], [2]], np.int32)}, array([1.0])),
    Case(
        "batch_norm",
        "half parameters",
        {
            "x": np.ones((1, 2, 1), np.float32),
            "mean": np.array([1, 0], np.float16),
            "variance": np.array([1, 4], np.float16),
            "epsilon": scalar(0.0),
        },
        array([[0], [0.5]]),
    ),
]
