"""Checks what the caller hands to a program, and converts it to and from the program's own tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sdk_build.mil.dtypes as dtypes
from reference.errors import BadInput
from sdk_build.mil.program import MilTensor

# Core ML widens or rounds between its two float types; anything else is a mistake of the caller.
_ACCEPTED: dict[str, tuple[str, ...]] = {
    "fp16": ("float16", "float32"),
    "fp32": ("float16", "float32"),
    "fp64": ("float16", "float32", "float64"),
    "int32": ("int32",),
    "int8": ("int8",),
    "uint8": ("uint8",),
}


def to_tensors(declared: Sequence[MilTensor], given: Mapping[str, Any]) -> dict[str, Tensor]:
    """Checks names, shapes and dtypes, and turns pictures into (1, C, H, W).

    Args:
        declared: The program's inputs.
        given: One array per input; a picture as (H, W, 3) uint8 RGB or (H, W) grayscale.

    Raises:
        BadInput: A name, shape or dtype is not what the program declares.
    """
    needed = {tensor.name for tensor in declared if tensor.default is None}
    if not needed <= set(given) <= {tensor.name for tensor in declared}:
        wanted = [tensor.name + ("" if tensor.name in needed else " (optional)") for tensor in declared]
        raise BadInput(
            f"inputs {', '.join(sorted(given)) or 'none'}; allowed: exactly {', '.join(wanted)}; "
            "rename or add the inputs"
        )
    return {
        tensor.name: _to_tensor(tensor, np.asarray(given[tensor.name])) if tensor.name in given else _filled(tensor)
        for tensor in declared
    }


def _filled(declared: MilTensor) -> Tensor:
    """What stands for an optional input that was left out."""
    assert declared.default is not None
    return dtypes.cast(dtypes.zeros(declared.default_shape, declared.dtype) + declared.default, declared.dtype)


def sizes(declared: MilTensor) -> tuple[int, ...]:
    """The sizes of a tensor without flexible ones."""
    return tuple(size for size in declared.shape if size is not None)


def _to_tensor(declared: MilTensor, array: np.ndarray) -> Tensor:
    _check_shape(declared, array.shape)
    accepted = _ACCEPTED.get(declared.dtype, ())
    if array.dtype.name not in accepted:
        raise BadInput(
            f"input '{declared.name}' is {array.dtype.name}; allowed: {' or '.join(accepted)}; "
            f"convert with .astype('{(accepted or ('float32',))[-1]}')"
        )
    tensor = dtypes.from_numpy(array)
    if declared.color is None:
        return dtypes.store(tensor, declared.dtype, [])
    picture = tensor.float()
    if declared.color == "bgr":
        picture = picture.flip(-1)
    return (picture.movedim(-1, 0) if picture.dim() == 3 else picture.unsqueeze(0)).unsqueeze(0)


def _check_shape(declared: MilTensor, shape: tuple[int, ...]) -> None:
    if declared.allowed_shapes:
        fits = shape in declared.allowed_shapes
    else:
        own = shape[2:] if declared.takes_sequences and len(shape) == len(declared.shape) + 2 else shape
        fits = len(own) == len(declared.shape) and all(map(_fits, own, declared.shape))
    if fits and declared.dim_ranges:
        fits = all(
            lo <= size and (hi < 0 or size <= hi) for size, (lo, hi) in zip(shape, declared.dim_ranges, strict=True)
        )
    if not fits:
        raise BadInput(
            f"input '{declared.name}' has shape {shape}; allowed: {_describe_shape(declared)}; resize or reshape it"
        )


def _fits(size: int, declared: int | None) -> bool:
    return declared is None or size == declared


def _describe_shape(declared: MilTensor) -> str:
    if declared.allowed_shapes:
        return " or ".join(str(shape) for shape in declared.allowed_shapes)
    if declared.dim_ranges:
        return " x ".join(f"{lo}..{hi if hi >= 0 else 'any'}" for lo, hi in declared.dim_ranges)
    text = str(tuple("any" if size is None else size for size in declared.shape)).replace("'", "")
    return f"{text}, also with (sequence, batch) in front" if declared.takes_sequences else text


def from_result(declared: MilTensor, value: Any) -> Any:
    """An output as a numpy array, a picture as (H, W, 3) uint8 RGB; a label or dictionary as it is."""
    if not isinstance(value, Tensor):
        return value
    if declared.color is None:
        return dtypes.to_numpy(value, declared.dtype)
    picture = value[0].movedim(0, -1) if declared.color in ("rgb", "bgr") else value[0, 0]
    if declared.color == "bgr":
        picture = picture.flip(-1)
    if declared.dtype == "uint8":
        picture = torch.round(picture).clamp(0, 255)
    return dtypes.to_numpy(picture, declared.dtype)
