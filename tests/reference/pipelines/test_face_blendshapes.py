"""ARKit's blend shapes on the face mesh, and in its file."""

import json
import struct
from dataclasses import fields

import numpy as np
import pytest

from reference.errors import BadInput
from reference.geometry.face_topology import REGIONS, load_topology
from reference.geometry.glb import accessor, read_glb
from reference.pipelines import face_blendshapes
from reference.pipelines.face_blendshapes import NAMES, build_blendshapes, load_blendshapes, main
from reference.pipelines.face_depth import MeasuredFace
from reference.pipelines.face_sheet import load_sheet
from reference.pipelines.face_texture import SIZE, make_texture
from reference.pipelines.reconstruction import blendshapes, to_glb
from reference.tasks.face_reconstruction import FaceMesh
from tests.reference.pipelines.test_face_texture import photograph, turned

MEAN = load_topology().mean
UPPER_LID, LOWER_LID, CHIN, NOSE, LIPS = (43, 44), (47, 46), 8, 30, (62, 66)  # the left eye's, as 300-W numbers them


def test_all_of_arkit_but_the_tongue():
    assert len(NAMES) == 51 == len(set(NAMES)) and "tongueOut" not in NAMES
    assert all(len([n for n in NAMES if n.startswith(part)]) == count for part, count in (
        ("eye", 14), ("jaw", 4), ("mouth", 23), ("brow", 5), ("cheek", 3), ("nose", 2)))  # fmt: skip
    assert all(np.abs(shape).max() > 0.005 for shape in load_blendshapes().values())


@pytest.mark.parametrize(
    "name", sorted({n.removesuffix("Left") for n in NAMES if n.endswith("Left")} - {"jaw", "mouth"})
)
def test_left_is_the_persons_and_right_its_mirror_image(name):
    shapes = load_blendshapes()
    left, right = (np.linalg.norm(shapes[name + side], axis=1) for side in ("Left", "Right"))
    assert (MEAN[:, 0] * left).sum() > 0 > (MEAN[:, 0] * right).sum()
    assert left.max() == pytest.approx(right.max(), rel=0.15)


def test_what_a_shape_is_called_is_what_it_does():
    shapes = load_blendshapes()
    gap = [MEAN[list(UPPER_LID), 1] - MEAN[list(LOWER_LID), 1]]
    shut = MEAN + shapes["eyeBlinkLeft"]
    assert (shut[list(UPPER_LID), 1] - shut[list(LOWER_LID), 1] < 0.25 * gap[0]).all()
    assert shapes["jawOpen"][CHIN, 1] < -0.1 and abs(shapes["jawOpen"][NOSE]).max() < 0.01
    assert shapes["jawLeft"][CHIN, 0] > 0.02 and shapes["jawForward"][CHIN, 2] > 0.02
    assert shapes["mouthSmileLeft"][54, 1] > 0.02 and shapes["mouthFrownLeft"][54, 1] < -0.02
    # ARKit: lips together while the jaw is open.
    wide, closed = (MEAN + shapes["jawOpen"] + share * shapes["mouthClose"] for share in (0, 1))
    gaps = [np.linalg.norm(shape[LIPS[0]] - shape[LIPS[1]]) for shape in (wide, closed)]
    assert gaps[1] < 0.25 * gaps[0] and gaps[0] > 0.3
    brows = load_topology().regions == REGIONS.index("brows")
    assert shapes["browInnerUp"][brows, 1].mean() > 0.01 > -0.01 > shapes["browDownLeft"][brows, 1].mean()


def test_the_file_holds_them_by_their_names(tmp_path):
    face = turned(0)
    content = to_glb(face, photograph(face))
    (tmp_path / "face.glb").write_bytes(content)
    document = json.loads(content[20 : 20 + struct.unpack_from("<I", content, 12)[0]])
    mesh = document["meshes"][0]
    assert mesh["extras"]["targetNames"] == [*NAMES, "neutral"] and mesh["weights"] == [0.0] * 52
    glb, sheet = read_glb(tmp_path / "face.glb", "mesh", ".glb"), load_sheet()
    targets = [t["POSITION"] for t in mesh["primitives"][0]["targets"]]
    moved = accessor(glb, targets[mesh["extras"]["targetNames"].index("jawOpen")])
    bound = document["accessors"][targets[0]]
    assert set(bound) >= {"min", "max", "sparse"} and bound["count"] == len(sheet.places)
    free = ~np.isin(np.arange(len(MEAN)), sheet.edge)  # the neck's edge is kept straight
    np.testing.assert_allclose(moved[: len(MEAN)][free], load_blendshapes()["jawOpen"][free] / 10, atol=1e-6)
    np.testing.assert_allclose(accessor(glb, targets[-1]), 0, atol=1e-6)  # this face is neutral
    assert len(content) < 1_500_000


