"""The phone's file: everything an app needs to move a character by skinning alone; docs/character.md describes it.

One safetensors file: a JSON header and plain little-endian arrays, readable in any language without a library. Golden
posed vertices are part of it, so that every app can prove its skinning on the device.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.animation.animate import Character
from reference.animation.figure.skinning import skin, skin_matrices
from reference.animation.motion.skeleton import forward
from reference.animation.output.glb import encode_png, texture_of
from reference.errors import BadInput

FORMAT = "onpar.character"
VERSION = "1"
GOLDEN_LIMIT = 1e-5  # of the figure's height: float32 sums of four products in any order stay far below
GOLDEN_FRAMES = 2
LARGEST_TEXTURE = 512
SUFFIX = ".character.safetensors"


@dataclass(frozen=True, eq=False)
class CharacterFile:
    """An opened file: its tensors by name and its metadata."""

    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, str]

    @property
    def clips(self) -> list[dict[str, Any]]:
        """Name, frame_rate and frames of every clip."""
        clips: list[dict[str, Any]] = json.loads(self.metadata["clips"])
        return clips

    def posed(self, clip: str, frame: int) -> NDArray[np.float32]:
        """(V, 3) float32 vertices of a frame: what an app computes."""
        matrices = self.tensors[f"clip.{clip}.matrices"][frame]
        moved = skin(self.tensors["vertices"], self.tensors["joints"], self.tensors["weights"], matrices)
        return np.asarray(moved, np.float32)


def save_character(character: Character, path: Path) -> None:
    """Writes the file."""
    from safetensors.numpy import save

    tensors = _tensors(character)
    metadata = {
        "format": FORMAT,
        "format_version": VERSION,
        "joint_names": json.dumps(character.skeleton.names),
        "clips": json.dumps([{"name": c.name, "frame_rate": c.frame_rate, "frames": len(c)} for c in character.clips]),
        "golden_limit": repr(GOLDEN_LIMIT),
        "source": character.source.source,
    }
    digest = hashlib.sha256(_data(save(tensors, metadata))).hexdigest()
    path.write_bytes(save(tensors, {**metadata, "sha256": digest}))


def _tensors(character: Character) -> dict[str, NDArray[Any]]:
    body, skeleton = character.rig.body, character.skeleton
    texture, uvs = texture_of(character, LARGEST_TEXTURE)
    weights = character.weights.astype(np.float32)
    kind = np.uint16 if len(body.vertices) < 65536 else np.uint32
    tensors: dict[str, NDArray[Any]] = {
        "vertices": character.vertices.astype(np.float32),
        "uvs": uvs.astype(np.float32),
        "faces": body.faces.astype(kind),
        "joints": character.joints,
        "weights": weights,
        "parents": skeleton.parents,
        "rest_positions": skeleton.positions.astype(np.float32),
        "texture_png": np.frombuffer(encode_png(texture), np.uint8),
    }
    for clip in character.clips:
        matrices = skin_matrices(skeleton, forward(skeleton, clip)).astype(np.float32)
        frames = np.linspace(0, len(clip) - 1, GOLDEN_FRAMES + 2).round().astype(np.int32)[1:-1]
        # In float64 from the stored float32 values: the file must be enough to reproduce its golden vertices.
        vertices, shares = tensors["vertices"].astype(np.float64), weights.astype(np.float64)
        golden = [skin(vertices, character.joints, shares, matrices[f].astype(np.float64)) for f in frames]
        tensors[f"clip.{clip.name}.matrices"] = matrices
        tensors[f"golden.{clip.name}.frames"] = frames
        tensors[f"golden.{clip.name}.vertices"] = np.stack(golden).astype(np.float32)
    return {name: np.ascontiguousarray(values) for name, values in tensors.items()}


def _data(content: bytes) -> bytes:
    """What follows the header of a safetensors file."""
    (length,) = struct.unpack_from("<Q", content)
    return content[8 + length :]


def open_character(path: Path) -> CharacterFile:
    """Opens a file and checks its version and checksum.

    Raises:
        BadInput: no such file, another format, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BadInput(f"no character {path}; give a file that reference.animate wrote (*{SUFFIX})")
    try:
        with safe_open(path, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path} is no character file ({error}); write it again with reference.animate") from error
    if metadata.get("format") != FORMAT or metadata.get("format_version") != VERSION:
        raise BadInput(
            f"{path} has format {metadata.get('format')} {metadata.get('format_version')}; allowed: {FORMAT} {VERSION}"
        )
    if hashlib.sha256(_data(path.read_bytes())).hexdigest() != metadata.get("sha256"):
        raise BadInput(f"{path} differs from its sha256; write it again with reference.animate")
    return CharacterFile(tensors, metadata)


def golden_error(file: CharacterFile) -> float:
    """Largest distance along an axis between posed and golden vertices, in figure heights."""
    worst = 0.0
    for clip in file.clips:
        name = clip["name"]
        for frame, wanted in zip(
            file.tensors[f"golden.{name}.frames"], file.tensors[f"golden.{name}.vertices"], strict=True
        ):
            worst = max(worst, float(np.abs(file.posed(name, int(frame)) - wanted).max()))
    return worst
