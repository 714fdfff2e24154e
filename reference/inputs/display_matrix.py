"""How a video file says its pictures are to be shown: turned by quarters, mirrored, or both.

Phones store what the sensor gives and a matrix (ISO/IEC 14496-12, 8.3.2): a picture's point (x, y) is shown at
(a x + c y, b x + d y). OpenCV 4.14 reads turns from it and takes a mirrored picture of a front camera for one that is
turned by 180 degrees, in Matroska as well. Here it becomes one of the eight EXIF orientations.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from reference.errors import BadInput
from reference.inputs.display_matroska import pose

LARGEST_INDEX = 256_000_000  # bytes of a movie box; hours of video have a few million
_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_Matrix = tuple[float, float, float, float]  # a, b, c, d
# Signs of a, b, c, d, and the EXIF orientation that shows a picture so.
_ORIENTATIONS = {
    (1, 0, 0, 1): 1, (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5, (0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8,
}  # fmt: skip
_SMALL = 0.01  # of the largest entry; angles that are rounded to whole degrees stay far above


def display_orientation(path: Path) -> int | None:
    """The EXIF orientation of the first video track of MP4, QuickTime, Matroska or WebM; None of other files.

    Raises:
        BadInput: the picture is to be shown aslant.
    """
    with path.open("rb") as file:
        begin = file.read(8)
        try:
            if begin[:4] == b"\x1aE\xdf\xa3":
                matrix = _matroska_matrix(file)
            elif begin[4:] in _FIRST_BOXES:
                matrix = _video_matrix(_movie_box(file))
            else:
                return None
        except (struct.error, IndexError):
            return None
    if matrix is None:
        return None
    limit = _SMALL * max(map(abs, matrix))
    signs = tuple(0 if abs(entry) <= limit else 1 if entry > 0 else -1 for entry in matrix)
    if not any(signs):  # some writers leave it empty
        return 1
    if signs not in _ORIENTATIONS:
        raise BadInput(
            f"{path} is to be shown aslant (display matrix {', '.join(f'{entry:.2f}' for entry in matrix)}); "
            "allowed: quarter turns and mirrors; encode it upright"
        )
    return _ORIENTATIONS[signs]


def _matroska_matrix(file: BinaryIO) -> _Matrix | None:
    found = pose(file)
    if found is None:
        return None
    mirrored, roll = found
    cos, sin = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    return _times((-1.0 if mirrored else 1.0, 0.0, 0.0, 1.0), (cos, -sin, sin, cos))


def _movie_box(file: BinaryIO) -> bytes:
    """What the moov box holds, wherever it lies; empty where there is none."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return b""
        size, kind = struct.unpack(">I4s", head[:8])
        skip = 8
        if size == 1 and len(head) == 16:
            (size,), skip = struct.unpack(">Q", head[8:]), 16
        if kind == b"moov":
            file.seek(at + skip)
            return file.read(min(LARGEST_INDEX, size - skip) if size > skip else LARGEST_INDEX)
        if size < skip:  # 0: to the file's end; else damaged
            return b""
        at += size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


def _video_matrix(movie: bytes) -> _Matrix | None:
    """The matrix of the first video track, times the movie's."""
    boxes = list(_boxes(movie))
    header = next((data for kind, data in boxes if kind == b"mvhd"), None)
    for kind, track in boxes:
        if kind != b"trak":
            continue
        parts = dict(_boxes(track))
        media = dict(_boxes(parts.get(b"mdia", b"")))
        if media.get(b"hdlr", b"")[8:12] == b"vide" and b"tkhd" in parts:
            own = _matrix(parts[b"tkhd"], 40)
            return own if header is None else _times(own, _matrix(header, 36))
    return None


def _matrix(header: bytes, start: int) -> _Matrix:
    """Of a track's or movie's header; version 1 has 12 bytes more of times before it."""
    start += 12 * (header[0] == 1)
    a, b, _, c, d = struct.unpack(">5i", header[start : start + 20])
    return a / 65536, b / 65536, c / 65536, d / 65536


def _times(first: _Matrix, then: _Matrix) -> _Matrix:
    a, b, c, d = first
    e, f, g, h = then
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h
