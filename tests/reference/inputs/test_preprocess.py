"""From picture or depth map to tensor: known answers, agreement with PyTorch, and what is refused."""

import dataclasses
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reference.errors import BadInput
from reference.inputs.preprocess import (
    OBJECT_MARGIN,
    Region,
    bilinear_weights,
    choose_region,
    load_depth,
    load_picture,
    nearest_indices,
    preprocess_depth,
    preprocess_picture,
    sample_picture,
)
from reference.spec import PreprocessSpec

COVER = PreprocessSpec((10, 10))
CONTAIN = PreprocessSpec((10, 10), resize="contain")
STRETCH = PreprocessSpec((10, 10), resize="stretch")
DEPTH = PreprocessSpec(
    (8, 8), color="DEPTH", resize="contain", interpolation="nearest", mean=(0.0,), std=(1.0,), box_grow=0.0
)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def whole(picture):
    return Region(0, 0, picture.shape[1], picture.shape[0])


def png_header(width, height, bits, color):
    """A PNG that states a size and holds no pixels: whoever decodes it before looking fails differently."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# --- rule 3: sampling -------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(start=st.floats(-300, 300), length=st.floats(0.01, 900), size=st.integers(1, 70), pixels=st.integers(1, 300))
def test_weights_are_an_average_of_real_pixels(start, length, size, pixels):
    weights, first, last = bilinear_weights(start, length, size, pixels)
    assert weights.dtype == np.float32
    assert weights.shape == (size, last - first)
    assert 0 <= first < last <= pixels
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


def test_weights_when_the_size_stays():
    weights, first, last = bilinear_weights(0, 5, 5, 5)
    assert (first, last) == (0, 5)
    np.testing.assert_allclose(weights, np.eye(5), atol=1e-7)


def test_weights_when_shrinking_by_two():
    """Scale 2: the triangle over four pixels weighs 1/4, 3/4, 3/4, 1/4, over 2; what is outside goes to the edge."""
    weights, _, _ = bilinear_weights(0, 6, 3, 6)
    expected = np.array([[4, 3, 1, 0, 0, 0], [0, 1, 3, 3, 1, 0], [0, 0, 0, 1, 3, 4]]) / 8
    np.testing.assert_allclose(weights, expected, atol=1e-7)


def test_weights_when_enlarging_by_two():
    """Outputs look at pixel positions -0.25, 0.25, 0.75, 1.25, counted from the first pixel's centre."""
    weights, _, _ = bilinear_weights(0, 2, 4, 2)
    np.testing.assert_allclose(weights, [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]], atol=1e-7)


def test_shrinking_by_two_averages_pixels():
    row = np.array([0, 40, 80, 200, 120, 16], np.uint8)
    picture = np.broadcast_to(row[None, :, None], (4, 6, 3)).copy()
    out = sample_picture(picture, whole(picture), (2, 3))
    expected = np.array([3 * 40 + 80, 40 + 3 * 80 + 3 * 200 + 120, 200 + 3 * 120 + 4 * 16]) / 8 / 255
    np.testing.assert_allclose(out, np.broadcast_to(expected, (1, 3, 2, 3)), atol=1e-6)


@pytest.mark.parametrize("region", [Region(0, 0, 20, 12), Region(3.3, 1.7, 9.1, 4.2), Region(-30, -9, 90, 40)])
def test_a_constant_stays_constant(region):
    picture = np.full((12, 20, 3), (10, 100, 250), np.uint8)
    out = sample_picture(picture, region, (7, 5))
    assert out.shape == (1, 3, 7, 5)
    assert out.dtype == np.float32
    for channel, value in enumerate((10, 100, 250)):
        np.testing.assert_allclose(out[0, channel], value / 255, atol=1e-6)


@pytest.mark.parametrize(("size", "atol"), [(5, 1e-3), (25, 1e-3), (80, 1e-3), (16, 0.15), (23, 0.15)])
def test_a_ramp_stays_a_ramp_inside(size, atol):
    """A linear function is kept, at the positions that rule 3 states: exactly when enlarging or shrinking by a whole
    number; otherwise the triangle is sampled unevenly, and a slope of 2 may be off by a tenth of a level.
    """
    picture = np.broadcast_to(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], (9, 100, 3)).copy()
    region = Region(25.5, 0, 50, 9)
    out = sample_picture(picture, region, (3, size)) * 255
    positions = region.left + (np.arange(size) + 0.5) * region.width / size - 0.5
    np.testing.assert_allclose(out, np.broadcast_to(2 * positions, (1, 3, 3, size)), atol=atol)


