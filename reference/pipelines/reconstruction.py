"""A face mesh as a file and as pictures (document R, row R5): textured GLB, OBJ, overlay and turned views."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.face_topology import load_topology
from reference.geometry.glb import ARRAY_BUFFER, ELEMENT_BUFFER, Buffers, pack
from reference.geometry.mesh import Mesh, rotation, vertex_normals
from reference.geometry.render import draw_over, draw_textured
from reference.pipelines.face_blendshapes import load_blendshapes
from reference.pipelines.face_sheet import load_sheet
from reference.pipelines.face_texture import SIZE, make_texture
from reference.tasks.face_reconstruction import FaceMesh

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]
SUFFIXES = (".glb", ".obj")
VIEWS = (-45, 0, 45)


def save_mesh(face: FaceMesh, picture: Picture, path: Path) -> None:
    """Write a face with its texture as .glb, or as .obj with .mtl and .png beside it: metres, upright, with expression.

    Raises:
        BadInput: another ending, or the file can't be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput(f"{path} ends in {suffix or 'nothing'}; a face mesh is saved as {' or '.join(SUFFIXES)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".glb":
            path.write_bytes(to_glb(face, picture))
        else:
            save_obj(face, picture, path)
    except OSError as error:
        raise BadInput(f"can't write {path} ({error.strerror or error}); give a writable folder") from error


def save_obj(face: FaceMesh, picture: Picture, path: Path) -> None:
    """Write ``path``, and beside it the material and the texture under the same name."""
    from PIL import Image

    sheet = load_sheet()
    Image.fromarray(make_texture(face, picture)).save(path.with_suffix(".png"))
    material = f"newmtl skin\nKd 1 1 1\nillum 0\nmap_Kd {path.stem}.png\n"
    path.with_suffix(".mtl").write_text(material, encoding="utf-8")
    lines = [f"mtllib {path.stem}.mtl", "usemtl skin"]
    lines += [f"v {x:.6g} {y:.6g} {z:.6g}" for x, y, z in (sheet.upright(face.shape) / 10).tolist()]
    lines += [f"vt {x:.6g} {1 - y:.6g}" for x, y in sheet.places.tolist()]  # OBJ counts from below
    lines += [f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in (sheet.faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def blendshapes(face: FaceMesh) -> dict[str, Floats]:
    """Name to offsets (V', 3) in decimetres of the closed, upright mesh: ARKit's, and ``neutral``.

    ``neutral`` takes the photographed expression away; ARKit's shapes mean what they say on top of it.
    """
    sheet, shape = load_sheet(), face.shape
    now = sheet.upright(shape)
    # A measured face has its true size; the network's, and with it every movement, has the mean head's.
    size = np.linalg.norm(np.ptp(shape, axis=0)) / np.linalg.norm(np.ptp(face.network_shape, axis=0))
    offsets = {**load_blendshapes(), "neutral": face.neutral - face.network_shape}
    return {name: np.asarray(sheet.upright(shape + size * of) - now, np.float32) for name, of in offsets.items()}


def to_glb(face: FaceMesh, picture: Picture) -> bytes:
    """The bytes of a binary glTF 2.0 file, with the targets of :func:`blendshapes` by their names."""
    from PIL import Image

    sheet, texture = load_sheet(), make_texture(face, picture)
    encoded = io.BytesIO()
    Image.fromarray(texture).save(encoded, "PNG", optimize=True)
    vertices = sheet.upright(face.shape) / np.float32(10)  # decimetres to metres
    normals = vertex_normals(Mesh(vertices, sheet.faces))
    flat = np.linalg.norm(normals, axis=1, keepdims=True) < 0.5
    normals = np.where(flat, np.array([0, 0, 1], np.float32), normals).astype(np.float32)
    buffers = Buffers()
    attributes = {
        "POSITION": buffers.add(vertices, ARRAY_BUFFER, bounds=True),
        "NORMAL": buffers.add(normals, ARRAY_BUFFER),
        "TEXCOORD_0": buffers.add(sheet.places, ARRAY_BUFFER),
    }
    indices = buffers.add(sheet.faces.astype(np.uint16).reshape(-1), ELEMENT_BUFFER)
    image = buffers.view(encoded.getvalue())
    shapes = blendshapes(face)
    targets = [{"POSITION": buffers.add_sparse(offset / np.float32(10))} for offset in shapes.values()]
    surface = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    document = {
        "asset": {"version": "2.0", "generator": "OnPar FaceReconstructor"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "face", "mesh": 0, "extras": face.to_json()}],
        "meshes": [
            {
                "name": "face",
                "primitives": [{"attributes": attributes, "indices": indices, "material": 0, "targets": targets}],
                "weights": [0.0] * len(targets),
                "extras": {"targetNames": list(shapes)},
            }
        ],
        # Unlit: the photograph has its own light.
        "materials": [
            {
                "name": "skin",
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
                "pbrMetallicRoughness": surface,
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"mimeType": "image/png", "bufferView": image}],
    }
    return pack(document | buffers.document(), buffers.binary)


def draw_faces(picture: Picture, faces: list[FaceMesh]) -> Picture:
    """The meshes over the picture."""
    for face in faces:
        picture = draw_over(picture, face.vertices_px, load_topology().faces)
    return picture


def draw_views(face: FaceMesh, picture: Picture, side: int) -> list[Picture]:
    """The face in its own colours, upright, seen from the left, the front and the right, each (side, side, 3)."""
    sheet, texture = load_sheet(), make_texture(face, picture)
    places = sheet.places * np.float32(SIZE) - np.float32(0.5)
    upright = sheet.upright(face.shape)
    views = []
    for yaw in VIEWS:
        turned = upright @ rotation(yaw, 0, 0)[:3, :3].T.astype(np.float32)
        views.append(draw_textured(turned, sheet.faces, places, texture, side))
    return views
