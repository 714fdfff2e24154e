"""Reads an .mlpackage with coremltools, on any machine, into :class:`~sdk_build.mil.program.MilProgram`.

coremltools can't run a model off a Mac, but it can rebuild the program and its weights. It is imported
inside the functions (it takes seconds) and none of its types leave this module.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from reference.errors import BadInput
from sdk_build.errors import LoweringError
from sdk_build.mil.program import Constant, MilOperation, MilProgram, MilTensor, Ref, Value

# Names of the enums ArrayFeatureType.ArrayDataType and ImageFeatureType.ColorSpace in Core ML's
# specification.
_ARRAY_DTYPES = {65552: "fp16", 65568: "fp32", 131104: "int32", 131080: "int8"}
_COLORS = {10: "grayscale", 20: "rgb", 30: "bgr", 40: "grayscale_float16"}
_NOISY_LOGGERS = ("coremltools", "torchao", "torch.utils._pytree")


def read_program(path: Path) -> MilProgram:
    """Reads the main function of a saved MLProgram.

    Args:
        path: An .mlpackage folder.

    Returns:
        The operations in order, their constants, the inputs, outputs and metadata.

    Raises:
        BadInput: The package is absent, damaged, or not an MLProgram.
        LoweringError: coremltools can't rebuild the program.
    """
    if not (path / "Manifest.json").is_file():
        state = "is not an .mlpackage (no Manifest.json)" if path.exists() else "doesn't exist"
        raise BadInput(f"{path} {state}; allowed: an .mlpackage folder; export it first")
    with _quiet():
        spec, weights_dir = _load_spec(path)
        function = _rebuild(path, spec, weights_dir)
        return MilProgram(
            name=path.name,
            operations=tuple(_operation(op) for op in function.operations),
            inputs=tuple(_input(feature, function) for feature in spec.description.input),
            outputs=_outputs(spec, function),
            spec_version=spec.specificationVersion,
            description=spec.description.metadata.shortDescription,
            metadata=dict(spec.description.metadata.userDefined),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences what coremltools says about versions and about the Mac-only parts that it lacks here."""
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _load_spec(path: Path) -> tuple[Any, str]:
    import coremltools

    try:
        model = coremltools.models.MLModel(str(path), skip_model_load=True)
        spec = model.get_spec()
    except Exception as error:  # coremltools raises bare Exception, RuntimeError or protobuf's DecodeError here
        raise BadInput(f"{path} is damaged: {_first_line(error)}; export it again") from error
    if spec.WhichOneof("Type") != "mlProgram":
        raise BadInput(
            f"{path} holds a {spec.WhichOneof('Type')}; allowed: an MLProgram; convert with convert_to='mlprogram'"
        )
    return spec, model.weights_dir


def _rebuild(path: Path, spec: Any, weights_dir: str) -> Any:
    """The main function in coremltools' own classes."""
    from coremltools.converters.mil.frontend.milproto.load import load

    try:
        program = load(spec, spec.specificationVersion, weights_dir)
    except Exception as error:  # assertions, KeyError and RuntimeError all occur, each for damaged files
        raise LoweringError(
            f"{path}: coremltools can't rebuild the program ({_first_line(error)}); export it again"
        ) from error
    if set(program.functions) != {"main"}:
        names = ", ".join(sorted(program.functions))
        raise LoweringError(f"{path} has the functions {names}; allowed: main alone; export one network per package")
    return program.functions["main"]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _operation(op: Any) -> MilOperation:
    outputs = tuple(_tensor(var) for var in op.outputs)
    if op.op_type == "const":
        return MilOperation("const", op.name, {"val": _constant(op.outputs[0])}, outputs)
    inputs = {name: _value(var) for name, var in op.inputs.items() if var is not None}
    return MilOperation(op.op_type, op.name, inputs, outputs)


def _value(var: Any) -> Value:
    if isinstance(var, (list, tuple)):
        return tuple(Ref(part.name) for part in var)
    return Ref(var.name)


def _constant(var: Any) -> Constant:
    if hasattr(var, "elem_type"):  # a classifier's labels; the emulation makes no tensor of objects
        return np.array([getattr(label, "val", label) for label in var.val], dtype=object)
    return var.val if isinstance(var.val, str) else np.asarray(var.val)


def _tensor(var: Any) -> MilTensor:
    from coremltools.converters.mil.mil import types

    if hasattr(var, "elem_type"):
        return MilTensor(var.name, (), "list")
    if types.is_dict(var.sym_type):
        return MilTensor(var.name, (), "dict")
    return MilTensor(var.name, _shape(var.shape), types.builtin_to_string(var.dtype))


def _shape(sizes: Any) -> tuple[int | None, ...]:
    """The sizes with None for a symbolic (flexible) one."""
    return tuple(int(size) if isinstance(size, (int, np.integer)) else None for size in sizes)


def _input(feature: Any, function: Any) -> MilTensor:
    kind = feature.type.WhichOneof("Type")
    if kind == "imageType":
        return _image(feature)
    if kind != "multiArrayType":
        raise LoweringError(
            f"input '{feature.name}' is a {kind}; allowed: multiArrayType, imageType; export without states"
        )
    array = feature.type.multiArrayType
    return MilTensor(
        name=feature.name,
        shape=_shape(function.inputs[feature.name].shape),
        dtype=_ARRAY_DTYPES.get(array.dataType, "fp32"),
        allowed_shapes=tuple(tuple(shape.shape) for shape in array.enumeratedShapes.shapes),
        dim_ranges=tuple((size.lowerBound, size.upperBound) for size in array.shapeRange.sizeRanges),
        description=feature.shortDescription,
    )


def _image(feature: Any) -> MilTensor:
    """A picture as the caller hands it over: (H, W, 3) or (H, W)."""
    image = feature.type.imageType
    color = _COLORS[image.colorSpace]
    channels = (3,) if color in ("rgb", "bgr") else ()
    sizes = [(size.height, size.width) for size in image.enumeratedSizes.sizes]
    size_range = image.imageSizeRange
    ranges = [(r.lowerBound, r.upperBound) for r in (size_range.heightRange, size_range.widthRange)]
    is_ranged = image.WhichOneof("SizeFlexibility") == "imageSizeRange"
    flexible: tuple[int | None, ...] = (None, None)
    return MilTensor(
        name=feature.name,
        shape=(flexible if sizes or is_ranged else (image.height, image.width)) + channels,
        dtype="fp16" if color == "grayscale_float16" else "uint8",
        color=color,
        allowed_shapes=tuple(size + channels for size in sizes),
        dim_ranges=(*ranges, *((3, 3) for _ in channels)) if is_ranged else (),
        description=feature.shortDescription,
    )


def _outputs(spec: Any, function: Any) -> tuple[MilTensor, ...]:
    features = {feature.name: feature for feature in spec.description.output}
    outputs = []
    for var in function.outputs:
        feature = features.get(var.name)
        if feature is not None and feature.type.WhichOneof("Type") == "imageType":
            outputs.append(_image(feature))
        else:
            tensor = _tensor(var)
            text = feature.shortDescription if feature is not None else ""
            outputs.append(MilTensor(tensor.name, tensor.shape, tensor.dtype, description=text))
    return tuple(outputs)
