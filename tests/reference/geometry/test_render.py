"""Meshes over photographs and in their colours."""

import numpy as np

from reference.geometry.render import draw_over, draw_textured

TRIANGLE = np.array([[0, 1, 2]], np.int32)


def test_only_what_the_mesh_covers_changes():
    picture = np.full((20, 30, 3), 100, np.uint8)
    corners = np.array([[4, 4, 0], [4, 14, 0], [14, 4, 0]], np.float32)
    drawn = draw_over(picture, corners, TRIANGLE)
    assert (drawn[15:] == 100).all()
    assert (drawn[:, 16:] == 100).all()
    assert (drawn[5, 5] != 100).any()
    np.testing.assert_array_equal(draw_over(picture, corners, TRIANGLE, opacity=0), picture)


def test_the_texture_lands_where_it_was_taken():
    texture = np.zeros((10, 10, 3), np.uint8)
    texture[:, :5], texture[:, 5:] = (255, 0, 0), (0, 0, 255)
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    places = np.array([[0, 9], [9, 9], [9, 0], [0, 0]], np.float32)
    drawn = draw_textured(square, faces, places, texture, 40)
    assert drawn[20, 8].tolist() == [255, 0, 0]
    assert drawn[20, 32].tolist() == [0, 0, 255]
    assert drawn[0, 0].tolist() == [245, 245, 245]
    turned = draw_textured(square * np.array([-1, 1, 1]), faces, places, texture, 40)
    assert turned[20, 8].tolist() == [0, 0, 255]
