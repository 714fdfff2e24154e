"""PLY, OBJ, STL and OFF as other programs write them, and what is refused; GLB is in test_mesh_glb.py."""

import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from shapes import cube, ellipsoid

from reference.errors import BadInput
from reference.geometry.mesh_io import MESH_SUFFIXES, read_mesh, write_mesh
from reference.geometry.mesh_ply import write_ply

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]])
FACES = [[0, 1, 2], [0, 2, 3]]


def file(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def ply(encoding, body, vertices=4, faces=2, properties="", comments="", face="list uchar int vertex_indices"):
    position = "".join(f"property float {axis}\n" for axis in "xyz")
    header = f"ply\nformat {encoding} 1.0\n{comments}element vertex {vertices}\n{position}{properties}"
    return (header + f"element face {faces}\nproperty {face}\nend_header\n").encode() + body


def binary(order, colors=None):
    rows = [struct.pack(f"{order}3f", *row) for row in SQUARE]
    if colors is not None:
        rows = [row + bytes(color) for row, color in zip(rows, colors, strict=True)]
    return b"".join(rows) + b"".join(struct.pack(f"{order}B3i", 3, *face) for face in FACES)


def text(faces="3 0 1 2\n3 0 2 3\n"):
    return ("".join(f"{x:g} {y:g} {z:g}\n" for x, y, z in SQUARE) + faces).encode()


def assert_square(mesh):
    np.testing.assert_array_equal(mesh.vertices, SQUARE)
    assert mesh.faces.tolist() == FACES


@pytest.mark.parametrize(("order", "name"), [("<", "little"), (">", "big")])
def test_ply_of_both_byte_orders(tmp_path, order, name):
    path = file(tmp_path / "m.ply", ply(f"binary_{name}_endian", binary(order)))
    assert_square(read_mesh(path))
    colors = np.arange(12, dtype=np.uint8).reshape(4, 3) * 20
    channels = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    file(path, ply(f"binary_{name}_endian", binary(order, colors), properties=channels))
    assert_square(read_mesh(path))
    assert read_mesh(path).colors.tolist() == colors.tolist()


@pytest.mark.parametrize("everywhere", [False, True])
def test_ply_with_windows_line_ends(tmp_path, everywhere):
    header, body = ply("ascii", b"").replace(b"\n", b"\r\n"), text()
    path = file(tmp_path / "m.ply", header + (body.replace(b"\n", b"\r\n") if everywhere else body))
    assert_square(read_mesh(path))
    binary_header = ply("binary_little_endian", b"").replace(b"\n", b"\r\n")
    assert_square(read_mesh(file(path, binary_header + binary("<"))))


def test_ply_with_more_than_a_mesh_needs(tmp_path):
    """Comments, also ones that name a texture, numbers that aren't used, the other name of the list."""
    comments = "comment made by hand, end_header follows\ncomment TextureFile ../secret.png\nobj_info none\n"
    body = b"".join(row + b" 0.5 7\n" for row in text("").splitlines()) + b"3 0 1 2\n3 0 2 3\n"
    more = "property float quality\nproperty int flags\n"
    content = ply("ascii", body, properties=more, comments=comments, face="list uchar uint vertex_index")
    assert_square(read_mesh(file(tmp_path / "m.ply", content)))
    moved = content.replace(b"format ascii 1.0\n", b"comment first\nformat ascii 1.0\n")
    assert_square(read_mesh(file(tmp_path / "m.ply", moved)))
    shading = "".join(f"property float {name}\n" for name in ("red", "green", "blue"))
    body = b"".join(row + b" 1 0.2 0\n" for row in text("").splitlines()) + b"3 0 1 2\n3 0 2 3\n"
    colors = read_mesh(file(tmp_path / "m.ply", ply("ascii", body, properties=shading))).colors
    assert colors.tolist() == [[255, 51, 0]] * 4


def test_ply_with_texture_places_keeps_its_vertices(tmp_path):
    face = "list uchar int vertex_indices\nproperty list uchar float texcoord"
    rows = "3 0 1 2 6 0 0 1 0 1 1\n3 0 2 3 6 0.5 0 1 1 0 1\n"
    assert_square(read_mesh(file(tmp_path / "m.ply", ply("ascii", text(rows), face=face))))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (ply("ascii", text("4 0 1 2 3\n3 0 2 3\n")), "polygons with other than 3 corners, allowed are triangles"),
        (ply("ascii", text("2 0 1 2\n3 0 2 3\n")), "polygons with other than 3 corners, allowed are triangles"),
        (ply("ascii", text("3 0 1\n3 0 2 3\n")), "doesn't hold what its header says"),
        (ply("ascii", text("3 0 1 2\n")), "5 rows of 6"),
        (ply("ascii", text().replace(b"1 0 0", b"1 0")), "doesn't hold what its header says"),
        (ply("ascii", text().replace(b"1 0 0", b"1 0 zero")), "doesn't hold what its header says"),
        (ply("binary_little_endian", binary("<") + b"more"), "unexpected length"),
        (ply("binary_big_endian", binary(">")[:-1]), "unexpected length"),
        (ply("binary_little_endian", binary("<"), faces=10**12), "doesn't hold what its header says"),
        (
            ply("binary_little_endian", binary("<")[:48] + struct.pack("<B4iB4i", 4, *range(4), 4, *range(4))),
            "polygons with other than 3 corners, allowed are triangles",
        ),
        (
            # As long as two triangles.
            ply("binary_little_endian", binary("<")[:48] + struct.pack("<B3iB3i", 3, 0, 1, 2, 2, 0, 1, 2)),
            "polygons with other than 3 corners, allowed are triangles",
        ),
        (ply("ascii", text("4 0 1 2 3\n")).replace(b"element face 2", b"element tristrips 1"), "(no strips)"),
        (ply("ascii", text()).replace(b"element vertex", b"element point"), "lists ['point', 'face']"),
        (ply("ascii", text(), properties="property float x\n"), "lists ['vertex', 'face']"),
        (ply("ascii", b"", vertices=10**12), "0 rows of"),
        (ply("ascii", text()).replace(b"vertex 4", b"vertex -4"), "header entry 'element vertex -4'"),
        (ply("ascii", text(), vertices=0, faces=0), "0 vertices and 0 faces"),
        (ply("ascii", text("3 0 1 2\n3 0 2 4\n")), "m.ply: mesh faces name vertices 0 to 4"),
        (b"ply\nformat ascii 1.0\n", "has no PLY header"),
    ],
)  # fmt: skip
def test_ply_files_that_would_be_read_wrongly(tmp_path, refused, content, part):
    with refused(BadInput, "m.ply", part):
        read_mesh(file(tmp_path / "m.ply", content))


