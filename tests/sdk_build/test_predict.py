"""Raw pictures through a real bundle: results, pictures, and what happens to bad ones."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reference.card import MODELS_DIR
from sdk_build.predict import main

FACE = MODELS_DIR / "template_keypoints" / "golden" / "input_1.png"


def huge_png(path):
    """A PNG that says it is 20000 x 20000 and holds no pixel."""
    parts = {b"IHDR": struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0), b"IDAT": b"", b"IEND": b""}
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts.items()]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def bad_pictures(folder):
    """Every kind of picture that is refused, with what the message must say."""
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    Image.fromarray(np.full((40, 40), 900, np.uint16)).save(folder / "depth.png")
    huge_png(folder / "huge.png")
    (folder / "cut.png").write_bytes(FACE.read_bytes()[:3000])
    return {
        "text.png": "not a picture",
        "empty.png": "not a picture",
        "pixel.png": "1x1",
        "depth.png": "16-bit",
        "huge.png": "too large",
        "cut.png": "damaged",
        "missing.png": "no picture",
    }


@pytest.mark.parametrize("name", ["text", "empty", "pixel", "depth", "huge", "cut", "missing"])
def test_a_bad_picture_is_one_line(name, web_bundle, tmp_path, fails):
    expected = bad_pictures(tmp_path)[f"{name}.png"]
    fails(main, [web_bundle, tmp_path / f"{name}.png"], 2, "BadInput", f"{name}.png", expected)


def test_a_face_gets_points_and_a_picture(web_bundle, tmp_path, capsys):
    target = tmp_path / "out" / "face.png"
    assert main([str(web_bundle), str(FACE), "--save", str(target), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (prediction,) = document["predictions"]
    assert document["bundle"] == "template_keypoints-web-fp16" and prediction["runtime"] == "litert"
    (face,) = prediction["results"]
    points = np.array(face["points_px"])
    assert points.shape == (68, 2)
    with Image.open(FACE) as raw:
        width, height = raw.size
    assert ((points > 0) & (points < [width, height])).mean() > 0.95
    assert points[45, 0] - points[36, 0] > width / 8, "the eyes are apart, the person's right one on the left"
    assert points[8, 1] > points[27, 1], "the chin is below the nose"
    with Image.open(target) as drawn:
        assert drawn.mode == "RGB" and min(drawn.size) >= 400


def test_grey_and_transparent_pictures_give_the_same_face(web_bundle, tmp_path, capsys):
    with Image.open(FACE) as raw:
        colour = raw.convert("RGB")
    colour.convert("L").save(tmp_path / "grey.png")
    colour.convert("RGBA").save(tmp_path / "rgba.png")
    colour.save(tmp_path / "rgb.png")
    files = [str(tmp_path / f"{n}.png") for n in ("rgb", "rgba", "grey")]
    assert main([str(web_bundle), *files, "--box", "0,0,224,224", "--json"]) == 0
    rgb, rgba, grey = (
        np.array(p["results"][0]["points_px"]) for p in json.loads(capsys.readouterr().out)["predictions"]
    )
    np.testing.assert_array_equal(rgb, rgba)
    assert np.abs(rgb - grey).max() < 0.1 * 224


def test_a_picture_without_a_face_says_so(web_bundle, tmp_path, capsys):
    Image.new("RGB", (200, 160), "white").save(tmp_path / "blank.png")
    assert main([str(web_bundle), str(tmp_path / "blank.png"), "--save", str(tmp_path / "folder")]) == 0
    assert "no face found" in capsys.readouterr().out
    assert (tmp_path / "folder" / "blank.png").is_file()


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "900,900,950,950", "50,50,10,10"])
def test_a_bad_box_is_one_line(box, web_bundle, fails):
    fails(main, [web_bundle, FACE, "--box", box], 2, "BadInput", "box", "allowed")


def test_an_unknown_runtime_lists_those_of_the_bundle(web_bundle, fails):
    fails(main, [web_bundle, FACE, "--runtime", "coreml"], 2, "coreml", "litert")


def test_several_files_need_a_folder(web_bundle, fails):
    fails(main, [web_bundle, FACE, FACE, "--save", "one.png"], 2, "one.png", "folder")


def test_an_unwritable_place_is_one_line(web_bundle, tmp_path, fails):
    (tmp_path / "file").write_text("")
    fails(main, [web_bundle, FACE, "--save", tmp_path / "file" / "x.png"], 2, "x.png", "writable")
