"""Known answers for quantised activations and compressed weights; most are examples of MIL's documents."""

from __future__ import annotations

from typing import Any

import numpy as np

from .harness import Case, array, ints, noise, scalar


def _bytes(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8)


def _int8(*values: Any) -> np.ndarray:
    return np.array(values, dtype=np.int8)


FLOATS = array([0.25, 0.75, -1.25, 40.0], [-40.0, 0.1, 1.0, 2.0])
LEVELS = _int8([0, 2, -2, 80], [-80, 0, 2, 4])
SPARSE_MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]], dtype=np.uint8)
WEIGHTS = np.arange(-12, 12, dtype=np.int8).reshape(4, 6)
GROUPS = np.array([2, 3, 3, 0, 1, 0, 3, 0, 2, 1, 0, 3], dtype=np.uint8).reshape(6, 2)
TABLES = array(1, 5, 9, 13, 2, 10, 18, 26).reshape(2, 1, 4, 1)
CODES = np.array([[[0, 0], [1, 0]], [[1, 1], [0, 0]]], dtype=np.uint8)
VECTORS = array([10, 11, 12], [20, 21, 22]).reshape(1, 1, 1, 2, 3)
LUT_MASK = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]], np.uint8)
LUT_CODES = _bytes(0, 1, 1, 0, 1, 1, 0, 0, 1)
SIX_BITS = np.array([0, 63, 1, 32, 7], dtype=np.int64)
TABLE_64 = noise(64)