OBJ = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0.5\n"


@pytest.mark.parametrize(
    "content",
    [
        OBJ + "f 1 2 3\nf 1 3 4\n",
        OBJ + "f 1 2 3 4\n",
        OBJ + "f 1 \\\n2 3\\\n 4\n",
        (OBJ + "f 1/1/1 \\\n2//2 \\\n3/9 4\n").replace("\n", "\r\n"),
        "v 0 0\\\n 0\n" + OBJ[8:] + "f 1 2 3 4",
        "# C:\\models\\\n" + OBJ + "f 1 2 3 4 # C:\\\n",
        "\ufeff" + OBJ + "f -4 -3 -2 -1\n",
        OBJ[:24] + "f -3 -2 -1\n" + OBJ[24:] + "f -4 -2 -1\n",
        "mtllib ../none.mtl\no a\ng b\n" + OBJ + "vt 0 0\nvn 0 0 1\nusemtl c\nl 1 2\np 1\nf 1/1/1 2/1/1 3/1/1 4/1/1\n",
    ],
    ids=["triangles", "quad", "continued", "continued in CRLF", "continued vertex", "backslash in a comment",
         "counted back", "counted back between vertices", "everything else"],
)  # fmt: skip
def test_obj_as_others_write_it(tmp_path, content):
    assert_square(read_mesh(file(tmp_path / "m.obj", content)))


def test_obj_with_a_concave_polygon(tmp_path):
    path = file(tmp_path / "m.obj", "v 0 0 0\nv 2 0 0\nv 2 1 0\nv 1 1 0\nv 1 2 0\nv 0 2 0\nf 3 4 5 6 1 2\n")
    mesh = read_mesh(path)
    centres = mesh.vertices[mesh.faces].mean(axis=1)[:, :2]
    assert len(mesh.faces) == 4
    assert not (centres > 1).all(axis=1).any()  # none in the notch
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    area = np.cross(b - a, c - a)[:, 2] / 2
    assert (area > 0).all() and area.sum() == 3


