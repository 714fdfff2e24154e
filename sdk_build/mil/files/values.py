"""MIL's types and constants, from their protobuf messages to dtype names, shapes and numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sdk_build.errors import BadInput, UnsupportedOperation
from sdk_build.mil.program import Constant, MilTensor

# The enum DataType of MIL.proto.
_NAMES = {
    1: "bool",
    2: "str",
    10: "fp16",
    11: "fp32",
    12: "fp64",
    13: "bf16",
    21: "int8",
    22: "int16",
    23: "int32",
    24: "int64",
    25: "int4",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    34: "uint64",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
    40: "fp8e4m3fn",
    41: "fp8e5m2",
}
# Bits, and the numpy dtype of one number, unpacked where it has less than a byte.
NUMBERS: dict[str, tuple[int, type[np.generic]]] = {
    "bool": (8, np.bool_),
    "fp16": (16, np.float16),
    "fp32": (32, np.float32),
    "fp64": (64, np.float64),
    "int4": (4, np.int8),
    "int8": (8, np.int8),
    "int16": (16, np.int16),
    "int32": (32, np.int32),
    "int64": (64, np.int64),
    "uint1": (1, np.uint8),
    "uint2": (2, np.uint8),
    "uint3": (3, np.uint8),
    "uint4": (4, np.uint8),
    "uint6": (6, np.uint8),
    "uint8": (8, np.uint8),
    "uint16": (16, np.uint16),
    "uint32": (32, np.uint32),
    "uint64": (64, np.uint64),
}
MAX_RANK = 32
# Beyond this many numbers no device holds a tensor; a damaged or hostile size must not reach an allocation.
MAX_ELEMENTS = 1 << 33

ReadBlob = Callable[[str, int, str, tuple[int, ...]], np.ndarray]


def check_names(*names: str) -> None:
    """Refuses names that no message could show.

    Raises:
        BadInput: A name holds control characters.
    """
    for name in names:
        if not name.isprintable():
            raise BadInput(f"a name with control characters ({name!r:.60})")


def bytes_of(dtype: str, shape: tuple[int, ...]) -> int:
    """How many bytes a tensor takes in a file; numbers of less than 8 bits lie side by side."""
    bits = NUMBERS[dtype][0] if dtype in NUMBERS else 0
    return (math.prod(shape) * bits + 7) // 8


def unpack(data: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes as an array; what has less than 8 bits gets a byte each, the least significant bits first.

    Args:
        data: uint8, exactly as many as ``bytes_of`` says.
        dtype: One of ``NUMBERS``.
        shape: Of the result.
    """
    bits, kind = NUMBERS[dtype]
    if bits >= 8:
        return data.view(kind).reshape(shape)
    count = math.prod(shape)
    if bits == 4:
        low_high = np.stack([data & 15, data >> 4], axis=-1).reshape(-1)[:count]
    else:
        stream = np.unpackbits(data, bitorder="little")[: count * bits].reshape(count, bits)
        low_high = np.packbits(stream, axis=-1, bitorder="little").reshape(-1)
    if dtype == "int4":
        low_high = ((low_high ^ 8).astype(np.int8) - 8).astype(np.int8)
    return low_high.astype(kind, copy=False).reshape(shape)


def dtype_name(number: int) -> str:
    """MIL's name of an entry of its enum DataType.

    Raises:
        UnsupportedOperation: The number is none that is known.
    """
    if number not in _NAMES:
        raise UnsupportedOperation(f"data type {number} is not known; allowed: {', '.join(_NAMES.values())}")
    return _NAMES[number]


