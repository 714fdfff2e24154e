"""From output tensors to typed results, the same types in every language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.preprocess import Region
from reference.spec import ModelSpec

# Of two boxes of one face, the one with the lower score goes.
LARGEST_OVERLAP = 0.4
Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Classification:
    """What a picture shows.

    Attributes:
        scores: (label, probability) of every class, most probable first.
    """

    scores: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        return self.scores[0][0]

    @property
    def score(self) -> float:
        return self.scores[0][1]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"label": self.label, "score": self.score, "scores": dict(self.scores)}


@dataclass(frozen=True)
class FaceBoxes:
    """Faces in a picture, the most certain one first.

    Attributes:
        boxes_px: (N, 4) float32 x0, y0, x1, y1 in picture pixels, the picture's outer corner at (0, 0); a box may reach
            beyond the picture.
        scores: (N,) float32 in [0, 1], at least the threshold.
        points_px: (N, 5, 2) float32, x and y in picture pixels, the centre of the first pixel at (0, 0): the centres of
            the eyes, the tip of the nose, the corners of the mouth, the image's left first.
    """

    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    points_px: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        faces = zip(self.boxes_px, self.scores, self.points_px, strict=True)
        return {
            "faces": [
                {"box_px": box.round(2).tolist(), "score": round(float(score), 4), "points_px": xy.round(2).tolist()}
                for box, score, xy in faces
            ]
        }


def keep_best(boxes: NDArray[np.float32], scores: NDArray[np.float32], overlap: float = LARGEST_OVERLAP) -> list[int]:
    """Non-maximum suppression: which of (N, 4) boxes stay, by falling score; equal scores keep their order.

    The best box stays, every box whose intersection over union with it is larger than ``overlap`` goes, and so on. A
    box without area overlaps nothing.
    """
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    area = np.maximum(high - low, 0).prod(1)
    left = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    while left:
        best, left = left[0], left[1:]
        kept.append(int(best))
        both = np.maximum(np.minimum(high[best], high[left]) - np.maximum(low[best], low[left]), 0).prod(1)
        either = area[best] + area[left] - both
        left = [i for i, b, e in zip(left, both, either, strict=True) if b <= overlap * e]
    return kept


def find_faces(faces: NDArray[np.float32], region: Region, threshold: float) -> FaceBoxes:
    """The faces of a detector's output.

    Args:
        faces: (N, 15): x0, y0, x1, y1, score, five x, five y; places in shares of the region.
        region: the part of the picture that the network saw; boxes whose middle lies outside the network's input,
            scores below ``threshold`` and values that are not finite are dropped.
    """
    middle = (faces[:, :2] + faces[:, 2:4]) / 2
    inside = np.isfinite(faces).all(1) & (middle >= 0).all(1) & (middle <= 1).all(1)
    faces = faces[inside & (faces[:, 4] >= threshold)]
    faces = faces[keep_best(faces[:, :4], faces[:, 4])]
    size, start = np.array([region.width, region.height]), np.array([region.left, region.top])
    boxes = faces[:, :4].reshape(-1, 2, 2) * size + start
    points = np.stack([faces[:, 5:10], faces[:, 10:15]], axis=-1)
    return FaceBoxes(boxes.reshape(-1, 4).astype(np.float32), faces[:, 4], region.to_picture(points))


@dataclass(frozen=True)
class Keypoints:
    """Points on a face.

    Attributes:
        points_px: (68, 2) float32, x and y in picture pixels, the centre of the first pixel at (0, 0).
        template_points_px: likewise, from the template alone; the same points where the network has no template.
        region: the crop that the network saw.
    """

    points_px: NDArray[np.float32]
    template_points_px: NDArray[np.float32]
    region: Region

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"points_px": self.points_px.round(3).tolist()}


@dataclass(frozen=True)
class Mask:
    """Where the subject of a picture is.

    Attributes:
        probabilities: (h, w) float32 in [0, 1] on the network's own grid.
        region: the part of the picture that the grid covers.
        threshold: at or above it a pixel is of the subject.
    """

    probabilities: NDArray[np.float32]
    region: Region
    threshold: float

    def in_picture(self, width: int, height: int) -> NDArray[np.float32]:
        """Probabilities (height, width) of the picture's pixels; 0 outside the region.

        The centre of pixel x lies at u = (x + 0.5 - left) / region width * w - 0.5 of the grid; bilinear between the
        four neighbours, the grid's edge repeats within half a cell.
        """
        h, w = self.probabilities.shape
        columns, across = _resample(width, self.region.left, self.region.width, w)
        rows, down = _resample(height, self.region.top, self.region.height, h)
        values = np.asarray(rows @ self.probabilities @ columns.T, np.float32)
        values[~down] = 0
        values[:, ~across] = 0
        return values

    def filled(self, width: int, height: int) -> NDArray[np.bool_]:
        """The subject's pixels (height, width)."""
        return self.in_picture(width, height) >= self.threshold

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict: share of the region that is subject, the subject's box in picture pixels, and the mask.

        ``mask_png`` is base64 of a grey PNG, (h, w) probabilities times 255, that covers the region.
        """
        ys, xs = np.nonzero(self.probabilities >= self.threshold)
        h, w = self.probabilities.shape
        box = None
        if len(xs):
            corners = np.array([[xs.min() / w, ys.min() / h], [(xs.max() + 1) / w, (ys.max() + 1) / h]])
            size, start = [self.region.width, self.region.height], [self.region.left, self.region.top]
            box = (corners * size + start).round(2).reshape(-1).tolist()
        return {"coverage": len(xs) / (h * w), "box_px": box, "mask_png": self._png()}

    def _png(self) -> str:
        import base64
        import io

        from PIL import Image

        target = io.BytesIO()
        Image.fromarray((self.probabilities * 255 + 0.5).astype(np.uint8)).save(target, "PNG")
        return base64.b64encode(target.getvalue()).decode("ascii")


def _resample(pixels: int, start: float, length: float, cells: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bilinear weights (pixels, cells) of a grid's cells for each pixel, and which pixels lie inside the grid."""
    place = (np.arange(pixels) + 0.5 - start) / length
    u = np.clip(place * cells - 0.5, 0, cells - 1)
    low = np.minimum(np.floor(u).astype(int), cells - 1)
    weights = np.zeros((pixels, cells), np.float32)
    weights[np.arange(pixels), low] = 1 - (u - low)
    weights[np.arange(pixels), np.minimum(low + 1, cells - 1)] += u - low
    return weights, (place >= 0) & (place <= 1)


