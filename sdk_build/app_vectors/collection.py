"""All vectors together, and the text that they are stored as."""

from __future__ import annotations

import json
from pathlib import Path

from sdk_build.app_vectors.characters import characters, refused_characters
from sdk_build.app_vectors.encoding import Json
from sdk_build.app_vectors.faces import face_shapes, face_squares, judgments, squares, tracks
from sdk_build.app_vectors.frames import bad_frames, frames
from sdk_build.app_vectors.general import general_metrics, general_results
from sdk_build.app_vectors.meshes import meshes, topologies
from sdk_build.app_vectors.outputs import metrics, results
from sdk_build.app_vectors.pictures import bad_depths, bad_pictures, boxes, depths, orientations, sizes
from sdk_build.app_vectors.signatures import signatures

FOLDER = Path(__file__).parents[2] / "tests" / "vectors"


def collect() -> Json:
    """All vectors, the same on every run."""
    return {
        "pictures": [*orientations(), *sizes(), *boxes()],
        "frames": frames(),
        "depths": depths(),
        "bad_pictures": bad_pictures(),
        "bad_frames": bad_frames(),
        "bad_depths": bad_depths(),
        "results": [*results(), *general_results()],
        "metrics": [*metrics(), *general_metrics()],
        "signatures": signatures(),
        "squares": squares(),
        "face_squares": face_squares(),
        "face_shapes": face_shapes(),
        "judgments": judgments(),
        "tracks": tracks(),
        "meshes": meshes(),
        "topologies": topologies(),
    }


def collect_characters() -> Json:
    """The vectors for characters that apps make; a file of their own, which the web library alone reads."""
    return {"characters": characters(), "refused": refused_characters()}


def to_text(vectors: Json) -> str:
    """The file's content: one case a line, so that a difference shows which case changed."""
    parts = []
    for name, cases in vectors.items():
        lines = ",\n".join(json.dumps(case) for case in cases)
        parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"
