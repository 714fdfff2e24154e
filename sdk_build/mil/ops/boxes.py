"""Non-maximum suppression of boxes in (centre x, centre y, width, height)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _overlaps(boxes: Tensor) -> Tensor:
    """Intersection over union of every pair: (B, 4) -> (B, B); 0 where both boxes are empty."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    sides = (torch.minimum(high[:, None], high[None]) - torch.maximum(low[:, None], low[None])).clamp(min=0)
    shared = sides.prod(dim=-1)
    areas = boxes[:, 2:].prod(dim=-1)
    union = areas[:, None] + areas[None] - shared
    return torch.where(union > 0, shared / union, torch.zeros_like(union))


def keep_boxes(
    boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float | None, is_per_class: bool
) -> list[int]:
    """The boxes that survive, the best first; the best one survives also where all are below the threshold.

    Args:
        boxes: (B, 4).
        scores: (B, K); a box counts with its best class.
        iou_threshold: A box that overlaps a better one by more is dropped.
        score_threshold: Only boxes with a higher score count; None for all.
        is_per_class: Whether only boxes of the same class drop each other.
    """
    best, classes = scores.max(dim=-1)
    overlaps = _overlaps(boxes) > iou_threshold
    if is_per_class:
        overlaps &= classes[:, None] == classes[None]
    kept: list[int] = []
    for place in torch.sort(best, descending=True, stable=True).indices.tolist():
        if score_threshold is not None and not best[place] > score_threshold:
            break
        if not overlaps[place, kept].any():
            kept.append(place)
    return kept or [int(best.argmax())]


def _non_maximum_suppression(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: Tensor,
    max_boxes: Tensor,
    score_threshold: Tensor | None = None,
    per_class_suppression: Tensor | bool = False,
) -> tuple[Tensor, ...]:
    """(n, B, 4) and (n, B, K) with a score threshold up to iOS 16; (n, 4, B) and (n, K, B) without from iOS 17 on."""
    is_old = score_threshold is not None
    table, marks = (boxes, scores) if is_old else (boxes.mT, scores.mT)
    count, limit = int(max_boxes), None if score_threshold is None else float(score_threshold)
    best_boxes = torch.zeros(table.shape[0], count, 4)
    best_scores = torch.zeros(table.shape[0], count, marks.shape[-1])
    places = torch.full((table.shape[0], count), -1, dtype=torch.int32)
    found = torch.zeros(table.shape[0], dtype=torch.int32)
    for n in range(table.shape[0]):
        kept = keep_boxes(table[n], marks[n], float(iou_threshold), limit, bool(per_class_suppression))[:count]
        best_boxes[n, : len(kept)] = table[n, kept]
        best_scores[n, : len(kept)] = marks[n, kept]
        places[n, : len(kept)] = torch.tensor(kept, dtype=torch.int32)
        found[n] = len(kept)
    if is_old:
        return best_boxes, best_scores, places, found
    return best_boxes.mT.contiguous(), best_scores.mT.contiguous(), places


BOX_OPERATIONS: dict[str, Callable[..., Any]] = {"non_maximum_suppression": _non_maximum_suppression}
