"""Marching cubes there and back, and pictures."""

from dataclasses import replace

import numpy as np
import pytest
from shapes import cube, ellipsoid, head

from reference.errors import BadInput
from reference.geometry.mesh import Mesh, face_normals, rotation, transform
from reference.geometry.raster import depth_image
from reference.geometry.surface import shade, smooth, turntable, voxels_to_mesh
from reference.geometry.voxelize import iou, voxelize


def volume(mesh: Mesh) -> float:
    """Signed volume of a closed mesh; positive if its faces point outwards."""
    return float((mesh.vertices[mesh.faces].astype(np.float64).mean(axis=1) * face_normals(mesh)).sum() / 6)


def test_round_trip_of_voxels():
    voxels = voxelize(transform(head(), rotation(20, 10, 5)), 48)
    # The surface a little inside the filled voxels, so that on their border it doesn't fill the neighbours.
    again = voxelize(voxels_to_mesh(voxels.astype(np.float32), threshold=0.75), 48)
    agreement = iou(again, voxels)
    assert agreement > 0.92
    shifted = [iou(np.roll(again, step, axis), voxels) for axis in range(3) for step in (-1, 1)]
    assert agreement > max(shifted)


def test_surface_of_a_soft_ball_has_its_size_place_and_outward_faces():
    centre = (np.arange(32) + 0.5) / 16 - 1
    z, y, x = np.meshgrid(-centre, -centre, centre, indexing="ij")
    distance = np.sqrt((x - 0.3) ** 2 + (y - 0.2) ** 2 + (z + 0.1) ** 2)
    mesh = voxels_to_mesh(np.clip(0.5 - (distance - 0.5) * 8, 0, 1))
    assert mesh.vertices.mean(axis=0) == pytest.approx([0.3, 0.2, -0.1], abs=0.01)
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi * 0.125, rel=0.02)


def test_full_grid_gives_a_closed_surface():
    mesh = voxels_to_mesh(np.ones((8, 8, 8), np.float32))
    assert volume(mesh) == pytest.approx(8, rel=0.05)
    assert abs(mesh.vertices).max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("occupancy", "threshold", "message"),
    [
        (np.zeros((4, 4, 4)), 0.5, "occupancy reaches 0.000, allowed is above the threshold 0.5; lower"),
        (np.ones((4, 4, 5)), 0.5, r"occupancy has shape \(4, 4, 5\), allowed is \(S, S, S\)"),
        (np.ones((4, 4, 4)), 1.0, "threshold is 1.0, allowed is between 0 and 1"),
    ],
)
def test_bad_occupancy(occupancy, threshold, message):
    with pytest.raises(BadInput, match=message):
        voxels_to_mesh(occupancy, threshold)


def test_smoothing_evens_steps_and_keeps_the_volume():
    rough = voxels_to_mesh(voxelize(ellipsoid(), 32).astype(np.float32))
    even = smooth(rough)
    assert volume(even) == pytest.approx(volume(rough), rel=0.02)
    spread = [np.linalg.norm(mesh.vertices, axis=1).std() for mesh in (rough, even)]
    assert spread[1] < 0.5 * spread[0]


@pytest.mark.parametrize("dark", [False, True])
def test_shade_draws_the_silhouette_on_a_plain_ground(dark):
    picture = shade(ellipsoid(), 64, dark=dark)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    brightness = picture.mean(axis=2)
    assert (brightness[0, 0] < 80) == dark
    assert np.ptp(brightness[0]) == 0
    assert brightness[20, 22] > brightness[50, 42]  # the key light comes from the upper left


def test_shade_lights_both_sides_alike():
    mesh = ellipsoid()
    np.testing.assert_array_equal(shade(mesh, 32), shade(replace(mesh, faces=mesh.faces[:, ::-1]), 32))


def test_shade_uses_vertex_colors():
    mesh = cube()
    red = replace(mesh, colors=np.tile(np.array([255, 0, 0], np.uint8), (8, 1)))
    r, g, b = shade(red, 32)[16, 16]
    assert r > 100
    assert max(g, b) < 20


def test_yaw_turns_the_nose_to_the_right():
    depths = [depth_image(transform(head(), rotation(yaw, 0, 0)), 32) for yaw in (-25, 25)]
    nose_col = [int(np.nanargmax(depth)) % 32 for depth in depths]
    assert nose_col[0] < 12
    assert nose_col[1] > 20


def test_turntable_starts_at_the_front_and_keeps_the_scale():
    pictures = turntable(ellipsoid((0.5, 0.8, 0.5)), 4, size=48)
    assert len(pictures) == 4
    np.testing.assert_array_equal(pictures[0], shade(ellipsoid((0.5, 0.8, 0.5)), 48))
    heights = [(abs(p[:, 24].astype(int) - p[:, 0]).sum(axis=1) > 20).sum() for p in pictures]
    assert max(heights) - min(heights) <= 1
