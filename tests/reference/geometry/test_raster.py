"""The z-buffer against a loop over all pixels, and depth images of known shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import cube, ellipsoid

from reference.geometry import raster
from reference.geometry.mesh import Mesh, scaling, transform
from reference.geometry.raster import depth_image, rasterize

HEIGHT, WIDTH = 9, 11


def brute_force(vertices, faces, height, width):
    """z and face number per pixel, by trying every triangle at every pixel."""
    z_buffer = np.full((height, width), -np.inf)
    face_index = np.full((height, width), -1)
    for row, col in np.ndindex(height, width):
        p = np.array([col + 0.5, row + 0.5])
        for number, face in enumerate(faces):
            a, b, c = vertices[face].astype(np.float64)
            weights = np.array([_cross(b, c, p), _cross(c, a, p), _cross(a, b, p)])
            area = _cross(a, b, c)
            if area == 0 or (weights * np.sign(area) < 0).any():
                continue
            z = float(weights @ [a[2], b[2], c[2]] / area)
            if z > z_buffer[row, col] + 1e-9:
                z_buffer[row, col], face_index[row, col] = z, number
    return z_buffer, face_index


def _cross(a, b, p):
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


# Quarter pixels make vertices and edges fall on pixel centres often, which is where z-buffers go wrong.
coordinate = st.integers(-12, 60).map(lambda value: value / 4)
triangle = st.tuples(*[st.tuples(coordinate, coordinate, st.integers(-8, 8))] * 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(triangle, min_size=1, max_size=6), st.sampled_from([1, 7, 1 << 19]))
def test_matches_brute_force(triangles, chunk):
    vertices = np.array(triangles, np.float32).reshape(-1, 3)
    faces = np.arange(len(vertices), dtype=np.int32).reshape(-1, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raster, "_PIXELS_PER_CHUNK", chunk)
        z_buffer, face_index, weights = rasterize(vertices, faces, HEIGHT, WIDTH)
    expected_z, expected_face = brute_force(vertices, faces, HEIGHT, WIDTH)
    np.testing.assert_allclose(z_buffer, expected_z, atol=1e-5)
    # At equal z the face may differ by rounding; its z must not.
    differs = face_index != expected_face
    assert not (differs & ((face_index < 0) | (expected_face < 0))).any()
    seen = face_index >= 0
    z_of_corners = vertices[faces[face_index[seen]], 2]
    assert (weights[seen] * z_of_corners).sum(axis=1) == pytest.approx(z_buffer[seen], abs=1e-4)
    assert weights[seen].sum(axis=1) == pytest.approx(1)
    assert (weights[~seen] == 0).all()


def test_weights_name_the_pixel_centre():
    vertices = np.array([[-3, -2, 0], [14, 1, 0], [4, 13, 0]], np.float32)
    _, face, weights = rasterize(vertices, np.array([[0, 1, 2]], np.int32), HEIGHT, WIDTH)
    row, col = np.nonzero(face >= 0)
    assert weights[row, col] @ vertices[:, :2] == pytest.approx(np.stack([col, row], axis=1) + 0.5, abs=1e-5)


def test_lower_face_wins_at_equal_depth():
    vertices = np.array([[0, 0, 1], [9, 0, 1], [0, 9, 1]], np.float32)
    _, face, _ = rasterize(vertices, np.array([[0, 1, 2], [1, 2, 0]], np.int32), HEIGHT, WIDTH)
    assert set(np.unique(face)) == {-1, 0}


def test_grid_of_triangles_has_no_cracks():
    rng = np.random.default_rng(0)
    inner = np.stack(np.meshgrid(np.arange(13), np.arange(13)), axis=-1).astype(np.float64)
    inner[1:-1, 1:-1] += rng.uniform(-0.3, 0.3, (11, 11, 2))
    points = np.concatenate([inner.reshape(-1, 2) * 32 / 12, np.zeros((169, 1))], axis=1).astype(np.float32)
    corner = (np.arange(12)[:, None] * 13 + np.arange(12)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 14], 1), np.stack([corner, corner + 14, corner + 13], 1)]
    )
    assert (rasterize(points, faces.astype(np.int32), 32, 32)[1] >= 0).all()


def test_cube_depth():
    depth = depth_image(cube(0.5), 16)
    assert depth.dtype == np.float32
    assert depth[4:12, 4:12] == pytest.approx(0.5)
    assert np.isnan(depth).sum() == 16 * 16 - 8 * 8


def test_axes_row_0_is_up_and_column_0_is_left():
    depth = depth_image(transform(cube(0.5), scaling(0.5, (0.7, 0.7, 0))), 16)
    row, col = np.nonzero(~np.isnan(depth))
    assert row.max() < 8 <= col.min()


def test_sphere_depth():
    depth = depth_image(ellipsoid((0.8, 0.8, 0.8), 96), 32)
    centre = (np.arange(32) + 0.5) / 16 - 1
    squared = 0.64 - centre[None, :] ** 2 - centre[:, None] ** 2
    inside = squared > 0.02
    assert depth[inside] == pytest.approx(np.sqrt(squared[inside]), abs=2e-3)
    assert np.isnan(depth[squared < 0]).all()


def test_nearer_surface_hides_the_farther():
    near, far = transform(cube(0.2), scaling(1, (0, 0, 0.5))), cube(0.5)
    both = Mesh(np.concatenate([far.vertices, near.vertices]), np.concatenate([far.faces, near.faces + 8]))
    depth = depth_image(both, 20)
    assert depth[10, 10] == pytest.approx(0.7)
    assert depth[6, 6] == pytest.approx(0.5)
