"""``python -m sdk_build.predict``: good pictures, bad pictures, and where results go."""

import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reference.card import MODELS_DIR
from sdk_build.predict import __main__ as predict

FACE = MODELS_DIR / "template_keypoints" / "golden" / "input_0.png"
BOX = "--box=8,8,100,100"


def run(capsys, *arguments):
    code = predict.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert err == ""
    return code, out


def predictions(capsys, *arguments):
    code, out = run(capsys, *arguments, "--json")
    assert code == 0
    document = json.loads(out, parse_constant=pytest.fail)
    assert document.keys() == {"bundle", "predictions"}
    return document["predictions"]


@pytest.fixture
def picture(tmp_path):
    """Save an array as a picture."""

    def save(array, name="picture.png", **options):
        Image.fromarray(array).save(tmp_path / name, **options)
        return tmp_path / name

    return save


def read(path):
    with Image.open(path) as opened:
        return np.array(opened)


def pixels(height=90, width=120, channels=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (height, width, channels) if channels > 1 else (height, width)).astype(np.uint8)


def test_points_lie_in_the_picture(web_bundle, capsys):
    (found,) = predictions(capsys, web_bundle, FACE, BOX)
    assert (found["file"], found["runtime"]) == (str(FACE), "litert")
    points = np.array(found["results"][0]["points_px"])
    assert points.shape == (68, 2)
    assert np.isfinite(points).all()
    assert np.ptp(points, axis=0).min() > 20  # a face, not a spot
    left_eye, right_eye, chin = points[36], points[45], points[8]
    assert left_eye[0] < right_eye[0]
    assert chin[1] > left_eye[1]


def test_text_and_a_saved_picture(web_bundle, tmp_path, capsys):
    target = tmp_path / "new" / "out.png"
    code, out = run(capsys, web_bundle, FACE, BOX, "--save", target)
    assert code == 0
    assert out == f"{FACE}: 1 face, 68 points each  (litert)\nsaved {target}\n"
    saved = read(target)
    assert saved.ndim == 3
    assert 400 <= min(saved.shape[:2]) <= max(saved.shape[:2]) <= 3000
    assert len(np.unique(saved.reshape(-1, 3), axis=0)) > 1000
    side = saved.shape[0]
    plain = np.array(Image.fromarray(read(FACE)).resize((side, side), Image.Resampling.LANCZOS))
    drawn = np.abs(saved[:, :side].astype(int) - plain).max(-1) > 40
    assert 0.002 < drawn.mean() < 0.5  # lines and dots, and the face below them


def test_several_files_go_into_a_folder(web_bundle, picture, tmp_path, capsys):
    files = [FACE, picture(pixels(), "noise.png")]
    found = predictions(capsys, web_bundle, *files, BOX, "--save", tmp_path / "out")
    assert [f["file"] for f in found] == [str(f) for f in files]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["input_0.png", "noise.png"]


def test_a_picture_without_a_face(web_bundle, picture, tmp_path, capsys):
    blank = picture(np.full((60, 400, 3), 90, np.uint8))
    assert predictions(capsys, web_bundle, blank)[0]["results"] == []
    code, out = run(capsys, web_bundle, blank, "--save", tmp_path / "out.png")
    assert code == 0
    assert "no face found" in out
    assert read(tmp_path / "out.png").shape == (72, 480, 3)


@pytest.mark.parametrize(
    ("array", "name"),
    [
        pytest.param(pixels(channels=1), "grey.png", id="grey"),
        pytest.param(pixels(channels=4), "rgba.png", id="RGBA"),
        pytest.param(pixels(), "photo.jpg", id="JPEG"),
        pytest.param(pixels(8, 600), "narrow.png", id="narrow"),
    ],
)
def test_pictures_of_other_kinds_work(array, name, web_bundle, picture, tmp_path, capsys):
    path = picture(array, name)
    found = predictions(capsys, web_bundle, path, "--box=1,1,80,7", "--save", tmp_path / "out.png")
    assert len(found[0]["results"][0]["points_px"]) == 68
    assert read(tmp_path / "out.png").shape[2:] == (3,)


def huge_png(path):
    """A PNG whose header promises 20000 x 20000 pixels; there are none."""
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + end)


def test_bad_pictures_are_named_in_one_line(web_bundle, picture, tmp_path, fails):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(FACE.read_bytes()[:2000])
    huge_png(tmp_path / "huge.png")
    picture(np.zeros((1, 1, 3), np.uint8), "pixel.png")
    picture(np.full((50, 50), 700, np.uint16), "depth.png")
    for name, part in {
        "text.png": "is not a picture; give a PNG",
        "empty.png": "is not a picture",
        "cut.png": "is damaged",
        "huge.png": "allowed: sides up to 16384 and 100 megapixels in all; scale it down",
        "pixel.png": "is 1x1 pixels; allowed: at least 8 on each side",
        "depth.png": "16-bit grey, a depth map; this model takes 8-bit pictures",
        "none.png": "no picture",
    }.items():
        fails(predict.main, [web_bundle, tmp_path / name], 2, "BadInput: ", part, name)
    (tmp_path / "none").mkdir()
    fails(predict.main, [web_bundle, tmp_path / "none"], 2, "BadInput: ", tmp_path / "none")


