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
from reference.tasks.face_reconstruction import FaceMesh

Picture = NDArray[np.uint8]
SUFFIXES = (".glb", ".obj")
VIEWS = (-50, 0, 50)
LARGEST_TEXTURE = 1024


def save_mesh(face: FaceMesh, picture: Picture, path: Path) -> None:
    """Write a face as .glb (with its picture as texture) or .obj (shape only), in metres, upright, with its expression.

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
            from reference.geometry.mesh_text import write_obj

            write_obj(Mesh((face.shape / 10).astype(np.float32), load_topology().faces), path)
    except OSError as error:
        raise BadInput(f"can't write {path} ({error.strerror or error}); give a writable folder") from error


def take_texture(face: FaceMesh, picture: Picture) -> tuple[Picture, NDArray[np.float32]]:
    """The part of the picture that the face covers, no side longer than 1,024, and (V, 2) places in it from 0 to 1.

    The sides of a turned face that the picture does not show get the colours in front of them.
    """
    import cv2

    height, width = picture.shape[:2]
    places = face.vertices_px[:, :2] + 0.5
    low = np.clip(np.floor(places.min(0)) - 2, 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(places.max(0)) + 2, low + 1, [width, height]).astype(int)
    cut = picture[low[1] : high[1], low[0] : high[0]]
    scale = LARGEST_TEXTURE / max(cut.shape[:2])
    if scale < 1:
        size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
        cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cut, np.clip((places - low) / (high - low), 0, 1).astype(np.float32)


def to_glb(face: FaceMesh, picture: Picture) -> bytes:
    """The bytes of a binary glTF 2.0 file."""
    from PIL import Image

    topology = load_topology()
    texture, places = take_texture(face, picture)
    encoded = io.BytesIO()
    Image.fromarray(texture).save(encoded, "PNG", optimize=True)
    vertices = (face.shape / 10).astype(np.float32)  # decimetres to metres
    normals = vertex_normals(Mesh(vertices, topology.faces))
    flat = np.linalg.norm(normals, axis=1, keepdims=True) < 0.5
    normals = np.where(flat, np.array([0, 0, 1], np.float32), normals).astype(np.float32)
    buffers = Buffers()
    attributes = {
        "POSITION": buffers.add(vertices, ARRAY_BUFFER, bounds=True),
        "NORMAL": buffers.add(normals, ARRAY_BUFFER),
        "TEXCOORD_0": buffers.add(places, ARRAY_BUFFER),
    }
    indices = buffers.add(topology.faces.astype(np.uint16).reshape(-1), ELEMENT_BUFFER)
    image = buffers.view(encoded.getvalue())
    surface = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    document = {
        "asset": {"version": "2.0", "generator": "OnPar FaceReconstructor"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "face", "mesh": 0, "extras": face.to_json()}],
        "meshes": [{"name": "face", "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
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
    topology = load_topology()
    views = []
    for yaw in VIEWS:
        turned = face.shape @ rotation(yaw, 0, 0)[:3, :3].T.astype(np.float32)
        views.append(draw_textured(turned, topology.faces, face.vertices_px[:, :2], picture, side))
    return views