def tensor_of(name: str, value_type: Any) -> MilTensor:
    """A named value from its ValueType message.

    Raises:
        BadInput: A size or rank is impossible.
        UnsupportedOperation: The type is not one that is emulated.
    """
    kind = value_type.WhichOneof("type")
    if kind == "tensorType":
        shape, is_ranked = _shape(name, value_type.tensorType)
        return MilTensor(name, shape, dtype_name(value_type.tensorType.dataType), is_ranked=is_ranked)
    if kind == "stateType":
        return tensor_of(name, value_type.stateType.wrappedType)
    if kind in ("listType", "dictionaryType"):
        return MilTensor(name, (), "list" if kind == "listType" else "dict")
    raise UnsupportedOperation(
        f"'{name}' is a {kind or 'value without a type'}; allowed: tensor, list, dictionary, state"
    )


def _shape(name: str, tensor_type: Any) -> tuple[tuple[int | None, ...], bool]:
    """The sizes with None for a flexible one, and whether their number is known."""
    if len(tensor_type.dimensions) > MAX_RANK:
        raise BadInput(f"'{name}' has rank {len(tensor_type.dimensions)}; allowed: up to {MAX_RANK}")
    sizes: list[int | None] = []
    for dimension in tensor_type.dimensions:
        if dimension.WhichOneof("dimension") == "constant":
            sizes.append(int(dimension.constant.size))
        elif dimension.unknown.variadic:
            return (), False
        else:
            sizes.append(None)
    if tensor_type.rank < 0:
        return (), False
    if tensor_type.rank != len(sizes):
        raise BadInput(f"'{name}' states rank {tensor_type.rank} and {len(sizes)} sizes")
    if math.prod(size for size in sizes if size is not None) > MAX_ELEMENTS:
        raise BadInput(f"'{name}' has shape {tuple(sizes)}; allowed: up to {MAX_ELEMENTS} numbers")
    return tuple(sizes), True


def constant_of(value: Any, read_blob: ReadBlob) -> Constant:
    """A Value message as an array, a ``str``, or an array of objects for a list of labels.

    Raises:
        BadInput: The value has another size or kind than its type.
        UnsupportedOperation: A type that is not emulated.
    """
    kind = value.type.WhichOneof("type")
    if kind == "listType":
        parts = [constant_of(part, read_blob) for part in value.immediateValue.list.values]
        return np.array([part if isinstance(part, str) else part.item() for part in parts], dtype=object)
    tensor = tensor_of("constant", value.type)
    if kind != "tensorType" or not tensor.is_ranked or None in tensor.shape:
        raise BadInput("a constant without a fixed shape")
    shape = tuple(size for size in tensor.shape if size is not None)
    if value.WhichOneof("value") == "blobFileValue":
        return read_blob(value.blobFileValue.fileName, value.blobFileValue.offset, tensor.dtype, shape)
    return _immediate(value.immediateValue.tensor, tensor.dtype, shape)


def _immediate(tensor: Any, dtype: str, shape: tuple[int, ...]) -> Constant:
    field = tensor.WhichOneof("value")
    if field is None:
        raise BadInput(f"a constant of {dtype} {shape} without a value")
    content = getattr(tensor, field).values
    if dtype == "str":
        if field != "strings" or len(content) != math.prod(shape):
            raise BadInput(f"a text of shape {shape} with {len(content)} {field}")
        return str(content[0]) if shape == () else np.array(list(content), dtype=object).reshape(shape)
    if dtype not in NUMBERS:
        raise UnsupportedOperation(f"constants of {dtype} are not emulated; allowed: {', '.join(NUMBERS)}")
    if field == "bytes":
        if len(content) != bytes_of(dtype, shape):
            raise BadInput(f"{len(content)} bytes for a constant of {dtype} {shape}")
        return unpack(np.frombuffer(content, np.uint8), dtype, shape)
    if field == "strings" or len(content) != math.prod(shape):
        raise BadInput(f"{len(content)} {field} for a constant of {dtype} {shape}")
    return (
        np.fromiter(content, np.float64 if field in ("floats", "doubles") else np.int64, len(content))
        .astype(NUMBERS[dtype][1])
        .reshape(shape)
    )
