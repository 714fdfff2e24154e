"""Small videos as phones write them: with a display matrix, and with frames of unequal length."""

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


def write_mkv(path, frames, yaw=0.0, roll=0.0):
    """Write (H, W, 3) uint8 RGB frames to Matroska, mirrored by a yaw of 180, turned anticlockwise by the roll."""
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (width, height))
    for frame in frames:
        video.write(np.ascontiguousarray(frame[..., ::-1]))
    video.release()
    data = path.read_bytes()
    # The Video element has 10 bytes; the writer left room of 11 behind it and another element of 4.
    at = data.index(b"\xe0\x8a\xb0\x81")
    video, other, room = data[at + 2 : at + 12], data[at + 12 : at + 16], data[at + 16 : at + 27]
    assert room == b"\xec\x01" + bytes(6) + b"\2\0\0"
    name, angle = (b"\x76\x73", yaw) if yaw else (b"\x76\x75", roll)
    assert not (yaw and roll), "there is room for one"
    projection = b"\x76\x70\x40\x07" + name + b"\x84" + struct.pack(">f", angle)
    path.write_bytes(data[:at] + b"\xe0\x95" + video + projection + other + data[at + 27 :])
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