def test_obj_colors_of_both_habits(tmp_path):
    lines = [f"v {x} {y} {z} 1 0.2 0\n" for x, y, z in SQUARE]
    path = file(tmp_path / "m.obj", "".join(lines) + "f 1 2 3 4\n")
    assert read_mesh(path).colors.tolist() == [[255, 51, 0]] * 4
    file(path, path.read_text().replace(" 1 0.2 0\n", " 255 51 0\n"))
    assert read_mesh(path).colors.tolist() == [[255, 51, 0]] * 4


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (OBJ + "\nf 1 2 \\\n x\n", "m.obj line 6 is 'f 1 2   x', allowed are numbers"),
        (OBJ + "f 1 2 \\", "4 vertices and 0 faces"),
        (OBJ + "f 0 1 2\n", "name vertices -1 to 1"),
        (OBJ + "f -9 1 2\n", "name vertices -5 to 1"),
        (OBJ + f"f 1 2 {10**30}\n", "allowed are 0 to 3"),
        (OBJ + "v nan 0 0\nf 1 2 3 4 5\n", "1 vertices with NaN or infinity"),
        (OBJ + "v 1e300 0 0\nf 1 2 3 4 5\n", "1 vertices with NaN or infinity"),
        ("v 0 0 0 1 2 300\nv 0 0 0 1 1 1\nf 1 2 1\n", "vertex colours outside 0 to 1 and 0 to 255"),
    ],
)
def test_bad_obj_files(tmp_path, refused, content, part):
    with refused(BadInput, "m.obj", part):
        read_mesh(file(tmp_path / "m.obj", content))


def stl_text(faces=FACES, name="square"):
    rows = ["".join(f"      vertex {x} {y} {z}\n" for x, y, z in SQUARE[face]) for face in faces]
    facets = "".join(f"  facet normal 0 0 1\n    outer loop\n{row}    endloop\n  endfacet\n" for row in rows)
    return f"solid {name}\n{facets}endsolid {name}\n"


def test_stl_text_and_binary(tmp_path):
    corners = SQUARE[FACES].reshape(-1, 3)
    path = file(tmp_path / "m.STL", stl_text())
    named = stl_text(name="St\u00fcck").encode("latin-1")
    for content in (stl_text(), stl_text().replace("\n", "\r\n"), stl_text().upper(), named):
        mesh = read_mesh(file(path, content))
        np.testing.assert_array_equal(mesh.vertices, corners)
        assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert mesh.colors is None
    two = read_mesh(file(path, stl_text(name="a") + stl_text(FACES[:1], "b")))
    assert two.faces.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    mesh = ellipsoid(rings=5)
    write_mesh(mesh, path)
    assert path.stat().st_size == 84 + 50 * len(mesh.faces)
    back = read_mesh(path)
    np.testing.assert_array_equal(back.vertices[back.faces], mesh.vertices[mesh.faces])
    # A binary file may begin like text.
    file(path, b"solid" + path.read_bytes()[5:])
    assert len(read_mesh(path).faces) == len(mesh.faces)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "no whole solid"),
        (b"solid nothing\nendsolid nothing\n", "no whole solid"),
        (stl_text()[:-40], "no whole solid"),
        (stl_text() + stl_text()[:120], "holds 2 of its 3 faces whole"),
        (stl_text().replace("vertex 0.0 0.0 0.0", "vertex 0.0 0.0", 1), "doesn't hold what its header says"),
        (stl_text().replace("vertex 0.0 0.0 0.0", "vertex 0.0 zero 0.0", 1), "doesn't hold what its header says"),
        (bytes(80) + struct.pack("<I", 0), "no whole solid"),
        (bytes(80) + struct.pack("<I", 2) + bytes(99), "no whole solid"),
        (b"\xff\xfe\x00garbage" * 20, "m.stl"),
    ],
)
def test_bad_stl_files(tmp_path, refused, capfd, content, part):
    with refused(BadInput, "m.stl", part):
        read_mesh(file(tmp_path / "m.stl", content))
    assert capfd.readouterr() == ("", "")


OFF = "0 0 0\n1 0 0\n1 1 0\n0 1 0.5\n"


