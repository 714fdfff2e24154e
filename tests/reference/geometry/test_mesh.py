"""Meshes: validation, transformations, normals."""

import numpy as np
import pytest
from shapes import cube, ellipsoid

from reference.errors import BadInput
from reference.geometry.mesh import (
    Mesh,
    face_normals,
    fit_to_cube,
    rotation,
    scaling,
    select_vertices,
    transform,
    triangulate,
    vertex_normals,
)

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
FACE = np.array([[0, 1, 2]], np.int32)


@pytest.mark.parametrize(
    ("vertices", "faces", "colors", "message"),
    [
        (
            TRIANGLE[:0],
            FACE,
            None,
            "mesh with 0 vertices and 1 faces, allowed is at least one of each; check",
        ),
        (
            TRIANGLE,
            FACE[:0],
            None,
            "mesh with 3 vertices and 0 faces, allowed is at least one of each; check",
        ),
        (TRIANGLE * np.nan, FACE, None, "mesh has 3 vertices with NaN or infinity, allowed are finite"),
        (TRIANGLE, FACE + 1, None, "mesh faces name vertices 1 to 3, allowed are 0 to 2; check"),
        (TRIANGLE, FACE - 1, None, "mesh faces name vertices -1 to 1, allowed are 0 to 2; check"),
        (TRIANGLE[:, :2], FACE, None, r"mesh vertices have shape \(3, 2\), allowed is \(N, 3\)"),
        (TRIANGLE, np.zeros((1, 4), np.int32), None, r"mesh faces have shape \(1, 4\), allowed is \(M, 3\)"),
        (TRIANGLE, FACE, np.zeros((2, 3), np.uint8), r"mesh colors have shape \(2, 3\), allowed is \(3, 3\)"),
    ],
)
def test_mesh_rejects_what_is_no_mesh(vertices, faces, colors, message):
    with pytest.raises(BadInput, match=message):
        Mesh(vertices, faces, colors)


def test_mesh_converts_to_its_types():
    mesh = Mesh(TRIANGLE.astype(np.float64), FACE.astype(np.int64), np.full((3, 3), 7))
    assert mesh.vertices.dtype == np.float32
    assert mesh.faces.dtype == np.int32
    assert mesh.colors is not None
    assert mesh.colors.dtype == np.uint8


def test_triangulate_keeps_area_and_appends_triangles():
    faces = triangulate(np.array([[0, 1, 2, 3]], np.int32), np.array([[4, 5, 6]], np.int32))
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]


def test_select_vertices_renumbers():
    keep = np.array([False, True, True, True])
    assert select_vertices(np.array([[0, 1, 2], [1, 2, 3]], np.int32), keep).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ((90, 0, 0), [1, 0, 0]),  # a face that looks at the viewer turns to the picture's right
        ((0, 90, 0), [0, -1, 0]),  # down
        ((0, 0, 90), [0, 0, 1]),
        ((90, 0, 90), [0, 1, 0]),  # yaw first, then roll: counter-clockwise from the right is up
    ],
)
def test_rotation_directions(angles, expected):
    assert rotation(*angles)[:3, :3] @ [0, 0, 1] == pytest.approx(expected, abs=1e-12)


def test_rotation_keeps_lengths_and_handedness():
    linear = rotation(31, -17, 8)[:3, :3]
    assert linear @ linear.T == pytest.approx(np.eye(3))
    assert np.linalg.det(linear) == pytest.approx(1)


def test_transform_applies_scale_then_offset():
    moved = transform(cube(0.5), scaling(0.5, (0.1, 0.2, 0.3)))
    assert moved.vertices.max(axis=0) == pytest.approx([0.35, 0.45, 0.55])


def test_fit_to_cube_centres_and_fills_the_longest_side():
    mesh = transform(ellipsoid((1, 3, 2)), scaling(5, (7, 8, 9)))
    fitted = fit_to_cube(mesh, margin=0.1)
    assert fitted.vertices.max(axis=0) == pytest.approx([0.3, 0.9, 0.6], abs=1e-3)
    assert fitted.vertices.min(axis=0) == pytest.approx([-0.3, -0.9, -0.6], abs=1e-3)


def test_fit_to_cube_rejects_a_point():
    with pytest.raises(BadInput, match="all vertices in one point, allowed is a surface with an extent"):
        fit_to_cube(Mesh(TRIANGLE * 0, FACE))


def test_cube_normals_point_outwards():
    mesh = cube()
    centres = mesh.vertices[mesh.faces].mean(axis=1)
    assert ((face_normals(mesh) * centres).sum(axis=1) > 0).all()


def test_sphere_vertex_normals_are_radial():
    mesh = ellipsoid((0.8, 0.8, 0.8))
    used = np.unique(mesh.faces)
    radial = mesh.vertices / 0.8
    assert (vertex_normals(mesh) * radial)[used].sum(axis=1) == pytest.approx(1, abs=0.01)


def test_vertex_without_face_has_zero_normal():
    mesh = Mesh(np.concatenate([TRIANGLE, TRIANGLE[:1]]), FACE)
    assert vertex_normals(mesh)[3].tolist() == [0, 0, 0]
