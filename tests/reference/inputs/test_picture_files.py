"""Kinds of picture files and their oddities: the right pixels come out, or one line says why not."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from reference.errors import BadInput
from reference.inputs.preprocess import PICTURE_SUFFIXES, load_picture
from tests.reference.heic import heic
from tests.reference.quarters import COLORS, NAMES, quarters, seen

# How the quarters lie upright where they are stored as RGBY, by EXIF orientation; 0 and 9 mean nothing.
TURNED = {
    1: "RGBY", 2: "GRYB", 3: "YBGR", 4: "BYRG", 5: "RBGY", 6: "BRYG", 7: "YGBR", 8: "GYRB", 0: "RGBY", 9: "RGBY",
}  # fmt: skip


def pictured(mode="RGB"):
    image = Image.fromarray(quarters(32, 64))
    return image.quantize(4) if mode == "P" else image.convert(mode)


def saved(tmp_path, name, image=None, **options):
    (image or pictured()).save(tmp_path / name, **options)
    return tmp_path / name


def written(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def encoded(kind, image=None, **options):
    buffer = io.BytesIO()
    (image or pictured()).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientations_0_to_9(suffix, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = load_picture(saved(tmp_path, f"a.{suffix}", exif=exif))
    assert picture.shape[:2] == ((64, 32) if orientation in (5, 6, 7, 8) else (32, 64))
    assert seen(picture) == TURNED[orientation]


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "P", "RGBX"])
def test_tiff_of_every_layout_is_turned(mode, orientation, tmp_path):
    """Pillow 13.0 mixes up rows and columns of these where it may map the file into memory."""
    path = saved(tmp_path, "a.tif", pictured(mode), tiffinfo={274: orientation})
    picture = load_picture(path)
    assert picture.shape[:2] == ((64, 32) if orientation >= 5 else (32, 64))
    assert seen(picture) == TURNED[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_once(orientation, tmp_path):
    """Pillow writes the orientation as AVIF's own turn and mirror."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert seen(load_picture(saved(tmp_path, "a.avif", exif=exif))) == TURNED[orientation]


@pytest.mark.parametrize("exif", [1, 3, 6, 8])
@pytest.mark.parametrize(
    ("quarter_turns", "mirror", "wanted"),
    [
        (0, None, "RGBY"), (1, None, "GYRB"), (2, None, "YBGR"), (3, None, "BRYG"),
        (0, 0, "BYRG"), (0, 1, "GRYB"), (1, 1, "YGBR"), (3, 1, "RBGY"),
    ],
)  # fmt: skip
def test_heic_is_turned_once_whatever_its_exif_says(exif, quarter_turns, mirror, wanted, tmp_path):
    """Phones write both; HEIF (ISO/IEC 23008-12, 7.2.3) lets the file's own turn count."""
    picture = load_picture(written(tmp_path, "IMG_1.HEIC", heic(exif, quarter_turns, mirror)))
    assert picture.shape == ((128, 64, 3) if quarter_turns % 2 else (64, 128, 3))
    assert seen(picture) == wanted


def test_gif_avif_and_tiff_are_pictures(tmp_path):
    for suffix in ("gif", "avif", "tif", "tiff"):
        assert seen(load_picture(saved(tmp_path, f"a.{suffix}"))) == "RGBY"
        assert f".{suffix}" in PICTURE_SUFFIXES


def test_a_wrong_ending_does_not_matter(tmp_path):
    assert seen(load_picture(written(tmp_path, "a.png", heic()))) == "RGBY"
    assert seen(load_picture(written(tmp_path, "a.heic", encoded("JPEG")))) == "RGBY"


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif", "avif"])
def test_of_several_frames_the_first_counts(suffix, tmp_path):
    other = Image.new("RGB", (64, 32), "black")
    path = saved(tmp_path, f"a.{suffix}", save_all=True, append_images=[other])
    with Image.open(path) as opened:
        assert opened.n_frames == 2
    assert seen(load_picture(path)) == "RGBY"


@pytest.mark.parametrize(
    ("suffix", "mode", "options"),
    [
        ("tif", "CMYK", {}),
        ("tif", "P", {}),
        ("tif", "RGBA", {}),
        ("tif", "YCbCr", {"compression": "jpeg", "quality": 95}),
        ("tif", "RGB", {"compression": "tiff_lzw"}),
        ("tif", "RGB", {"compression": "tiff_adobe_deflate", "big_tiff": True}),
        ("jpg", "RGB", {"progressive": True}),
        ("jpg", "CMYK", {"quality": 95}),
        ("png", "P", {}),
        ("webp", "RGBA", {"lossless": True}),
    ],
)
def test_colour_modes_and_compressions(suffix, mode, options, tmp_path):
    picture = load_picture(saved(tmp_path, f"a.{suffix}", pictured(mode), **options))
    assert seen(picture) == "RGBY"
    assert np.abs(picture[4, 4].astype(int) - COLORS["R"]).max() <= 8


