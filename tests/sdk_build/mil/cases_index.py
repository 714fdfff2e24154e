"""Known answers for slicing, gathering, scattering and sorting."""

from __future__ import annotations

import numpy as np

from .harness import Case, array, ints, noise, scalar

X = noise(2, 3, 4, 5)
GRID = np.arange(12, dtype=np.float32).reshape(3, 4)
TRUE, FALSE = scalar(True), scalar(False)
MASKS = {"begin_mask": array(1, 0, dtype=bool), "end_mask": array(0, 1, dtype=bool)}
DATA, SPOTS, UPDATES = array(1, 2, 3), ints(0, 2), array(9, 8)
SCATTER = {
    "update": (9, 2, 8),
    "add": (10, 2, 11),
    "sub": (-8, 2, -5),
    "mul": (9, 2, 24),
    "div": (1 / 9, 2, 3 / 8),
    "max": (9, 2, 8),
    "min": (1, 2, 3),
}

CASES = [
    Case("slice_by_index", "plain", {"x": GRID, "begin": ints(1, 0), "end": ints(3, 2)}, GRID[1:3, 0:2]),
    Case("slice_by_index", "negative", {"x": GRID, "begin": ints(-2, 1), "end": ints(3, -1)}, GRID[-2:3, 1:-1]),
    Case(
        "slice_by_index",
        "strides",
        {"x": GRID, "begin": ints(2, 0), "end": ints(0, 4), "stride": ints(-1, 2)},
        GRID[2:0:-1, 0:4:2],
    ),
    Case("slice_by_index", "masks", {"x": GRID, "begin": ints(2, 1), "end": ints(2, 2), **MASKS}, GRID[:2, 1:]),
    Case(
        "slice_by_index",
        "whole axis backwards",
        {
            "x": GRID,
            "begin": ints(0, 0),
            "end": ints(0, 0),
            "stride": ints(-1, -1),
            "begin_mask": array(1, 1, dtype=bool),
            "end_mask": array(1, 1, dtype=bool),
        },
        GRID[::-1, ::-1],
    ),
    Case(
        "slice_by_index",
        "squeeze",
        {"x": GRID, "begin": ints(-1, 1), "end": ints(0, 3), "squeeze_mask": array(1, 0, dtype=bool)},
        GRID[-1, 1:3],
    ),
    Case(
        "slice_by_index",
        "beyond the end",
        {"x": GRID, "begin": ints(1, 2), "end": ints(99, 2147483647)},
        GRID[1:, 2:],
    ),
    Case("slice_by_size", "rest", {"x": GRID, "begin": ints(1, -3), "size": ints(-1, 2)}, GRID[1:, 1:3]),
    Case(
        "slice_update",
        "strides",
        {"x": array(0, 1, 2, 3), "update": array(9, 8), "begin": ints(3), "end": ints(0), "stride": ints(-2)},
        array(0, 8, 2, 9),
    ),
    Case("gather", "axis", {"x": GRID, "indices": ints(3, 0, -1), "axis": scalar(1)}, GRID[:, [3, 0, -1]]),
    Case("gather", "scalar", {"x": GRID, "indices": scalar(1)}, GRID[1]),
    Case(
        "gather",
        "matrix",
        {"x": GRID, "indices": ints(0, 1, 2, 0).reshape(2, 2), "validate_indices": FALSE},
        GRID[[[0, 1], [2, 0]]],
    ),
    Case(
        "gather",
        "batch",
        {
            "x": GRID,
            "indices": ints(0, 1, 2, 0, 3, 3).reshape(3, 2),
            "axis": scalar(1),
            "batch_dims": scalar(1),
        },
        array([0, 1], [6, 4], [11, 11]),
    ),
    Case(
        "gather_along_axis",
        "axis",
        {"x": GRID, "indices": ints(3, 0, -1).reshape(3, 1), "axis": scalar(1)},
        array([3], [4], [11]),
    ),
    Case("gather_nd", "rows", {"x": X, "indices": ints(0, 2, 1, -1).reshape(2, 2)}, X[[0, 1], [2, 2]]),
    Case(
        "gather_nd",
        "batch",
        {"x": GRID, "indices": ints(3, 0, 1).reshape(3, 1), "batch_dims": scalar(1)},
        array(3, 4, 9),
    ),
    *[
        Case(
            "scatter",
            mode,
            {"data": DATA, "indices": SPOTS, "updates": UPDATES, "mode": mode},
            array(*wanted),
        )
        for mode, wanted in SCATTER.items()
    ],
    Case(
        "scatter",
        "axis",
        {"data": GRID, "indices": ints(-1), "updates": array(1, 1, 1).reshape(3, 1), "axis": scalar(1)},
        GRID + array(0, 0, 0, 1),
    ),
    Case(
        "scatter_along_axis",
        "default adds",
        {
            "data": GRID,
            "indices": ints(3, 0, 1).reshape(3, 1),
            "updates": array(1, 2, 3).reshape(3, 1),
            "axis": scalar(1),
        },
        GRID + array([0, 0, 0, 1], [2, 0, 0, 0], [0, 3, 0, 0]),
    ),
    Case(
        "scatter_nd",
        "elements",
        {"data": GRID, "indices": ints(0, 1, 2, 3).reshape(2, 2), "updates": array(50, 60), "mode": "update"},
        array([0, 50, 2, 3], [4, 5, 6, 7], [8, 9, 10, 60]),
    ),
    Case(
        "scatter_nd",
        "rows",
        {"data": GRID, "indices": ints(1, 1).reshape(2, 1), "updates": np.ones((2, 4), np.float32)},
        GRID + array([0], [2], [0]),
    ),
    Case(
        "topk",
        "descending",
        {"x": array([1, 5, 3, 5]), "k": scalar(3)},
        (array([5, 5, 3]), ints(1, 3, 2).reshape(1, 3)),
    ),
    Case(
        "topk",
        "ascending axis",
        {
            "x": array([1, 5], [0, 9]),
            "k": scalar(1),
            "axis": scalar(0),
            "ascending": TRUE,
            "sort": TRUE,
            "output_indices_dtype": "int32",
        },
        (array([0, 5]), ints(1, 0).reshape(1, 2)),
    ),
    Case("topk", "all values", {"x": array(2, 3, 1), "k": scalar(-1), "return_indices": FALSE}, array(3, 2, 1)),
    Case("argsort", "descending", {"x": array(2, 3, 1)}, ints(1, 0, 2), "int32"),
    Case(
        "argsort",
        "ascending",
        {"x": array([2, 3], [3, 2]), "axis": scalar(0), "ascending": TRUE},
        array([0, 1], [1, 0]),
        "int32",
    ),
    Case("non_zero", "indices", {"x": array([0, 2], [3, 0])}, array([0, 1], [1, 0]), "int32"),
    Case("gather", "1-D by a scalar", {"x": array(1, 2, 3), "indices": scalar(1)}, np.float32(2)),
    Case(
        "scatter_nd",
        "nothing to write",
        {
            "data": array(1, 2),
            "indices": np.zeros((0, 1), np.int32),
            "updates": np.zeros((0,), np.float32),
            "mode": "update",
        },
        array(1, 2),
    ),
]