@pytest.mark.parametrize(
    ("shape", "size"), [((60, 90), (20, 30)), ((61, 47), (16, 16)), ((40, 100), (33, 17)), ((12, 9), (31, 40))]
)
def test_agrees_with_torch_away_from_the_border(shape, size):
    picture = noise(*shape)
    ours = sample_picture(picture, whole(picture), size)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(picture).permute(2, 0, 1)[None].double() / 255,
        size,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    ).numpy()
    # Two output pixels at each border: PyTorch leaves out what lies outside instead of repeating the edge.
    np.testing.assert_allclose(ours[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], atol=1e-5)


def test_edges_repeat_outside():
    picture = noise(6, 6)
    out = sample_picture(picture, Region(-6, 0, 18, 6), (6, 18))
    np.testing.assert_allclose(out[0, :, :, :6], np.repeat(out[0, :, :, 6:7], 6, axis=2), atol=1e-6)
    np.testing.assert_allclose(out[0, :, :, 6:12], picture.transpose(2, 0, 1) / np.float32(255), atol=1e-6)


@settings(max_examples=60)
@given(st.floats(-50, 50), st.floats(0.1, 200), st.integers(1, 40), st.integers(1, 60))
def test_nearest_takes_the_pixel_under_the_position(start, length, size, pixels):
    for i, pixel in enumerate(nearest_indices(start, length, size, pixels)):
        position = np.floor(start + (i + 0.5) * (length / size))
        assert pixel == (position if 0 <= position < pixels else -1)


# --- rule 2: the region -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [(COVER, Region(5, 0, 20, 20)), (CONTAIN, Region(0, -5, 30, 30)), (STRETCH, Region(0, 0, 30, 20))],
    ids=["cover", "contain", "stretch"],
)
def test_regions_of_a_30x20_picture(spec, expected):
    assert choose_region(30, 20, spec) == expected


def test_region_of_an_oblong_network():
    assert choose_region(30, 20, PreprocessSpec((10, 20))) == Region(0, 2.5, 30, 15)
    assert choose_region(30, 20, PreprocessSpec((10, 20), resize="contain")) == Region(-5, 0, 40, 20)


def test_box_grows_by_its_own_sides_and_is_clipped():
    spec = PreprocessSpec((10, 10), resize="stretch", box_grow=0.25)
    assert choose_region(100, 80, spec, (20, 30, 40, 70)) == Region(15, 20, 30, 60)
    assert choose_region(100, 80, spec, (0, 30, 40, 70)) == Region(0, 20, 50, 60)
    assert choose_region(100, 80, spec, (60, 60, 140, 90)) == Region(40, 52.5, 60, 27.5)


def test_box_replaces_the_picture_as_the_frame():
    assert choose_region(100, 80, COVER, (20, 30, 60, 50)) == Region(30, 30, 20, 20)
    assert choose_region(100, 80, CONTAIN, (20, 30, 60, 50)) == Region(20, 20, 40, 40)


