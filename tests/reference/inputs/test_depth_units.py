"""Units and scales of depth: what is written out counts, what is only a guess must be likely, and nothing is silent."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from reference.errors import BadInput
from reference.inputs.depth_files import DepthFormat, read_depth
from reference.inputs.depth_units import parse_scale, to_millimetres

TALL, WIDE = 9, 12
HEAD_M = 0.7
# Units a metre, how each is named as a scale, and the raw number of a head at 0.7 m.
SCALES = {"0.1mm": 10_000, "1/5000m": 5_000, "1/256m": 256, "cm": 100}


def flat(value, dtype=np.uint16, background=None):
    values = np.full((TALL, WIDE), value, dtype)
    if background is not None:
        values[:, : WIDE // 2] = background
    return values


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("1", 1), ("0.1", 0.1), (".25", 0.25), ("1e-3", 1e-3), ("1/5", 0.2), ("0.1mm", 0.1), ("0.1 mm", 0.1),
        ("mm", 1), ("cm", 10), ("M", 1000), ("1/5000m", 0.2), ("1/256m", 3.90625), ("um", 1e-3), ("in", 25.4),
    ],
)  # fmt: skip
def test_scales_are_numbers_or_lengths(text, scale):
    assert parse_scale(text) == pytest.approx(scale)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1/0", "0m", "km", "1//2", "/5", "nan", "inf", "1/5000 mm m", "1.2.3", "m1"]
)
def test_what_is_no_scale(text, refused):
    with refused(BadInput, f"depth scale is {text!r}; allowed: millimetres of one unit, e.g. 0.1, or a length"):
        parse_scale(text)


def test_a_unit_and_a_scale_contradict(refused):
    with refused(BadInput, "depth unit m and a scale of 0.2 mm were given; leave out one"):
        DepthFormat(unit="m", scale=0.2)


@pytest.mark.parametrize("name", SCALES)
def test_a_scale_gives_the_true_distances(name, tmp_path):
    Image.fromarray(flat(round(HEAD_M * SCALES[name]))).save(tmp_path / "a.png")
    found = read_depth(tmp_path / "a.png", DepthFormat(scale=parse_scale(name)))
    np.testing.assert_allclose(found, 700, rtol=2e-3)


@pytest.mark.parametrize("background", [None, 3.5], ids=["alone", "before a wall"])
@pytest.mark.parametrize("name", SCALES)
def test_without_a_scale_the_likely_one_is_named(name, background, refused):
    head, wall = (None if m is None else round(m * SCALES[name]) for m in (HEAD_M, background))
    with refused(BadInput, "has a median of", "read as millimetres", f"{name} (0.70 m): give --depth-scale {name}"):
        to_millimetres(flat(head, background=wall), None, "frame.png")


def test_unlikely_millimetres_are_taken_when_they_are_named(refused):
    for value in (120, 5000):
        with refused(BadInput, "if they are millimetres all the same, give --depth-unit mm"):
            to_millimetres(flat(value), None, "frame.png")
        assert (to_millimetres(flat(value), "mm", "frame.png") == value).all()


def test_a_far_wall_behind_an_object_is_no_reason(refused):
    assert (to_millimetres(flat(700, background=8000), None, "frame.png") >= 700).all()


@pytest.mark.parametrize(("factor", "scale"), [(5, "1/5000m"), (10, "0.1mm")])
def test_millimetres_in_a_finer_unit_show_by_their_steps(factor, scale, refused):
    """At half a metre 1/5000 m reads as likely millimetres: 2.5 m."""
    near = np.arange(TALL * WIDE).reshape(TALL, WIDE).astype(np.uint16) + (500 if factor == 5 else 200)
    with refused(BadInput, f"holds multiples of {factor} only", f"give --depth-scale {scale}, or --depth-unit mm"):
        to_millimetres(factor * near, None, "frame.png")
    np.testing.assert_allclose(to_millimetres(factor * near, None, "frame.png", parse_scale(scale)), near, rtol=1e-6)
    assert (to_millimetres(factor * near, "mm", "frame.png") == factor * near).all()
    assert (to_millimetres(near, None, "frame.png") == near).all()


def test_a_wrong_scale_is_refused_too(refused):
    with refused(BadInput, "median of 700, read as units of 0.01 mm", "they look like millimetres"):
        to_millimetres(flat(700), None, "frame.png", 0.01)


def test_maps_that_a_network_estimated_have_no_unit(refused):
    relative = np.linspace(0, 1, TALL * WIDE, dtype=np.float32).reshape(TALL, WIDE)
    with refused(BadInput, "ends at exactly 1", "if they are metres, give --depth-unit m"):
        to_millimetres(relative, None, "frame.npy")
    assert to_millimetres(relative, "m", "frame.npy").max() == 1000


def test_blinded_pixels_and_a_renderers_sky_are_holes():
    assert to_millimetres(flat(700, background=65535), None, "a.png")[0].tolist() == [0] * 6 + [700] * 6
    for sky in (1e10, 65504, np.inf):
        found = to_millimetres(flat(0.7, np.float32, background=sky), None, "a.exr")
        np.testing.assert_allclose(found[0], [0] * 6 + [700] * 6, rtol=1e-6)


# --- headerless files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.7, 1.4286, 700.0], ids=["metres", "disparity", "millimetres"])
def test_headerless_half_floats_are_asked_for(value, tmp_path, refused):
    """They were read as whole millimetres: 0.7 m as 14.7 m."""
    flat(value, "<f2").tofile(tmp_path / "a.raw")
    for scale in (None, 0.1):
        with refused(BadInput, "which may be uint16 (median", "or float16 (median ", "give --depth-type"):
            read_depth(tmp_path / "a.raw", DepthFormat(size=(WIDE, TALL), scale=scale))
    unit = {0.7: "m", 1.4286: "1/m", 700.0: "mm"}[value]
    found = read_depth(tmp_path / "a.raw", DepthFormat(unit, (WIDE, TALL), "float16"))
    np.testing.assert_allclose(found, 700, rtol=1e-3)


def test_headerless_millimetres_need_no_type(tmp_path):
    for value in (200, 700, 3000):
        flat(value, "<u2").tofile(tmp_path / "a.raw")
        assert (read_depth(tmp_path / "a.raw", DepthFormat(size=(WIDE, TALL))) == value).all()


def test_whole_numbers_that_look_like_half_floats_are_taken_when_named(tmp_path):
    flat(14_000, "<u2").tofile(tmp_path / "a.raw")
    found = read_depth(tmp_path / "a.raw", DepthFormat(None, (WIDE, TALL), "uint16", scale=0.1))
    np.testing.assert_allclose(found, 1400)


# --- numpy's files ------------------------------------------------------------------------------------------------


def test_big_endian_and_column_wise_arrays(tmp_path):
    values = np.random.default_rng(0).integers(400, 900, (TALL, WIDE))
    for name, array in (
        ("a.npy", values.astype(">u2")),
        ("b.npy", values.astype(">i4")),
        ("c.npy", (values / 1000).astype(">f4")),
        ("d.npy", np.asfortranarray(values.astype(np.uint16))),
    ):
        np.save(tmp_path / name, array)
        np.testing.assert_allclose(read_depth(tmp_path / name), values, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_one_map_or_with_one_called_depth(save, tmp_path):
    depth = flat(700)
    save(tmp_path / "a.npz", depth)
    save(tmp_path / "b.npz", depth=depth, rgb=np.zeros((TALL, WIDE, 3), np.uint8), intrinsics=np.eye(3))
    for name in ("a.npz", "b.npz"):
        np.testing.assert_array_equal(read_depth(tmp_path / name), depth)


def promised(shape):
    """An .npy file whose header promises more than the file has."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_archives_that_hold_no_map(tmp_path, refused):
    np.savez(tmp_path / "two.npz", a=flat(700), b=flat(700))
    np.savez(tmp_path / "cube.npz", np.ones((3, TALL, WIDE)))
    np.savez(tmp_path / "objects.npz", np.array([[{}] * WIDE] * TALL), allow_pickle=True)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:300])
    for name, shape in (("huge", (10**6, 10**6)), ("short", (TALL, WIDE))):
        (tmp_path / f"{name}.npy").write_bytes(promised(shape))
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w") as archive:
            archive.writestr("depth.npy", promised(shape))
    with zipfile.ZipFile(tmp_path / "empty.npz", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    for name, *parts in (
        ("two.npz", "holds the arrays a, b; allowed: one, or one called depth"),
        ("empty.npz", "holds the arrays none"),
        ("cube.npz", "arr_0 holds shape (3, 9, 12) of float64; allowed: (H, W)"),
        ("objects.npz", "is no .npz file of numbers (it holds Python objects)"),
        ("text.npz", "is no .npz file of numbers"),
        ("cut.npz", "is no .npz file of numbers"),
        ("huge.npz", "is 1000000x1000000 values; allowed: sides of 8"),
        ("huge.npy", "is 1000000x1000000 values; allowed: sides of 8"),
        ("short.npz", "is no .npz file of numbers"),
        ("short.npy", "is no .npy file of numbers"),
    ):
        with refused(BadInput, name, *parts):
            read_depth(tmp_path / name)


# --- OpenEXR ------------------------------------------------------------------------------------------------------


def write_exr(path, channels):
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(path))
    return path


