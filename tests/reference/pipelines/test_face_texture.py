"""A face's map from a painted photograph: what is shown, what is mirrored, and what nothing shows."""

import numpy as np
import pytest

from reference.geometry.face_topology import load_topology
from reference.geometry.mesh import rotation
from reference.inputs.preprocess import Region
from reference.pipelines.face_sheet import load_sheet
from reference.pipelines.face_texture import SIZE, make_texture
from reference.tasks.face_reconstruction import FaceMesh

SKIN, WALL = np.array([200, 150, 120]), np.array([0, 255, 0])


def turned(yaw):
    mean = load_topology().mean
    turn = rotation(yaw, 0, 0)[:3, :3].astype(np.float32)
    placed = (mean @ turn.T) * np.array([60, -60, 60], np.float32) + np.array([120, 110, 0], np.float32)
    return FaceMesh(placed, mean, turn, 60.0, np.array([120, 110], np.float32), Region(0, 0, 240, 240))


def photograph(face, mark=None):
    """Skin where the face is, a green wall beside it; and a blue mark at one landmark."""
    picture = np.tile(WALL.astype(np.uint8), (240, 240, 1))
    y, x = np.mgrid[:240, :240]
    jaw = face.landmarks_px[:27]
    low, high = jaw.min(0) - 8, jaw.max(0) + np.array([8, 0])  # temples are wider than the jaw
    inside = (x > low[0]) & (x < high[0]) & (y > low[1] - 60) & (y < high[1] + 3)
    picture[inside] = SKIN
    if mark is not None:
        at = face.vertices_px[mark, :2]
        picture[(x - at[0]) ** 2 + (y - at[1]) ** 2 < 36] = (20, 20, 220)
    return picture


def color_at(texture, vertex):
    x, y = (load_sheet().places[vertex] * SIZE).astype(int)
    return texture[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)


def test_the_sheet_closes_every_hole_but_the_outer_edge():
    sheet = load_sheet()
    faces = sheet.faces.copy()
    for number, of in enumerate(sheet.copies):  # copies are the same place
        faces[faces == len(load_topology().mean) + number] = of
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    open_points = np.unique(unique[count == 1])
    points = load_topology().mean[open_points[open_points < len(load_topology().mean)]]
    near_mouth = (np.abs(points[:, 0]) < 0.4) & (np.abs(points[:, 1] + 0.3) < 0.3) & (points[:, 2] > 0)
    assert not near_mouth.any()


def test_the_map_is_mirrored_as_the_face_is():
    places = load_sheet().places
    for left, right in ((36, 45), (48, 54), (31, 35), (0, 16)):
        np.testing.assert_allclose(places[left, 0], 1 - places[right, 0], atol=0.01)
        np.testing.assert_allclose(places[left, 1], places[right, 1], atol=0.01)


@pytest.mark.parametrize("yaw", [0, 35, -35])
def test_nothing_of_the_wall_gets_onto_the_face(yaw):
    face = turned(yaw)
    texture = make_texture(face, photograph(face)).astype(int)
    green = (texture[..., 1] > texture[..., 0] + 20).mean()
    assert green < 0.001


def test_what_a_turned_face_hides_is_the_other_side_s():
    face = turned(45)  # its left side (in the picture's right) is turned away
    shown = make_texture(face, photograph(face, 36))
    assert color_at(shown, 36)[2] > 180
    assert color_at(shown, 45)[2] > 180  # mirrored
    frontal = turned(0)
    own = make_texture(frontal, photograph(frontal, 36))
    assert color_at(own, 36)[2] > 180
    assert color_at(own, 45)[2] < 140  # a face that shows both sides keeps both


def test_the_upright_mesh_has_a_straight_lower_edge():
    sheet = load_sheet()
    upright = sheet.upright(load_topology().mean)
    assert len(sheet.edge) > 20
    assert np.ptp(upright[sheet.edge, 1]) == 0
    assert len(upright) == len(sheet.places) == sheet.faces.max() + 1
