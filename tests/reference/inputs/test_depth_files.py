"""Depth files of every kind give the same millimetres; what is none is named in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from reference.errors import BadInput
from reference.inputs.depth_files import DepthFormat, read_depth
from reference.inputs.depth_units import FARTHEST_MM, NEAREST_MM, to_millimetres

WIDTH, HEIGHT = 12, 9


@pytest.fixture
def depth():
    """Whole millimetres with holes, (9, 12)."""
    values = np.random.default_rng(0).integers(400, 900, (HEIGHT, WIDTH)).astype(np.uint16)
    values[2:4, 3:5] = 0
    return values


def in_metres(depth, dtype=np.float32):
    """As a phone gives it: metres, NaN where nothing was measured."""
    return np.where(depth == 0, np.nan, depth / 1000).astype(dtype)


def test_every_kind_of_file_gives_the_same_millimetres(depth, tmp_path):
    size = DepthFormat(size=(WIDTH, HEIGHT))
    Image.fromarray(depth).save(tmp_path / "a.png")
    Image.fromarray(depth).save(tmp_path / "a.tif")
    Image.fromarray(in_metres(depth)).save(tmp_path / "b.tiff")
    np.save(tmp_path / "a.npy", depth)
    np.save(tmp_path / "b.npy", in_metres(depth))
    np.save(tmp_path / "c.npy", in_metres(depth, np.float64))
    depth.astype("<u2").tofile(tmp_path / "a.raw")
    in_metres(depth).astype("<f4").tofile(tmp_path / "b.bin")
    in_metres(depth, np.float16).astype("<f2").tofile(tmp_path / "c.depth")
    disparity = DepthFormat("1/m", (WIDTH, HEIGHT), "float32")
    (1 / in_metres(depth)).astype("<f4").tofile(tmp_path / "d.raw")
    np.save(tmp_path / "d.npy", depth.astype(np.float32))
    for name, form, tolerance in (
        ("a.png", DepthFormat(), 0),
        ("a.tif", DepthFormat(), 0),
        ("b.tiff", DepthFormat(), 1e-3),
        ("a.npy", DepthFormat(), 0),
        ("b.npy", DepthFormat(), 1e-3),
        ("c.npy", DepthFormat(), 1e-3),
        ("d.npy", DepthFormat("mm"), 0),
        ("a.raw", size, 0),
        ("b.bin", size, 1e-3),
        ("c.depth", DepthFormat(size=(WIDTH, HEIGHT), dtype="float16"), 0.5),
        ("d.raw", disparity, 1e-3),
        ("a.png", DepthFormat("mm", (WIDTH, HEIGHT)), 0),
    ):
        found = read_depth(tmp_path / name, form)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, depth, atol=tolerance, err_msg=name)
        np.testing.assert_array_equal(found == 0, depth == 0, err_msg=name)


def test_a_sensor_on_its_side_is_turned(depth, tmp_path):
    Image.fromarray(depth).save(tmp_path / "a.png")
    for turns in (1, 2, 3):
        found = read_depth(tmp_path / "a.png", DepthFormat(quarter_turns=turns))
        np.testing.assert_array_equal(found, np.rot90(depth, turns))


def test_what_is_no_distance_becomes_a_hole():
    values = np.array([[0.5, np.nan, np.inf], [-np.inf, -1, 0.7], [0, 0.6, 0.6]], np.float32)
    found = to_millimetres(values, None, "map")
    assert found == pytest.approx(np.array([[500, 0, 0], [0, 0, 700], [0, 600, 600]]), abs=1e-3)


@pytest.mark.parametrize(
    ("endless", "unit"),
    [
        (np.float32(1e-45), "1/m"),
        (np.float64(1e-300), "1/m"),
        (np.float64(5e-324), "1/m"),
        (np.float32(3e38), "m"),
        (np.float64(1e308), "m"),
        (np.float64(1e300), "mm"),
    ],
)
def test_endless_distances_become_holes(endless, unit):
    one_metre = {"1/m": 1, "m": 1, "mm": 1000}[unit]
    values = np.array([[endless, one_metre, one_metre]], endless.dtype)
    np.testing.assert_array_equal(to_millimetres(values, unit, "map"), [[0, 1000, 1000]])


@given(
    arrays.arrays(np.float32, (8, 8), elements=st.floats(width=32)),
    st.sampled_from([None, "mm", "m", "1/m"]),
)
def test_any_numbers_give_distances_or_an_error(values, unit):
    try:
        found = to_millimetres(values, unit, "map")
    except BadInput:
        return
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert NEAREST_MM <= np.median(found[found > 0]) * (1 + 1e-6)
    assert np.median(found[found > 0]) <= FARTHEST_MM * (1 + 1e-6)


@pytest.mark.parametrize(
    ("values", "unit", "parts"),
    [
        (np.full((8, 8), 1, np.uint16), None, ("median of 1, read as millimetres", "metres: give --depth-unit m")),
        (np.full((8, 8), 0.7, np.float32), "mm", ("median of 0.7, read as millimetres", "give --depth-unit m")),
        (np.full((8, 8), 700, np.float32), None, ("read as metres", "millimetres: give --depth-unit mm")),
        (np.full((8, 8), 0.01, np.float32), None, ("median of 0.01, read as metres", "check the file")),
        (np.full((8, 8), 700, np.uint16), "1/m", ("read as 1/metres", "millimetres: give --depth-unit mm")),
        (np.zeros((8, 8), np.uint16), None, ("is 0 everywhere: no depth was measured",)),
        (np.full((8, 8), np.nan), None, ("is NaN at 64 of 64 pixels and 0 at the others: no depth was measured",)),
        (np.full((8, 8), -1.0), None, ("no depth was measured",)),
        (np.full((8, 8), 1e-45, np.float32), "1/m", ("median of 1.401e-45, read as 1/metres", "check the file")),
    ],
    ids=[
        "metres as whole numbers",
        "metres as mm",
        "mm as metres",
        "too near",
        "mm as 1/m",
        "zero",
        "NaN",
        "negative",
        "endless",
    ],
)
def test_units_and_empty_maps_are_named(values, unit, parts, refused):
    with refused(BadInput, "frame.npy", *parts):
        to_millimetres(values, unit, "frame.npy")


def test_stray_values_do_not_decide_the_unit():
    values = np.full((20, 20), 600, np.uint16)
    values[0, :5] = [1, 2, 3, 60000, 65535]
    assert np.median(to_millimetres(values, None, "map")) == 600


def test_bad_files(depth, tmp_path, refused):
    depth.tofile(tmp_path / "a.raw")
    np.save(tmp_path / "cube.npy", np.ones((3, 9, 9)))
    np.save(tmp_path / "text.npy", np.array([["a"] * 9] * 9))
    np.save(tmp_path / "objects.npy", np.array([[{}] * 9] * 9), allow_pickle=True)
    np.savez(tmp_path / "archive.npz", depth)
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    np.save(tmp_path / "small.npy", np.ones((7, 9)))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "rgb.tif")
    (tmp_path / "a.pfm").write_bytes(b"Pf")
    for name, form, *parts in (
        ("none.png", DepthFormat(), "no depth map", "give a file of distances: .png, .tif, .npy"),
        ("a.raw", DepthFormat(), "has no header that states its size; give it, e.g. --depth-size 640x480"),
        ("a.raw", DepthFormat(size=(10, 9)), "216 bytes; 10x9 values need 180 (uint16) or 360 (float32)"),
        ("a.raw", DepthFormat(size=(12, 9), dtype="float32"), "need 432 (float32)"),
        ("a.raw", DepthFormat(size=(54, 2)), "is 54x2 values; allowed: sides of 8 to"),
        ("cube.npy", DepthFormat(), "holds shape (3, 9, 9) of float64; allowed: (H, W)"),
        ("text.npy", DepthFormat(), "of <U1; allowed: (H, W) whole numbers or floats"),
        ("objects.npy", DepthFormat(), "is no .npy file of numbers"),
        ("archive.npy", DepthFormat(), "is no .npy file of numbers"),
        ("broken.npy", DepthFormat(), "is no .npy file of numbers"),
        ("small.npy", DepthFormat(), "is 9x7 values; allowed: sides of 8"),
        ("broken.tif", DepthFormat(), "is damaged"),
        ("rgb.tif", DepthFormat(), "is RGB; allowed: 16-bit grey or float32"),
        ("a.pfm", DepthFormat(), "has the ending .pfm; allowed for depth: .png, .tif, .npy, .npz, .exr"),
    ):
        with refused(BadInput, tmp_path / name, *parts):
            read_depth(tmp_path / name, form)
    Image.fromarray(depth).save(tmp_path / "a.png")
    with refused(BadInput, "is 12x9 values, but 9x12 was given; leave the size out"):
        read_depth(tmp_path / "a.png", DepthFormat(size=(9, 12)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "cm"}, "depth unit is 'cm'; allowed: mm, m, 1/m"),
        ({"dtype": "int8"}, "depth type is 'int8'; allowed: uint16, float32, float16"),
    ],
)
def test_bad_formats(options, message, refused):
    with refused(BadInput, message):
        DepthFormat(**options)
