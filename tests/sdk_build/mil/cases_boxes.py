"""Non-maximum suppression: boxes by hand, in (centre x, centre y, width, height)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .harness import Case, array, scalar

# The first two overlap by 2/3 of their union, the third is apart, the fourth is weak.
BOXES = array([0, 0, 2, 2], [0.4, 0, 2, 2], [5, 5, 2, 2], [9, 9, 1, 1])
SCORES = array([0.9, 0.1], [0.2, 0.8], [0.7, 0.0], [0.1, 0.05])


def _old(label: str, kept: list[int], count: int, **arguments: Any) -> Case:
    """Up to iOS 16: boxes in rows, with a threshold, and the number of boxes as the fourth result."""
    given = {
        "boxes": BOXES[None],
        "scores": SCORES[None],
        "iou_threshold": scalar(0.5),
        "score_threshold": scalar(0.15),
        "max_boxes": scalar(count),
        **arguments,
    }
    return Case("non_maximum_suppression", label, given, (*_expected(kept, count), np.array([len(kept)], np.int32)))


def _expected(kept: list[int], count: int) -> tuple[np.ndarray, ...]:
    boxes, scores = np.zeros((1, count, 4), np.float32), np.zeros((1, count, 2), np.float32)
    places = np.full((1, count), -1, np.int32)
    boxes[0, : len(kept)], scores[0, : len(kept)], places[0, : len(kept)] = BOXES[kept], SCORES[kept], kept
    return boxes, scores, places


def _new(label: str, kept: list[int], count: int) -> Case:
    boxes, scores, places = _expected(kept, count)
    arguments = {
        "boxes": BOXES.T[None].copy(),
        "scores": SCORES.T[None].copy(),
        "iou_threshold": scalar(0.5),
        "max_boxes": scalar(count),
        "per_class_suppression": scalar(False),
    }
    expected = (boxes.transpose(0, 2, 1), scores.transpose(0, 2, 1), places)
    return Case("non_maximum_suppression", label, arguments, expected)


CASES = [
    _old("the better of two, padded", [0, 2], 3),
    _old("by class both stay", [0, 1, 2], 4, per_class_suppression=scalar(True)),
    _old("at most max_boxes", [0], 1),
    _old("nothing above the threshold", [0], 2, score_threshold=scalar(5.0)),
    _new("iOS 17", [0, 2, 3], 4),
]
