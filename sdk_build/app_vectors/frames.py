"""Camera frames: strides, ranges, matrices, turns."""

from __future__ import annotations

import dataclasses

import numpy as np

from reference.errors import BadInput
from reference.inputs.camera import Plane, YuvFrame, picture_from_yuv, upright
from reference.inputs.preprocess import preprocess_picture
from sdk_build.app_vectors.encoding import Json, encode
from sdk_build.app_vectors.pictures import COVER


def camera_frame(width: int, height: int, interleaved: bool, padding: int, value_range: str, matrix: str) -> YuvFrame:
    """A frame of noise. Interleaved: U and V share their bytes, V one byte behind U, as in NV12."""
    generator = np.random.default_rng(width * 1000 + height + padding)
    half_width, half_height = (width + 1) // 2, (height + 1) // 2

    def block(rows: int, stride: int) -> bytes:
        return generator.integers(0, 256, rows * stride, np.uint8).tobytes()

    y = Plane(block(height, width + padding), width + padding)
    stride = half_width * (2 if interleaved else 1) + padding
    first = block(half_height, stride)
    if interleaved:
        return YuvFrame(width, height, y, Plane(first, stride, 2), Plane(first[1:], stride, 2), value_range, matrix)
    return YuvFrame(
        width, height, y, Plane(first, stride), Plane(block(half_height, stride), stride), value_range, matrix
    )


def short_last_rows(frame: YuvFrame) -> YuvFrame:
    """As many phones give it: each plane ends with its last sample, without the padding of its last row."""

    def cut(plane: Plane, width: int, height: int) -> Plane:
        needed = (height - 1) * plane.row_stride + (width - 1) * plane.pixel_stride + 1
        return dataclasses.replace(plane, data=plane.data[:needed])

    half = ((frame.width + 1) // 2, (frame.height + 1) // 2)
    y = cut(frame.y, frame.width, frame.height)
    return dataclasses.replace(frame, y=y, u=cut(frame.u, *half), v=cut(frame.v, *half))


def frame_json(frame: YuvFrame) -> Json:
    """A frame without results."""
    planes = {
        name: {"data": encode(plane.data), "row_stride": plane.row_stride, "pixel_stride": plane.pixel_stride}
        for name, plane in (("y", frame.y), ("u", frame.u), ("v", frame.v))
    }
    sizes = {"width": frame.width, "height": frame.height, "range": frame.range, "matrix": frame.matrix}
    return {**sizes, "planes": planes}


def frames() -> list[Json]:
    """Ranges, matrices, strides, odd sizes, turned cameras; last rows without padding."""
    found = []
    for number, (interleaved, padding, value_range, matrix, orientation, size) in enumerate(
        (
            (False, 0, "full", "bt601", 1, (16, 12)),
            (True, 0, "full", "bt601", 6, (16, 12)),
            (True, 7, "limited", "bt601", 8, (18, 10)),
            (False, 5, "limited", "bt709", 1, (17, 11)),
            (True, 3, "full", "bt709", 3, (15, 9)),
            (True, 16, "limited", "bt709", 7, (33, 21)),
            # Last rows without padding, in the proportions of 864 pixels in rows of 896 bytes and of 1280 in 1536.
            (True, 1, "full", "bt601", 6, (27, 15)),
            (False, 4, "limited", "bt601", 1, (20, 12)),
        )
    ):
        frame = camera_frame(*size, interleaved, padding, value_range, matrix)
        if number >= 6:
            frame = short_last_rows(frame)
        picture = picture_from_yuv(frame)
        tensor, region = preprocess_picture(upright(picture, orientation), COVER)
        found.append(
            {
                "name": f"frame {number}: {value_range} {matrix}, orientation {orientation}",
                **frame_json(frame),
                "orientation": orientation,
                "rgb": encode(picture),
                "preprocess": dataclasses.asdict(COVER),
                "region": dataclasses.astuple(region),
                "tensor": encode(tensor),
            }
        )
    return found


def bad_frames() -> list[Json]:
    """Planes that don't hold what the frame says."""
    good = camera_frame(16, 12, True, 2, "full", "bt601")
    replaced = dataclasses.replace
    changed = {
        "short Y": replaced(good, y=replaced(good.y, data=good.y.data[:-3])),
        "short V": replaced(good, v=replaced(good.v, data=good.v.data[:-3])),
        "row stride below the width": replaced(good, y=replaced(good.y, row_stride=15)),
        "pixel stride 0": replaced(good, u=replaced(good.u, pixel_stride=0)),
        "no size": replaced(good, width=0, height=0),
        "unknown range": replaced(good, range="studio"),
        "unknown matrix": replaced(good, matrix="bt2020"),
    }
    for name, frame in changed.items():
        _must_fail(name, frame)
    return [{"name": name, **frame_json(frame), "orientation": 1} for name, frame in changed.items()]


def _must_fail(name: str, frame: YuvFrame) -> None:
    try:
        picture_from_yuv(frame)
    except BadInput:
        return
    raise AssertionError(f"the bad frame {name!r} was accepted")
