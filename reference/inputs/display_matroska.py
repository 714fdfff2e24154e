"""How a Matroska or WebM file says its pictures are to be shown (RFC 9559, 5.1.4.1.28.41): mirrored, then turned.

A flat picture's pose holds yaw (180 degrees: mirrored left to right, as FFmpeg writes it) and roll (anticlockwise).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

SEGMENT, TRACKS, TRACK, TRACK_TYPE, VIDEO, PROJECTION = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0, 0x7670
PROJECTION_TYPE, YAW, ROLL = 0x7671, 0x7673, 0x7675
LARGEST_TRACKS = 16_000_000  # bytes; codecs' headers and fonts lie elsewhere or are small


def pose(file: BinaryIO) -> tuple[bool, float] | None:
    """Whether the first video track is mirrored, and degrees it is then turned anticlockwise; None: the file has none.

    Raises:
        IndexError: the file is damaged or cut short.
    """
    for kind, data in _elements(_tracks(file)):
        parts = dict(_elements(data)) if kind == TRACK else {}
        if parts.get(TRACK_TYPE, b"")[-1:] == b"\1":
            view = dict(_elements(dict(_elements(parts.get(VIDEO, b""))).get(PROJECTION, b"")))
            if any(view.get(PROJECTION_TYPE, b"")):  # a sphere: its pose is where the viewer looks
                return None
            return abs(_number(view.get(YAW, b""))) == 180, _number(view.get(ROLL, b""))
    return None


def _tracks(file: BinaryIO) -> bytes:
    """The content of the Tracks element; empty where there is none in front of an element of unknown length."""
    file.seek(0)
    while True:
        at = file.tell()
        head = file.read(12)
        if len(head) < 2:
            return b""
        kind, start = _integer(head, 0, marker=True)
        size, start = _integer(head, start)
        if kind == TRACKS:
            file.seek(at + start)
            return file.read(min(size, LARGEST_TRACKS))
        unknown = size == (1 << 7 * (start - _length(head[0]))) - 1
        if unknown and kind != SEGMENT:
            return b""
        file.seek(at + start + (0 if kind == SEGMENT else size))


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, at = _integer(data, at, marker=True)
        size, at = _integer(data, at)
        if at + size > len(data):
            raise IndexError("cut short")
        yield kind, data[at : at + size]
        at += size


def _length(first: int) -> int:
    """Bytes of a number that begins with a byte: the leading zero bits say it."""
    return 9 - first.bit_length()


def _integer(data: bytes, at: int, marker: bool = False) -> tuple[int, int]:
    """A number of variable length, with or without the bit that ends its length, and where the next one begins."""
    end = at + _length(data[at])
    if end > len(data) or end - at > 8:
        raise IndexError("cut short")
    value = int.from_bytes(data[at:end], "big")
    return value if marker else value & ((1 << 7 * (end - at)) - 1), end


def _number(data: bytes) -> float:
    """A float of 0, 4 or 8 bytes."""
    kinds = {4: ">f", 8: ">d"}
    return float(struct.unpack(kinds[len(data)], data)[0]) if len(data) in kinds else 0.0
