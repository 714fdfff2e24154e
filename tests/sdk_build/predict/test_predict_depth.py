"""``predict`` with RGB-D frames and depth maps: meshes, turntables and pictures, and every bad input."""

import json

import numpy as np
import pytest
from PIL import Image

from reference.card import MODELS_DIR
from reference.geometry.mesh_io import read_mesh
from sdk_build.predict import __main__ as predict

FACE = MODELS_DIR / "template_keypoints" / "golden" / "input_1.png"
DEPTH = MODELS_DIR / "voxel64" / "golden" / "input_0.png"


def read(path):
    with Image.open(path) as opened:
        return np.array(opened)


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """A photo of a face, and a head's depth of the same view before a wall: 16-bit PNG in mm."""
    folder = tmp_path_factory.mktemp("frame")
    with Image.open(FACE) as opened:
        photo = opened.convert("RGB")
    photo.save(folder / "photo.png")
    head = Image.fromarray(read(DEPTH)).resize(photo.size, Image.Resampling.NEAREST)
    depth = np.array(head)
    Image.fromarray(np.where(depth == 0, 2500, depth).astype(np.uint16)).save(folder / "depth.png")
    return folder / "photo.png", folder / "depth.png"


def run(capsys, *arguments):
    code = predict.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out


def filled(out):
    (entry,) = json.loads(out)["predictions"]
    return entry["results"][0]["filled_voxels"]


def test_a_frame_becomes_a_mesh_of_every_kind(voxel_bundle, frame, tmp_path, capsys):
    photo, depth = frame
    meshes = []
    for suffix in (".glb", ".obj", ".ply", ".off", ".stl"):
        target = tmp_path / "new" / f"head{suffix}"
        out = run(capsys, voxel_bundle, photo, "--depth", depth, "--save", target)
        assert out.endswith(f"saved {target}\n")
        assert "voxels filled" in out
        meshes.append(read_mesh(target))
    solid = meshes.pop()  # STL: three corners for each face
    np.testing.assert_allclose(solid.vertices, meshes[0].vertices[meshes[0].faces.ravel()], atol=1e-5)
    for mesh in meshes[1:]:
        np.testing.assert_allclose(mesh.vertices, meshes[0].vertices, atol=1e-5)
        np.testing.assert_array_equal(mesh.faces, meshes[0].faces)
    low, high = meshes[0].vertices.min(axis=0), meshes[0].vertices.max(axis=0)
    assert (high - low > 0.4).all()
    assert (low >= -1.05).all()
    assert (high <= 1.05).all()


def test_a_turntable_and_a_picture(voxel_bundle, frame, tmp_path, capsys, monkeypatch):
    from sdk_build.predict import depth_to_voxels as predict_depth

    monkeypatch.setattr(predict_depth, "TURNTABLE_FRAMES", 6)
    monkeypatch.setattr(predict_depth, "TURNTABLE_SIDE", 64)
    photo, depth = frame
    run(capsys, voxel_bundle, photo, "--depth", depth, "--save", tmp_path / "head.gif")
    with Image.open(tmp_path / "head.gif") as opened:
        assert (opened.format, opened.n_frames, opened.size) == ("GIF", 6, (64, 64))
        first = np.array(opened.convert("RGB"))
        opened.seek(2)
        assert abs(np.array(opened.convert("RGB")).astype(int) - first).mean() > 2  # it turns
    run(capsys, voxel_bundle, photo, "--depth", depth, "--save", tmp_path / "head.png")
    assert read(tmp_path / "head.png").shape == (440, 5 * 400, 3)  # picture, depth and three views
    run(capsys, voxel_bundle, depth, "--depth-reach", "300", "--save", tmp_path / "alone.png")
    assert read(tmp_path / "alone.png").shape == (440, 4 * 400, 3)


