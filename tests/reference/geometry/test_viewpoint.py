"""Row V3: depth image and mesh are scaled, rotated and moved alike, so that both keep one viewpoint."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation
from shapes import cube, head

from reference.data.heads import random_viewpoint, sample_of
from reference.errors import BadInput
from reference.geometry.depth import reproject_depth, transform_depth
from reference.geometry.mesh import fit_to_cube, rotation, scaling, transform
from reference.geometry.raster import depth_image
from reference.geometry.voxelize import crop_or_pad, surface_voxels, voxelize

SIZE = 32
VOXEL = 2 / SIZE
HEAD = fit_to_cube(head())
FINE = 7  # renderings per pixel and axis with which a pixel's own range of depth is known
in_plane = st.builds(
    lambda scale, roll, x, y: scaling(scale, (x, y, 0)) @ rotation(0, 0, roll),
    st.floats(0.5, 1.0), st.floats(-180, 180), st.floats(-0.4, 0.4), st.floats(-0.4, 0.4),
)  # fmt: skip
any_turn = st.builds(
    lambda scale, yaw, pitch, roll, x, y, z: scaling(scale, (x, y, z)) @ rotation(yaw, pitch, roll),
    st.floats(0.4, 0.7), st.floats(-60, 60), st.floats(-40, 40), st.floats(-40, 40), *[st.floats(-0.2, 0.2)] * 3,
)  # fmt: skip


def depth_range(mesh, edge=FINE):
    """(S, S) lowest and highest z that the surface shows within ``edge`` fine pixels of each pixel; NaN where none."""
    fine = depth_image(mesh, SIZE * FINE)
    padded = np.pad(fine, edge, constant_values=np.nan)
    window = FINE + 2 * edge
    views = np.lib.stride_tricks.sliding_window_view(padded, (window, window))[::FINE, ::FINE].reshape(SIZE, SIZE, -1)
    none = np.isnan(views).all(axis=2)
    low, high = np.where(np.isnan(views), np.inf, views).min(2), np.where(np.isnan(views), -np.inf, views).max(2)
    return np.where(none, np.nan, low), np.where(none, np.nan, high)


@settings(max_examples=30)
@given(matrix=in_plane)
def test_a_transformed_depth_image_is_that_of_the_transformed_mesh(matrix):
    moved = transform(HEAD, matrix)
    image, rendered = transform_depth(depth_image(HEAD, SIZE), matrix), depth_image(moved, SIZE)
    assert (~np.isnan(rendered)).sum() > 40
    seen = ~np.isnan(image)
    low, high = depth_range(moved)
    assert not np.isnan(low[seen]).any(), "the outline moved by more than a pixel"
    assert (image[seen] >= low[seen] - VOXEL).all()
    assert (image[seen] <= high[seen] + VOXEL).all()
    # And the other way: what is rendered well inside the outline is in the transformed image.
    inside = ~binary_dilation(np.isnan(rendered), np.ones((3, 3)), border_value=1)
    assert seen[inside].all()


@settings(max_examples=30)
@given(matrix=any_turn)
def test_turned_to_the_side_every_pixel_still_lies_on_the_voxels(matrix):
    moved = transform(HEAD, matrix)
    points = reproject_depth(depth_image(HEAD, SIZE), matrix)
    assert len(points) > 300
    x, y, z = points.T
    inside = (np.abs(points) < 1).all(axis=1)
    place = np.floor(np.stack([1 - z, 1 - y, x + 1], axis=1) / VOXEL).astype(int)[inside]
    near = binary_dilation(surface_voxels(moved, SIZE), np.ones((3, 3, 3)))
    assert near[tuple(place.T)].all(), "a pixel lies more than a voxel from the surface"
    assert binary_dilation(voxelize(moved, SIZE), np.ones((3, 3, 3)))[tuple(place.T)].all()
    # No visible point of the first view stands in front of what the second view sees there.
    _, nearest = depth_range(moved)
    assert (z[inside] <= nearest[place[:, 1], place[:, 2]] + VOXEL).all()


@pytest.mark.parametrize("any_yaw", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_samples_of_the_training_share_their_viewpoint(seed, any_yaw):
    """The pair itself: each measured pixel's voxel column begins where its depth says, within a voxel."""
    matrix = random_viewpoint(HEAD, np.random.default_rng(seed), True, any_yaw)
    moved = transform(HEAD, matrix)
    depth, voxels = sample_of(HEAD, np.random.default_rng(seed), SIZE, True, any_yaw)
    surface_z = depth_image(moved, SIZE)
    near, far = np.nanmax(surface_z), np.nanmin(surface_z)
    undisturbed = (depth > 0) & (depth < 1) & ~np.isnan(surface_z)
    assert undisturbed.sum() > 60
    z = near - (1 - depth) / (1 - 1 / 16) * (near - far)
    assert np.median(np.abs(z - surface_z)[undisturbed]) < 0.04 * (near - far)
    low, high = depth_range(moved, 1)
    flat = undisturbed & (high - low < VOXEL)
    first = voxels.argmax(axis=0)
    assert np.abs((first + 0.5) * VOXEL - (1 - surface_z))[flat].max() <= 1.5 * VOXEL
    assert voxels.any(axis=0)[undisturbed].all()


