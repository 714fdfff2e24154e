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
class Keypoints:
    """Points on a face.

    Attributes:
        points_px: (68, 2) float32, x and y in picture pixels, the centre of the first pixel at (0, 0).
        template_points_px: likewise, from the template alone.
        region: the crop that the network saw.
    """

    points_px: NDArray[np.float32]
    template_points_px: NDArray[np.float32]
    region: Region

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"points_px": self.points_px.round(3).tolist()}


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


Result = Classification | Keypoints | VoxelGrid


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
    if kind == "Keypoints":
        points, template_points = (region.to_picture(outputs[t.name][0]) for t in spec.outputs)
        return Keypoints(points, template_points, region)
    if kind == "VoxelGrid":
        assert spec.postprocess.threshold is not None
        return VoxelGrid(outputs["occupancy"][0], spec.postprocess.threshold)
    raise BadInput(f"result type is {kind!r}; allowed: Classification, Keypoints, VoxelGrid")
