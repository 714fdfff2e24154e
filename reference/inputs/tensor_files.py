"""Tensors in .npy files, as networks take them that look at no picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.spec import TensorSpec


def load_array(path: Path) -> NDArray[Any]:
    """The array in a .npy file.

    Raises:
        BadInput: it is missing or damaged, or holds Python objects, which can run code.
    """
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"can't read {path} ({reason}); a .npy file of numbers is needed, as numpy.save writes it"
        ) from error


def load_tensor(path: Path, tensor: TensorSpec) -> NDArray[Any]:
    """The values of one input.

    Raises:
        BadInput: the file can't be read, or holds another shape or type, or a value that is not finite.
    """
    values = load_array(path)
    if values.shape != tensor.shape or values.dtype != np.dtype(tensor.dtype):
        raise BadInput(
            f"{path} holds {values.dtype} {values.shape}; {tensor.name} is {tensor.dtype} {tensor.shape}: "
            "give an array of that type and shape"
        )
    if tensor.is_float and not np.isfinite(values).all():
        raise BadInput(f"{path} holds NaN or infinity; {tensor.name} takes finite numbers only")
    return np.array(values, order="C")
