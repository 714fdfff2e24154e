"""Small MP4 files as phones write them: with a display matrix, and with frames of unequal length."""

from __future__ import annotations

import struct

import cv2
import numpy as np

SIZE = (48, 64)
_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts")


def write_mp4(path, frames, durations_ms=None, matrix=(1, 0, 0, 1), movie_matrix=(1, 0, 0, 1)):
    """Write (H, W, 3) uint8 RGB frames.

    Args:
        durations_ms: of each frame; None: 100 ms each.
        matrix: a, b, c, d of the track: point (x, y) is shown at (a x + c y, b x + d y).
        movie_matrix: the same of the whole movie.
    """
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (width, height))
    for frame in frames:
        video.write(np.ascontiguousarray(frame[..., ::-1]))
    video.release()
    data = path.read_bytes()
    data = _with_matrix(data, b"mvhd", movie_matrix)
    data = _with_matrix(data, b"tkhd", matrix)
    if durations_ms is not None:
        assert len(durations_ms) == len(frames)
        data = _with_durations(data, durations_ms)
    path.write_bytes(data)
    return path


def _matrix(a, b, c, d):
    return struct.pack(">9i", *(round(65536 * x) for x in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)


def _with_matrix(data, box, matrix):
    at = data.index(_matrix(1, 0, 0, 1), data.index(box))
    return data[:at] + _matrix(*matrix) + data[at + 36 :]


def _with_durations(data, durations_ms):
    """The time table with an entry for each frame; all boxes around it grow, and they lie behind the pictures."""
    assert data.index(b"mdat") < data.index(b"moov")
    (ticks,) = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)
    steps = [round(ms * ticks / 1000) for ms in durations_ms]
    table = struct.pack(">II", 0, len(steps)) + b"".join(struct.pack(">II", 1, step) for step in steps)
    at = data.index(b"stts") + 4
    (size,) = struct.unpack_from(">I", data, at - 8)
    grown = bytearray(data)
    for name in _PARENTS:
        place = data.index(name) - 4
        struct.pack_into(">I", grown, place, struct.unpack_from(">I", data, place)[0] + len(table) + 8 - size)
    struct.pack_into(">I", grown, data.index(b"elst") + 12, round(sum(durations_ms)))
    struct.pack_into(">I", grown, data.index(b"mdhd") + 20, sum(steps))
    return bytes(grown[:at]) + table + bytes(grown[at + size - 8 :])
