"""What a model's description says about its inputs, outputs and states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sdk_build.errors import BadInput, UnsupportedOperation
from sdk_build.mil.program import MilTensor

# Names of the enums ArrayFeatureType.ArrayDataType and ImageFeatureType.ColorSpace in Core ML's
# specification.
_ARRAY_DTYPES = {65552: "fp16", 65568: "fp32", 65600: "fp64", 131104: "int32", 131080: "int8"}
_COLORS = {10: "grayscale", 20: "rgb", 30: "bgr", 40: "grayscale_float16"}
_SCALARS = {"int64Type": "int64", "doubleType": "fp64", "stringType": "str"}
_LONGEST_SIDE = 1 << 14  # of a picture, as of a texture on Apple's processors; a network would fill the memory first


@dataclass(frozen=True)
class Signature:
    """The features of one function, by name."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    states: Mapping[str, Any]

    def input(self, name: str, given: Mapping[str, MilTensor]) -> MilTensor:
        """An input as the caller hands it over."""
        feature = self.inputs[name]
        if feature.type.WhichOneof("Type") == "imageType":
            image = image_of(feature)
            _check_fits(image, given.get(name, image))
            return image
        if name not in given:
            raise BadInput(f"input '{name}' is described but the program has none of that name")
        return array_of(feature, given[name].shape)

    def output(self, written: MilTensor) -> MilTensor:
        """An output as the caller gets it."""
        feature = self.outputs.get(written.name)
        if feature is None:
            return written
        if feature.type.WhichOneof("Type") == "imageType":
            return image_of(feature)
        return replace(written, description=feature.shortDescription)

    def state(self, name: str, given: Mapping[str, MilTensor]) -> MilTensor:
        """A state, with the shape that the program gives it."""
        if name not in given:
            raise BadInput(f"state '{name}' is described but the program has none of that name")
        if not given[name].is_ranked or None in given[name].shape:
            raise UnsupportedOperation(f"state '{name}' has a flexible shape; allowed: a fixed one")
        return replace(given[name], description=self.states[name].shortDescription)


def _check_fits(image: MilTensor, taken: MilTensor) -> None:
    """Holds a picture's size against the program's own, before anything of that size is made."""
    sizes, own = image.shape[:2], taken.shape[-2:]
    is_fixed = taken is not image and taken.is_ranked and None not in (*sizes, *own)
    if is_fixed and sizes != own:
        raise BadInput(f"picture '{image.name}' is described as {sizes}, the program takes {taken.shape}")


def function_names(description: Any, functions: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a program's functions, the default one first."""
    names = [function.name for function in description.functions] or list(functions)
    first = description.defaultFunctionName or ("main" if "main" in names else "")
    return tuple(sorted(names, key=lambda name: name != first))


def signature_of(description: Any, function: str = "") -> Signature:
    """The features of one function, or of a model that has but one."""
    for candidate in (*description.functions, description):
        if not description.functions or (candidate is not description and candidate.name == function):
            return Signature(
                *(
                    {feature.name: feature for feature in part}
                    for part in (candidate.input, candidate.output, candidate.state)
                )
            )
    raise BadInput(f"function '{function}' has no description")


def array_of(feature: Any, shape: tuple[int | None, ...] | None = None) -> MilTensor:
    """A multi-array, a number or a text from its feature.

    Args:
        feature: A FeatureDescription message.
        shape: What the program says; the description's own shape if None.

    Raises:
        UnsupportedOperation: The feature is of a kind that is not emulated.
    """
    kind = feature.type.WhichOneof("Type")
    if kind in _SCALARS:
        return MilTensor(feature.name, (), _SCALARS[kind], description=feature.shortDescription)
    if kind == "dictionaryType":
        return MilTensor(feature.name, (), "dict", description=feature.shortDescription)
    if kind != "multiArrayType":
        raise UnsupportedOperation(f"input '{feature.name}' is a {kind}; allowed: multiArrayType, imageType")
    array = feature.type.multiArrayType
    return MilTensor(
        name=feature.name,
        shape=tuple(array.shape) if shape is None else shape,
        dtype=_ARRAY_DTYPES.get(array.dataType, "fp32"),
        allowed_shapes=tuple(tuple(shape.shape) for shape in array.enumeratedShapes.shapes),
        dim_ranges=tuple((size.lowerBound, size.upperBound) for size in array.shapeRange.sizeRanges),
        description=feature.shortDescription,
        default=_default(feature),
        default_shape=tuple(array.shape),
    )


def _default(feature: Any) -> float | None:
    """What an optional input is filled with; Core ML takes zero where the model states nothing."""
    if not feature.type.isOptional:
        return None
    array = feature.type.multiArrayType
    field = array.WhichOneof("defaultOptionalValue")
    return float(getattr(array, field)) if field else 0.0


def image_of(feature: Any) -> MilTensor:
    """A picture as the caller hands it over: (H, W, 3) or (H, W).

    Raises:
        BadInput: The description's sizes or colours are impossible.
    """
    image = feature.type.imageType
    color = _COLORS.get(image.colorSpace)
    if color is None or not (0 <= image.height <= _LONGEST_SIDE and 0 <= image.width <= _LONGEST_SIDE):
        raise BadInput(
            f"picture '{feature.name}' of colour space {image.colorSpace} and {image.width} x {image.height} pixels; "
            f"allowed: {', '.join(_COLORS.values())} and sides of at most {_LONGEST_SIDE}"
        )
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
