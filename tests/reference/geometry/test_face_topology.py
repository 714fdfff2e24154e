"""The stored face mesh, and landmarks that follow the outline."""

import numpy as np
import pytest

from reference.errors import BadInput
from reference.geometry import face_topology
from reference.geometry.face_topology import (
    JAW,
    LANDMARKS,
    REGIONS,
    landmark_vertices,
    load_topology,
    spread_vertices,
)
from reference.geometry.mesh import Mesh, rotation
from reference.networks.face3d import VERTICES


@pytest.fixture(scope="module")
def topology():
    return load_topology()


def seen_from(topology, yaw, pitch=0.0, roll=0.0):
    """(1, V, 3) in a picture: x right, y down."""
    turned = topology.mean @ rotation(yaw, pitch, roll)[:3, :3].T.astype(np.float32)
    return (turned * np.array([100, -100, 100]) + np.array([200, 200, 0]))[None]


def test_the_mesh_has_what_the_network_and_the_losses_need(topology):
    assert topology.mean.shape == (VERTICES, 3)
    mesh = Mesh(topology.mean, topology.faces)  # checks the numbers
    assert len(np.unique(mesh.faces)) == VERTICES
    assert set(topology.regions.tolist()) == set(range(len(REGIONS)))
    assert len(np.unique(topology.source)) == VERTICES
    np.testing.assert_allclose(topology.mean[:LANDMARKS].mean(0), 0, atol=1e-5)


def test_landmarks_are_where_a_face_has_them(topology):
    x, y, z = topology.mean[:LANDMARKS].T
    assert z[30] == z.max()  # the tip of the nose
    assert y[8] == y.min()  # the chin
    assert x[36] < x[39] < x[42] < x[45]  # eyes, from the picture's left
    assert np.abs(x[27:31]).max() < 0.05
    for name, first, end in (("eyes", 36, 48), ("brows", 17, 27), ("nose", 27, 36), ("mouth", 48, 68)):
        labels = [REGIONS[r] for r in topology.regions[first:end]]
        assert labels.count(name) >= 0.8 * len(labels), name


def test_most_triangles_look_out_of_the_face(topology):
    a, b, c = (topology.mean[topology.faces[:, i]] for i in range(3))
    front = topology.regions[topology.faces].min(1) > 0
    assert (np.cross(b - a, c - a)[front, 2] > 0).mean() > 0.8  # the others line the mouth


def test_a_face_that_looks_at_the_viewer_has_its_own_landmarks(topology):
    numbers = landmark_vertices(seen_from(topology, 0), topology)[0]
    assert (numbers[JAW:] == np.arange(JAW, LANDMARKS)).all()
    vertices = seen_from(topology, 0)[0]
    moved = np.linalg.norm(vertices[numbers, :2] - vertices[:LANDMARKS, :2], axis=1)
    assert moved.max() < 6  # of about 180 pixels between the jaw's ends


@pytest.mark.parametrize("roll", [0, 30, -50])
def test_the_far_jaw_of_a_turned_face_lies_on_the_outline(topology, roll):
    """Turned to the picture's right, the far side is the right one."""
    numbers = landmark_vertices(seen_from(topology, 50, 0, roll), topology)[0]
    upright = seen_from(topology, 50)[0]
    far, near = np.arange(11, 17), np.arange(0, 5)
    assert (upright[numbers[far], 0] >= upright[far, 0] - 1e-3).all()
    assert (upright[numbers[far], 0] - upright[far, 0]).max() > 10
    assert np.abs(upright[numbers[near], 0] - upright[near, 0]).max() < 6


def test_a_missing_or_other_file_is_refused(tmp_path, refused):
    with refused(BadInput, "can't read", "restore it"):
        load_topology(tmp_path / "none.safetensors")
    np.savez(tmp_path / "other.npz", neutral=np.zeros((3, 3)))
    with refused(BadInput, "other.npz is not ict_facekit.npz"):
        face_topology.build_topology(tmp_path / "other.npz")


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert face_topology.main([str(tmp_path / "none.npz")]) == 2
    assert "give the head model of the data pack" in capsys.readouterr().err


def test_spread_vertices_are_apart_and_on_the_face(topology):
    chosen = spread_vertices(topology, 150)
    assert len(set(chosen.tolist())) == 150
    assert chosen.min() >= LANDMARKS
    places = topology.mean[np.concatenate([np.arange(LANDMARKS), chosen])]
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(len(places))
    assert apart[LANDMARKS:].min() > 0.08  # decimetres: landmarks themselves are nearer to one another
    assert np.array_equal(spread_vertices(topology, 20), chosen[:20])  # more are added behind
