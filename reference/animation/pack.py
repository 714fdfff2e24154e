"""``python -m reference.animation.pack``: writes the motions that apps make characters with.

models/motions/app_sources.safetensors holds every source skeleton and clip of the library, the label maps and the
weights that decide what a figure moves on. An app then needs neither BVH nor glTF nor YAML. Metadata:

- ``format``, ``format_version``: ``onpar.sources``, ``1``; ``sha256`` of the tensors' bytes;
- ``figures``: JSON list of {name, topology, joints, parents, feet, thick, thin, clips: [{name, frame_rate, frames}]};
- ``labels``: JSON {topology: {name: [figure]}, dataset: {class: figure}};
- ``weights``: JSON {with_class, without_class: {topologies, names, mean, scale, matrix, bias}}.

Tensors: ``<figure>.positions`` F32 (J, 3), and of each clip ``<figure>.<clip>.rotations`` U16 (F, J, 4), quaternions
x, y, z, w relative to the parent in the axes of the rest pose, stored as (q + 1) / 2 * 65535, and ``.translations`` F32
(F, 3) of the root.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.animation.motion.library import MOTIONS_DIR, load_motion, read_labels, read_library
from reference.animation.motion.source import TOPOLOGIES, Motion
from reference.animation.topology import Weights, read_weights

PACK = MOTIONS_DIR / "app_sources.safetensors"
FORMAT, VERSION = "onpar.sources", "1"


def pack() -> bytes:
    """The file's content; the order of its metadata is left to chance."""
    from safetensors.numpy import save

    figures: list[Any] = []
    tensors: dict[str, NDArray[Any]] = {}
    for name, figure in read_library().items():
        motions = [load_motion(figure, clip) for clip in figure.clips]
        figures.append(_entry(name, motions))
        tensors[f"{name}.positions"] = motions[0].skeleton.positions.astype(np.float32)
        for motion in motions:
            tensors[f"{name}.{motion.clip.name}.rotations"] = _quaternions(motion)
            tensors[f"{name}.{motion.clip.name}.translations"] = motion.clip.translations.astype(np.float32)
    labels = read_labels()
    metadata = {
        "format": FORMAT,
        "format_version": VERSION,
        "figures": json.dumps(figures),
        "labels": json.dumps({"topology": labels.topology, "dataset": labels.dataset}),
        "weights": json.dumps({title: _weights(weights) for title, weights in read_weights().items()}),
    }
    content = save(tensors, metadata)
    start = 8 + int.from_bytes(content[:8], "little")
    return save(tensors, {**metadata, "sha256": hashlib.sha256(content[start:]).hexdigest()})


def _entry(name: str, motions: list[Motion]) -> dict[str, Any]:
    first = motions[0]
    return {
        "name": name,
        "topology": first.topology,
        "joints": first.skeleton.names,
        "parents": first.skeleton.parents.tolist(),
        "feet": first.feet,
        "thick": first.thick,
        "thin": first.thin,
        "clips": [
            {"name": m.clip.name, "frame_rate": m.clip.frame_rate, "frames": len(m.clip)} for m in motions
        ],
    }  # fmt: skip


def _quaternions(motion: Motion) -> NDArray[np.uint16]:
    from scipy.spatial.transform import Rotation

    frames, joints = motion.clip.rotations.shape[:2]
    values = Rotation.from_matrix(motion.clip.rotations.reshape(-1, 3, 3)).as_quat().reshape(frames, joints, 4)
    return np.asarray(np.round((values + 1) / 2 * 65535), np.uint16)


def _weights(weights: Weights) -> dict[str, Any]:
    return {
        "topologies": TOPOLOGIES,
        "names": weights.names,
        "mean": weights.mean.tolist(),
        "scale": weights.scale.tolist(),
        "matrix": weights.matrix.tolist(),
        "bias": weights.bias.tolist(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and write; returns the exit code."""
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m reference.animation.pack", description=about)
    parser.add_argument("--out", type=Path, default=PACK)
    a = parser.parse_args(arguments)
    content = pack()
    a.out.write_bytes(content)
    print(f"{a.out}: {len(content) / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
