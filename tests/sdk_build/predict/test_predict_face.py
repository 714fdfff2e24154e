"""Face meshes from predict: files, pictures and clear refusals."""

import io
import json
import struct
from argparse import Namespace
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from reference.errors import BadInput
from reference.geometry.face_topology import load_topology
from reference.geometry.mesh_text import read_obj
from reference.inputs.preprocess import Region
from reference.networks import face3d
from reference.pipelines.face_depth import MeasuredFace
from reference.pipelines.face_sheet import load_sheet
from reference.pipelines.face_texture import make_texture
from reference.pipelines.reconstruction import draw_faces, draw_views, save_mesh, to_glb
from reference.tasks.face_reconstruction import FaceMesh
from sdk_build.predict.__main__ import DEPTH_OPTIONS, check_options
from sdk_build.predict.base import Prediction
from sdk_build.predict.face_reconstruction import VIEW, describe, draw, predict_face_meshes
from sdk_build.predict.saving import save_all


@pytest.fixture(scope="module")
def face():
    mean = load_topology().mean
    vertices = mean * np.array([60, -60, 60], np.float32) + np.array([80, 90, 0], np.float32)
    center = np.array([80, 90], np.float32)
    return FaceMesh(vertices, mean, np.eye(3, dtype=np.float32), 60.0, center, Region(0, 0, 160, 160))


@pytest.fixture(scope="module")
def picture():
    ramp = np.linspace(0, 255, 160).astype(np.uint8)
    return np.stack([np.tile(ramp, (170, 1)), np.full((170, 160), 90, np.uint8), np.full((170, 160), 30, np.uint8)], 2)


def parts_of(content):
    magic, version, length, size, kind = struct.unpack_from("<4sIIII", content)
    assert (magic, version, length, kind) == (b"glTF", 2, len(content), 0x4E4F534A)
    return json.loads(content[20 : 20 + size]), content[28 + size :]


def test_the_glb_holds_mesh_texture_and_pose(face, picture):
    document, binary = parts_of(to_glb(face, picture))
    views = [binary[v["byteOffset"] :][: v["byteLength"]] for v in document["bufferViews"]]
    assert document["buffers"][0]["byteLength"] == len(binary)
    vertices = np.frombuffer(views[0], np.float32).reshape(-1, 3)
    sheet = load_sheet()
    straight = np.isin(np.arange(face3d.VERTICES), sheet.edge)
    np.testing.assert_allclose(
        vertices[: face3d.VERTICES][~straight], face.neutral[~straight] / 10, atol=1e-5
    )  # metres
    assert np.ptp(vertices[sheet.edge, 1]) < 1e-6  # a straight lower edge
    np.testing.assert_allclose(np.linalg.norm(np.frombuffer(views[1], np.float32).reshape(-1, 3), axis=1), 1, atol=1e-4)
    faces = np.frombuffer(views[3], np.uint16).reshape(-1, 3)
    np.testing.assert_array_equal(faces[: len(load_topology().faces)], load_topology().faces)
    assert len(faces) > len(load_topology().faces)
    texture = np.array(Image.open(io.BytesIO(views[4])))
    places = np.frombuffer(views[2], np.float32).reshape(-1, 2)
    # The tip of the nose has the colour that the picture has there.
    x, y = (places[30] * texture.shape[1::-1]).astype(int)
    at = face.vertices_px[30].astype(int)
    assert abs(int(texture[y, x, 0]) - int(picture[at[1], at[0], 0])) <= 6
    assert texture.shape == (1024, 1024, 3)
    assert document["nodes"][0]["extras"]["pose_degrees"]["yaw"] == pytest.approx(0)


def test_texture_places_stay_inside_when_the_face_leaves_the_picture(face, picture):
    assert make_texture(face, picture[:60, :70]).shape == (1024, 1024, 3)
    draw_faces(picture[:60, :70], [face])


def test_files_are_chosen_by_their_ending(face, picture, tmp_path, refused):
    save_mesh(face, picture, tmp_path / "new" / "face.glb")
    save_mesh(face, picture, tmp_path / "face.obj")
    mesh = read_obj(tmp_path / "face.obj")
    assert len(mesh.vertices) == len(load_sheet().places)
    assert (tmp_path / "face.mtl").read_text().endswith("map_Kd face.png\n")
    with Image.open(tmp_path / "face.png") as opened:
        assert opened.size == (1024, 1024)
    with refused(BadInput, "face.stl ends in .stl", ".glb or .obj"):
        save_mesh(face, picture, tmp_path / "face.stl")
    (tmp_path / "taken").write_text("")
    with refused(BadInput, "can't write", "writable folder"):
        save_mesh(face, picture, tmp_path / "taken" / "face.glb")


