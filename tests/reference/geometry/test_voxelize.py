"""Solids of known volume, agreement with the depth image, and document row V4."""

import numpy as np
import pytest
from shapes import cube, ellipsoid, head

from reference.errors import BadInput
from reference.geometry.mesh import Mesh, fit_to_cube, rotation, scaling, transform
from reference.geometry.raster import depth_image
from reference.geometry.voxelize import crop_or_pad, iou, surface_voxels, voxelize


def test_cube_voxels():
    voxels = voxelize(cube(0.49), 16)
    expected = np.zeros((16, 16, 16), bool)
    expected[4:12, 4:12, 4:12] = True
    np.testing.assert_array_equal(voxels, expected)


def test_axes_are_depth_row_column():
    voxels = voxelize(transform(cube(0.1), scaling(1, (-0.8, 0.7, 0.6))), 20)
    d, row, col = (index.mean() + 0.5 for index in np.nonzero(voxels))
    assert (d, row, col) == pytest.approx((4, 3, 2), abs=0.6)


def test_cube_that_fills_the_grid():
    assert voxelize(cube(1.0), 12).all()


def test_parts_outside_the_grid_are_left_out():
    voxels = voxelize(transform(cube(0.5), scaling(1, (1, 0, 0))), 16)
    assert voxels[8, 8].tolist() == [False] * 12 + [True] * 4


@pytest.mark.parametrize("radii", [(0.8, 0.8, 0.8), (0.9, 0.5, 0.7)])
def test_ellipsoid_volume(radii):
    size = 64
    exact = 4 / 3 * np.pi * np.prod(radii) * (size / 2) ** 3
    voxels, shell = voxelize(ellipsoid(radii), size), surface_voxels(ellipsoid(radii), size)
    # Surface voxels lie half inside on average; without half of them the volume must be right.
    assert voxels.sum() - shell.sum() / 2 == pytest.approx(exact, rel=0.02)
    assert (voxels & shell).sum() == shell.sum()


def test_open_mesh_is_filled():
    closed, opened = voxelize(ellipsoid(), 48), voxelize(ellipsoid(open_below=-0.85), 48)
    rows = slice(0, int(24 * (1 + 0.8 * 0.85)) - 1)
    assert opened[24, 24, 24]
    assert iou(closed[:, rows], opened[:, rows]) > 0.99


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("angles", [(0, 0, 0), (30, -15, 10), (-35, 20, -15)])
def test_depth_and_voxels_share_their_viewpoint(angles, size):
    mesh = transform(fit_to_cube(transform(head(), rotation(*angles))), scaling(0.8, (0.12, -0.1, 0.1)))
    depth, voxels = depth_image(mesh, size), voxelize(mesh, size)
    valid = ~np.isnan(depth)
    assert voxels.any(axis=0)[valid].all()
    first = voxels.argmax(axis=0)
    # A steep surface passes through several voxels of one column, so its range within the pixel counts.
    # One sample beyond the pixel's border on each side catches edges between the samples.
    fine = np.pad(depth_image(mesh, size * 5), 1, constant_values=np.nan)
    fine = np.lib.stride_tricks.sliding_window_view(fine, (7, 7))[::5, ::5].reshape(size, size, 49)
    nearest, farthest = (np.where(valid, (1 - edge(fine)) * size / 2, 0) for edge in (_nanmax, _nanmin))
    assert (first[valid] + 1 >= nearest[valid] - 1).all()
    assert (first[valid] <= farthest[valid] + 1).all()
    flat = valid & (farthest - nearest < 1)
    assert flat.sum() > 0.1 * valid.sum()
    assert abs(first + 0.5 - (1 - depth) * size / 2)[flat].max() <= 1.5


def _nanmax(values):
    return np.where(np.isnan(values), -np.inf, values).max(axis=2)


def _nanmin(values):
    return np.where(np.isnan(values), np.inf, values).min(axis=2)


def test_nothing_is_filled_in_front_of_the_visible_surface():
    # A bowl that opens towards the viewer: closed along rows and columns, yet empty inside.
    bowl = transform(ellipsoid(open_below=0.0), rotation(0, -90, 0))
    assert depth_image(bowl, 32)[16, 16] == pytest.approx(-0.8, abs=0.01)
    assert not voxelize(bowl, 32)[:26, 16, 16].any()