NAN = float("nan")
boxes = st.tuples(*[st.floats(-100, 600)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@pytest.mark.parametrize(
    "box",
    [(30, 5, 40, 9), (5, 20, 9, 30), (-9, 0, 0, 5), (0, -9, 5, 0), (5, 5, 5, 9), (9, 5, 5, 9), (NAN, 0, 5, 5)],
)
def test_box_outside_or_empty_is_refused(box, refused):
    with refused(BadInput, f"box is {box}", "allowed: x0 < x1, y0 < y1, inside the 30x20 picture"):
        choose_region(30, 20, COVER, box)


@settings(max_examples=100)
@given(
    width=st.integers(8, 500),
    height=st.integers(8, 500),
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    box=st.none() | boxes,
    grow=st.floats(0, 1),
)
def test_regions_have_the_networks_aspect_and_stay_in_their_frame(width, height, size, box, grow):
    regions = {}
    try:
        for resize in ("stretch", "cover", "contain"):
            regions[resize] = choose_region(width, height, PreprocessSpec(size, resize=resize, box_grow=grow), box)
    except BadInput:
        assert box is not None
        return
    frame, inner, outer = regions["stretch"], regions["cover"], regions["contain"]
    slack = 1e-6 * (width + height)
    assert frame.left >= 0 and frame.left + frame.width <= width + slack
    for region in (inner, outer):
        assert region.width * size[0] == pytest.approx(region.height * size[1], rel=1e-6, abs=slack)
        assert region.left + region.width / 2 == pytest.approx(frame.left + frame.width / 2, abs=slack)
        assert region.top + region.height / 2 == pytest.approx(frame.top + frame.height / 2, abs=slack)
    assert inner.width <= frame.width + slack and inner.height <= frame.height + slack
    assert outer.width >= frame.width - slack and outer.height >= frame.height - slack


def test_to_picture_maps_the_corners():
    """0 and 1 are the region's outer borders; the first pixel's centre, not its corner, is (0, 0)."""
    points = Region(10, 20, 40, 60).to_picture(np.array([[0, 0], [1, 0], [0.5, 0.5], [1, 1]], np.float32))
    assert points.dtype == np.float32
    assert points.tolist() == [[9.5, 19.5], [49.5, 19.5], [29.5, 49.5], [49.5, 79.5]]


@pytest.mark.parametrize("resize", ["cover", "contain", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(90, 60), (60, 90), (33, 47)])
def test_what_the_network_sees_maps_back_to_the_picture(resize, width, height):
    """A bright spot, found in the tensor, must come back to the pixel that was painted."""
    picture = np.zeros((height, width, 3), np.uint8)
    x, y = width // 2 - 5, height // 2 + 7
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    tensor, region = preprocess_picture(picture, PreprocessSpec((64, 48), resize=resize))
    light = tensor[0, 0]
    total = light.sum()
    found = [(light.sum(0) @ (np.arange(48) + 0.5)) / total / 48, (light.sum(1) @ (np.arange(64) + 0.5)) / total / 64]
    np.testing.assert_allclose(region.to_picture(np.array(found, np.float32)), [x, y], atol=0.1)


# --- rule 1: reading pictures -----------------------------------------------------------------------------------

# EXIF 2.3, 4.6.4 A: where the stored row 0 and column 0 lie in the upright picture.
ORIENTATIONS = {
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_gives_the_same_upright_picture(orientation, tmp_path):
    upright = noise(9, 14)
    first_row, first_column = ORIENTATIONS[orientation]
    stored = upright.transpose(1, 0, 2) if first_row in ("left", "right") else upright
    stored = stored[::-1] if first_row in ("bottom", "right") else stored
    stored = stored[:, ::-1] if first_column in ("bottom", "right") else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    np.testing.assert_array_equal(load_picture(path), upright)


def saved(tmp_path, image, name="picture.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def test_grey_becomes_rgb(tmp_path):
    grey = noise(8, 9)[..., 0]
    np.testing.assert_array_equal(load_picture(saved(tmp_path, Image.fromarray(grey))), np.dstack([grey] * 3))


def test_transparency_is_laid_over_white(tmp_path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = (200, 100, 0, 255)
    pixels[4:6] = (200, 100, 0, 0)
    pixels[6:] = (200, 100, 0, 51)  # a fifth of the colour, four fifths of white
    out = load_picture(saved(tmp_path, Image.fromarray(pixels)))
    assert out.shape == (8, 8, 3)
    assert out[0, 0].tolist() == [200, 100, 0]
    assert out[4, 0].tolist() == [255, 255, 255]
    assert out[7, 0].tolist() == [244, 224, 204]


def test_palette_becomes_rgb(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert load_picture(saved(tmp_path, image))[3, 3].tolist() == [10, 200, 30]


def test_palette_with_a_transparent_entry(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert load_picture(saved(tmp_path, image, transparency=1))[3, 3].tolist() == [255, 255, 255]


def test_16_bit_colour_is_scaled_to_8(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    out = load_picture(tmp_path / "deep.png")
    assert out.dtype == np.uint8
    assert np.abs(out - deep / 257).max() <= 1


@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "JPEG"), ("webp", "WEBP"), ("bmp", "BMP")])
def test_the_other_formats(suffix, kind, tmp_path):
    flat = np.full((8, 12, 3), (30, 120, 210), np.uint8)
    out = load_picture(saved(tmp_path, Image.fromarray(flat), f"flat.{suffix}", format=kind))
    assert out.shape == flat.shape
    assert np.abs(out.astype(int) - flat).max() <= 4


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    out = load_picture(saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "print.jpg"))
    assert out[4, 4, 0] > 200
    assert out[4, 4, 1:].max() < 60


def test_16_bit_grey_is_a_depth_map(tmp_path, refused):
    cv2.imwrite(str(tmp_path / "depth.png"), np.full((9, 9), 700, np.uint16))
    with refused(BadInput, "depth.png is I;16", "a depth map", "this model takes 8-bit pictures"):
        load_picture(tmp_path / "depth.png")


def test_one_pixel_is_too_small(tmp_path, refused):
    with refused(BadInput, "picture.png is 1x1 pixels", "allowed: at least 8 on each side"):
        load_picture(saved(tmp_path, Image.new("RGB", (1, 1))))


def content(name, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(noise(40, 40)).save(buffer, "PNG")
    return {
        "empty": b"",
        "text": b"this is a text file\n",
        "half": buffer.getvalue()[: len(buffer.getvalue()) // 2],
        "signature": buffer.getvalue()[:8],
        "other format": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x08\0\0\0\x08\0\x08\0\3" + bytes(40),
    }[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "is not a picture"),
        ("text", "is not a picture"),
        ("half", "is damaged"),
        ("signature", "is not a picture"),
        ("other format", "is not a picture"),
    ],
)
def test_unreadable_pictures_say_why(name, reason, tmp_path, refused):
    path = tmp_path / "broken.png"
    path.write_bytes(content(name, tmp_path))
    with refused(BadInput, path, reason, "give a PNG, JPEG, WebP, HEIC, AVIF, TIFF, GIF or BMP file"):
        load_picture(path)


def test_missing_picture_and_folder(tmp_path, refused):
    for path in (tmp_path / "none.png", tmp_path):
        with refused(BadInput, f"no picture {path}", "give a PNG, JPEG, WebP, HEIC, AVIF, TIFF, GIF or BMP file"):
            load_picture(path)


@pytest.mark.parametrize(
    ("width", "height", "parts"),
    [
        (20000, 20000, ("is too large", "400000000 pixels")),
        (16385, 8, ("is 16385x8 pixels",)),
        (10001, 10000, ("is 10001x10000 pixels",)),
    ],
)
@pytest.mark.parametrize(("load", "bits", "color"), [(load_picture, 8, 2), (load_depth, 16, 0)], ids=["rgb", "depth"])
def test_too_large_is_refused_before_decoding(load, bits, color, width, height, parts, tmp_path, refused):
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(width, height, bits, color))
    with refused(BadInput, path, *parts, "allowed: sides up to 16384 and 100 megapixels in all", "scale it down"):
        load(path)


def test_a_large_allowed_picture_is_read_without_a_warning(tmp_path, refused):
    """Pillow warns from 89 megapixels on; a user who may bring 100 must not see it."""
    path = tmp_path / "large.png"
    path.write_bytes(png_header(9500, 9500, 8, 2))
    with refused(BadInput, "is damaged"):  # it has no pixels, but its size is right
        load_picture(path)


def samples():
    picture = Image.fromarray(noise(16, 16))
    for kind in ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "AVIF"):
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        yield buffer.getvalue()


SAMPLES = tuple(samples())


@settings(max_examples=150)
@given(
    sample=st.sampled_from(SAMPLES),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    keep=st.floats(0.1, 1),
)
def test_damaged_bytes_are_a_picture_or_bad_input(sample, changes, keep, tmp_path_factory):
    data = bytearray(sample)
    for where, value in changes:
        data[int(where * len(data))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data[: int(keep * len(data))])
    for load in (load_picture, load_depth):
        try:
            out = load(path)
        except BadInput:
            continue
        assert out.dtype in (np.uint8, np.float32)


# --- depth ------------------------------------------------------------------------------------------------------


def depth_file(tmp_path, depth):
    path = tmp_path / "depth.png"
    assert cv2.imwrite(str(path), depth)
    return path


def test_depth_in_millimetres_is_read_as_it_is(tmp_path):
    depth = np.random.default_rng(0).integers(0, 65536, (9, 11)).astype(np.uint16)
    out = load_depth(depth_file(tmp_path, depth))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, depth)


@pytest.mark.parametrize(
    ("pixels", "parts"),
    [
        (np.ones((9, 9), np.uint8), ("is L;", "16-bit grey")),
        (np.ones((9, 9, 3), np.uint8), ("is RGB;", "16-bit grey")),
        (np.ones((9, 9, 3), np.uint16), ("is RGB;", "16-bit grey")),
        (np.zeros((9, 9), np.uint16), ("is 0 everywhere", "no depth was measured", "millimetres")),
        (np.ones((7, 9), np.uint16), ("is 9x7 pixels", "at least 8 on each side")),
    ],
    ids=["8-bit", "colour", "16-bit colour", "all zero", "small"],
)
def test_other_pictures_are_no_depth_maps(pixels, parts, tmp_path, refused):
    path = depth_file(tmp_path, pixels)
    with refused(BadInput, path, *parts):
        load_depth(path)


def test_unreadable_depth_maps(tmp_path, refused):
    path = tmp_path / "depth.png"
    with refused(BadInput, f"no depth map {path}", "give a 16-bit grey PNG in millimetres"):
        load_depth(path)
    for data in (b"", b"text"):
        path.write_bytes(data)
        with refused(BadInput, f"{path} is not a depth map", "give a 16-bit grey PNG in millimetres"):
            load_depth(path)
    whole_file = depth_file(tmp_path, np.random.default_rng(0).integers(1, 9999, (40, 40)).astype(np.uint16))
    path.write_bytes(whole_file.read_bytes()[:900])
    with refused(BadInput, "is damaged", "give a 16-bit grey PNG in millimetres"):
        load_depth(path)


def test_nearest_is_1_farthest_a_sixteenth_and_holes_0():
    depth = np.full((8, 8), 700, np.float32)
    depth[0], depth[1], depth[2, 3] = 500, 900, 0
    tensor, region = preprocess_depth(depth, DEPTH)
    assert tensor.shape == (1, 1, 8, 8)
    assert tensor.dtype == np.float32
    assert region == Region(0, 0, 8, 8)
    assert set(tensor[0, 0, 0]) == {1.0}
    assert set(tensor[0, 0, 1]) == {1 / 16}
    assert tensor[0, 0, 2, 3] == 0
    assert tensor[0, 0, 5, 5] == pytest.approx((1 + 1 / 16) / 2)


@pytest.mark.parametrize("box_grow", [0.0, 0.2])
def test_the_box_of_all_measured_pixels_is_the_default(box_grow):
    """It holds the whole object: it grows by the object's own margin, not by what a face detector's box needs."""
    depth = np.zeros((40, 40), np.float32)
    depth[10:26, 20:28] = 600
    depth[10, 20] = 500
    _, region = preprocess_depth(depth, dataclasses.replace(DEPTH, box_grow=box_grow))
    side = 16 * (1 + 2 * OBJECT_MARGIN)
    assert dataclasses.astuple(region) == pytest.approx((24 - side / 2, 18 - side / 2, side, side))


def test_padding_is_zero_and_sampling_takes_single_pixels():
    """Row V4: what lies beyond the map is a hole; surfaces are never mixed."""
    depth = np.random.default_rng(0).integers(500, 900, (16, 8)).astype(np.float32)
    tensor, region = preprocess_depth(depth, DEPTH)
    assert region == Region(-4, 0, 16, 16)
    assert (tensor[0, 0, :, :2] == 0).all()
    assert (tensor[0, 0, :, 6:] == 0).all()
    inner = depth[1::2, 1::2]  # output i looks at 2 * (i + 0.5), which is in pixel 2 * i + 1
    near, far = inner.min(), inner.max()  # of the crop alone, not of the map
    np.testing.assert_allclose(tensor[0, 0, :, 2:6], 1 - (inner - near) / (far - near) * 15 / 16, atol=1e-6)


def test_near_and_far_come_from_the_box_alone():
    depth = np.full((16, 16), 700, np.float32)
    depth[4:12, 4:12] = np.linspace(1000, 1100, 64).reshape(8, 8)
    tensor, _ = preprocess_depth(depth, DEPTH, (4, 4, 12, 12))
    assert tensor[0, 0, 0, 0] == 1
    assert tensor[0, 0, -1, -1] == 1 / 16


def test_boxes_without_depth_are_refused(refused):
    depth = np.zeros((16, 16), np.float32)
    with refused(BadInput, "the depth map is 0 everywhere", "millimetres"):
        preprocess_depth(depth, DEPTH)
    depth[0, 0] = 500
    with refused(BadInput, "the depth map is 0 inside Region(left=8", "choose a box where distances were measured"):
        preprocess_depth(depth, DEPTH, (8, 8, 16, 16))
    with refused(BadInput, "box is (16, 0, 20, 5)", "inside the 16x16 picture"):
        preprocess_depth(depth, DEPTH, (16, 0, 20, 5))