METRES = np.random.default_rng(0).uniform(0.4, 0.9, (TALL, WIDE)).astype(np.float32)


@pytest.mark.parametrize(
    "channels",
    [
        {"Z": METRES},
        {"V": METRES},
        {"Z": METRES.astype(np.float16)},
        {"ViewLayer.Depth.Z": METRES, "R": METRES * 0, "G": METRES * 0, "B": METRES * 0},
        {"Depth.V": METRES, "A": METRES * 0 + 1},
        {"R": METRES, "G": METRES, "B": METRES},
        {"Z": (METRES * 1000).astype(np.uint32)},
    ],
    ids=["Z", "one channel", "half floats", "Blender's layers", "Depth.V", "equal colours", "whole millimetres"],
)
def test_openexr(channels, tmp_path):
    found = read_depth(write_exr(tmp_path / "a.exr", channels))
    np.testing.assert_allclose(found, METRES * 1000, rtol=1e-3, atol=1)


def test_openexr_files_that_hold_no_depth(tmp_path, refused):
    write_exr(tmp_path / "color.exr", {"R": METRES, "G": METRES * 2, "B": METRES})
    write_exr(tmp_path / "small.exr", {"Z": METRES[:7]})
    whole = write_exr(tmp_path / "whole.exr", {"Z": METRES}).read_bytes()
    (tmp_path / "cut.exr").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "text.exr").write_text("no picture")
    (tmp_path / "empty.exr").write_bytes(b"")
    for name, *parts in (
        ("color.exr", "has the channels B, G, R; allowed: one, or one named Z"),
        ("small.exr", "is 12x7 values; allowed: sides of 8"),
        ("cut.exr", "is no OpenEXR file"),
        ("text.exr", "is no OpenEXR file"),
        ("empty.exr", "is no OpenEXR file"),
    ):
        with refused(BadInput, name, *parts):
            read_depth(tmp_path / name)


def test_32_bit_grey_tiff(tmp_path):
    Image.fromarray(flat(700, np.int32)).save(tmp_path / "a.tif")
    assert (read_depth(tmp_path / "a.tif") == 700).all()


def test_names_with_blanks_and_any_letters(tmp_path):
    for name in ("two words", "Tiefe ü", "深度 🐈"):
        Image.fromarray(flat(700)).save(tmp_path / f"{name}.png")
        write_exr(tmp_path / f"{name}.exr", {"Z": METRES})
        flat(700, "<u2").tofile(tmp_path / f"{name}.raw")
        assert (read_depth(tmp_path / f"{name}.png") == 700).all()
        assert (read_depth(tmp_path / f"{name}.raw", DepthFormat(size=(WIDE, TALL))) == 700).all()
        assert read_depth(tmp_path / f"{name}.exr").shape == (TALL, WIDE)