def test_cmyk_with_and_without_adobes_marker(tmp_path):
    """Without it the inks are taken as inverted too, as browsers take them."""
    marked = encoded("JPEG", Image.new("CMYK", (16, 16), (0, 200, 200, 20)), quality=95)
    start = marked.index(b"\xff\xee")
    (length,) = struct.unpack(">H", marked[start + 2 : start + 4])
    plain = marked[:start] + marked[start + 2 + length :]
    assert b"Adobe" in marked and b"Adobe" not in plain
    pictures = [load_picture(written(tmp_path, "a.jpg", data)) for data in (marked, plain)]
    for picture in pictures:
        assert np.abs(picture[8, 8].astype(int) - (235, 51, 51)).max() <= 4


def test_16_bit_colour_tiff_is_scaled_to_8(tmp_path):
    cv2 = pytest.importorskip("cv2")
    deep = np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.tif"), deep[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    assert np.abs(load_picture(tmp_path / "a.tif") - deep / 257).max() <= 1


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_1_and_8_bits(mode, suffix, tmp_path):
    grey = np.zeros((16, 16), np.uint8)
    grey[:8] = 255
    picture = load_picture(saved(tmp_path, f"a.{suffix}", Image.fromarray(grey).convert(mode)))
    np.testing.assert_array_equal(picture, np.dstack([grey] * 3))


def test_transparent_gif_lies_on_white(tmp_path):
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert load_picture(saved(tmp_path, "a.gif", image, transparency=1))[3, 3].tolist() == [255, 255, 255]


def test_a_jpeg_of_two_pictures(tmp_path):
    path = saved(tmp_path, "a.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (64, 32))])
    assert seen(load_picture(path)) == "RGBY"


@pytest.mark.parametrize("mode", ["I;16", "F", "I"])
def test_grey_tiff_of_more_than_8_bits_is_a_depth_map(mode, tmp_path, refused):
    kinds = {"I;16": np.uint16, "F": np.float32, "I": np.int32}
    path = saved(tmp_path, "a.tif", Image.fromarray(np.ones((16, 16), kinds[mode])))
    with refused(BadInput, path, f"is {mode}:", "a depth map", "takes 8-bit pictures"):
        load_picture(path)


@pytest.mark.parametrize("tag", [{50706: b"\1\4\0\0"}, {254: 1}], ids=["DNG", "a reduced first page"])
def test_raw_files_of_cameras_are_refused(tag, tmp_path, refused):
    with refused(BadInput, "is a camera's raw file and shows a preview only", "develop it"):
        load_picture(saved(tmp_path, "a.dng", format="TIFF", tiffinfo=tag))


CONTENT = {kind: encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP")} | {"HEIC": heic()}


@pytest.mark.parametrize("kind", CONTENT)
def test_cut_files_are_refused(kind, tmp_path, refused):
    for keep in (0.02, 0.5, 0.7):
        data = CONTENT[kind][: int(keep * len(CONTENT[kind]))]
        with refused(BadInput, "a.bin is", "give a PNG, JPEG, WebP, HEIC, AVIF, TIFF, GIF or BMP file"):
            load_picture(written(tmp_path, "a.bin", data))


@pytest.mark.parametrize("brand", [b"avif", b"heic", b"isom", b"crx "])
def test_boxes_that_hold_no_picture(brand, tmp_path, refused):
    """AVIF, HEIC, a video and Canon's raw files begin alike."""
    with refused(BadInput, "a.heic is not a picture"):
        load_picture(written(tmp_path, "a.heic", b"\0\0\0\x10ftyp" + brand + bytes(200)))


@pytest.mark.parametrize("kind", ["HEIC", "GIF", "TIFF", "BMP"])
def test_a_huge_size_is_refused_before_decoding(kind, tmp_path, refused):
    data = CONTENT[kind]
    old, new = {
        "HEIC": (struct.pack(">II", 128, 64), struct.pack(">II", 60000, 30000)),
        "GIF": (struct.pack("<HH", 64, 32), struct.pack("<HH", 60000, 30000)),
        "TIFF": (struct.pack("<HHII", 256, 4, 1, 64), struct.pack("<HHII", 256, 4, 1, 4_000_000_000)),
        "BMP": (struct.pack("<II", 64, 32), struct.pack("<II", 60000, 30000)),
    }[kind]
    assert old in data
    with refused(BadInput, "allowed: sides up to 16384 and 100 megapixels in all", "scale it down"):
        load_picture(written(tmp_path, "a.bin", data.replace(old, new, 1)))


@pytest.mark.parametrize("name", NAMES)
def test_names_with_blanks_and_any_letters(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    assert seen(load_picture(saved(folder, f"{name}.png"))) == "RGBY"
    assert seen(load_picture(written(folder, f"{name}.HEIC", heic()))) == "RGBY"