def test_a_sample_seen_from_any_side_shows_the_back():
    views = [random_viewpoint(HEAD, np.random.default_rng(seed), True, any_yaw=True) for seed in range(20)]
    assert any((matrix[:3, :3] @ [0, 0, 1])[2] < 0 for matrix in views)
    views = [random_viewpoint(HEAD, np.random.default_rng(seed), True) for seed in range(20)]
    assert all((matrix[:3, :3] @ [0, 0, 1])[2] > 0 for matrix in views)


@pytest.mark.parametrize("matrix", [rotation(10, 0, 0), rotation(0, -5, 0), np.zeros((4, 4))])
def test_a_depth_image_can_not_follow_a_turn_to_the_side(matrix):
    with pytest.raises(BadInput, match="turns the object out of the picture plane, allowed are scaling, roll"):
        transform_depth(depth_image(HEAD, 8), matrix)


def test_only_square_depth_images_have_a_cube():
    with pytest.raises(BadInput, match=r"depth image has shape \(4, 5\), allowed is \(S, S\)"):
        transform_depth(np.zeros((4, 5), np.float32), np.eye(4))


@settings(max_examples=40)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    size=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_cutting_and_padding_keep_depth_and_voxels_together(shape, size, seed):
    """Row V4: the outline of the cut voxels is the cut outline, wherever no slice with voxels was cut away."""
    voxels = np.random.default_rng(seed).random(shape) < 0.3
    outline = voxels.any(axis=0)
    kept = crop_or_pad(crop_or_pad(voxels, max(shape)), size)
    direct = crop_or_pad(voxels, size)
    assert direct.shape == (size,) * 3
    if size >= shape[0]:
        np.testing.assert_array_equal(direct.any(axis=0), crop_or_pad(outline, size))
    assert direct.sum() <= voxels.sum()
    if size >= max(shape):
        assert direct.sum() == voxels.sum() == kept.sum()
        np.testing.assert_array_equal(crop_or_pad(direct, size), direct)


@settings(max_examples=40)
@given(length=st.integers(1, 20), size=st.integers(1, 20))
def test_as_much_is_cut_or_added_before_as_after(length, size):
    """Row V4, to one element where the difference is odd."""
    picture = np.arange(1, length * length + 1).reshape(length, length)
    kept = crop_or_pad(picture, size)
    rows, columns = np.nonzero(kept)
    if size >= length:
        before, after = rows.min(), size - 1 - rows.max()
        assert kept.sum() == picture.sum()
    else:
        before, after = kept[0, 0] // length, length - 1 - kept[-1, -1] // length
        assert (kept > 0).all()
    assert before <= after <= before + 1
    assert len(set(columns)) == min(length, size)


def test_cube_moves_by_whole_pixels():
    surface_z = depth_image(cube(0.5), SIZE)
    moved = transform_depth(surface_z, scaling(1, (4 * VOXEL, -2 * VOXEL, 0.25)))
    np.testing.assert_array_equal(moved[2:, 4:], surface_z[:-2, :-4] + np.float32(0.25))