def test_neutral_takes_the_expression_away():
    smiling = turned(0)
    smiling.vertices_px[:, 1] -= 60 * load_blendshapes()["mouthSmileLeft"][:, 1]
    away = blendshapes(smiling)["neutral"]
    assert away[54, 1] < -0.02
    np.testing.assert_allclose(smiling.shape[:68] + away[:68], smiling.neutral[:68], atol=1e-4)


def test_a_measured_face_moves_in_its_own_size():
    face = turned(0)
    own = {field.name: getattr(face, field.name) for field in fields(FaceMesh)}
    child = MeasuredFace(
        **own,
        points_mm=80 * MEAN + [0, 0, -500],
        measured=np.ones(len(MEAN), bool),
        moved_mm=0,
        left_mm=0,
        focal_px=500,
    )
    np.testing.assert_allclose(blendshapes(child)["jawOpen"], 0.8 * blendshapes(face)["jawOpen"], atol=1e-4)


def test_a_lid_does_not_take_the_colour_of_the_eye_below_it():
    face = turned(0)
    picture = photograph(face)
    corner, other = face.vertices_px[42, :2], face.vertices_px[45, :2]
    y, x = np.mgrid[:240, :240]
    middle = (corner + other) / 2
    picture[(x - middle[0]) ** 2 + (y - middle[1]) ** 2 < (np.linalg.norm(other - corner) / 2) ** 2] = (10, 10, 10)
    sheet, texture = load_sheet(), make_texture(face, picture)
    share = np.linalg.norm(load_blendshapes()["eyeBlinkLeft"], axis=1)
    lid = np.flatnonzero((share > 0.45 * share.max()) & (share < 0.8 * share.max()))
    columns, rows = (sheet.places[lid] * SIZE).astype(int).T
    assert len(lid) > 5 and np.median(texture[rows, columns].mean(axis=1)) > 60


def test_the_stored_file_comes_from_the_head_model(tmp_path, capsys):
    random = np.random.default_rng(0)
    source = int(load_topology().source.max()) + 1
    names = [f"{n}_{s}" for n in (*face_blendshapes.SIDED, "browInnerUp", "cheekPuff") for s in "LR"]
    names += [n for n in face_blendshapes.WHOLE if n not in ("browInnerUp", "cheekPuff")]
    expression = np.zeros((len(names), source, 3), np.float16)
    expression[:, load_topology().source[:9]] = random.normal(size=(len(names), 9, 3))
    np.savez(tmp_path / "heads.npz", expression=expression, expr_names=np.array(names))
    stored = build_blendshapes(tmp_path / "heads.npz")
    np.testing.assert_array_equal(stored["eyeBlinkLeft.vertices"], np.arange(9))
    both = expression[[names.index("cheekPuff_L"), names.index("cheekPuff_R")]].astype(np.float32).sum(0) / 10
    np.testing.assert_allclose(stored["cheekPuff.offsets"], both[load_topology().source[:9]], atol=1e-3)
    assert main([str(tmp_path / "heads.npz"), "--out", str(tmp_path / "made.safetensors")]) == 0
    assert main([str(tmp_path / "none.npz")]) == 2 and "ict_facekit.npz" in capsys.readouterr().err


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "cut").write_bytes(face_blendshapes.STORED.read_bytes()[:5000])
    monkeypatch.setattr(face_blendshapes, "STORED", tmp_path / "cut")
    load_blendshapes.cache_clear()
    with pytest.raises(BadInput, match="restore it from the repository"):
        load_blendshapes()
    load_blendshapes.cache_clear()
