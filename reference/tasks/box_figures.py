"""How well boxes are found: recall, false boxes and average precision at an overlap of one half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LEAST_OVERLAP = 0.5
SMALL = 48.0  # longer side in pixels below which a face counts as small
Floats = NDArray[np.float32]


class Found(Protocol):
    """Boxes that a detector gave: ``boxes_px`` (N, 4), ``scores`` (N,), ``points_px`` (N, P, 2), see FaceBoxes."""

    @property
    def boxes_px(self) -> Floats: ...
    @property
    def scores(self) -> Floats: ...
    @property
    def points_px(self) -> Floats: ...


class Truth(Protocol):
    """Known boxes of a picture: ``boxes`` (M, 4), ``points`` (M, P, 2), outer corner of the picture at (0, 0)."""

    @property
    def boxes(self) -> Floats: ...
    @property
    def points(self) -> Floats: ...


def overlaps(boxes: Floats, others: Floats) -> NDArray[np.float64]:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    a, b = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    both = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0).prod(-1)
    area_a, area_b = ((x[..., 2:] - x[..., :2]).prod(-1) for x in (a, b))
    return both / np.maximum(area_a + area_b - both, 1e-12)


def match(found: Found, boxes: Floats) -> NDArray[np.int64]:
    """The face (N,) that each found box is, -1 for none; the more certain box takes a face first."""
    index = np.full(len(found.scores), -1)
    table = overlaps(found.boxes_px, boxes)
    for number in np.argsort(-found.scores, kind="stable"):
        if len(boxes) and table[number].max() >= LEAST_OVERLAP:
            index[number] = best = int(table[number].argmax())
            table[:, best] = 0
    return index


def average_precision(right: NDArray[np.bool_], scores: Floats, faces: int) -> float:
    """Area under the curve of precision over recall, precision made to fall only (as PASCAL VOC has it since 2010).

    Args:
        right: (N,) whether a box is a face; scores: (N,).
        faces: how many there are to find.
    """
    right = right[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * right).sum() / max(1, faces))


def figures(found: Sequence[Found], truth: Sequence[Truth], threshold: float) -> dict[str, float]:
    """What a detector finds in pictures with known faces.

    Args:
        found: of each picture, all boxes down to the lowest score that matters.
        threshold: score from which a box counts for recall and false boxes.

    Returns:
        ``recall``, ``recall_small`` (faces below 48 pixels), ``false_per_picture``, ``average_precision`` and
        ``point_error_percent``: the mean distance of the five points of the faces found, in percent of the longer side
        of the box. What there is nothing to measure of is left out.
    """
    right, hit, small, errors, false = [], [], [], [], 0
    for boxes, scene in zip(found, truth, strict=True):
        index = match(boxes, scene.boxes)
        sure = boxes.scores >= threshold
        right.append(index >= 0)
        false += int(((index < 0) & sure).sum())
        hit.append(np.isin(np.arange(len(scene.boxes)), index[sure]))
        longer = (scene.boxes[:, 2:] - scene.boxes[:, :2]).max(1, initial=0)
        small.append(longer < SMALL)
        taken = index[sure & (index >= 0)]
        far = np.linalg.norm(boxes.points_px[sure & (index >= 0)] + 0.5 - scene.points[taken], axis=2).mean(1)
        errors.append(100 * far / longer[taken])
    hits, smalls, distances = (np.concatenate(part) for part in (hit, small, errors))
    distances = distances[np.isfinite(distances)]
    scores = np.concatenate([boxes.scores for boxes in found])
    results = {}
    if len(hits):  # recall first: tables with one column show the first
        results["recall"] = float(hits.mean())
    results["false_per_picture"] = false / len(truth)
    if len(hits):
        results["average_precision"] = average_precision(np.concatenate(right), scores, len(hits))
    if smalls.any():
        results["recall_small"] = float(hits[smalls].mean())
    if len(distances):
        results["point_error_percent"] = float(distances.mean())
    return results


def threshold_at(found: Sequence[Found], truth: Sequence[Truth], false_per_picture: float) -> float:
    """The lowest score from which on there are at most so many false boxes per picture."""
    false = [boxes.scores[match(boxes, scene.boxes) < 0] for boxes, scene in zip(found, truth, strict=True)]
    scores = np.sort(np.concatenate(false))[::-1]
    allowed = int(false_per_picture * len(truth) + 1e-9)
    return float(np.nextafter(scores[allowed], np.float32(2))) if allowed < len(scores) else 0.0
