"""The operations that the emulation of Core ML knows: MIL operation type -> function over torch tensors.

Contract of every function: the keyword arguments carry MIL's parameter names; every number, scalar or
not, arrives as a tensor (floats as float32), settings such as ``pad_type`` arrive as ``str``, lists of
values as lists, blocks of a branch or loop as functions; the result is one tensor or a tuple of them, either
fresh or a view of an input of the same MIL dtype (the executor rounds fresh results in place). The meanings are
those of coremltools' operation definitions; where they differ from torch, the function says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sdk_build.mil.ops.boxes import BOX_OPERATIONS
from sdk_build.mil.ops.control import CONTROL_OPERATIONS, State
from sdk_build.mil.ops.conv import CONV_OPERATIONS
from sdk_build.mil.ops.elementwise import ELEMENTWISE_OPERATIONS
from sdk_build.mil.ops.image import IMAGE_OPERATIONS
from sdk_build.mil.ops.index import INDEX_OPERATIONS
from sdk_build.mil.ops.math import MATH_OPERATIONS
from sdk_build.mil.ops.quant import QUANT_OPERATIONS
from sdk_build.mil.ops.random import RANDOM_OPERATIONS
from sdk_build.mil.ops.recurrent import RECURRENT_OPERATIONS
from sdk_build.mil.ops.specialise import specialised
from sdk_build.mil.ops.tensor import TENSOR_OPERATIONS

__all__ = ["OPERATIONS", "State", "specialised"]

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **BOX_OPERATIONS,
    **CONTROL_OPERATIONS,
    **CONV_OPERATIONS,
    **ELEMENTWISE_OPERATIONS,
    **IMAGE_OPERATIONS,
    **INDEX_OPERATIONS,
    **MATH_OPERATIONS,
    **QUANT_OPERATIONS,
    **RANDOM_OPERATIONS,
    **RECURRENT_OPERATIONS,
    **TENSOR_OPERATIONS,
}
