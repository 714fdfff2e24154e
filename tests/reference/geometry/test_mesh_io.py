"""OBJ and PLY files."""

from dataclasses import replace

import numpy as np
import pytest
from shapes import cube, ellipsoid

from reference.errors import BadInput
from reference.geometry.mesh_ply import read_ply, write_ply
from reference.geometry.mesh_text import read_obj, write_obj


@pytest.mark.parametrize("colored", [False, True])
@pytest.mark.parametrize("kind", ["obj", "ply-text", "ply-binary"])
def test_round_trip(tmp_path, kind, colored):
    mesh = ellipsoid((0.7, 0.5, 1 / 3), 6)
    if colored:
        mesh = replace(mesh, colors=np.random.default_rng(0).integers(0, 256, mesh.vertices.shape).astype(np.uint8))
    path = tmp_path / "mesh"
    if kind == "obj":
        write_obj(mesh, path)
    else:
        write_ply(mesh, path, binary=kind == "ply-binary")
    result = read_obj(path) if kind == "obj" else read_ply(path)
    np.testing.assert_allclose(result.vertices, mesh.vertices, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(result.faces, mesh.faces)
    if mesh.colors is None:
        assert result.colors is None
    else:
        np.testing.assert_array_equal(result.colors, mesh.colors)


def test_binary_ply_is_exact(tmp_path):
    mesh = ellipsoid((0.7, 0.5, 1 / 3), 6)
    write_ply(mesh, tmp_path / "mesh.ply")
    np.testing.assert_array_equal(read_ply(tmp_path / "mesh.ply").vertices, mesh.vertices)


def test_obj_with_polygons_texture_numbers_and_negative_numbers(tmp_path):
    path = tmp_path / "mesh.obj"
    path.write_text("# quad\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1 4/1\nf -4 -3 -2\n")
    assert read_obj(path).faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("v 0 0 zero\n", "mesh.obj line 1 is 'v 0 0 zero', allowed are numbers; repair it"),
        ("v 0 0\n", r"mesh.obj has vertices of \[2\] numbers, allowed are 3, 4 or 6"),
        ("", "mesh with 0 vertices and 0 faces"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "mesh faces name vertices 0 to 8, allowed are 0 to 2"),
    ],
)
def test_bad_obj(tmp_path, content, message):
    path = tmp_path / "mesh.obj"
    path.write_text(content)
    with pytest.raises(BadInput, match=message):
        read_obj(path)


def test_truncated_ply(tmp_path):
    path = tmp_path / "mesh.ply"
    write_ply(cube(), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match="doesn't hold what its header says"):
        read_ply(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"ply\n", b"ply2\n", "has no PLY header, allowed is a PLY file"),
        (
            b"binary_little",
            b"binary_middle",
            "has format binary_middle_endian, allowed are ascii, binary_little_endian, binary_big_endian",
        ),
        (
            b"property float z",
            b"property half z",
            "has the header entry 'property half z', which isn't known",
        ),
        # The bytes are in the other order: nothing but nonsense comes out.
        (b"binary_little", b"binary_big", "mesh faces name vertices"),
        (
            b"property float z\n",
            b"",
            r"lists \['vertex', 'face'\], allowed are vertex \(x, y, z\) and then face",
        ),
    ],
)
def test_bad_ply_header(tmp_path, old, new, message):
    path = tmp_path / "mesh.ply"
    write_ply(cube(), path)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(BadInput, match=message):
        read_ply(path)


def test_ply_with_quads(tmp_path):
    path = tmp_path / "mesh.ply"
    write_ply(cube(), path, binary=False)
    path.write_text(path.read_text().replace("\n3 ", "\n4 "))
    with pytest.raises(BadInput, match="polygons with other than 3 corners, allowed are triangles"):
        read_ply(path)