def test_units_sizes_and_sides_of_the_sensor_give_the_same_solid(voxel_bundle, frame, tmp_path, capsys):
    photo, depth = frame
    millimetres = read(depth)
    expected = filled(run(capsys, voxel_bundle, photo, "--depth", depth, "--json"))
    assert 10_000 < expected < 150_000
    height, width = millimetres.shape
    millimetres.tofile(tmp_path / "a.raw")
    metres = np.where(millimetres == 0, np.nan, millimetres / 1000).astype(np.float32)
    metres.tofile(tmp_path / "b.bin")
    np.save(tmp_path / "c.npy", np.rot90(metres))
    Image.fromarray(5 * millimetres).save(tmp_path / "d.png")
    Image.fromarray(10 * millimetres).save(tmp_path / "e.png")
    size = ("--depth-size", f"{width}x{height}")
    for options in (
        ("a.raw", *size),
        ("b.bin", *size, "--depth-type", "float32", "--depth-unit", "m"),
        ("c.npy", "--depth-turn", "270"),
        ("d.png", "--depth-scale", "1/5000m"),
        ("e.png", "--depth-scale", "0.1"),
    ):
        out = run(capsys, voxel_bundle, photo, "--depth", tmp_path / options[0], *options[1:], "--json")
        assert abs(filled(out) / expected - 1) < 0.01, options
    half = np.ascontiguousarray(millimetres[::2, ::2])  # a sensor of half the resolution
    Image.fromarray(half).save(tmp_path / "half.png")
    out = run(capsys, voxel_bundle, photo, "--depth", tmp_path / "half.png", "--json")
    assert abs(filled(out) / expected - 1) < 0.1


def test_the_box_of_another_object_and_the_document_s_own_fit(voxel_bundle, frame, capsys):
    photo, depth = frame
    whole = filled(run(capsys, voxel_bundle, photo, "--depth", depth, "--depth-reach", "300", "--json"))
    boxed = filled(run(capsys, voxel_bundle, photo, "--depth", depth, "--box=20,20,60,60", "--json"))
    cropped = filled(run(capsys, voxel_bundle, photo, "--depth", depth, "--depth-fit", "crop", "--json"))
    assert len({whole, boxed, cropped}) == 3


def test_a_depth_map_alone_as_before(voxel_bundle, tmp_path, capsys):
    out = run(capsys, voxel_bundle, DEPTH, "--save", tmp_path / "out.glb")
    assert "voxels filled; " in out
    assert "px (assumed; give --focal)  (litert)" in out
    assert read_mesh(tmp_path / "out.glb").faces.max() > 1000