def _pack(values: np.ndarray, bits: int) -> np.ndarray:
    """Packs numbers least significant bit first, through one big integer, unlike the emulation."""
    packed = sum(int(value) << (bits * place) for place, value in enumerate(values))
    return np.frombuffer(packed.to_bytes(-(-bits * len(values) // 8), "little"), dtype=np.uint8)


CASES = [
    # 0.25 / 0.5 = 0.5 and -1.25 / 0.5 = -2.5 are ties: to even.
    Case("quantize", "scalar", {"input": FLOATS, "scale": scalar(0.5), "output_dtype": "int8"}, LEVELS, "int8"),
    Case(
        "quantize",
        "clips with zero point",
        {
            "input": FLOATS,
            "scale": scalar(0.25),
            "zero_point": np.array(128, np.uint8),
            "output_dtype": "uint8",
        },
        np.array([[129, 131, 123, 255], [0, 128, 132, 136]], np.uint8),
        "uint8",
    ),
    Case(
        "quantize",
        "per channel",
        {"input": FLOATS, "scale": array(1.0, 2.0), "axis": scalar(0), "output_dtype": "int8"},
        _int8([0, 1, -1, 40], [-20, 0, 0, 1]),
        "int8",
    ),
    Case("dequantize", "scalar", {"input": LEVELS, "scale": scalar(0.5)}, LEVELS * np.float32(0.5)),
    Case(
        "dequantize",
        "per channel",
        {"input": LEVELS, "scale": array(1, 2, 3, 4), "zero_point": _int8(1, 0, 0, -1), "axis": scalar(1)},
        (LEVELS - np.array([1, 0, 0, -1])) * array(1, 2, 3, 4),
    ),
    Case(
        "constexpr_affine_dequantize",
        "per channel",
        {
            "quantized_data": WEIGHTS,
            "zero_point": _int8(1, 2, 3, 4),
            "scale": array(1, 2, 3, 4),
            "axis": scalar(0),
        },
        (WEIGHTS - np.array([[1], [2], [3], [4]])) * array([1], [2], [3], [4]),
    ),
    Case(
        "constexpr_affine_dequantize",
        "scalar scale",
        {
            "quantized_data": WEIGHTS,
            "zero_point": np.array(2, np.int8),
            "scale": scalar(0.5),
            "axis": scalar(0),
        },
        (WEIGHTS.astype(np.float32) - 2) * 0.5,
        "fp16",
    ),
    Case(
        "constexpr_blockwise_shift_scale",
        "blocks",
        {"data": WEIGHTS, "scale": array([1, 2], [3, 4]), "offset": _int8([0, 1], [2, 3])},
        (WEIGHTS - np.array([[0, 1], [2, 3]]).repeat(2, 0).repeat(3, 1))
        * array([1, 2], [3, 4]).repeat(2, 0).repeat(3, 1),
    ),
    Case(
        "constexpr_blockwise_shift_scale",
        "no offset",
        {"data": WEIGHTS, "scale": array([1], [2], [3], [4])},
        WEIGHTS * array([1], [2], [3], [4]),
    ),
    Case(
        "constexpr_cast",
        "fp16",
        {"source_val": FLOATS.astype(np.float16), "output_dtype": "fp32"},
        FLOATS.astype(np.float16).astype(np.float32),
    ),
    Case(
        "constexpr_lut_to_dense",
        "iOS 16, the document's 2 bits",
        {"indices": _bytes(0b01101100, 0b00000011), "lut": array(10, 11, 12, 13), "shape": ints(5)},
        array(10, 13, 12, 11, 13),
    ),
    Case(
        "constexpr_lut_to_dense",
        "iOS 16, 6 bits across bytes",
        {"indices": _pack(SIX_BITS, 6), "lut": TABLE_64, "shape": ints(1, 5)},
        TABLE_64[SIX_BITS][None],
    ),
    Case(
        "constexpr_lut_to_dense",
        "iOS 18, a table per group",
        {"indices": GROUPS, "lut": TABLES},
        array([9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]),
    ),
    Case(
        "constexpr_lut_to_dense",
        "iOS 18, tables along both axes",
        {
            "indices": np.array([[0, 1, 0, 1], [1, 1, 0, 0]], np.uint8),
            "lut": array(0, 1, 10, 11, 20, 21, 30, 31).reshape(2, 2, 2, 1),
        },
        array([0, 1, 10, 11], [21, 21, 30, 30]),
    ),
    Case(
        "constexpr_lut_to_dense",
        "iOS 18, vectors along axis 1",
        {"indices": CODES, "lut": VECTORS, "vector_axis": scalar(1)},
        array(
            [[10, 10], [11, 11], [12, 12], [20, 10], [21, 11], [22, 12]],
            [[20, 20], [21, 21], [22, 22], [10, 10], [11, 11], [12, 12]],
        ),
    ),
    Case(
        "constexpr_lut_to_dense",
        "iOS 18, vectors along axis 2",
        {"indices": CODES, "lut": VECTORS, "vector_axis": scalar(-1)},
        array(
            [[10, 11, 12, 10, 11, 12], [20, 21, 22, 10, 11, 12]],
            [[20, 21, 22, 20, 21, 22], [10, 11, 12, 10, 11, 12]],
        ),
    ),
    Case(
        "constexpr_sparse_to_dense",
        "iOS 16, packed",
        {"nonzero_data": array(7, 8), "mask": _bytes(0b00001100), "shape": ints(5)},
        array(0, 0, 7, 8, 0),
    ),
    Case(
        "constexpr_sparse_to_dense",
        "iOS 18",
        {"nonzero_data": np.arange(1, 10, dtype=np.float32), "mask": SPARSE_MASK},
        array([1, 2, 0, 0], [3, 4, 5, 0], [0, 0, 6, 7], [8, 9, 0, 0]),
    ),
    Case(
        "constexpr_lut_to_sparse",
        "scalars",
        {"indices_mask": LUT_MASK, "indices_nonzero_data": LUT_CODES, "lut": array(2, 3).reshape(1, 1, 2, 1)},
        (LUT_MASK, array(2, 3, 3, 2, 3, 3, 2, 2, 3)),
        "uint8",
    ),
    Case(
        "constexpr_lut_to_sparse",
        "vectors",
        {
            "indices_mask": LUT_MASK,
            "indices_nonzero_data": LUT_CODES,
            "lut": array([2, 2], [3, 3]).reshape(1, 1, 2, 2),
            "vector_axis": scalar(0),
        },
        (LUT_MASK.repeat(2, 0), array(2, 3, 2, 3, 3, 2, 3, 3, 2, 3, 3, 2, 2, 3, 2, 2, 3, 3)),
        "uint8",
    ),
    Case(
        "constexpr_sparse_blockwise_shift_scale",
        "per column",
        {
            "data_mask": SPARSE_MASK,
            "nonzero_data": _int8(10, 11, 3, 4, 5, 6, 7, 8, 9),
            "scale": array([0.1, 0.2, 0.3, 0.4]),
            "offset": _int8([1, 2, 3, 4]),
        },
        (SPARSE_MASK, array(0.9, 1.8, 0.2, 0.4, 0.6, 0.9, 1.2, 0.7, 1.4)),
        "uint8",
    ),
]
