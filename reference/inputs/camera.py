"""Camera frames as pictures: YUV planes with strides, and EXIF orientations. The apps compute the same integers.

A phone's camera gives one brightness plane (Y) and two colour planes (U, V) of half the size, with padding at the end
of rows and often U and V interleaved (pixel stride 2). The conversion is integer arithmetic with 16 fractional bits,
so that every language gives the same bytes: red = (cy * (Y - black) + cr * (V - 128) + 32768) >> 16, clamped to 0..255.
Each colour sample counts for its block of 2x2 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

# (Kr, Kb) of ITU-R BT.601 and BT.709.
LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
RANGES = ("full", "limited")


@dataclass(frozen=True)
class Plane:
    """Bytes of one plane.

    Attributes:
        row_stride: bytes from one row to the next.
        pixel_stride: bytes from one sample to the next.
    """

    data: bytes
    row_stride: int
    pixel_stride: int = 1


@dataclass(frozen=True)
class YuvFrame:
    """A camera frame: U and V have (width + 1) // 2 by (height + 1) // 2 samples."""

    width: int
    height: int
    y: Plane
    u: Plane
    v: Plane
    range: str = "full"
    matrix: str = "bt601"


@dataclass(frozen=True)
class YuvFactors:
    """Integer factors with 16 fractional bits."""

    black: int
    y: int
    red_v: int
    green_u: int
    green_v: int
    blue_u: int


def yuv_factors(matrix: str, value_range: str) -> YuvFactors:
    """The factors of a matrix and range.

    Raises:
        BadInput: either is unknown.
    """
    if matrix not in LUMA_WEIGHTS or value_range not in RANGES:
        raise BadInput(
            f"frame is {matrix!r}, {value_range!r}; allowed: {', '.join(LUMA_WEIGHTS)} and {', '.join(RANGES)}"
        )
    kr, kb = LUMA_WEIGHTS[matrix]
    kg = 1 - kr - kb
    full = value_range == "full"
    luma, chroma = (65536.0, 65536.0) if full else (65536 * 255 / 219, 65536 * 255 / 224)
    return YuvFactors(
        black=0 if full else 16,
        y=round(luma),
        red_v=round(chroma * 2 * (1 - kr)),
        green_u=-round(chroma * 2 * kb * (1 - kb) / kg),
        green_v=-round(chroma * 2 * kr * (1 - kr) / kg),
        blue_u=round(chroma * 2 * (1 - kb)),
    )


def picture_from_yuv(frame: YuvFrame) -> NDArray[np.uint8]:
    """A frame as (H, W, 3) uint8 RGB.

    Raises:
        BadInput: a plane is too short for its strides, or the matrix or range is unknown.
    """
    f = yuv_factors(frame.matrix, frame.range)
    half = ((frame.width + 1) // 2, (frame.height + 1) // 2)
    luma = f.y * (_samples("Y", frame.y, frame.width, frame.height) - f.black)
    u, v = (
        _samples(name, plane, *half).repeat(2, 0).repeat(2, 1)[: frame.height, : frame.width] - 128
        for name, plane in (("U", frame.u), ("V", frame.v))
    )
    rgb = np.stack([luma + f.red_v * v, luma + f.green_u * u + f.green_v * v, luma + f.blue_u * u], axis=-1)
    return np.clip((rgb + 32768) >> 16, 0, 255).astype(np.uint8)


def _samples(name: str, plane: Plane, width: int, height: int) -> NDArray[np.int64]:
    """The samples of a plane; its last row may end with its last sample, as it does on many phones."""
    row = (width - 1) * plane.pixel_stride + 1
    needed = (height - 1) * plane.row_stride + row
    if width < 1 or height < 1 or plane.pixel_stride < 1 or plane.row_stride < row or len(plane.data) < needed:
        raise BadInput(
            f"plane {name} has {len(plane.data)} bytes, row stride {plane.row_stride}, pixel stride "
            f"{plane.pixel_stride}; {width}x{height} samples need {needed} bytes and a row stride of at least {row}"
        )
    values = np.frombuffer(plane.data, np.uint8)
    index = np.arange(height)[:, None] * plane.row_stride + np.arange(width)[None, :] * plane.pixel_stride
    return values[index].astype(np.int64)


def upright(picture: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn an (H, W, 3) picture upright.

    Args:
        orientation: EXIF value 1 to 8; 1 is upright, 3 upside down, 6 needs a quarter turn clockwise, 8 one
            anticlockwise; 2, 4, 5 and 7 are mirrored.

    Raises:
        BadInput: another value.
    """
    if orientation not in range(1, 9):
        raise BadInput(f"orientation is {orientation}; allowed: the EXIF values 1 to 8")
    if orientation >= 5:
        picture = picture.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)
