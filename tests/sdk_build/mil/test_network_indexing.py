"""Layers of the older format whose shapes or places are values, against torch and numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from .harness import array, noise, t
from .test_network_layers import run

pytestmark = pytest.mark.filterwarnings("ignore")
X = noise(2, 3, 4, seed=1)
Build = Callable[[Any], None]


def _const(b: Any, name: str, values: Any) -> str:
    numbers = np.asarray(values, np.float32)
    b.add_load_constant_nd(name, name, numbers, numbers.shape)
    return name


def _with(layer: str, constants: list[Any], *rest: Any, **settings: Any) -> Build:
    """A layer of x and constants."""

    def build(b: Any) -> None:
        names = ["x", *(_const(b, f"c{n}", values) for n, values in enumerate(constants))]
        getattr(b, f"add_{layer}")("l", *rest, input_names=names, output_name="y", **settings)

    return build


def _of(layer: str, *rest: Any, **settings: Any) -> Build:
    return lambda b: getattr(b, f"add_{layer}")("l", *rest, input_name="x", output_name="y", **settings)


def _from(layer: str, constant: Any, **settings: Any) -> Build:
    """A layer of a constant alone."""

    def build(b: Any) -> None:
        source = _const(b, "c", constant)
        names = {"input_names": [source]} if layer.startswith("random") else {"input_name": source}
        getattr(b, f"add_{layer}")("l", output_name="y", **names, **settings)

    return build


TX = t(X)
CASES: dict[str, tuple[Build, Any]] = {
    "fill_dynamic": (_from("fill_dynamic", [2, 5], value=3.0), np.full((2, 5), 3.0)),
    "broadcast_to_dynamic": (_with("broadcast_to_dynamic", [[5, 2, 3, 4]]), TX.expand(5, 2, 3, 4)),
    "range_static": (
        lambda b: b.add_range_static("l", "y", end=2.0, start=-1.0, step=0.75),
        np.arange(-1.0, 2.0, 0.75),
    ),
    "range_dynamic": (
        lambda b: b.add_range_dynamic("l", [_const(b, "e", 7.0), _const(b, "s", 2.0)], "y", step=2.0),
        np.arange(2.0, 7.0, 2.0),
    ),
    "sliding_windows": (_of("sliding_windows", axis=1, window_size=2, step=1), TX.unfold(1, 2, 1).movedim(-1, 2)),
    "slice_dynamic": (
        _with("slice_dynamic", [[0, 1, 3]], end_ids=(2, 3, 0), strides=(1, 1, -2), end_masks=[False, False, True]),
        X[0:2, 1:3, 3::-2],
    ),
    "slice_dynamic of inputs": (_with("slice_dynamic", [[1, 0, 0], [2, 3, 4], [1, 2, 1]]), X[1:2, 0:3:2]),
    "slice_by_size": (_with("slice_by_size", [[1]], axis=2, size=2), X[:, :, 1:3]),
    "gather_nd": (_with("gather_nd", [[[0, 2], [1, -1]]]), X[[0, 1], [2, 2]]),
    "gather_along_axis": (
        _with("gather_along_axis", [np.tile([[[2], [0]]], (2, 1, 4))], axis=1),
        np.take_along_axis(X, np.tile([[[2], [0]]], (2, 1, 4)), 1),
    ),
    "scatter": (
        _with("scatter", [[0, 2], np.ones((2, 2, 4))], axis=1, mode="ADD"),
        X + np.array([1, 0, 1]).reshape(1, 3, 1),
    ),
    "scatter_nd": (
        _with("scatter_nd", [[[0, 1]], np.zeros((1, 4))], mode="UPDATE"),
        np.where(np.arange(6).reshape(2, 3, 1) == 1, 0, X),
    ),
    "scatter_along_axis": (
        _with("scatter_along_axis", [np.zeros((2, 1, 4)), np.full((2, 1, 4), 2.0)], axis=1, mode="MUL"),
        X * np.array([2, 1, 1]).reshape(1, 3, 1),
    ),
    "reverse_sequence": (
        lambda b: b.add_reverse_sequence("l", ["x", _const(b, "n", [2, 3])], "y", batch_axis=0, seq_axis=1),
        np.stack([X[0, [1, 0, 2]], X[1, ::-1]]),
    ),
    "where_nonzero": (
        lambda b: (b.add_greater_than("g", ["x"], "g", alpha=0.5), b.add_where_nonzero("l", "g", "y")),
        np.argwhere(X > 0.5),
    ),
    "one_hot": (
        lambda b: b.add_one_hot(
            "l", [_const(b, "i", [2, -1])], "y", one_hot_vector_size=3, on_value=5.0, off_value=-1.0
        ),
        array([-1, -1, 5], [-1, -1, -1]),
    ),
    "argsort": (_of("argsort", axis=2, descending=True), np.argsort(-X, 2)),
    "cumsum": (
        lambda b: b.add_cumsum("l", ["x"], "y", axis=1, reverse=True, exclusive=True),
        np.concatenate([np.cumsum(X[:, ::-1], 1)[:, ::-1][:, 1:], np.zeros((2, 1, 4))], 1),
    ),
    "matrix_band_part": (_of("matrix_band_part", num_lower=1, num_upper=0), torch.triu(torch.tril(TX), -1)),
    "lower_triangular": (_of("lower_triangular", k=1), torch.tril(TX, 1)),
    "upper_triangular": (_of("upper_triangular", k=-1), torch.triu(TX, -1)),
    "batched_mat_mul of vectors": (
        lambda b: b.add_batched_mat_mul("l", [_const(b, "v", [1, 2]), _const(b, "w", [3, 4])], "y"),
        array([11]),
    ),
    "tile of fewer": (_of("tile", reps=(2,)), np.tile(X, 2)),
    "flatten_to_2d at the end": (_of("flatten_to_2d", axis=3), X.reshape(-1, 1)),
    "flatten_to_2d from the end": (_of("flatten_to_2d", axis=-1), X.reshape(6, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_layer(name: str, tmp_path: Path) -> None:
    build, expected = CASES[name]
    (result,) = run(build, X, tmp_path, is_exact=True)
    assert result.shape == tuple(expected.shape)
    np.testing.assert_allclose(result, np.asarray(expected), rtol=1e-5, atol=2e-6)


def test_a_split_that_is_not_whole_is_even(tmp_path: Path) -> None:
    first, second = run(
        lambda b: b.add_split_nd("l", "x", ["y", "z"], axis=1, num_splits=2), X, tmp_path, is_exact=True, outputs=2
    )
    assert (first.shape[1], second.shape[1]) == (2, 1)


def test_boxes(tmp_path: Path) -> None:
    """The second box lies on the first; the third is alone."""
    boxes = np.array([[[1, 1, 2, 2], [1.1, 1, 2, 2], [5, 5, 1, 1]]], np.float32)

    def build(b: Any) -> None:
        scores = _const(b, "s", [[[0.9], [0.8], [0.7]]])
        names = ["y", "z", "places", "found"]
        b.add_nms("l", ["x", scores], names, iou_threshold=0.5, score_threshold=0.1, max_boxes=3)

    kept, scores = run(build, boxes, tmp_path, is_exact=True, outputs=2)
    np.testing.assert_allclose(kept[0], [boxes[0, 0], boxes[0, 2], [0, 0, 0, 0]])
    np.testing.assert_allclose(scores[0, :, 0], [0.9, 0.7, 0])


def test_random_numbers_have_their_distribution(tmp_path: Path) -> None:
    def draw(layer: str, **settings: Any) -> np.ndarray:
        build = _from(layer, [100, 100], **settings)
        (first,), (again,) = (run(build, X, tmp_path, is_exact=True) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        return first

    normal = draw("random_normal_dynamic", mean=2.0, stddev=3.0, seed=1)
    assert normal.shape == (100, 100)
    assert normal.mean() == pytest.approx(2.0, abs=0.15)
    assert normal.std() == pytest.approx(3.0, abs=0.15)
    uniform = draw("random_uniform_dynamic", minval=-1.0, maxval=3.0, seed=1)
    assert (uniform.min(), uniform.max()) == pytest.approx((-1, 3), abs=0.05)
    assert draw("random_bernoulli_dynamic", prob=0.25, seed=1).mean() == pytest.approx(0.25, abs=0.03)

    def categories(b: Any) -> None:
        b.add_categorical_distribution(
            "l", _const(b, "c", [[0.5, 0.25, 0.25]]), "y", num_samples=4000, is_logits=False, seed=3
        )

    (drawn,) = run(categories, X, tmp_path, is_exact=True)
    np.testing.assert_allclose(np.bincount(drawn.reshape(-1).astype(int)) / 4000, [0.5, 0.25, 0.25], atol=0.04)


def test_products_in_int8_round_the_input(tmp_path: Path) -> None:
    levels = np.arange(-4, 4, dtype=np.int8).reshape(2, 4)

    def build(b: Any) -> None:
        b.add_inner_product(
            "l", levels.tobytes(), None, 4, 2, False, "x", "y", int_8_dynamic_quantize=True, is_quantized_weight=True,
            quantization_type="linear", nbits=8, quant_scale=np.array([0.5], np.float32),
        )  # fmt: skip

    (result,) = run(build, X, tmp_path, is_exact=True)
    step = np.abs(X).max() / 127
    expected = (np.rint(X / step) * step) @ (levels.T * 0.5)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(result - X @ (levels.T * 0.5)).max() > 1e-4


@pytest.mark.parametrize("size", [1 << 40, -1])
def test_sizes_that_no_device_has_are_refused(size: int, tmp_path: Path) -> None:
    from sdk_build.errors import LoweringError

    with pytest.raises(LoweringError, match=r"'l' \(fillDynamic\) failed: a tensor of shape"):
        run(_from("fill_dynamic", [size, 2], value=1.0), X, tmp_path, is_exact=True)
