"""Known answers for operations that build or reorder tensors."""

from __future__ import annotations

import numpy as np

from .harness import Case, array, ints, noise, scalar

X = noise(2, 3, 4, 5)
GRID = np.arange(12, dtype=np.float32).reshape(3, 4)
LEFT, RIGHT = array([1, 2], [3, 4], [5, 6]), array([7, 8], [9, 10], [11, 12])
LABELS = np.array(["cat", "dog", "owl"], dtype=object)

CASES = [
    Case("const", "array", {"val": X}, X),
    Case("identity", "array", {"x": X}, X),
    Case(
        "classify",
        "labels",
        {"probabilities": array([0.25, 0.5, 0.25]), "classes": LABELS},
        ("dog", {"cat": 0.25, "dog": 0.5, "owl": 0.25}),
        "str",
    ),
    Case(
        "classify",
        "int labels",
        {"probabilities": array(0.75, 0.25), "classes": np.array([7, 9], dtype=object)},
        (7, {7: 0.75, 9: 0.25}),
        "int64",
    ),
    Case("reshape", "-1", {"x": X, "shape": ints(2, -1)}, X.reshape(2, 60)),
    Case("reshape", "0 inherits", {"x": X, "shape": ints(0, -1, 0, 5)}, X),
    Case(
        "reshape",
        "0 from the right",
        {"x": noise(2, 50), "shape": ints(1, 0, -1, 0)},
        noise(2, 50).reshape(1, 1, 2, 50),
    ),
    Case("reshape", "0 into fewer", {"x": X, "shape": ints(-1, 0)}, X.reshape(24, 5)),
    Case("flatten2d", "axis", {"x": X, "axis": scalar(2)}, X.reshape(6, 20)),
    Case("flatten2d", "negative axis", {"x": X, "axis": scalar(-1)}, X.reshape(24, 5)),
    Case("transpose", "perm", {"x": X, "perm": ints(0, 2, -1, 1)}, X.transpose(0, 2, 3, 1)),
    Case("expand_dims", "several", {"x": GRID, "axes": ints(-1, 0)}, GRID[None, :, :, None]),
    Case("squeeze", "all", {"x": GRID[None, :, None]}, GRID),
    Case("squeeze", "skips longer axes", {"x": GRID[None, :, None], "axes": ints(0, 1)}, GRID[:, None]),
    Case("concat", "axis", {"values": (LEFT, RIGHT), "axis": scalar(-1)}, np.concatenate([LEFT, RIGHT], 1)),
    Case(
        "concat",
        "interleave",
        {"values": (LEFT, RIGHT), "axis": scalar(0), "interleave": scalar(True)},
        array([1, 2], [7, 8], [3, 4], [9, 10], [5, 6], [11, 12]),
    ),
    Case("concat", "scalars", {"values": (scalar(2), scalar(3)), "axis": scalar(0)}, ints(2, 3), "int32"),
    Case("stack", "axis", {"values": (LEFT, RIGHT), "axis": scalar(1)}, np.stack([LEFT, RIGHT], 1)),
    Case("split", "even", {"x": GRID, "num_splits": scalar(2), "axis": scalar(1)}, (GRID[:, :2], GRID[:, 2:])),
    Case(
        "split",
        "sizes",
        {"x": GRID, "split_sizes": ints(1, 3), "axis": scalar(-1)},
        (GRID[:, :1], GRID[:, 1:]),
    ),
    Case(
        "pad",
        "constant",
        {"x": GRID, "pad": ints(1, 0, 2, 3), "constant_val": scalar(7.0)},
        np.pad(GRID, ((1, 0), (2, 3)), constant_values=7),
    ),
    Case(
        "pad",
        "last axis alone",
        {"x": GRID, "pad": ints(2, 1), "mode": "constant"},
        np.pad(GRID, ((0, 0), (2, 1))),
    ),
    Case(
        "pad",
        "reflect",
        {"x": X, "pad": ints(1, 1, 2, 0, 3, 1, 0, 4), "mode": "reflect"},
        np.pad(X, ((1, 1), (2, 0), (3, 1), (0, 4)), mode="reflect"),
    ),
    Case(
        "pad",
        "replicate",
        {"x": X, "pad": ints(2, 1, 1, 3), "mode": "replicate"},
        np.pad(X, ((0, 0), (0, 0), (2, 1), (1, 3)), mode="edge"),
    ),
    Case("tile", "reps", {"x": GRID, "reps": ints(2, 3)}, np.tile(GRID, (2, 3))),
    Case("fill", "float", {"shape": ints(2, 3), "value": scalar(1.5)}, np.full((2, 3), 1.5, np.float32)),
    Case("fill", "int", {"shape": ints(2), "value": scalar(4)}, ints(4, 4), "int32"),
    Case("fill_like", "float", {"ref_tensor": GRID, "value": scalar(2.0)}, np.full((3, 4), 2, np.float32)),
    Case("shape", "sizes", {"x": X}, ints(2, 3, 4, 5), "int32"),
    Case("range_1d", "int", {"start": scalar(1), "end": scalar(8), "step": scalar(3)}, ints(1, 4, 7), "int32"),
    Case(
        "range_1d",
        "float",
        {"start": scalar(0.5), "end": scalar(2.0), "step": scalar(0.5)},
        array(0.5, 1.0, 1.5),
    ),
    Case("reverse", "axes", {"x": GRID, "axes": ints(-1)}, GRID[:, ::-1]),
    Case("reverse", "all", {"x": GRID}, GRID[::-1, ::-1]),
    Case(
        "one_hot",
        "default",
        {"indices": ints(2, 0, 5), "one_hot_vector_size": scalar(3)},
        array([0, 0, 1], [1, 0, 0], [0, 0, 0]),
        "fp32",
    ),
    Case(
        "one_hot",
        "axis and values",
        {
            "indices": ints(2, 0),
            "one_hot_vector_size": scalar(3),
            "axis": scalar(0),
            "on_value": scalar(5.0),
            "off_value": scalar(-1.0),
        },
        array([-1, 5], [-1, -1], [5, -1]),
    ),
    Case(
        "sliding_windows",
        "stride",
        {"x": GRID, "axis": scalar(-1), "size": scalar(2), "stride": scalar(2)},
        GRID.reshape(3, 2, 2),
    ),
    Case(
        "sliding_windows",
        "middle axis",
        {"x": X, "axis": scalar(1), "size": scalar(2)},
        np.stack([X[:, :2], X[:, 1:]], 1),
    ),
    Case(
        "reshape_like",
        "two references",
        {
            "x": np.arange(60, dtype=np.float32).reshape(6, 10),
            "ref_tensors": (np.zeros((2, 3, 4), np.float32), np.zeros((1, 5, 2), np.float32)),
            "begins": (scalar(0), scalar(1)),
            "ends": (scalar(2), scalar(0)),
            "end_masks": (scalar(False), scalar(True)),
        },
        np.arange(60, dtype=np.float32).reshape(2, 3, 5, 2),
    ),
    Case(
        "reverse_sequence",
        "batch before steps",
        {"x": array([1, 2, 3], [4, 5, 6]), "lengths": ints(2, 3), "seq_axis": scalar(1), "batch_axis": scalar(0)},
        array([2, 1, 3], [6, 5, 4]),
    ),
    Case(
        "reverse_sequence",
        "steps before batch, no length",
        {
            "x": array([1, 2], [3, 4], [5, 6])[..., None],
            "lengths": ints(0, 2),
            "seq_axis": scalar(0),
            "batch_axis": scalar(1),
        },
        array([1, 4], [3, 2], [5, 6])[..., None],
    ),
]
