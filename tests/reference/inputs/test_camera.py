"""Camera frames and orientations: known colours, strides, agreement with Pillow and OpenCV, what is refused."""

import dataclasses
import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from reference.errors import BadInput
from reference.inputs.camera import Plane, YuvFrame, picture_from_yuv, upright, yuv_factors


def frame(y, u, v, **changes):
    """A frame of dense planes from 2-D arrays."""
    planes = [Plane(p.astype(np.uint8).tobytes(), p.shape[1]) for p in (y, u, v)]
    return YuvFrame(y.shape[1], y.shape[0], *planes, **changes)


def even(y, u, v, **changes):
    """The colour of a frame of one colour."""
    found = picture_from_yuv(frame(np.full((4, 6), y), np.full((2, 3), u), np.full((2, 3), v), **changes))
    assert (found == found[0, 0]).all()
    return tuple(int(c) for c in found[0, 0])


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_black_white_grey(matrix):
    assert even(0, 128, 128, matrix=matrix) == (0, 0, 0)
    assert even(255, 128, 128, matrix=matrix) == (255, 255, 255)
    assert even(16, 128, 128, matrix=matrix, range="limited") == (0, 0, 0)
    assert even(235, 128, 128, matrix=matrix, range="limited") == (255, 255, 255)
    assert even(77, 128, 128, matrix=matrix) == (77, 77, 77)


@pytest.mark.parametrize(
    ("changes", "red"),
    [
        ({}, (76, 85, 255)),
        ({"range": "limited"}, (81, 90, 240)),
        ({"range": "limited", "matrix": "bt709"}, (63, 102, 240)),
    ],
)
def test_published_values_of_red(changes, red):
    """The standards' 8-bit values of (255, 0, 0); rounding to 8 bit costs a level or two."""
    assert np.abs(np.subtract(even(*red, **changes), (255, 0, 0))).max() <= 2


def test_agrees_with_opencv():
    generator = np.random.default_rng(0)
    # OpenCV reads NV12: interleaved U and V, BT.601, limited range.
    planes = generator.integers(60, 190, (12 * 3 // 2, 16)).astype(np.uint8)
    ours = picture_from_yuv(
        YuvFrame(
            16, 12, Plane(planes[:12].tobytes(), 16), Plane(planes[12:].tobytes(), 16, 2),
            Plane(planes[12:].tobytes()[1:], 16, 2), "limited",
        )
    )  # fmt: skip
    theirs = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_NV12)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_padding_is_never_read():
    generator = np.random.default_rng(1)
    y, u, v = (generator.integers(0, 256, shape) for shape in ((7, 9), (4, 5), (4, 5)))
    padded = [np.pad(p, ((0, 0), (0, 6)), constant_values=255) for p in (y, u, v)]
    planes = [Plane(p.astype(np.uint8).tobytes()[:-6], p.shape[1]) for p in padded]  # the last row ends early
    np.testing.assert_array_equal(picture_from_yuv(YuvFrame(9, 7, *planes)), picture_from_yuv(frame(y, u, v)))


@pytest.mark.parametrize(
    ("width", "height", "stride", "capacity"), [(864, 480, 896, 430_048), (1280, 720, 1536, 1_105_664)]
)
@pytest.mark.parametrize("pixel_stride", [1, 2], ids=["I420", "NV12"])
def test_frames_of_phones_whose_last_row_is_short(width, height, stride, capacity, pixel_stride, refused):
    """A buffer that ends with its last sample, as Android's cameras give it."""
    luma = np.arange(capacity, dtype=np.uint32).astype(np.uint8)
    half_capacity = (height // 2 - 1) * stride + (width // 2 - 1) * pixel_stride + 1
    chroma = Plane(bytes([128]) * half_capacity, stride, pixel_stride)
    whole = YuvFrame(width, height, Plane(luma.tobytes(), stride), chroma, chroma)
    found = picture_from_yuv(whole)
    assert found.shape == (height, width, 3)
    assert found[-1, -1].tolist() == [luma[-1]] * 3
    assert found[1, 0].tolist() == [luma[stride]] * 3
    short = dataclasses.replace(whole, y=Plane(luma.tobytes()[:-1], stride))
    with refused(BadInput, f"plane Y has {capacity - 1} bytes, row stride {stride}", f"need {capacity} bytes"):
        picture_from_yuv(short)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_agree_with_pillow(orientation):
    picture = np.random.default_rng(2).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "PNG", exif=exif)
    theirs = ImageOps.exif_transpose(Image.open(stored))
    np.testing.assert_array_equal(upright(picture, orientation), np.array(theirs))


@pytest.mark.parametrize("orientation", [0, 9, -1])
def test_unknown_orientation(refused, orientation):
    with refused(BadInput, f"orientation is {orientation}", "1 to 8"):
        upright(np.zeros((4, 4, 3), np.uint8), orientation)


@pytest.mark.parametrize(
    ("plane", "change"),
    [("y", {"data": b"123"}), ("v", {"row_stride": 2}), ("u", {"pixel_stride": 0}), ("u", {"data": b""})],
)
def test_planes_that_do_not_fit(refused, plane, change):
    good = frame(np.zeros((8, 8)), np.zeros((4, 4)), np.zeros((4, 4)))
    broken = dataclasses.replace(good, **{plane: dataclasses.replace(getattr(good, plane), **change)})
    with refused(BadInput, f"plane {plane.upper()}", "need"):
        picture_from_yuv(broken)


def test_unknown_matrix(refused):
    with refused(BadInput, "bt2020", "bt709"):
        yuv_factors("bt2020", "full")
