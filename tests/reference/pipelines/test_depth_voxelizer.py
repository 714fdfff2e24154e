"""RGB-D frames, rendered from small meshes, as the network's input; voxels as meshes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.card import MODELS_DIR
from reference.errors import BadInput
from reference.geometry.mesh import Mesh, triangulate
from reference.geometry.raster import depth_image
from reference.geometry.voxelize import crop_or_pad
from reference.inputs.preprocess import Region, load_picture, preprocess_depth
from reference.pipelines.depth import (
    HEAD_REACH_MM,
    check_box,
    clean_depth,
    crop_input,
    face_box,
    to_depth_pixels,
    to_mesh,
)
from reference.registry import get_spec
from reference.tasks.depth_to_voxels import VoxelGrid

SPEC = get_spec("voxel64").preprocess
WHOLE = Region(0, 0, 120, 90)


def ball(rings=24, radius=0.8):
    theta = np.linspace(0, np.pi, rings + 1)[:, None]
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)[None]
    unit = np.stack(np.broadcast_arrays(np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)), -1)
    i, j = (index.ravel() for index in np.mgrid[:rings, : 2 * rings])
    k, width = (j + 1) % (2 * rings), 2 * rings
    quads = np.stack([i * width + j, (i + 1) * width + j, (i + 1) * width + k, i * width + k], axis=1)
    return Mesh((unit.reshape(-1, 3) * radius).astype(np.float32), triangulate(quads.astype(np.int32)))


def frame(wall_mm=0.0):
    """(90, 120) millimetres: a ball of 64 x 64 pixels, 400 to 460 mm away, at (40, 10), perhaps before a wall."""
    surface_z = depth_image(ball(), 64)
    depth = np.full((90, 120), wall_mm, np.float32)
    seen = ~np.isnan(surface_z)
    depth[10:74, 40:104][seen] = 400 + (0.8 - surface_z[seen]) * 75
    return depth


BOX = (46.0, 16.0, 98.0, 68.0)  # the ball's own pixels


def test_a_wall_far_behind_becomes_a_hole():
    with_wall, alone = frame(1500), frame()
    np.testing.assert_array_equal(clean_depth(with_wall, WHOLE, HEAD_REACH_MM), clean_depth(alone, WHOLE))
    kept = clean_depth(with_wall, WHOLE)  # without a limit the wall stays
    assert (kept == 1500).sum() > 1000


def test_what_the_network_sees_does_not_depend_on_the_wall():
    seen = [preprocess_depth(clean_depth(frame(wall), WHOLE, 300), SPEC, BOX)[0] for wall in (0, 1500, 3000)]
    assert seen[0].max() == 1
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])


def test_flying_pixels_do_not_move_near_and_far():
    clean = frame()
    noisy = clean.copy()
    noisy[20, 45], noisy[40, 70], noisy[60:62, 55] = 120, 90, 5000
    cleaned = clean_depth(noisy, WHOLE, 300)
    assert cleaned[cleaned > 0].min() == clean[clean > 0].min()
    assert cleaned.max() == clean.max()


def test_small_holes_of_the_sensor_are_filled_from_around_them():
    whole = frame()
    holed = whole.copy()
    holed[40:45, 70:76] = 0
    filled = clean_depth(holed, WHOLE)
    np.testing.assert_allclose(filled[40:45, 70:76], whole[40:45, 70:76], atol=4)
    np.testing.assert_array_equal(filled[whole == 0], 0)


def test_large_holes_and_real_openings_stay_open():
    holed = frame()
    holed[30:50, 60:80] = 0  # large
    assert (clean_depth(holed, WHOLE)[30:50, 60:80] == 0).all()
    ring = frame()
    ring[40:44, 70:74] = 1500  # a wall seen through the object: measured, so the opening is real
    assert (clean_depth(ring, WHOLE, 300)[40:44, 70:74] == 0).all()


def test_only_the_region_is_kept():
    cleaned = clean_depth(frame(600), Region(30, 20, 50, 40))
    assert (cleaned[20:60, 30:80] > 0).all()
    assert cleaned.sum() == cleaned[20:60, 30:80].sum()


def test_a_region_that_reaches_beyond_the_frame():
    cleaned = clean_depth(frame(600), Region(-10, -20, 60, 60))
    assert (cleaned[:40, :50] > 0).all()
    assert not cleaned[40:].any()


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 0.3))
def test_cleaning_keeps_what_is_measured_or_makes_it_a_hole(seed, holes):
    rng = np.random.default_rng(seed)
    depth = frame(900)
    depth[rng.random(depth.shape) < holes] = 0
    cleaned = clean_depth(depth, WHOLE, 300)
    assert np.isfinite(cleaned).all()
    unchanged = (cleaned == depth) | (cleaned == 0)
    assert unchanged[depth > 0].all()
    object_mm = depth[(depth > 0) & (depth < 700)]
    assert cleaned[cleaned > 0].min() >= object_mm.min() - 5
    assert cleaned.max() <= object_mm.max() + 5


def test_nothing_but_holes_in_the_box(refused):
    with refused(BadInput, "depth is 0 at all 200 pixels of the box (0, 0, 20, 10): only holes; choose a box"):
        clean_depth(frame(), Region(0, 0, 20, 10))


def test_a_pixel_is_no_surface(refused):
    depth = np.zeros((40, 40), np.float32)
    depth[20, 20] = 500
    with refused(BadInput, "depth was measured at 1 of 1600 pixels of the box (0, 0, 40, 40)", "0.2% and more"):
        clean_depth(depth, Region(0, 0, 40, 40))


def test_single_pixels_are_better_than_nothing():
    depth = np.zeros((40, 40), np.float32)
    depth[::10, ::10] = 500
    assert (clean_depth(depth, Region(0, 0, 40, 40)) > 0).sum() == 16


def test_a_face_is_found_and_its_box_lies_in_the_picture():
    picture = load_picture(MODELS_DIR / "template_keypoints" / "golden" / "input_1.png")
    x0, y0, x1, y1 = face_box(picture)
    assert 0 <= x0 < x1 <= picture.shape[1]
    assert 0 <= y0 < y1 <= picture.shape[0]
    assert x1 - x0 > picture.shape[1] / 3


def test_no_face(refused):
    with refused(BadInput, "no face found in wall.jpg; give a box around the object, e.g. --box 120,80,420,460"):
        face_box(np.full((60, 80, 3), 90, np.uint8), "wall.jpg")


@pytest.mark.parametrize("box", [(9, 9, 9, 20), (20, 9, 10, 30), (500, 0, 600, 10), (-9, -9, -1, -1)])
def test_a_box_outside_the_frame(box, refused):
    with refused(BadInput, f"box is {box}; allowed: x0 < x1, y0 < y1, inside the 120x90 picture"):
        check_box(box, 120, 90)


def test_a_box_is_scaled_to_the_depth_maps_resolution():
    assert to_depth_pixels((144, 108, 288, 216), (1440, 1080), (640, 480)) == pytest.approx((64, 48, 128, 96))
    assert to_depth_pixels((1, 2, 3, 4), (640, 480), (640, 480)) == (1, 2, 3, 4)


def test_depth_of_another_view_is_refused(refused):
    with refused(BadInput, "picture is 640x480 and depth 320x320; allowed: the same aspect ratio; cut both to one"):
        to_depth_pixels((0, 0, 9, 9), (640, 480), (320, 320))
    with refused(BadInput, "the depth map lies on its side: give --depth-turn 90 or 270"):
        to_depth_pixels((0, 0, 9, 9), (480, 640), (640, 480))


@pytest.mark.parametrize("box", [BOX, (60.0, 30.0, 90.0, 60.0), (0.0, 0.0, 120.0, 90.0)])
def test_crop_input_cuts_or_pads_the_grown_box(box):
    """Row V4, against the rule written out: grow by a fifth, clip, cut or pad around the centre, normalise."""
    depth = frame()
    tensor, region = crop_input(depth, SPEC, box)
    grow_x, grow_y = 0.2 * (box[2] - box[0]), 0.2 * (box[3] - box[1])
    left, top = max(0, int(np.floor(box[0] - grow_x))), max(0, int(np.floor(box[1] - grow_y)))
    right, bottom = int(np.ceil(min(120, box[2] + grow_x))), int(np.ceil(min(90, box[3] + grow_y)))
    expected = crop_or_pad(depth[top:bottom, left:right], 64)
    assert tensor.shape == (1, 1, 64, 64)
    np.testing.assert_array_equal(tensor[0, 0] > 0, expected > 0)
    nearest = np.where(expected > 0, expected, np.inf).argmin()
    assert tensor[0, 0].ravel()[nearest] == 1
    # The region says where the tensor's pixels come from.
    assert (region.width, region.height) == (64, 64)
    for row, col in np.argwhere(expected > 0)[::97]:
        assert depth[int(region.top) + row, int(region.left) + col] == expected[row, col]


def test_crop_input_of_an_empty_centre(refused):
    depth = np.zeros((200, 300), np.float32)
    depth[:10] = 500
    with refused(BadInput, "depth is 0 in the 64x64 pixels at the centre of box"):
        crop_input(depth, SPEC, (0, 0, 300, 200))


def grid_of(*blocks, size=24, value=1.0):
    occupancy = np.zeros((size, size, size), np.float32)
    for block in blocks:
        occupancy[block] = value
    return VoxelGrid(occupancy, 0.5)


LARGE, CRUMB = (slice(6, 18),) * 3, (slice(1, 3),) * 3


def test_crumbs_beside_the_solid_are_left_out():
    with_crumb, alone = to_mesh(grid_of(LARGE, CRUMB)), to_mesh(grid_of(LARGE))
    np.testing.assert_array_equal(with_crumb.vertices, alone.vertices)
    second = (slice(6, 18), slice(6, 18), slice(20, 23))  # a part of some size stays
    assert len(to_mesh(grid_of(LARGE, second)).vertices) > len(alone.vertices)


def test_the_mesh_lies_where_the_voxels_are():
    mesh = to_mesh(grid_of((slice(2, 8), slice(6, 18), slice(10, 22))))
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert low == pytest.approx([10 / 12 - 1, 1 - 18 / 12, 1 - 8 / 12], abs=0.06)
    assert high == pytest.approx([22 / 12 - 1, 1 - 6 / 12, 1 - 2 / 12], abs=0.06)


def test_a_solid_right_at_the_threshold_has_a_surface():
    assert len(to_mesh(grid_of(LARGE, value=0.5)).faces) > 100


def test_an_empty_solid_has_no_mesh(refused):
    with refused(BadInput, "no voxel is filled: occupancy reaches 0.300 of 0.5; choose a box that holds the whole"):
        to_mesh(grid_of(LARGE, value=0.3))