@dataclass(frozen=True)
class VoxelGrid:
    """A solid on a cubic grid.

    Attributes:
        occupancy: (S, S, S) float32, about 0 or 1; slices from the viewer away, rows down, columns right.
        threshold: at or above it a voxel is filled.
    """

    occupancy: NDArray[np.float32]
    threshold: float

    @property
    def filled(self) -> NDArray[np.bool_]:
        return self.occupancy >= self.threshold

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"size": self.occupancy.shape[0], "filled_voxels": int(self.filled.sum())}


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
        viewed = (self.vertices_px - np.append(self.center_px, 0)) * [1, -1, 1] / self.scale_px
        return np.asarray(viewed @ self.rotation, np.float32)

    @property
    def landmarks_px(self) -> NDArray[np.float32]:
        """(68, 2) float32 projected landmarks; the jaw's lie on the visible outline, as in 300-W."""
        from reference.geometry.face_topology import landmark_vertices, load_topology

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
        now, rest = _face_measures(self.shape), _face_measures(self.neutral)
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


Result = Classification | Mask | FaceBoxes | Keypoints | VoxelGrid | FaceMesh


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of (N,) logits."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def postprocess(outputs: Tensors, spec: ModelSpec, region: Region) -> Result:
    """The typed result of one picture's output tensors (batch of 1)."""
    kind = spec.postprocess.result
    if kind == "Classification":
        probabilities = softmax(outputs["logits"][0])
        order = np.argsort(-probabilities, kind="stable")
        return Classification(tuple((spec.labels[i], float(probabilities[i])) for i in order))
    if kind == "Mask":
        assert spec.postprocess.threshold is not None
        return Mask(outputs["mask"][0, 0], region, spec.postprocess.threshold)
    if kind == "FaceBoxes":
        assert spec.postprocess.threshold is not None
        return find_faces(outputs["faces"][0], region, spec.postprocess.threshold)
    if kind == "Keypoints":
        points, *template = (region.to_picture(outputs[t.name][0]) for t in spec.outputs)
        return Keypoints(points, template[0] if template else points, region)
    if kind == "VoxelGrid":
        assert spec.postprocess.threshold is not None
        return VoxelGrid(outputs["occupancy"][0], spec.postprocess.threshold)
    if kind == "FaceMesh":
        return _face_mesh(outputs["vertices"][0], outputs["neutral"][0], outputs["pose"][0], region)
    raise BadInput(f"result type is {kind!r}; allowed: Classification, Mask, FaceBoxes, Keypoints, VoxelGrid, FaceMesh")


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
