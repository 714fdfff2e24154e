"""How well faces are found: recall, false boxes and average precision at an overlap of one half."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.face_detector import SPEC
from reference.postprocess import FaceBoxes, find_faces
from reference.preprocess import preprocess_picture

if TYPE_CHECKING:
    from torch import Tensor

    from reference.data.face_scenes import Scene

LEAST_OVERLAP = 0.5
LOWEST_SCORE = 0.02  # below it nothing counts for the average precision either
Floats = NDArray[np.float32]


def overlaps(boxes: Floats, others: Floats) -> NDArray[np.float64]:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    a, b = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    both = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0).prod(-1)
    area_a, area_b = ((x[..., 2:] - x[..., :2]).prod(-1) for x in (a, b))
    return both / np.maximum(area_a + area_b - both, 1e-12)  # type: ignore[no-any-return]


def match(found: FaceBoxes, boxes: Floats) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which boxes are right, and the face (N,) of each, -1 for none; the more certain box takes a face first."""
    index = np.full(len(found.scores), -1)
    table = overlaps(found.boxes_px, boxes)
    for number in np.argsort(-found.scores, kind="stable"):
        if len(boxes) and table[number].max() >= LEAST_OVERLAP:
            index[number] = best = int(table[number].argmax())
            table[:, best] = 0
    return index >= 0, index


def average_precision(right: NDArray[np.bool_], scores: NDArray[np.float64], faces: int) -> float:
    """Area under the curve of precision over recall, precision made to fall only (as PASCAL VOC has it since 2010)."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * right[order]).sum() / max(1, faces))


def figures(found: Sequence[FaceBoxes], truth: Sequence[Scene], threshold: float) -> dict[str, float]:
    """Recall and false boxes a picture at a threshold, average precision over all scores, and how near the points are.

    Args:
        found: of each picture, all boxes down to :data:`LOWEST_SCORE`.

    Returns:
        ``recall``, ``false_per_picture``, ``average_precision`` and ``point_error_percent``: the mean distance of the
        five points of the faces found, in percent of the longer side of the box.
    """
    right, scores, hits, false, errors = [], [], 0, 0, []
    for boxes, scene in zip(found, truth, strict=True):
        good, index = match(boxes, scene.boxes)
        sure = boxes.scores >= threshold
        right.append(good)
        scores.append(boxes.scores)
        hits += int((good & sure).sum())
        false += int((~good & sure).sum())
        for number in np.flatnonzero(good & sure):
            box = scene.boxes[index[number]]
            distance = np.linalg.norm(boxes.points_px[number] + 0.5 - scene.points[index[number]], axis=1).mean()
            errors.append(100 * distance / (box[2:] - box[:2]).max())
    faces = sum(len(scene.boxes) for scene in truth)
    return {
        "recall": hits / max(1, faces),
        "false_per_picture": false / max(1, len(truth)),
        "average_precision": average_precision(np.concatenate(right), np.concatenate(scores), faces),
        "point_error_percent": float(np.mean(errors)) if errors else float("nan"),
    }


def detect(network: Callable[[Tensor], Any], picture: NDArray[np.uint8], threshold: float) -> FaceBoxes:
    """Faces in an (H, W, 3) uint8 picture, by the reference or an artifact."""
    import torch

    tensor, region = preprocess_picture(picture, SPEC.preprocess)
    return find_faces(network(torch.from_numpy(tensor)).numpy()[0], region, threshold)


def evaluate(network: Callable[[Tensor], Any], scenes: Sequence[Scene]) -> dict[str, float]:
    """The figures of a network on pictures with known faces."""
    assert SPEC.postprocess.threshold is not None
    found = [detect(network, scene.picture, LOWEST_SCORE) for scene in scenes]
    return figures(found, scenes, SPEC.postprocess.threshold)