@pytest.mark.parametrize(
    "content",
    [
        f"OFF\n4 2 0\n{OFF}3 0 1 2\n3 0 2 3\n",
        f"OFF\n# a comment\n\n4 1 4 # counts\n{OFF}\n4 0 1 2 3 255 0 0\n",
        f"OFF4 2 0\n{OFF}3 0 1 2\n3 0 2 3\n",
        f"OFF 4 2 0\n{OFF}3 0 1 2\n3 0 2 3\n",
        f"OFF\r\n4 2\r\n{OFF}3 0 1 2\r\n3 0 2 3 0.5 0.5 0.5\r\n",
        "COFF\n4 1 0\n" + OFF.replace("\n", " 255 0 0 255\n") + "4 0 1 2 3\n",
    ],
    ids=["triangles", "polygons, comments, colours", "no break", "one line", "CRLF", "coloured vertices"],
)
def test_off_as_others_write_it(tmp_path, content):
    assert_square(read_mesh(file(tmp_path / "m.off", content)))


def test_off_keeps_the_order_of_its_faces_and_fills_concave_ones(tmp_path):
    points = "0 0 0\n2 0 0\n2 1 0\n1 1 0\n1 2 0\n0 2 0\n"
    mesh = read_mesh(file(tmp_path / "m.off", f"OFF\n6 3 0\n{points}4 0 1 2 3\n3 3 4 5\n6 2 3 4 5 0 1\n"))
    assert mesh.faces[:3].tolist() == [[0, 1, 2], [0, 2, 3], [3, 4, 5]]
    centres = mesh.vertices[mesh.faces].mean(axis=1)[:, :2]
    assert len(mesh.faces) == 7 and not (centres > 1).all(axis=1).any()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "begins with no 'OFF'"),
        (f"4 2 0\n{OFF}", "begins with no 'OFF'"),
        (f"NOFF\n4 2 0\n{OFF}", "begins with no 'OFF'"),
        (f"4OFF\n4 2 0\n{OFF}", "begins with no 'OFF'"),
        ("OFF BINARY\n\0\0\0", "begins with no 'OFF'"),
        (f"OFF\n4 2 0\n{OFF}3 0 1 2\n", "holds 1 of its 2 faces; it is cut short"),
        (f"OFF\n4 1 0\n{OFF[:12]}3 0 1 2\n", "m.off"),
        (f"OFF\n4 1 0\n{OFF}4 0 1 2\n", "a face of 3 instead of 4 corners"),
        (f"OFF\n4 1 0\n{OFF}3 0 1 two\n", "has the face '3 0 1 two'"),
        (f"OFF\n4 1 0\n{OFF}3 0 1 4\n", "name vertices 0 to 4"),
        (f"OFF\n4 1 0\n{OFF.replace('0.5', 'up')}3 0 1 2\n", "a vertex without three numbers"),
        (f"OFF\n4 1 0\n{OFF.replace(' 0.5', '')}3 0 1 2\n", "a vertex without three numbers"),
        (f"OFF\n4 0 0\n{OFF}", "4 vertices and 0 faces"),
    ],
)
def test_bad_off_files(tmp_path, refused, content, part):
    with refused(BadInput, "m.off", part):
        read_mesh(file(tmp_path / "m.off", content))


def colored():
    mesh = cube()
    return replace(mesh, colors=np.random.default_rng(1).integers(0, 256, mesh.vertices.shape).astype(np.uint8))


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_what_is_cut_short_is_refused_in_one_line(tmp_path, refused, capfd, suffix):
    path = tmp_path / f"m{suffix}"
    write_mesh(colored(), path)
    whole = path.read_bytes()
    # A text of lines doesn't say how many it has: an OBJ file is only known to be cut where no face is left.
    last = whole.find(b"f ") if suffix == ".obj" else len(whole) - 2
    for length in {*range(0, last, 7), last}:
        with refused(BadInput, path.name):
            read_mesh(file(path, whole[:length]))
    for seed in range(20):
        with refused(BadInput, path.name):
            read_mesh(file(path, np.random.default_rng(seed).bytes(seed * 30)))
    assert capfd.readouterr() == ("", "")


def test_written_as_text_or_by_another_ending_it_stays_the_same_mesh(tmp_path):
    mesh = colored()
    write_ply(mesh, tmp_path / "m.ply", binary=False)
    for suffix in (".ply", ".obj", ".glb", ".off"):
        if suffix != ".ply":
            write_mesh(mesh, tmp_path / f"m{suffix}")
        back = read_mesh(tmp_path / f"m{suffix}")
        np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-7)
        np.testing.assert_array_equal(back.faces, mesh.faces)
        if suffix != ".off":
            np.testing.assert_array_equal(back.colors, mesh.colors)


def test_libraries_are_loaded_when_a_file_needs_them():
    """trimesh takes a second to load, which no command's --help may cost."""
    code = "import sys, reference.geometry.mesh_io; print({'trimesh', 'mapbox_earcut', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