def test_predictions_become_meshes_pictures_and_a_line(face, picture, tmp_path):
    prediction = Prediction(Path("photo.jpg"), (face, face), picture, "here")
    assert describe(prediction) == "2 faces; the largest: yaw 0, pitch 0, roll 0 degrees"
    assert save_all(VIEW, [prediction], tmp_path / "out.glb", None, False) == [tmp_path / "out.glb"]
    assert (tmp_path / "out.glb").stat().st_size > 50_000
    drawn = draw(Prediction(Path("photo.jpg"), (face,), picture, "here"), False)
    assert drawn.shape[1] > 2 * drawn.shape[0] * 0.9
    assert save_all(VIEW, [prediction], tmp_path / "out.png", None, False) == [tmp_path / "out.png"]
    views = draw_views(face, picture, 64)
    assert [v.shape for v in views] == [(64, 64, 3)] * 3
    assert np.abs(views[0].astype(int) - views[2]).mean() > 3


def test_a_picture_without_a_face_is_refused_by_name(tmp_path, refused):
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(tmp_path / "wall.png")
    with refused(BadInput, "no face found in", "wall.png", "--box"):
        predict_face_meshes(face3d.SPEC, "litert", tmp_path / "none", [tmp_path / "wall.png"], None)


def test_a_box_outside_the_picture_is_refused(tmp_path, refused):
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(tmp_path / "wall.png")
    with refused(BadInput, "box"):
        predict_face_meshes(face3d.SPEC, "litert", tmp_path / "none", [tmp_path / "wall.png"], (100, 100, 120, 120))


def test_a_measured_face_says_how_far_away_it_is(face, picture):
    points = np.asarray(face.neutral * 100 + [0, 0, -700], np.float32)
    own = {field.name: getattr(face, field.name) for field in fields(FaceMesh)}
    numbers = {"moved_mm": 2.0, "left_mm": 0.5, "focal_px": 500.0}
    measured = MeasuredFace(**own, points_mm=points, measured=points[:, 2] > -700, **numbers)
    said = describe(Prediction(Path("photo.jpg"), (measured,), picture, "here"))
    assert said.endswith(" mm away, 0.5 mm off the measured surface")
    assumed = describe(Prediction(Path("photo.jpg"), (replace(measured, assumed=True),), picture, "here"))
    assert assumed == said + "; focal length assumed, give --focal"
    np.testing.assert_allclose(np.ptp(measured.shape, axis=0), np.ptp(face.neutral, axis=0), rtol=1e-4)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"depth": Path("d.png"), "focal": 525.0}, ""),
        ({"focal": 525.0}, "--focal says how to read a depth map; give it with --depth"),
        ({"depth": Path("d.png"), "fuse": "off"}, "--fuse is for models that take depth"),
        ({"depth": Path("d.png"), "files": [Path("film.mp4")]}, "--depth is one depth map, film.mp4 a video"),
    ],
    ids=["depth", "camera alone", "of solids", "a video"],
)
def test_options_of_depth_maps(given, part, refused):
    spec = SimpleNamespace(preprocess=face3d.SPEC.preprocess)
    bundle = SimpleNamespace(manifest=SimpleNamespace(id="face3d-web-fp16", labels=(), sounds=(), spec=spec))
    options = {**dict.fromkeys(DEPTH_OPTIONS), "depth_turn": 0, "depth_fit": "scale", "fuse": "on"}
    helpers = dict.fromkeys(("detector", "refined", "detector_refined"))
    others = {"sheet": None, "audio": False, "label": "beside", "tiles": 1, "any_roll": False, "smooth": None}
    asked = {**options, **helpers, **others, "files": [Path("a.png")], "save": None, "box": None, **given}
    if not part:
        check_options(bundle, VIEW, Namespace(**asked))
        return
    with refused(BadInput, part):
        check_options(bundle, VIEW, Namespace(**asked))
