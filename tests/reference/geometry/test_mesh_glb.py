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


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".GLB", ".off"])
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


def changed(path, change):
    """The file with its JSON part changed, and whatever bytes ``change`` returns put behind the others."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    document, binary = json.loads(content[20 : 20 + length]), content[28 + length :]
    document["bufferViews"].append({"buffer": 0, "byteOffset": len(binary)})
    binary += change(document) or b""
    document["bufferViews"][-1]["byteLength"] = len(binary) - document["bufferViews"][-1]["byteOffset"]
    document["buffers"] = [document["buffers"][0] | {"byteLength": len(binary)}]
    path.write_bytes(pack(document, binary))
    return path


@pytest.mark.parametrize(("kind", "number"), [("<u1", 5121), ("<u2", 5123), ("<u4", 5125)])
@pytest.mark.parametrize("base", [True, False])
def test_sparse_positions(tmp_path, base, kind, number):
    """Vertices 1 and 4 move; without a base the others lie in the origin."""

    def sparse(document):
        entry, view = document["accessors"][0], len(document["bufferViews"]) - 1
        if not base:
            del entry["bufferView"]
        entry["sparse"] = {
            "count": 2,
            "indices": {"bufferView": view, "componentType": number, "byteOffset": 4},
            "values": {"bufferView": view, "byteOffset": 12},
        }
        numbers = np.array([1, 4], kind).tobytes()
        return (bytes(4) + numbers).ljust(12, b"\0") + np.array([[7, 8, 9], [-1, -2, -3]], "<f4").tobytes()

    primitive = {"POSITION": CORNERS, "indices": np.array([0, 1, 2, 1, 3, 4], np.uint8)}
    result = read_glb(changed(glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], [primitive]), sparse))
    expected = CORNERS.copy() if base else np.zeros_like(CORNERS)
    expected[[1, 4]] = [[7, 8, 9], [-1, -2, -3]]
    np.testing.assert_array_equal(result.vertices, expected)


def test_sparse_indices_and_normalised_integers_in_steps(tmp_path):
    """A face is rewired, and positions are 16-bit parts of one in steps of 8 bytes."""

    def sparse(document):
        positions, indices = document["accessors"]
        view = len(document["bufferViews"]) - 1
        positions.update(bufferView=view, componentType=5122, normalized=True, byteOffset=8)
        document["bufferViews"][view]["byteStride"] = 8
        document["bufferViews"].append({"buffer": 0, "byteOffset": document["bufferViews"][view]["byteOffset"]})
        place = {"bufferView": view + 1}
        indices["sparse"] = {
            "count": 1, "indices": {**place, "componentType": 5121}, "values": {**place, "byteOffset": 4},
        }  # fmt: skip
        rows = np.zeros((5, 4), "<i2")
        rows[:, :3] = CORNERS / 2 * 32767
        return bytes([2, 0, 0, 0, 3, 0, 0, 0]) + rows.tobytes()

    primitive = {"POSITION": CORNERS, "indices": np.array([0, 1, 2], np.uint8)}
    result = read_glb(changed(glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], [primitive]), sparse))
    assert result.faces.tolist() == [[0, 1, 3]]
    np.testing.assert_allclose(result.vertices, CORNERS / 2, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"sparse": {"count": 1}}, ("stores values sparsely, without them",)),
        (
            {"sparse": {"count": 1, "indices": {"bufferView": 0, "componentType": 5126}, "values": {"bufferView": 0}}},
            ("sparsely", "numbers as float32"),
        ),
        (
            # 0, 0, 0, 1.0: the last is beyond the vertices.
            {"sparse": {"count": 4, "indices": {"bufferView": 0, "componentType": 5125}, "values": {"bufferView": 0}}},
            ("sparsely", "out of bounds"),
        ),
        ({"bufferView": 9}, ("lacks the data of accessor 0",)),
        ({"count": 10**15}, ("lacks the data of accessor 0",)),
        ({"normalized": True}, ("lacks the data of accessor 0",)),
    ],
)
def test_damaged_accessors(tmp_path, refused, change, parts):
    path = glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], [{"POSITION": CORNERS}])
    with refused(BadInput, "mesh.glb", *parts):
        read_glb(changed(path, lambda document: document["accessors"][0].update(change)))


def test_values_that_only_an_extension_could_give_or_in_another_file(tmp_path, refused):
    (tmp_path / "other.bin").write_bytes(CORNERS.tobytes())
    for change, part in (
        (lambda d: d["accessors"][0].pop("bufferView") and None, "no bufferView"),
        (lambda d: d["buffers"][0].update(uri="other.bin"), "keeps its values in another file"),
        (lambda d: d["bufferViews"][0].update(buffer=1), "keeps its values in another file"),
    ):
        path = glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], [{"POSITION": CORNERS}])
        with refused(BadInput, "mesh.glb", part):
            read_glb(changed(path, change))


def test_targets_of_a_morph_are_left_out(tmp_path):
    def morph(document):
        document["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": 0}]
        document["meshes"][0]["weights"] = [1.0]

    path = glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], [{"POSITION": CORNERS[:3]}])
    np.testing.assert_array_equal(read_glb(changed(path, morph)).vertices, CORNERS[:3])


@pytest.mark.parametrize("key", ["extensionsUsed", "extensionsRequired"])
def test_compressed_shapes_and_pictures_are_refused_with_a_way_out(tmp_path, refused, key):
    for extension, part in (
        ("KHR_draco_mesh_compression", "export it without compression, or run `npx @gltf-transform/cli copy IN OUT`"),
        ("EXT_meshopt_compression", "export it without compression"),
        ("KHR_meshopt_compression", "export it without compression"),
        ("KHR_texture_basisu", "export it with these, or run `npx @gltf-transform/cli ktxdecompress IN OUT`"),
    ):
        path = glb_file(tmp_path / "mesh.glb", [{"mesh": 0}], [{"POSITION": CORNERS[:3]}], **{key: [extension]})
        with refused(BadInput, "mesh.glb ", extension, "; allowed: ", part):
            read_mesh(path)


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
        (tmp_path / "none.glb", "no mesh", "give a .ply, .obj, .glb, .stl or .off file"),
        (tmp_path / "mesh.3ds", "mesh.3ds is no mesh file; allowed: .ply, .obj, .glb, .stl, .off"),
    ):
        with refused(BadInput, *parts):
            read_mesh(path)
    with refused(BadInput, "mesh.3ds is no mesh file; allowed: .ply, .obj, .glb, .stl, .off"):
        write_mesh(cube(), tmp_path / "mesh.3ds")


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
