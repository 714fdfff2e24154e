"""The outermost level of protobuf's encoding, so that a large file is decoded piece by piece.

A model's few outer messages are cut here without copying; what they hold is decoded by Google's protobuf with
Apple's own schema (:mod:`sdk_build.mil.files.schema`), one operation or layer at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

from sdk_build.errors import BadInput

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise BadInput("a number of the encoding has no end")


def fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yields ``(field number, wire type, value)``: a number, or the bytes of a string or message.

    Raises:
        BadInput: The data end inside a field, or hold what protobuf's third version doesn't have.
    """
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == VARINT:
            number, place = _varint(data, place)
            yield key >> 3, kind, number
            continue
        if kind == LENGTH:
            size, place = _varint(data, place)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise BadInput(f"wire type {kind} at byte {place} of a message")
        if place + size > len(data):
            raise BadInput(f"a field of {size} bytes where {len(data) - place} are left")
        yield key >> 3, kind, data[place : place + size]
        place += size


def messages(data: memoryview, number: int) -> Iterator[memoryview]:
    """Yields the bytes of every string or message under one field number."""
    for found, _, value in fields(data):
        if found == number and isinstance(value, memoryview):
            yield value


def text(data: memoryview) -> str:
    """A string of the encoding.

    Raises:
        BadInput: It is not UTF-8.
    """
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise BadInput("a name that is not UTF-8") from None


def entries(data: memoryview, number: int) -> Iterator[tuple[str, memoryview]]:
    """Yields the keys and values of a map whose keys are strings."""
    for entry in messages(data, number):
        parts = {found: value for found, _, value in fields(entry) if isinstance(value, memoryview)}
        yield text(parts.get(1, memoryview(b""))), parts.get(2, memoryview(b""))