def test_a_mesh_outside_the_volume_is_refused():
    with pytest.raises(BadInput, match=r"mesh lies outside the volume: .*, allowed is -1 to 1; call fit_to_cube"):
        voxelize(transform(cube(0.5), scaling(1, (0, 3, 0))), 16)


def broken(mesh, kind):
    """The same outer surface with a defect that a manifold must not have."""
    faces, vertices = mesh.faces, mesh.vertices
    if kind == "faces twice":
        faces = np.concatenate([faces, faces[::3]])
    if kind == "faces inside out":
        faces = faces.copy()
        faces[::2] = faces[::2, ::-1]
    if kind == "edges of three faces":  # a wall through the inside
        faces = np.concatenate([faces, [[0, len(vertices) // 2, len(vertices) - 1]]])
    if kind == "corners not joined":
        vertices, faces = vertices[faces.ravel()], np.arange(faces.size).reshape(-1, 3)
    if kind == "faces without area":
        faces = np.concatenate([faces, np.repeat(np.arange(9)[:, None], 3, axis=1)])
    if kind == "vertices of no face":
        vertices = np.concatenate([vertices, [[50, 50, 50]]])
    if kind == "a ball inside":
        inner = ellipsoid((0.3, 0.3, 0.3), 8)
        faces, vertices = (
            np.concatenate([faces, inner.faces + len(vertices)]),
            np.concatenate([vertices, inner.vertices]),
        )
    return Mesh(vertices, faces)


@pytest.mark.parametrize(
    "kind",
    [
        *("faces twice", "faces inside out", "edges of three faces", "corners not joined", "faces without area"),
        *("vertices of no face", "a ball inside"),
    ],
)
def test_what_is_no_manifold_gives_the_same_solid(kind):
    mesh = ellipsoid((0.8, 0.6, 0.7), 16)
    np.testing.assert_array_equal(voxelize(broken(mesh, kind), 24), voxelize(mesh, 24))
    np.testing.assert_array_equal(depth_image(broken(mesh, kind), 24), depth_image(mesh, 24))
    assert voxelize(fit_to_cube(broken(mesh, kind)), 24).sum() == voxelize(fit_to_cube(mesh), 24).sum()


@pytest.mark.parametrize(
    ("shape", "size"), [((5, 8), 4), ((2, 3), 6), ((3, 9), 5), ((7, 4, 2), 4), ((4, 4), 4), ((2, 7, 5), 3)]
)
def test_crop_or_pad_keeps_the_centre(shape, size):
    array = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    result = crop_or_pad(array, size)
    assert result.shape == (size,) * len(shape)
    assert result.dtype == array.dtype
    expected = np.zeros_like(result)
    taken = tuple(slice(max(0, (n - size) // 2), max(0, (n - size) // 2) + min(n, size)) for n in shape)
    placed = tuple(slice(max(0, (size - n) // 2), max(0, (size - n) // 2) + min(n, size)) for n in shape)
    expected[placed] = array[taken]
    np.testing.assert_array_equal(result, expected)


def test_crop_or_pad_known_answers():
    assert crop_or_pad(np.array([[1, 2, 3, 4, 5]]), 3).tolist() == [[0, 0, 0], [2, 3, 4], [0, 0, 0]]
    assert crop_or_pad(np.ones((2, 2, 2), bool), 4)[1:3, 1:3, 1:3].all()


def test_crop_or_pad_rejects_batches():
    with pytest.raises(BadInput, match="array has 4 axes, allowed are 2"):
        crop_or_pad(np.zeros((1, 2, 2, 2)), 4)


def test_iou():
    a = np.array([True, True, False, False])
    assert iou(a, np.array([True, False, True, False])) == pytest.approx(1 / 3)
    assert iou(a, a) == 1
    assert iou(a & False, a & False) == 1
    with pytest.raises(BadInput, match=r"grids have shapes \(4,\) and \(3,\), allowed are equal ones"):
        iou(a, a[:3])