@pytest.fixture
def film(tmp_path):
    """Four frames: a face that moves to the right, then none."""
    folder = tmp_path / "film"
    folder.mkdir()
    face = read(FACE)
    height, width = face.shape[:2]
    for number in range(4):
        frame = np.full((height + 40, width + 80, 3), 128, np.uint8)
        if number < 3:
            frame[20 : 20 + height, 20 + 6 * number : 20 + 6 * number + width] = face
        Image.fromarray(frame).save(folder / f"{number}.png")
    return folder


def test_faces_are_followed_through_a_video(web_bundle, film, tmp_path, capsys):
    code, out = run(capsys, web_bundle, film, "--save", tmp_path / "drawn", "--json")
    assert code == 0
    frames = json.loads(out)["frames"]
    assert [len(frame["results"]) for frame in frames] == [1, 1, 1, 0]
    middles = [np.mean(frame["results"][0]["points_px"], axis=0) for frame in frames[:3]]
    assert np.diff(middles, axis=0) == pytest.approx(np.array([[6, 0], [6, 0]]), abs=1.5)
    shapes = {read(path).shape for path in sorted((tmp_path / "drawn").iterdir())}
    assert len(shapes) == 1  # a frame without a face has the shape of the others


def test_helper_bundles_of_another_task(web_bundle, fails):
    fails(
        predict.main, [web_bundle, FACE, "--detector", web_bundle], 2,
        "--detector is template_keypoints-web-fp16, a model for face_keypoints; give one for face_detection",
    )  # fmt: skip


def test_a_second_network_looks_at_the_first_ones_crop(web_bundle, capsys):
    """With the same network as its own second one nothing changes: without one, the first looks twice."""
    (alone,) = predictions(capsys, web_bundle, FACE, BOX)
    (cascade,) = predictions(capsys, web_bundle, FACE, BOX, "--refined", web_bundle)
    assert alone["results"] == cascade["results"]


def test_one_bad_file_of_several_writes_nothing(web_bundle, tmp_path, fails):
    fails(predict.main, [web_bundle, FACE, tmp_path / "none.png", BOX, "--save", tmp_path / "out"], 2, "none.png")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "", "1,2,3,4,5", "0,0,nan,9", "0,0,inf,9"])
def test_a_box_that_is_none(text, web_bundle, fails):
    fails(predict.main, [web_bundle, FACE, f"--box={text}"], 2, f"--box is {text!r}; allowed: four numbers X0,Y0,X1,Y1")


@pytest.mark.parametrize("text", ["9,9,9,20", "20,9,10,30", "5000,0,6000,10", "-9,-9,-1,-1"])
def test_a_box_that_is_empty_or_outside(text, web_bundle, fails):
    fails(predict.main, [web_bundle, FACE, f"--box={text}"], 2, "box is (", "inside the", "picture")


def test_a_runtime_that_the_bundle_does_not_hold(web_bundle, fails):
    parts = ("runtime is 'coreml'", f"{web_bundle.name} holds: litert")
    fails(predict.main, [web_bundle, FACE, "--runtime", "coreml"], 2, *parts)


def test_a_damaged_bundle_predicts_nothing(bundle, fails):
    with (bundle / "model.tflite").open("ab") as file:
        file.write(b"x")
    fails(predict.main, [bundle, FACE], 1, "ChecksumMismatch", "model.tflite differs from its sha256")


def test_one_picture_name_for_several_files(web_bundle, picture, fails):
    arguments = [web_bundle, FACE, picture(pixels()), "--save", "out.png"]
    fails(predict.main, arguments, 2, "--save is out.png for 2 files; give a folder, or one file")


def test_a_picture_never_overwrites_an_input_or_another(web_bundle, picture, tmp_path, fails):
    path = picture(pixels())
    before = path.read_bytes()
    for save in (tmp_path, path):
        fails(predict.main, [web_bundle, path, "--save", save], 2, f"--save would overwrite the input {path}")
    assert path.read_bytes() == before
    (tmp_path / "b").mkdir()
    twin = tmp_path / "b" / path.name
    twin.write_bytes(before)
    arguments = [web_bundle, path, twin, "--save", tmp_path / "out"]
    fails(predict.main, arguments, 2, "picture.png twice; give files with different")


@pytest.mark.parametrize("target", ["/proc/out.png", "/dev/null/out.png", "out.xyz"])
def test_a_place_that_can_not_be_written(target, web_bundle, tmp_path, monkeypatch, fails):
    if target.startswith("/proc") and not os.path.isdir("/proc/self"):  # noqa: PTH112 - not on a Mac
        pytest.skip("no /proc here")
    monkeypatch.chdir(tmp_path)
    parts = (f"BadInput: can't write {target}", "writable folder")
    fails(predict.main, [web_bundle, FACE, BOX, "--save", target], 2, *parts)


@pytest.mark.parametrize("arguments", [[], ["only-a-bundle"]])
def test_wrong_use_ends_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        predict.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m sdk_build.predict" in capsys.readouterr().err


def test_the_command_prints_json_and_nothing_else(web_bundle, command):
    done = command("sdk_build.predict", web_bundle, FACE, BOX, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["bundle"] == web_bundle.name
