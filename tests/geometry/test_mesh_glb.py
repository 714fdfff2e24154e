"""GLB files as meshes: what other programs write, and what is refused."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from shapes import cube, ellipsoid

from reference.errors import BadInput
from reference.geometry.glb import Buffers, pack
from reference.geometry.mesh_glb import read_glb, write_glb
from reference.geometry.mesh_io import read_mesh, write_mesh

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0]], np.float32)


def glb_file(path, nodes, primitives, materials=(), scenes=({"nodes": [0]},), **extra):
    """A file of one mesh; ``primitives`` hold arrays where glTF holds numbers of accessors."""
    buffers = Buffers()
    stored = []
    for primitive in primitives:
        entry = {k: v for k, v in primitive.items() if not isinstance(v, np.ndarray)}
        arrays = {k: buffers.add(v) for k, v in primitive.items() if isinstance(v, np.ndarray)}
        entry |= {"indices": arrays.pop("indices")} if "indices" in arrays else {}
        stored.append(entry | {"attributes": arrays})
    document = {"asset": {"version": "2.0"}, "nodes": nodes, "meshes": [{"primitives": stored}]}
    document |= {"materials": list(materials)} if materials else {}
    document |= {"scenes": list(scenes)} if scenes else {}
    path.write_bytes(pack(document | extra | buffers.document(), buffers.binary))
    return path


@pytest.mark.parametrize("colored", [False, True])
def test_round_trip(tmp_path, colored):
    mesh = ellipsoid((0.7, 0.5, 1 / 3), 6)
    if colored:
        mesh = replace(mesh, colors=np.random.default_rng(0).integers(0, 256, mesh.vertices.shape).astype(np.uint8))
    write_glb(mesh, tmp_path / "mesh.glb", color=(10, 200, 30))
    result = read_glb(tmp_path / "mesh.glb")
    np.testing.assert_array_equal(result.vertices, mesh.vertices)
    np.testing.assert_array_equal(result.faces, mesh.faces)
    expected = mesh.colors if mesh.colors is not None else np.tile([10, 200, 30], (len(mesh.vertices), 1))
    np.testing.assert_array_equal(result.colors, expected)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".GLB"])
def test_the_ending_decides(tmp_path, suffix):
    mesh = cube(0.3)
    path = tmp_path / f"mesh{suffix}"
    write_mesh(mesh, path)
    np.testing.assert_allclose(read_mesh(path).vertices, mesh.vertices, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "indices", "faces"),
    [
        (4, [0, 1, 2, 1, 3, 2, 4], [[0, 1, 2], [1, 3, 2]]),
        (5, [0, 1, 2, 3, 4], [[0, 1, 2], [3, 2, 1], [2, 3, 4]]),
        (6, [0, 1, 3, 2], [[0, 1, 3], [0, 3, 2]]),
    ],
    ids=["list", "strip", "fan"],
)
def test_kinds_of_triangles(tmp_path, mode, indices, faces):
    primitive = {"POSITION": CORNERS, "indices": np.array(indices, np.uint16), "mode": mode}
    result = read_glb(glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], [primitive]))
    assert result.faces.tolist() == faces


def test_without_indices_every_three_corners_are_a_face(tmp_path):
    result = read_glb(glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], [{"POSITION": CORNERS[:3]}]))
    assert result.faces.tolist() == [[0, 1, 2]]
    assert (result.colors == 255).all()


def test_nodes_place_scale_turn_and_mirror_what_hangs_below(tmp_path):
    half = np.sqrt(0.5)
    nodes = [
        {"translation": [0, 0, 5], "children": [1, 2]},
        {"mesh": 0, "scale": [2, 2, 2], "rotation": [0, 0, half, half]},  # a quarter turn about z
        {"mesh": 0, "scale": [-1, 1, 1]},
    ]
    primitive = {"POSITION": CORNERS[:3], "indices": np.array([0, 1, 2], np.uint8)}
    result = read_glb(glb_file(tmp_path / "mesh.glb", nodes, [primitive]))
    expected = [[0, 0, 5], [0, 2, 5], [-2, 0, 5], [0, 0, 5], [-1, 0, 5], [0, 1, 5]]
    assert result.vertices == pytest.approx(np.array(expected), abs=1e-6)
    assert result.faces.tolist() == [[0, 1, 2], [5, 4, 3]]  # the mirrored one winds the other way


def test_a_skinned_shape_stays_where_it_is_stored(tmp_path):
    nodes = [{"mesh": 0, "skin": 0, "translation": [9, 9, 9]}]
    result = read_glb(glb_file(tmp_path / "mesh.glb", nodes, [{"POSITION": CORNERS[:3]}], skins=[{"joints": [0]}]))
    assert result.vertices.max() == 1


def test_a_file_without_scenes_shows_its_roots(tmp_path):
    result = read_glb(glb_file(tmp_path / "m.glb", [{"mesh": 0}], [{"POSITION": CORNERS[:3]}], scenes=()))
    assert len(result.faces) == 1


def test_materials_color_their_parts(tmp_path):
    red = {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}
    parts = [{"POSITION": CORNERS[:3], "material": 0}, {"POSITION": CORNERS[:3]}, {"POSITION": CORNERS, "mode": 1}]
    result = read_glb(glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], parts, [red]))
    assert result.colors.tolist() == [[255, 0, 0]] * 3 + [[255] * 3] * 3  # lines are left out


def test_bad_files(tmp_path, refused):
    lines = glb_file(tmp_path / "lines.glb", [{"mesh": 0}], [{"POSITION": CORNERS, "mode": 1}])
    loop = [{"mesh": 0, "children": [1]}, {"children": [0]}]
    looped = glb_file(tmp_path / "loop.glb", loop, [{"POSITION": CORNERS[:3]}])
    lacking = glb_file(tmp_path / "lacking.glb", [{"mesh": 3}], [{"POSITION": CORNERS[:3]}])
    beyond = glb_file(
        tmp_path / "beyond.glb", [{"mesh": 0}], [{"POSITION": CORNERS, "indices": np.array([0, 1, 9], np.uint8)}]
    )
    cut = tmp_path / "cut.glb"
    cut.write_bytes(lines.read_bytes()[:-30])
    (tmp_path / "text.glb").write_text("no mesh")
    draco = glb_file(tmp_path / "d.glb", [{"mesh": 0}], [], extensionsUsed=["KHR_draco_mesh_compression"])
    for path, *parts in (
        (lines, "lines.glb holds no triangles; allowed: a GLB file with a mesh"),
        (looped, "loop.glb: node 0 hangs at two parents; allowed: a tree"),
        (lacking, "lacking.glb has a damaged mesh", "export it again"),
        (beyond, "beyond.glb: mesh faces name vertices 0 to 9, allowed are 0 to 4"),
        (cut, "cut.glb"),
        (tmp_path / "text.glb", "text.glb can't be read", "allowed: binary glTF 2.0"),
        (draco, "d.glb is compressed (KHR_draco_mesh_compression)"),
        (tmp_path / "none.glb", "no mesh", "give a .ply, .obj or .glb file"),
        (tmp_path / "mesh.stl", "mesh.stl is no mesh file; allowed: .ply, .obj, .glb"),
    ):
        with refused(BadInput, *parts):
            read_mesh(path)
    with refused(BadInput, "mesh.stl is no mesh file; allowed: .ply, .obj, .glb"):
        write_mesh(cube(), tmp_path / "mesh.stl")


def test_the_file_is_well_formed(tmp_path):
    """Lengths, alignment and bounds as glTF 2.0 demands."""
    mesh = ellipsoid(rings=5)
    write_glb(mesh, tmp_path / "mesh.glb")
    content = (tmp_path / "mesh.glb").read_bytes()
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, total, kind) == (b"glTF", 2, len(content), b"JSON")
    assert length % 4 == 0
    document = json.loads(content[20 : 20 + length])
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])
    position, normal = (document["accessors"][i] for i in (0, 1))
    assert position["max"] == mesh.vertices.max(axis=0).tolist()
    start = 28 + length + document["bufferViews"][normal["bufferView"]]["byteOffset"]
    normals = np.frombuffer(content, "<f4", 3 * normal["count"], start).reshape(-1, 3)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-5)
