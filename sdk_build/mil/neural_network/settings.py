"""A layer's message as a flat dictionary: settings as arrays and texts, weights unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sdk_build.errors import BadInput, UnsupportedOperation
from sdk_build.mil.program import Constant


def settings_of(layer: Any) -> dict[str, Constant]:
    """What the layer states, and nothing that it leaves at its default.

    A nested message's settings get its name in front, joined by an underscore; one of several alternatives, such as
    ``valid`` or ``same`` padding, is also there by itself, as True.

    Args:
        layer: The parameters' message, such as ConvolutionLayerParams.

    Raises:
        BadInput: Weights that contradict themselves.
        UnsupportedOperation: A setting of a kind that is not emulated.
    """
    return dict(_settings(layer, ""))


def _settings(message: Any, prefix: str) -> Iterator[tuple[str, Constant]]:
    for field, value in message.ListFields():
        name = prefix + field.name
        if field.message_type is None:
            yield name, _plain(field, value)
        elif field.message_type.name in _READ:
            yield name, _READ[field.message_type.name](value)
        elif _is_repeated(value):
            raise UnsupportedOperation(f"setting '{name}' is not emulated; allowed: single values, lists and weights")
        else:
            if field.containing_oneof is not None:
                yield name, np.array(True)
            yield from _settings(value, f"{name}_")


def _is_repeated(value: Any) -> bool:
    return not hasattr(value, "ListFields")


def _plain(field: Any, value: Any) -> Constant:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        if known is None:
            raise UnsupportedOperation(f"setting '{field.name}' has the unknown value {value}")
        return str(known.name)
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise UnsupportedOperation(f"setting '{field.name}' is not emulated")
    array = np.array(value if isinstance(value, (bool, int, float)) else list(value))
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def weights_of(weights: Any) -> np.ndarray:
    """The numbers of a WeightParams message, flat, float32; up to seven more where bits fill the last byte.

    Raises:
        BadInput: The quantised values and their scales don't fit each other.
        UnsupportedOperation: More scales than the format's few bits leave clear.
    """
    if weights.int8RawValue:
        return _signed(weights)
    if weights.float16Value:
        if len(weights.float16Value) % 2:
            raise BadInput(f"{len(weights.float16Value)} bytes of half precision weights")
        return np.frombuffer(weights.float16Value, np.float16).astype(np.float32)
    if weights.rawValue:
        return _unquantized(weights.rawValue, weights.quantization)
    return np.fromiter(weights.floatValue, np.float32, len(weights.floatValue))


def _signed(weights: Any) -> np.ndarray:
    """For products in int8, which have one scale."""
    linear = weights.quantization.linearQuantization
    if len(linear.scale) != 1 or linear.bias or weights.rawValue:
        raise BadInput(f"int8 weights with {len(linear.scale)} scales and {len(linear.bias)} biases; allowed: 1 and 0")
    scaled: np.ndarray = np.frombuffer(weights.int8RawValue, np.int8).astype(np.float32) * np.float32(linear.scale[0])
    return scaled


def _unquantized(raw: bytes, quantization: Any) -> np.ndarray:
    """Levels of 1 to 8 bits, the most significant bit first, by a table or by scales and biases."""
    bits = quantization.numberOfBits
    if not 1 <= bits <= 8:
        raise BadInput(f"weights of {bits} bits; allowed: 1 to 8")
    stream = np.unpackbits(np.frombuffer(raw, np.uint8))
    count = len(stream) // bits
    levels = stream[: count * bits].reshape(count, bits) @ (1 << np.arange(bits)[::-1])
    if quantization.WhichOneof("QuantizationType") == "lookupTableQuantization":
        table = np.array(quantization.lookupTableQuantization.floatValue, np.float32)
        if len(table) != 1 << bits:
            raise BadInput(f"a table of {len(table)} weights for {bits} bits")
        return table[levels]
    linear = quantization.linearQuantization
    spare = 7 // bits  # bits that fill the last byte may look like so many weights
    scale, bias = np.array(linear.scale, np.float32), np.array(linear.bias, np.float32)
    if not len(scale) or count % len(scale) > spare or len(bias) not in (0, len(scale)):
        raise BadInput(f"{count} weights with {len(scale)} scales and {len(bias)} biases")
    if 1 < len(scale) <= spare:
        raise UnsupportedOperation(
            f"{len(scale)} scales for weights of {bits} bits are not emulated; allowed: 1 or many"
        )
    levels = levels[: count - count % len(scale)]
    rows = levels.reshape(len(scale), -1).astype(np.float32) * scale[:, None]
    return (rows + bias[:, None] if len(bias) else rows).reshape(-1)


def _borders_of(amounts: Any) -> np.ndarray:
    """(N, 2) start and end of each axis."""
    return np.array([[e.startEdgeSize, e.endEdgeSize] for e in amounts.borderAmounts], np.int64)


# Messages that are one value, by the name of their type; others are settings of settings.
_READ = {"WeightParams": weights_of, "BorderAmounts": _borders_of}
