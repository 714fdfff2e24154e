"""Writes a character as a binary glTF 2.0 file: skinned mesh, texture and clips, for any viewer."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.animation.animate import Character
from reference.animation.figure.mask import Picture
from reference.animation.motion.skeleton import Array, Clip, Skeleton
from reference.geometry.glb import ARRAY_BUFFER, ELEMENT_BUFFER, Buffers, pack

LARGEST_TEXTURE = 1024


def write_glb(character: Character, path: Path) -> None:
    """Writes the file; the figure is one unit (metre) tall."""
    buffers = Buffers()
    skeleton = character.skeleton
    count = len(skeleton)
    mesh = _mesh(character, buffers)
    image = buffers.view(encode_png(texture_of(character, LARGEST_TEXTURE)[0]))
    skin = {"joints": list(range(count)), "skeleton": 0, "inverseBindMatrices": buffers.add(_inverse_binds(skeleton))}
    document = {
        "asset": {"version": "2.0", "generator": "OnPar reference.animate"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0, count]}],
        "nodes": [*_nodes(skeleton), {"name": "figure", "mesh": 0, "skin": 0}],
        "meshes": [mesh],
        "skins": [skin],
        # Unlit: the drawing keeps its own colours; viewers that don't know the extension light it.
        "materials": [
            {
                "name": "drawing",
                "extensions": {"KHR_materials_unlit": {}},
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"mimeType": "image/png", "bufferView": image}],
        "animations": [_animation(skeleton, clip, buffers) for clip in character.clips],
    }  # fmt: skip
    document |= buffers.document()
    path.write_bytes(pack(document, buffers.binary))


def _mesh(character: Character, buffers: Buffers) -> dict[str, Any]:
    body = character.rig.body
    _, uvs = texture_of(character, LARGEST_TEXTURE)
    weights = character.weights.astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    kind = np.uint16 if len(body.vertices) < 65535 else np.uint32
    attributes = {
        "POSITION": buffers.add(character.vertices.astype(np.float32), ARRAY_BUFFER, bounds=True),
        "NORMAL": buffers.add(normals(character.vertices, body.faces).astype(np.float32), ARRAY_BUFFER),
        "TEXCOORD_0": buffers.add(uvs.astype(np.float32), ARRAY_BUFFER),
        "JOINTS_0": buffers.add(character.joints, ARRAY_BUFFER),
        "WEIGHTS_0": buffers.add(weights, ARRAY_BUFFER),
    }
    indices = buffers.add(body.faces.ravel().astype(kind), ELEMENT_BUFFER)
    return {"name": "figure", "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}


def normals(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """(V, 3) unit normals, weighted by the faces' areas."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    total = np.stack([np.bincount(faces.ravel(), np.repeat(cross[:, i], 3), len(vertices)) for i in range(3)], axis=1)
    lengths = np.linalg.norm(total, axis=1, keepdims=True)
    # On the rim front and back may cancel; any direction in the plane serves there.
    return np.where(lengths > 1e-15, total / np.maximum(lengths, 1e-15), [0.0, 0.0, 1.0])


def texture_of(character: Character, largest: int) -> tuple[Picture, Array]:
    """The figure's part of the picture, no side longer than ``largest``, and (V, 2) coordinates in it from 0 to 1."""
    import cv2

    from reference.animation.output.preview import bleed

    figure, pixels = character.rig.figure, character.rig.body.pixels
    height, width = figure.mask.shape
    low = np.clip(np.floor(pixels.min(axis=0)) - 2, 0, None).astype(int)
    high = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 3, [width, height])
    cut = bleed(figure.picture, figure.mask)[low[1] : high[1], low[0] : high[0]]
    uvs = np.clip((pixels + 0.5 - low) / (high - low), 0, 1)
    scale = largest / max(cut.shape[:2])
    if scale < 1:
        size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
        cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cut, uvs


def encode_png(picture: Picture) -> bytes:
    """The bytes of a PNG file."""
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(picture).save(target, "PNG", optimize=True)
    return target.getvalue()


def _inverse_binds(skeleton: Skeleton) -> NDArray[np.float32]:
    """(J, 16) column-major matrices that move each joint to the origin."""
    matrices = np.tile(np.eye(4, dtype=np.float32), (len(skeleton), 1, 1))
    matrices[:, :3, 3] = -skeleton.positions
    return np.swapaxes(matrices, 1, 2).reshape(-1, 16)


def _nodes(skeleton: Skeleton) -> list[dict[str, Any]]:
    nodes = []
    for joint, (name, below) in enumerate(zip(skeleton.names, skeleton.children, strict=True)):
        node: dict[str, Any] = {"name": name, "translation": skeleton.offsets[joint].tolist()}
        nodes.append({**node, "children": below} if below else node)
    return nodes


def quaternions(rotations: Array) -> Array:
    """(F, J, 4) x y z w of (F, J, 3, 3), without jumps of sign, which viewers would turn through."""
    from scipy.spatial.transform import Rotation

    frames, joints = rotations.shape[:2]
    result = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat().reshape(frames, joints, 4)
    flips = np.where((result[1:] * result[:-1]).sum(axis=2) < 0, -1.0, 1.0)
    result[1:] *= np.cumprod(flips, axis=0)[..., None]
    return np.asarray(result)


def _animation(skeleton: Skeleton, clip: Clip, buffers: Buffers) -> dict[str, Any]:
    times = buffers.add((np.arange(len(clip)) / clip.frame_rate).astype(np.float32), bounds=True)
    turns = quaternions(clip.rotations).astype(np.float32)
    outputs = [("rotation", joint, buffers.add(turns[:, joint])) for joint in range(len(skeleton))]
    moves = (skeleton.positions[0] + clip.translations).astype(np.float32)
    outputs.append(("translation", 0, buffers.add(moves)))
    return {
        "name": clip.name,
        "channels": [{"sampler": i, "target": {"node": n, "path": p}} for i, (p, n, _) in enumerate(outputs)],
        "samplers": [{"input": times, "output": values} for _, _, values in outputs],
    }
