"""Polygons as triangles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from reference.errors import BadInput
from reference.geometry.polygons import triangulate_polygons

L_SHAPE = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [1, 1, 0], [1, 2, 0], [0, 2, 0]], np.float64)


def areas(points, faces):
    a, b, c = (points[faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a) / 2


@pytest.mark.parametrize("first", range(6))
def test_an_l_is_covered_and_nothing_else_whatever_corner_comes_first(first):
    faces = triangulate_polygons(L_SHAPE, [np.roll(np.arange(6), -first).tolist()])
    z = areas(L_SHAPE, faces)[:, 2]
    assert (z >= 0).all() and z.sum() == pytest.approx(3)
    assert (L_SHAPE[faces].mean(axis=1)[:, :2] < [1.99, 1.99]).all()
    assert not (L_SHAPE[faces].mean(axis=1)[:, :2] > 1).all(axis=1).any()  # the notch stays empty


def test_quads_are_split_where_that_stays_inside():
    arrow = np.array([[0, 0, 0], [2, 1, 0], [0, 2, 0], [0.5, 1, 0]])
    assert triangulate_polygons(arrow, [[3, 0, 1, 2]]).tolist() == [[3, 0, 1], [3, 1, 2]]
    turned = triangulate_polygons(arrow, [[0, 1, 2, 3]])
    assert sorted(sorted(face) for face in turned.tolist()) == [[0, 1, 3], [1, 2, 3]]


def test_order_and_what_has_fewer_than_three_corners():
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 2, 0]], np.float32)
    faces = triangulate_polygons(points, [[0, 1], [1, 2, 4], [0, 1, 2, 3], [], [4, 3, 2]])
    assert faces.tolist() == [[1, 2, 4], [0, 1, 2], [0, 2, 3], [4, 3, 2]]
    assert faces.dtype == np.int32
    assert triangulate_polygons(points, []).shape == (0, 3)


def test_numbers_without_a_vertex(refused):
    for polygon, found in (([0, 1, 6], "0 to 6"), ([-1, 1, 2], "-1 to 2"), ([0, 1, 2**32], f"0 to {2**32}")):
        with refused(BadInput, f"mesh faces name vertices {found}, allowed are 0 to 5"):
            triangulate_polygons(L_SHAPE, [polygon])


@settings(deadline=None, max_examples=60)
@given(
    radii=st.lists(st.floats(0.2, 3), min_size=4, max_size=12),
    turn=st.integers(0, 1000),
    backwards=st.booleans(),
)
def test_stars_in_any_plane(radii, turn, backwards):
    """Star-shaped outlines, turned anywhere in space: same area, same side, every corner used."""
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    flat = np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    points = Rotation.from_rotvec(np.random.default_rng(turn).normal(size=3) * 2).apply(flat) + np.array([5, -3, 8])
    polygon = np.arange(len(radii))[:: -1 if backwards else 1]
    faces = triangulate_polygons(points, [polygon.tolist()])
    whole = np.cross(points[polygon] - points[0], np.roll(points[polygon], -1, axis=0) - points[0]).sum(axis=0) / 2
    parts = areas(points, faces)
    np.testing.assert_allclose(parts.sum(axis=0), whole, atol=1e-9)
    assert (parts @ whole >= -1e-9).all()
    assert np.linalg.norm(parts, axis=1).sum() == pytest.approx(np.linalg.norm(whole), abs=1e-6)
    assert set(faces.ravel()) == set(polygon)
