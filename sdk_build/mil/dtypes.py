"""How the emulation holds MIL's dtypes: floats always as float32, rounded to what the program states."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sdk_build.errors import UnsupportedOperation

# torch has few kernels for unsigned 16 and 32 bit numbers, so those sit in the next wider signed type.
# coremltools hands sub-byte weights over unpacked, one per byte.
_HELD_AS: dict[str, torch.dtype] = {
    "fp16": torch.float32,
    "fp32": torch.float32,
    "fp64": torch.float32,
    "bool": torch.bool,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "uint16": torch.int32,
    "uint32": torch.int64,
    "int4": torch.int8,
    "uint1": torch.uint8,
    "uint2": torch.uint8,
    "uint3": torch.uint8,
    "uint4": torch.uint8,
    "uint6": torch.uint8,
}
_NUMPY: dict[str, type[np.generic]] = {
    "fp16": np.float16,
    "fp32": np.float32,
    "fp64": np.float64,
    "bool": np.bool_,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
}
# Rounding in pieces keeps the float16 copy of a 320^3 volume from doubling the peak memory.
_CHUNK = 1 << 22


def held_as(dtype: str) -> torch.dtype | None:
    """The torch dtype that stands for a MIL dtype; None for what is no number."""
    return _HELD_AS.get(dtype)


def zeros(shape: tuple[int, ...], dtype: str) -> Tensor:
    """A tensor of zeros, held as ``dtype``.

    Raises:
        UnsupportedOperation: The dtype is none that is emulated.
    """
    if dtype not in _HELD_AS:
        raise UnsupportedOperation(f"{dtype} is not emulated; allowed: {', '.join(_HELD_AS)}")
    return torch.zeros(shape, dtype=_HELD_AS[dtype])


def from_numpy(array: np.ndarray) -> Tensor:
    """Copies an array into the dtype that the emulation holds it in (float16 becomes float32, exactly)."""
    if array.dtype.kind == "f":
        return torch.tensor(array.astype(np.float32))
    if array.dtype in (np.uint16, np.uint32):
        return torch.tensor(array.astype(np.int32 if array.dtype == np.uint16 else np.int64))
    return torch.tensor(array)


def to_numpy(tensor: Tensor, dtype: str) -> np.ndarray:
    """Copies a held tensor into the numpy dtype of the MIL dtype."""
    return tensor.numpy().astype(_NUMPY.get(dtype, np.float32))


def cast(x: Tensor, dtype: str) -> Tensor:
    """A fresh copy of ``x`` held as ``dtype``; floats lose their fraction towards zero, as in C."""
    if dtype not in _HELD_AS:
        raise UnsupportedOperation(f"dtype '{dtype}' is not emulated; allowed: {', '.join(_HELD_AS)}")
    held = _HELD_AS[dtype]
    return x != 0 if held == torch.bool else x.to(held, copy=True)


def store(result: Tensor, dtype: str, inputs: list[Tensor]) -> Tensor:
    """Brings the result of an operation into the dtype that the program states.

    Args:
        result: Any shape; float32 for the float dtypes.
        dtype: The stated MIL dtype.
        inputs: What the operation read. A result that shares memory with one of them is a view of a value
        that
            was rounded before (see the contract in :mod:`sdk_build.mil.ops`), and is left alone.

    Returns:
        The result, rounded to fp16 with overflow to infinity where the program states fp16.
    """
    held = _HELD_AS.get(dtype)
    if held is None:
        raise UnsupportedOperation(f"results of {dtype} are not emulated; allowed: {', '.join(_HELD_AS)}")
    if result.dtype != held:
        result, inputs = result.to(held), []
    if dtype != "fp16" or _shares_memory(result, inputs):
        return result
    result = result.contiguous()
    for chunk in torch.split(result.view(-1), _CHUNK):
        chunk.copy_(chunk.half())
    return result


def _shares_memory(result: Tensor, inputs: list[Tensor]) -> bool:
    address = result.untyped_storage().data_ptr()
    return any(tensor.untyped_storage().data_ptr() == address for tensor in inputs)
