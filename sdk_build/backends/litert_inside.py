"""Every value that a .tflite file computes on the way, in LiteRT's own kernels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, Inner
from sdk_build.backends.signature import as_artifact_types


def values_inside(path: Path, spec: ModelSpec, inputs: Mapping[str, NDArray[Any]]) -> list[Inner]:
    """What every operation writes, in their order; quantised values as the real numbers that they stand for.

    A delegate shows nothing of its inside, so XNNPACK stays out: its kernels are not the ones that are looked at.

    Raises:
        BadInput: LiteRT refuses the file.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        runner = interpreter.get_signature_runner()
        runner(**as_artifact_types(spec, inputs, RUNTIMES["litert"].types))
    except (ValueError, RuntimeError) as error:
        raise BadInput(f"{path.name} is no .tflite file that LiteRT can run ({error}); export it again") from error
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    found = []
    for operation in interpreter._get_ops_details():
        for index in operation["outputs"]:
            detail = details.get(index)
            value = None if detail is None else _real(interpreter, detail)
            if detail is not None and value is not None:
                found.append(Inner(detail["name"], operation["op_name"].lower(), value))
    return found


def _real(interpreter: Any, detail: Mapping[str, Any]) -> NDArray[Any] | None:
    """A tensor as float32; None where it holds no numbers of the network, such as a shape."""
    try:
        value = interpreter.get_tensor(detail["index"])
    except ValueError:  # it was never computed
        return None
    quantization = detail["quantization_parameters"]
    scales = quantization["scales"]
    if value.dtype.kind == "f":
        return np.asarray(value, np.float32)
    if value.dtype.kind not in "iu" or not len(scales):
        return None
    shape = [1] * value.ndim
    if len(scales) > 1:
        shape[quantization["quantized_dimension"]] = len(scales)
    real = (value.astype(np.float32) - quantization["zero_points"].reshape(shape)) * scales.reshape(shape)
    return np.asarray(real, np.float32)
