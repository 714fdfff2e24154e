"""Keypoints of anything: any number of points, straight or as a map each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec, TensorSpec
from reference.tasks.base import Array, Metric, Network, Task, Tensors, same_shape

FORMS = ("pixels", "fraction")  # of points (1, N, 2 or 3); maps (1, N, h, w) need no form
MAP = "map"
CLOSE = 0.01  # of the range of all coordinates


@dataclass(frozen=True)
class Points:
    """Points of a picture.

    Attributes:
        points_px: (N, 2), x then y; the centre of the first pixel is (0, 0).
        scores: (N,) as the network gives them, empty where it gives none.
        labels: names of the points, empty where they have none.
    """

    points_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        document: dict[str, Any] = {"points_px": self.points_px.round(3).tolist()}
        if len(self.scores):
            document["scores"] = self.scores.tolist()
        return document | ({"labels": list(self.labels)} if self.labels else {})


def peaks(maps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fractions (N, 2) and heights (N,) of the largest value of each of maps (N, h, w).

    A quarter of a cell towards the larger neighbour, as is customary for such maps (Newell et al., 2016).
    """
    count, h, w = maps.shape
    flat = maps.reshape(count, -1)
    best = flat.argmax(1)
    y, x = np.divmod(best, w)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    n = np.arange(count)
    right, left = padded[n, y + 1, x + 2], padded[n, y + 1, x]
    below, above = padded[n, y + 2, x + 1], padded[n, y, x + 1]
    inside_x, inside_y = np.isfinite(right) & np.isfinite(left), np.isfinite(below) & np.isfinite(above)
    dx = 0.25 * np.where(inside_x, np.sign(np.where(inside_x, right, 0) - np.where(inside_x, left, 0)), 0)
    dy = 0.25 * np.where(inside_y, np.sign(np.where(inside_y, below, 0) - np.where(inside_y, above, 0)), 0)
    places = np.stack([(x + 0.5 + dx) / w, (y + 0.5 + dy) / h], 1)
    return places.astype(np.float32), flat[n, best].astype(np.float32)


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> Points:
    """Points of the region that the network saw, in the picture's pixels."""
    first = spec.outputs[0]
    values = np.asarray(outputs[first.name][0], np.float32)
    if first.unit == MAP:
        places, scores = peaks(values)
    else:
        height, width = spec.sampling.size
        places = values[:, :2] / (np.array([width, height], np.float32) if first.unit == FORMS[0] else 1)
        scores = values[:, 2] if values.shape[1] > 2 else np.zeros(0, np.float32)
    return Points(region.to_picture(places), scores, spec.labels)


def point_agreement(actual: Array, expected: Array) -> float:
    """Share of the coordinates, or of the maps' peaks, that are off by less than 1 % of the range or of the side."""
    a, e = same_shape(actual, expected)
    if not np.isfinite(a).all():
        return 0.0
    if a.ndim == 4:
        a, e = (peaks(x[0].astype(np.float32))[0].astype(np.float64) for x in (a, e))
        return float((np.abs(a - e) < CLOSE).mean())
    return float((np.abs(a - e) < CLOSE * (float(np.ptp(e)) or 1.0)).mean())


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> dict[str, Any]:
    """Nothing: how points are normalised is for the model's own ``evaluate`` to say.

    Raises:
        BadInput: always.
    """
    raise BadInput(
        f"nothing measures {spec.name}: what a distance of keypoints is divided by differs from model to model; write "
        "evaluate(predict, data) -> dict into its model.py"
    )


def name_outputs(found: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """Points (1, N, 2 or 3), or a map for each (1, N, h, w).

    Which form points have can't be seen: they count as pixels of the network's input until the spec says another unit.

    Raises:
        BadInput: it is something else, or there are other labels than points.
    """
    first, *others = found
    points = len(first.shape) == 3 and first.shape[2] in (2, 3)
    maps = len(first.shape) == 4
    if others or not (points or maps) or first.shape[0] != 1 or not first.is_float:
        shapes = ", ".join(f"{t.dtype} {t.shape}" for t in found)
        raise BadInput(f"keypoints needs one output, (1, N, 2 or 3) or (1, N, h, w); the network gives {shapes}")
    if labels and len(labels) != first.shape[1]:
        raise BadInput(f"{len(labels)} labels are given, the network has {first.shape[1]} points; give as many")
    return (TensorSpec("points", first.shape, "NCHW" if maps else "any", MAP if maps else FORMS[0]),)


TASK = Task(
    name="keypoints",
    result=Points,
    decode=decode,
    agreement=Metric("point_agreement", point_agreement, True, short="points same"),
    measure=measure,
    signature=name_outputs,
    labelled=True,
    forms={0: FORMS},
)
