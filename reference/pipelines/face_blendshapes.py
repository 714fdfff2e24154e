"""The 51 of ARKit's 52 blend shapes that the face mesh has: how its vertices move with each; without the tongue.

ICT-FaceKit's expressions (USC Institute for Creative Technologies, MIT licence) bear ARKit's names and belong to the
head that the mesh is a coarsening of. ``python -m reference.pipelines.face_blendshapes ict_facekit.npz`` makes
``models/face3d/blendshapes.safetensors`` anew: for each name the vertices that move by more than 20 micrometres
(uint16) and their offsets (float16, decimetres, in the frame of :mod:`reference.geometry.face_topology`).
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.card import MODELS_DIR
from reference.errors import BadInput
from reference.geometry.face_topology import load_topology, write_stored

Floats = NDArray[np.float32]

STORED = MODELS_DIR / "face3d" / "blendshapes.safetensors"
# ARFaceAnchor.BlendShapeLocation; each name in SIDED is two shapes, Left and Right of the person.
SIDED = (
    "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthSmile",
    "mouthFrown", "mouthDimple", "mouthStretch", "mouthPress", "mouthLowerDown", "mouthUpperUp", "browDown",
    "browOuterUp", "cheekSquint", "noseSneer",
)  # fmt: skip
WHOLE = (
    "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "browInnerUp", "cheekPuff",
)  # fmt: skip
NAMES = tuple(sorted([*WHOLE, *(name + side for name in SIDED for side in ("Left", "Right"))]))
LEAST = 2e-4  # decimetres


@lru_cache(maxsize=1)
def load_blendshapes() -> dict[str, Floats]:
    """Name to offsets (V, 3) in decimetres of an upright face's vertices when that shape counts fully.

    Raises:
        BadInput: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    count = len(load_topology().mean)
    try:
        stored = load_file(STORED)
        shapes = {}
        for name in NAMES:
            shapes[name] = np.zeros((count, 3), np.float32)
            shapes[name][stored[f"{name}.vertices"]] = stored[f"{name}.offsets"]
    except (OSError, SafetensorError, KeyError, IndexError, ValueError) as error:
        raise BadInput(f"can't read {STORED} ({error}); restore it from the repository") from error
    return shapes


def build_blendshapes(path: Path) -> dict[str, NDArray[Any]]:
    """What is stored, from ``ict_facekit.npz``; ARKit has one shape where the head has a left and a right one.

    Raises:
        BadInput: the file is another one.
    """
    source = load_topology().source
    try:
        with np.load(path) as data:
            offsets = data["expression"][:, source].astype(np.float32) / 10
            of = dict(zip(data["expr_names"].tolist(), offsets, strict=True))
        shapes = {f"{name}{side}": of[f"{name}_{side[0]}"] for name in SIDED for side in ("Left", "Right")}
        shapes |= {name: of[name] if name in of else of[f"{name}_L"] + of[f"{name}_R"] for name in WHOLE}
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise BadInput(f"{path} is not ict_facekit.npz ({error}); give the head model of the data pack") from error
    stored: dict[str, NDArray[Any]] = {}
    for name in NAMES:
        moved = np.flatnonzero(np.linalg.norm(shapes[name], axis=1) > LEAST)
        stored[f"{name}.vertices"] = moved.astype(np.uint16)
        stored[f"{name}.offsets"] = shapes[name][moved].astype(np.float16)
    return stored


def main(arguments: list[str] | None = None) -> int:
    """Write the file of blend shapes."""
    return write_stored("pipelines.face_blendshapes", build_blendshapes, STORED, main.__doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
