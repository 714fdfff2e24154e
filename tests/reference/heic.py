"""A small HEIC picture, turned and mirrored in its boxes as cameras do it: the tests need no encoder for HEIC."""

from __future__ import annotations

import base64
import struct

# 128x64 pixels of four colours in quarters, EXIF orientation 6, no turn of its own; written with pillow-heif 1.8.1.
_PLAIN = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAZdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAA"
    "AERAAAIAAQAAAAABuwABAAAAAAAAAGUAAgAAAAACIAABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZl"
    "AgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH/"
    "/wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoBAgQWW6kkprm4CGgwIAAAMAMgAAAwACEGIAAQAHRAHBcrAiQAAAABNj"
    "b2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAACAAAAAQAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAABppcmVmAAAA"
    "AAAAAA5jZHNjAAIAAQABAAAAkW1kYXQAAABhKAGvCeDjC5y6r//+NJ///f0HkP2CjTqCbf/6bj47/Agv//1XgX1cFm4PGf9tii1chch7C89QqP1m"
    "BdAUfUqg35IsP/7Mkd/yMpX/0rkGxevsfulQr/gytP+kEPKl/6k9fAAAAAZFeGlmAABNTQAqAAAACAABARIAAwAAAAEABgAAAAAAAA=="
)
_EXIF_ORIENTATION = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06"
_PICTURE, _EXIF = 0x1BB, 0x220  # where the two items lie in the file
_ASSOCIATIONS = b"\x04\x81\x02\x03\x04"  # of the picture: its four properties


def heic(exif: int = 1, quarter_turns: int = 0, mirror: int | None = None) -> bytes:
    """The picture with an EXIF orientation, turned anticlockwise (``irot``), then mirrored (``imir``).

    Args:
        mirror: 0 exchanges top and bottom, 1 left and right.
    """
    boxes = [struct.pack(">I4sB", 9, b"irot", quarter_turns)] if quarter_turns else []
    boxes += [struct.pack(">I4sB", 9, b"imir", mirror)] if mirror is not None else []
    data = _PLAIN.replace(_EXIF_ORIENTATION, _EXIF_ORIENTATION[:-1] + bytes([exif]))
    properties = data.index(b"ipma") - 4
    data = data[:properties] + b"".join(boxes) + data[properties:]
    numbers = bytes(0x85 + i for i in range(len(boxes)))  # essential, the fifth property and so on
    data = data.replace(_ASSOCIATIONS, bytes([4 + len(boxes)]) + _ASSOCIATIONS[1:] + numbers)
    grown = {"meta": 10, "iprp": 10, "ipco": 9, "ipma": 1}
    for name, more in grown.items():
        data = _grown(data, name.encode(), more * len(boxes))
    for place in (_PICTURE, _EXIF):
        data = data.replace(struct.pack(">I", place), struct.pack(">I", place + 10 * len(boxes)), 1)
    return data


def _grown(data: bytes, name: bytes, more: int) -> bytes:
    """With a box's size raised; the box ends where it did, plus what was put in."""
    at = data.index(name) - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    return data[:at] + struct.pack(">I", size + more) + data[at + 4 :]
