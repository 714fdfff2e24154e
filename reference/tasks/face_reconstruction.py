"""Face reconstruction: a mesh from one photo (document R)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.geometry.face_topology import LANDMARKS, Topology, landmark_vertices, load_topology
from reference.geometry.similarity import similarity_errors
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec
from reference.tasks.base import Metrics, Network, Task, Tensors
from reference.tasks.face_keypoints import LARGE_POSE, NME, PRECISE_SETS, normalized_errors

if TYPE_CHECKING:
    from reference.data.face_mixes import Validation
    from reference.data.faces import Faces


Array = NDArray[np.float32]


@dataclass(frozen=True)
class FaceMesh:
    """A face in three dimensions; triangles, regions and landmarks are those of the face topology.

    Attributes:
        vertices_px: (V, 3) float32: x and y in picture pixels, the centre of the first pixel at (0, 0); z towards the
            viewer in the same unit, 0 at the middle of the face.
        neutral: (V, 3) float32 decimetres: the same face without expression, upright, x to the picture's right when it
            looks at the viewer, y up, z out of the face. One picture does not tell its true size.
        rotation: (3, 3) float32 from that frame to the viewer's (x right, y up, z towards the viewer).
        scale_px: pixels per decimetre.
        center_px: (2,) where the origin of that frame lies in the picture.
        region: the crop that the network saw.
    """

    vertices_px: NDArray[np.float32]
    neutral: NDArray[np.float32]
    rotation: NDArray[np.float32]
    scale_px: float
    center_px: NDArray[np.float32]
    region: Region

    @property
    def shape(self) -> NDArray[np.float32]:
        """(V, 3) float32 like ``neutral``, with the expression: the face before its pose."""
        return self.network_shape

    @property
    def network_shape(self) -> NDArray[np.float32]:
        """(V, 3) float32: ``shape`` as the network has it, in the size of ``neutral``."""
        viewed = (self.vertices_px - np.append(self.center_px, 0)) * [1, -1, 1] / self.scale_px
        return np.asarray(viewed @ self.rotation, np.float32)

    @property
    def landmarks_px(self) -> NDArray[np.float32]:
        """(68, 2) float32 projected landmarks; the jaw's lie on the visible outline, as in 300-W."""
        from reference.geometry.face_topology import landmark_vertices

        numbers = landmark_vertices(self.vertices_px[None], load_topology())[0]
        return self.vertices_px[numbers, :2]

    @property
    def pose_degrees(self) -> dict[str, float]:
        """yaw, pitch and roll: yaw first, then pitch, then roll, each about a fixed axis of the viewer's.

        Positive: the face turns to the picture's right, looks down, tilts counter-clockwise in the picture.
        """
        r = self.rotation.astype(np.float64)
        yaw, roll = np.arctan2(-r[2, 0], r[2, 2]), np.arctan2(-r[0, 1], r[1, 1])
        pitch = np.arcsin(np.clip(r[2, 1], -1, 1))
        return {name: float(np.degrees(value)) for name, value in (("yaw", yaw), ("pitch", pitch), ("roll", roll))}

    @property
    def expression(self) -> dict[str, float]:
        """What the face does, against its own neutral shape.

        ``mouth_open``, ``mouth_wide``, ``smile`` (corners up) and ``brow_raise`` are changes in shares of the neutral
        outer eye distance, about -0.1 to 0.5; ``left_eye_closed`` and ``right_eye_closed`` (the person's) are 0 as
        neutral, 1 shut, negative wide open.
        """
        size = float(np.linalg.norm(self.neutral[36] - self.neutral[45]))
        now, rest = _face_measures(self.network_shape), _face_measures(self.neutral)
        changes = {
            name: (now[name] - rest[name]) / size for name in ("mouth_open", "mouth_wide", "smile", "brow_raise")
        }
        eyes = {f"{side}_closed": 1 - now[side] / max(rest[side], 1e-6) for side in ("left_eye", "right_eye")}
        return {**changes, **eyes}

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict: pose, expression, landmarks; the mesh itself goes into files."""
        return {
            "pose_degrees": {name: round(value, 2) for name, value in self.pose_degrees.items()},
            "expression": {name: round(value, 4) for name, value in self.expression.items()},
            "landmarks_px": self.landmarks_px.round(3).tolist(),
            "vertices": len(self.vertices_px),
        }


def _face_measures(shape: NDArray[np.float32]) -> dict[str, float]:
    """Distances between landmarks of an upright face (V, 3), in its unit."""

    def apart(*pairs: tuple[int, int]) -> float:
        return float(np.mean([np.linalg.norm(shape[a] - shape[b]) for a, b in pairs]))

    return {
        "mouth_open": apart((61, 67), (62, 66), (63, 65)),
        "mouth_wide": apart((48, 54)),
        "smile": float(shape[[48, 54], 1].mean() - shape[33, 1]),
        "brow_raise": float(shape[17:27, 1].mean() - shape[[36, 39, 42, 45], 1].mean()),
        "right_eye": apart((37, 41), (38, 40)),
        "left_eye": apart((43, 47), (44, 46)),
    }


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> FaceMesh:
    """From ``vertices``, ``neutral`` and ``pose``."""
    return _face_mesh(outputs["vertices"][0], outputs["neutral"][0], outputs["pose"][0], region)


def _face_mesh(
    vertices: NDArray[np.float32], neutral: NDArray[np.float32], pose: NDArray[np.float32], region: Region
) -> FaceMesh:
    """From (V, 3) fractions of the crop, (V, 3) decimetres and (7,) quaternion w, x, y, z, scale, shift x and y."""
    w, x, y, z = pose[:4].astype(np.float64) / max(float(np.linalg.norm(pose[:4])), 1e-9)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    placed = np.concatenate([region.to_picture(vertices[:, :2]), vertices[:, 2:] * np.float32(region.width)], axis=1)
    return FaceMesh(
        vertices_px=placed.astype(np.float32),
        neutral=neutral,
        rotation=rotation.astype(np.float32),
        scale_px=float(pose[4] * region.width),
        center_px=region.to_picture(pose[5:]),
        region=region,
    )


@lru_cache(maxsize=1)
def load_validation(data: Path) -> Validation:
    """:meth:`Validation.load`, once for all artifacts that one process measures: rendering takes a quarter minute."""
    from reference.data.face_mixes import Validation

    return Validation.load(data)


def evaluate(network: Network, data: Validation) -> dict[str, float]:
    """Landmark error on photographs, shape error on held-out rendered heads.

    Returns:
        ``nme_percent`` (Helen and AFW) and by pose: projected landmark vertices, in percent of the outer eye distance.
        ``shape_error_mm`` and ``mean_face_error_mm``: mean distance of the vertices of the neutral face after the best
        similarity, of the network's and of the mean face; ``shape_error_ratio`` is their quotient;
        ``expression_error_ratio`` likewise for the face with its expression.
    """
    photos = run_all(network, data.photos)
    errors = np.concatenate([landmark_errors(vertices, points, data.topology) for (vertices, _, _), points in photos])
    precise = np.isin(np.array(data.photos.sources), PRECISE_SETS)
    if not precise.any():
        precise[:] = True
    large = np.abs(data.photos.yaw) > LARGE_POSE
    groups = {
        "nme_percent": errors[precise],
        "nme_small_pose": errors[precise & ~large],
        "nme_large_pose": errors[precise & large],
        "nme_video": errors[~precise],
    }
    metrics = {name: float(values.mean()) for name, values in groups.items() if len(values)}
    metrics["failure_10"] = float(100 * (errors[precise] > 10).mean())
    if data.renders is None or data.shapes is None:
        return metrics
    heads = run_all(network, data.renders)
    found = np.concatenate([neutral for (_, neutral, _), _ in heads])
    placed = np.concatenate([vertices for (vertices, _, _), _ in heads]) * np.array([1, -1, 1])
    mean = np.broadcast_to(data.topology.mean, found.shape)
    own = similarity_errors(found, data.shapes.neutral).mean()
    baseline = similarity_errors(mean, data.shapes.neutral).mean()
    whole = similarity_errors(placed, data.shapes.shape).mean() / similarity_errors(mean, data.shapes.shape).mean()
    return {
        **metrics,
        "shape_error_mm": float(100 * own),
        "mean_face_error_mm": float(100 * baseline),
        "shape_error_ratio": float(own / baseline),
        "expression_error_ratio": float(whole),
    }


def run_all(network: Network, faces: Faces) -> list[tuple[tuple[Array, Array, Array], Array]]:
    """:func:`run_batch` on all batches of some faces."""
    from torch.utils.data import DataLoader

    from reference.data.face_mixes import MixedFaces

    return [run_batch(network, batch) for batch in DataLoader(MixedFaces(faces, None, False), batch_size=64)]


def run_batch(network: Network, batch: Any) -> tuple[tuple[Array, Array, Array], Array]:
    """The network's three outputs and the landmarks (B, 68, 2) of one batch, as arrays."""
    images, points, _, _ = batch
    vertices, neutral, pose = network(images)
    return (vertices.numpy(), neutral.numpy(), pose.numpy()), points.transpose(1, 2).numpy()


def landmark_errors(vertices: Array, points: Array, topology: Topology) -> Array:
    """(B,) NME in percent of (B, V, 3) placed vertices against (B, 68, 2) landmarks."""
    import torch

    numbers = landmark_vertices(vertices, topology)
    projected = np.take_along_axis(vertices[..., :2], numbers[..., None], axis=1)
    assert projected.shape[1] == LANDMARKS
    pair = (torch.from_numpy(np.ascontiguousarray(p.transpose(0, 2, 1))) for p in (projected, points))
    return normalized_errors(*pair).numpy()


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """:func:`evaluate` on the validation photographs of a folder and, where it has the head model, on rendered heads.

    Raises:
        BadInput: the folder can't be used.
    """
    return evaluate(network, load_validation(data))


TASK = Task(
    name="face_reconstruction",
    result=FaceMesh,
    decode=decode,
    # The first 68 vertices are the landmarks, so that the outer eye corners have their usual numbers.
    agreement=NME,
    measure=measure,
)