def test_bad_frames_are_named_in_one_line(voxel_bundle, frame, tmp_path, fails):
    photo, depth = frame
    millimetres = read(depth)
    height, width = millimetres.shape

    def save(name, values):
        Image.fromarray(values).save(tmp_path / name)
        return tmp_path / name

    wall = save("wall.png", np.full((height, width, 3), 120, np.uint8))
    zero = save("zero.png", np.zeros((height, width), np.uint16))
    metres = save("metres.png", np.full((height, width), 1, np.uint16))
    tenths = save("tenths.png", 10 * millimetres)
    wide = save("wide.png", np.full((60, 120), 500, np.uint16))
    holes = millimetres.copy()
    holes[: height // 2] = 0
    half = save("half.png", holes)
    np.save(tmp_path / "nan.npy", np.full((height, width), np.nan, np.float32))
    outside = f"--box={width + 10},0,{width + 50},40"
    for arguments, *parts in (
        ([photo, "--depth", zero], "is 0 everywhere: no depth was measured"),
        ([photo, "--depth", tmp_path / "nan.npy"], "is NaN at", "no depth was measured"),
        ([photo, "--depth", metres], "they look like metres: give --depth-unit m"),
        ([photo, "--depth", depth, "--depth-unit", "m"], "they look like millimetres: give --depth-unit mm"),
        ([photo, "--depth", wide], f"picture is {width}x{height} and depth 120x60; allowed: the same aspect ratio"),
        ([photo, "--depth", depth, outside], "box is (", f"inside the {width}x{height} picture"),
        ([photo, "--depth", half, "--box=60,30,110,70"], "only holes; choose a box"),
        ([wall, "--depth", depth], "no face found in", "give a box around the object"),
        ([photo, "--depth", tmp_path / "none.png"], "no depth map"),
        ([tmp_path / "none.png", "--depth", depth], "no picture"),
        ([depth, "--depth", photo], "16-bit grey, a depth map; this model takes 8-bit pictures"),
        ([photo], "is RGB; a depth map is 16-bit grey"),
        ([photo, "--depth", depth, "--depth-turn", "45"], "--depth-turn is 45; allowed: 90, 180 or 270"),
        ([photo, "--depth", depth, "--depth-reach", "-3"], "--depth-reach is -3.0; allowed: a distance above 0"),
        ([photo, "--depth", depth, "--depth-size", "640*480"], "--depth-size is '640*480'; allowed: WIDTHxHEIGHT"),
        ([photo, "--depth", depth, "--depth-type", "int8"], "depth type is 'int8'; allowed: uint16"),
        ([photo, "--depth", depth, "--depth-unit", "cm"], "depth unit is 'cm'; allowed: mm, m, 1/m"),
        ([photo, "--depth", depth, "--depth-scale", "0"], "depth scale is '0'; allowed: millimetres of one unit"),
        ([photo, "--depth", depth, "--depth-unit", "m", "--depth-scale", "cm"], "were given; leave out one"),
        ([photo, "--depth", tenths], "they look like 0.1mm (", "give --depth-scale 0.1mm"),
    ):
        fails(predict.main, [voxel_bundle, *arguments, "--save", tmp_path / "out.glb"], 2, "BadInput: ", *parts)
    assert not (tmp_path / "out.glb").exists()
    fails(predict.main, [voxel_bundle, photo, wall, "--depth", depth], 2, "--depth is one depth map for 2 pictures")


def test_options_of_depth_are_refused_by_other_models(web_bundle, frame, tmp_path, fails):
    photo, depth = frame
    for option, value in (("--depth", depth), ("--depth-turn", "90"), ("--depth-fit", "crop")):
        fails(predict.main, [web_bundle, photo, option, value], 2, f"{option} is for models that take depth")
    for name in ("out.glb", "out.gif"):
        fails(predict.main, [web_bundle, photo, "--save", tmp_path / name], 2, "gives no solid: give an ending such as")


def test_a_mesh_that_can_not_be_written(voxel_bundle, frame, fails):
    photo, depth = frame
    for name in ("head.ply", "head.gif"):
        arguments = [voxel_bundle, photo, "--depth", depth, "--save", f"/dev/null/{name}"]
        fails(predict.main, arguments, 2, f"can't write /dev/null/{name}", "writable folder")


def solid(out):
    (entry,) = json.loads(out)["predictions"]
    return entry["results"][0]


def test_a_mesh_before_the_camera(voxel_bundle, frame, tmp_path, capsys):
    photo, depth = frame
    millimetres = read(depth)
    height, width = millimetres.shape
    focal = 0.8 * width
    (tmp_path / "camera.json").write_text(json.dumps({"focal_px": 2 * focal, "size_px": [2 * width, 2 * height]}))
    told = {}
    for name, options in (
        ("focal", ("--focal", focal, "--principal", f"{(width - 1) / 2},{(height - 1) / 2}")),
        ("file", ("--camera", tmp_path / "camera.json")),
        ("off", ("--focal", focal, "--fuse", "off")),
        ("cube", ("--focal", focal, "--space", "cube")),
    ):
        target = tmp_path / f"{name}.ply"
        out = run(capsys, voxel_bundle, photo, "--depth", depth, *options, "--save", target, "--json")
        told[name] = (solid(out), read_mesh(target))
    result, mesh = told["focal"]
    assert (result["space"], result["fused"], result["camera"]["assumed"]) == ("camera", True, False)
    assert mesh.colors is not None
    # The nearest point lies where it was measured, to a few millimetres of smoothing.
    assert -float(mesh.vertices[:, 2].max()) == pytest.approx(np.min(millimetres[millimetres > 0]), abs=8)
    np.testing.assert_allclose(told["file"][1].vertices, mesh.vertices, atol=0.01)
    assert told["off"][0]["fused"] is False
    assert len(told["off"][1].vertices) != len(mesh.vertices)
    assert told["cube"][0]["space"] == "cube"
    assert float(np.abs(told["cube"][1].vertices).max()) < 2
    assert len(told["cube"][1].vertices) == len(mesh.vertices)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--focal", "0"), "--focal is 0.0"),
        (("--focal", "4.2"), "focal length is 4.2 pixels"),
        (("--principal", "3,4"), "without --focal"),
        (("--focal", "100", "--principal", "3"), "allowed: X,Y"),
        (("--focal", "100", "--principal=-3,4"), "allowed: inside it"),
        (("--focal", "100", "--camera", "camera.json"), "leave out one"),
        (("--camera", "none.json"), "no camera file none.json"),
    ],
)
def test_cameras_that_can_t_be(voxel_bundle, frame, options, message, capsys):
    photo, depth = frame
    code = predict.main([str(a) for a in (voxel_bundle, photo, "--depth", depth, *options)])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
