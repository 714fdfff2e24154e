"""Meshes as binary glTF 2.0 (GLB) files: the shapes of a scene, without its textures, skins and clips.

Read here and not by trimesh (5.2), which takes sparse, normalised and skinned shapes wrongly and leaves fans out
without a word; written here because trimesh stores colours as 8-bit light, which loses dark ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.glb import ARRAY_BUFFER, ELEMENT_BUFFER, Array, Buffers, Glb, accessor, node_matrix, pack
from reference.geometry.glb import read_glb as open_glb
from reference.geometry.mesh import Mesh, vertex_normals

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_PICTURES = "KHR_texture_basisu"
_GAMMA = 2.2  # glTF states colours as light, Mesh as sRGB


def read_glb(path: Path) -> Mesh:
    """All triangles of the file's scene in one mesh, in the scene's units (y up, metres by convention).

    Vertex colours are the file's own, else the material's base colour. Points and lines are left out. A skinned shape
    is taken as it is stored, which is its rest pose.

    Raises:
        BadInput: another format, damaged, compressed, or without a triangle.
    """
    glb = open_glb(path, "mesh", "a .ply, .obj, .glb, .stl or .off file")
    if _PICTURES in [*glb.document.get("extensionsRequired", []), *glb.document.get("extensionsUsed", [])]:
        raise BadInput(
            f"{path.name} has KTX2 pictures ({_PICTURES}); allowed: PNG, JPEG or no pictures; export it with these, "
            "or run `npx @gltf-transform/cli ktxdecompress IN OUT`"
        )
    try:
        parts = [_primitive(glb, p, matrix) for p, matrix in _placed(glb) if p.get("mode", _TRIANGLES) >= _TRIANGLES]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path.name} has a damaged mesh ({error!r}); export it again") from error
    if not parts:
        raise BadInput(f"{path.name} holds no triangles; allowed: a GLB file with a mesh; export it again")
    first = np.cumsum([0, *(len(vertices) for vertices, _, _ in parts)])
    return Mesh(
        np.concatenate([vertices for vertices, _, _ in parts]),
        np.concatenate([faces + start for (_, faces, _), start in zip(parts, first, strict=False)]),
        np.concatenate([colors for _, _, colors in parts]),
    )


def _placed(glb: Glb) -> Iterator[tuple[dict[str, Any], Array]]:
    """Every primitive of the scene with its node's (4, 4) world matrix."""
    nodes, scenes = glb.document.get("nodes", []), glb.document.get("scenes", [])
    if scenes:
        roots = scenes[glb.document.get("scene", 0)].get("nodes", [])
    else:
        roots = sorted(set(range(len(nodes))) - {c for node in nodes for c in node.get("children", [])})
    waiting = [(number, np.eye(4)) for number in reversed(roots)]
    seen: set[int] = set()
    while waiting:
        number, parent = waiting.pop()
        if number in seen:
            raise BadInput(f"{glb.name}: node {number} hangs at two parents; allowed: a tree; export it again")
        seen.add(number)
        node = nodes[number]
        world = parent @ node_matrix(node)
        waiting += [(child, world) for child in reversed(node.get("children", []))]
        if "mesh" in node:
            # The joints place a skinned shape, not its node.
            place = np.eye(4) if "skin" in node else world
            yield from ((p, place) for p in glb.document["meshes"][node["mesh"]]["primitives"])


def _primitive(
    glb: Glb, primitive: dict[str, Any], matrix: Array
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.uint8]]:
    """(N, 3) positions in the scene, (M, 3) faces and (N, 3) colours of one primitive."""
    positions = accessor(glb, primitive["attributes"]["POSITION"]).astype(np.float64)
    corners = np.arange(len(positions))
    if "indices" in primitive:
        corners = accessor(glb, primitive["indices"])[:, 0].astype(np.int64)
    faces = _triangles(corners, primitive.get("mode", _TRIANGLES))
    if np.linalg.det(matrix[:3, :3]) < 0:  # a mirrored node turns its faces inside out
        faces = faces[:, ::-1]
    vertices = positions @ matrix[:3, :3].T + matrix[:3, 3]
    return vertices.astype(np.float32), faces.astype(np.int32), _colors(glb, primitive, len(positions))


def _triangles(corners: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """(M, 3) vertex numbers of a list, strip or fan of triangles."""
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == _FAN:
        return np.stack([np.full(max(0, len(corners) - 2), corners[0]), corners[1:-1], corners[2:]], axis=1)
    strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    strip[1::2] = strip[1::2, ::-1]  # every second triangle of a strip winds the other way
    return strip


def _colors(glb: Glb, primitive: dict[str, Any], count: int) -> NDArray[np.uint8]:
    """(N, 3) sRGB of the vertices."""
    attributes = primitive["attributes"]
    light: Array = np.ones((count, 3))
    if "material" in primitive:
        surface = glb.document["materials"][primitive["material"]].get("pbrMetallicRoughness", {})
        light = light * np.array(surface.get("baseColorFactor", (1, 1, 1, 1)), np.float64)[:3]
    if "COLOR_0" in attributes:
        light = light * accessor(glb, attributes["COLOR_0"])[:, :3]
    srgb: NDArray[np.uint8] = np.rint(np.clip(light, 0, 1) ** (1 / _GAMMA) * 255).astype(np.uint8)
    return srgb


def write_glb(mesh: Mesh, path: Path, color: tuple[int, int, int] = (214, 190, 172)) -> None:
    """Writes one lit shape with normals, in its vertex colours or else in ``color`` (sRGB)."""
    buffers = Buffers()
    attributes = {
        "POSITION": buffers.add(mesh.vertices, ARRAY_BUFFER, bounds=True),
        "NORMAL": buffers.add(_unit_normals(mesh), ARRAY_BUFFER),
    }
    base = [*((value / 255) ** _GAMMA for value in color), 1.0]
    if mesh.colors is not None:
        attributes["COLOR_0"] = buffers.add(((mesh.colors / 255) ** _GAMMA).astype(np.float32), ARRAY_BUFFER)
        base = [1.0, 1.0, 1.0, 1.0]
    indices = buffers.add(mesh.faces.ravel().astype(np.uint32), ELEMENT_BUFFER)
    surface = {"baseColorFactor": base, "metallicFactor": 0.0, "roughnessFactor": 0.8}
    document = {
        "asset": {"version": "2.0", "generator": "OnPar"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "solid", "mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [{"name": "clay", "pbrMetallicRoughness": surface}],
    }
    path.write_bytes(pack(document | buffers.document(), buffers.binary))


def _unit_normals(mesh: Mesh) -> NDArray[np.float32]:
    """Vertex normals of length 1 everywhere, as glTF demands: a vertex without an area points at the viewer."""
    normals = vertex_normals(mesh)
    return np.where(np.linalg.norm(normals, axis=1, keepdims=True) > 0.5, normals, np.array([0, 0, 1], np.float32))
