"""The operations that the emulation of Core ML knows: MIL operation type -> function over torch tensors.

Contract of every function: the keyword arguments carry MIL's parameter names; every number, scalar or
not, arrives as a tensor (floats as float32), settings such as ``pad_type`` arrive as ``str``, lists of
values as lists; the result is one tensor or a tuple of them, either fresh or a view of an input of the
same MIL dtype (the executor rounds fresh results in place). The meanings are those of coremltools'
operation definitions; where they differ from torch, the function says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sdk_build.mil.ops_conv import CONV_OPERATIONS
from sdk_build.mil.ops_elementwise import ELEMENTWISE_OPERATIONS
from sdk_build.mil.ops_image import IMAGE_OPERATIONS
from sdk_build.mil.ops_index import INDEX_OPERATIONS
from sdk_build.mil.ops_math import MATH_OPERATIONS
from sdk_build.mil.ops_quant import QUANT_OPERATIONS
from sdk_build.mil.ops_tensor import TENSOR_OPERATIONS

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **CONV_OPERATIONS,
    **ELEMENTWISE_OPERATIONS,
    **IMAGE_OPERATIONS,
    **INDEX_OPERATIONS,
    **MATH_OPERATIONS,
    **QUANT_OPERATIONS,
    **TENSOR_OPERATIONS,
}
