"""Vectors for face meshes: outputs of a small network that is none, with the mesh, pose, expression and next crop.

The topology is as small: 80 vertices that no exchange of axes, rows or outputs leaves as they are. Nothing depends on
the weights of a model.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.geometry.face_topology import JAW, LANDMARKS, Topology, landmark_vertices
from reference.inputs.preprocess import Region
from reference.inputs.square import CROP_SCALE, square_around
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec
from reference.tasks import decode as postprocess
from reference.tasks.face_reconstruction import FaceMesh
from sdk_build.app_vectors.encoding import Json, encode

VERTICES, STEPS, TRIANGLES = 80, 4, 24
SIDE = 16
# Not square, so that width and height are told apart; partly beside the picture.
REGION = Region(-3.5, 10.25, 120.0, 90.0)


def meshes() -> list[Json]:
    """Poses of all kinds, each of a face of its own."""
    poses = {
        "upright": (1.7, 0, 0, 0, 0.4, 0.5, 0.5),
        "turned to the right": (0.9, 0, 0.4, 0, 0.37, 0.55, 0.43),
        "looking down": (1.1, 0.5, 0, 0, 0.41, 0.44, 0.57),
        "tilted": (0.8, 0, 0, 0.35, 0.33, 0.61, 0.48),
        "all at once": (0.7, -0.3, 0.25, 0.4, 0.29, 0.37, 0.66),
        "the other sign": (-0.7, 0.3, -0.25, -0.4, 0.29, 0.37, 0.66),
        "a quaternion of no length": (0, 0, 0, 0, 0.4, 0.5, 0.5),
    }
    return [_mesh(name, number, pose) for number, (name, pose) in enumerate(poses.items())]


def topologies() -> list[Json]:
    """The topology of all meshes, and files that every library answers with BundleInvalid."""
    good = _tensors()
    beyond, below, short = good["faces"].copy(), good["contour"].copy(), good["contour"][1:]
    beyond[3, 1], below[2, 2] = VERTICES, -1
    nowhere = good["outward"].copy()
    nowhere[5, 0] = np.nan
    whole = _file(good)  # its last tensors are not read by the apps: a cut must reach the others
    files = {
        "good": whole,
        "no contour": _file({name: values for name, values in good.items() if name != "contour"}),
        "a triangle beyond the last vertex": _file(good | {"faces": beyond}),
        "a contour below the first": _file(good | {"contour": below}),
        "a jaw of 16 points": _file(good | {"contour": short}),
        "a direction that is no number": _file(good | {"outward": nowhere}),
        "triangles of another type": _file(good | {"faces": good["faces"].astype(np.float32)}),
        "fewer vertices than landmarks": _file(good | {"mean": good["mean"][: LANDMARKS - 1]}),
        "cut": whole[: len(whole) // 2],
        "cut in its header": whole[:100],
        "empty": b"",
    }
    triangles = good["faces"].reshape(-1).tolist()
    return [
        {"name": n, "content": encode(c), "triangles": triangles if n == "good" else None} for n, c in files.items()
    ]


def _topology() -> Topology:
    generator = np.random.default_rng(21)
    mean = generator.uniform(-1, 1, (VERTICES, 3)).astype(np.float32)
    angle = np.linspace(0.2, np.pi - 0.2, JAW)
    return Topology(
        mean=mean,
        faces=np.stack([generator.permutation(VERTICES)[:3] for _ in range(TRIANGLES)]).astype(np.int32),
        regions=np.zeros(VERTICES, np.uint8),
        contour=np.stack([generator.permutation(VERTICES)[:STEPS] for _ in range(JAW)]).astype(np.int32),
        outward=np.stack([-np.cos(angle), -np.sin(angle)], axis=1).astype(np.float32),
        source=np.arange(VERTICES, dtype=np.int32),
    )


def _tensors() -> dict[str, NDArray[Any]]:
    # asdict would copy; the values are needed as they are.
    topology = _topology()
    return {field.name: getattr(topology, field.name) for field in dataclasses.fields(topology)}


def _file(tensors: dict[str, NDArray[Any]]) -> bytes:
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(values) for name, values in tensors.items()})


def _mesh(name: str, number: int, pose: tuple[float, ...]) -> Json:
    generator = np.random.default_rng(30 + number)
    outputs = {
        "vertices": generator.uniform(0, 1, (1, VERTICES, 3)).astype(np.float32),
        "neutral": generator.uniform(-1, 1, (1, VERTICES, 3)).astype(np.float32),
        "pose": np.array([pose], np.float32),
    }
    face = postprocess(outputs, _spec(outputs), REGION)
    assert isinstance(face, FaceMesh)
    landmarks = face.vertices_px[landmark_vertices(face.vertices_px[None], _topology())[0], :2]
    left, top, side = square_around(landmarks, CROP_SCALE)
    return {
        "name": name,
        "postprocess": dataclasses.asdict(_spec(outputs).postprocess),
        "region": dataclasses.astuple(REGION),
        "labels": [],
        "outputs": [{"name": n, "shape": v.shape, "values": encode(v)} for n, v in outputs.items()],
        "expected": {
            "vertices_px": encode(face.vertices_px),
            "neutral": encode(face.neutral),
            "shape": encode(face.shape),
            "rotation": encode(face.rotation),
            "scale_px": face.scale_px,
            "center_px": face.center_px.tolist(),
            "landmarks_px": encode(landmarks),
            "pose_degrees": face.pose_degrees,
            "expression": face.expression,
            # reference.pipelines.face_boxes.from_points, which needs OpenCV
            "next_region": [left + 0.5, top + 0.5, side, side],
        },
    }


def _spec(outputs: dict[str, NDArray[np.float32]]) -> ModelSpec:
    return ModelSpec(
        "vector", "face_reconstruction", "", "", (TensorSpec("image", (1, 3, SIDE, SIDE), "NCHW", "intensity"),),
        tuple(TensorSpec(name, value.shape, "NPC" if value.ndim == 3 else "NC", "") for name, value in outputs.items()),
        PreprocessSpec((SIDE, SIDE)), PostprocessSpec("FaceMesh"), "",
    )  # fmt: skip
