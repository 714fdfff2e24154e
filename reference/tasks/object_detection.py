"""Object detection: boxes with classes; suppression of boxes that overlap is postprocessing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import Region, load_picture, preprocess_picture
from reference.spec import ModelSpec, TensorSpec
from reference.tasks.base import Array, Metric, Metrics, Network, Task, Tensors, same_shape, threshold_of
from reference.tasks.box_figures import LEAST_OVERLAP, average_precision, overlaps

# How a row of the boxes' output says where a box is, in pixels of the network's input or fractions of it.
FORMS = ("xyxy_pixels", "xyxy_fraction", "cxcywh_pixels", "cxcywh_fraction")
SCORES = ("probability", "logit")
MOST = 100  # boxes that are kept of one picture
SAME_OBJECT = 0.5  # overlap from which on the less probable box of a class goes
CLOSE = 0.01  # of the range of all coordinates


@dataclass(frozen=True)
class Detection:
    """One object.

    Attributes:
        box_px: x0, y0, x1, y1 in the picture, its outer corner at (0, 0).
    """

    box_px: tuple[float, float, float, float]
    label: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"label": self.label, "score": self.score, "box_px": list(self.box_px)}


@dataclass(frozen=True)
class Detections:
    """The objects of a picture, most probable first."""

    objects: tuple[Detection, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"objects": [found.to_json() for found in self.objects]}


def corners(boxes: NDArray[Any], form: str, size: tuple[int, int]) -> NDArray[np.float32]:
    """x0, y0, x1, y1 (N, 4) as fractions of the network's input.

    Args:
        form: one of :data:`FORMS`.
        size: (height, width) of the input in pixels.
    """
    values: NDArray[np.float32] = np.asarray(boxes, np.float32)
    if form.endswith("pixels"):
        values = (values / np.array([size[1], size[0]] * 2)).astype(np.float32)
    if form.startswith("cxcywh"):
        middle, half = values[:, :2], values[:, 2:] / 2
        values = np.concatenate([middle - half, middle + half], 1)
    return values


def probabilities(outputs: Tensors, spec: ModelSpec) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best class's probability (N,) of every box, and its number (N,).

    Scores are (1, N, classes), or (1, N) beside an output with class numbers (1, N).
    """
    scores = np.asarray(outputs[spec.outputs[1].name][0], np.float32)
    if spec.outputs[1].unit == "logit":
        scores = (1 / (1 + np.exp(-scores.astype(np.float64)))).astype(np.float32)
    if scores.ndim == 1:
        return scores, np.asarray(outputs[spec.outputs[2].name][0], np.int64)
    return scores.max(1), scores.argmax(1)


def suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64]) -> list[int]:
    """Numbers of the boxes that stay, most probable first: of those of one class that overlap, the best."""
    kept: list[int] = []
    for number in np.argsort(-scores, kind="stable"):
        rivals = [k for k in kept if classes[k] == classes[number]]
        if not rivals or overlaps(boxes[number][None], boxes[rivals]).max() < SAME_OBJECT:
            kept.append(int(number))
        if len(kept) == MOST:
            break
    return kept


def decode(outputs: Tensors, spec: ModelSpec, region: Region, threshold: float | None = None) -> Detections:
    """Boxes from the spec's threshold on, without those that overlap a better one of their class.

    Args:
        threshold: another one than the spec's.
    """
    scores, classes = probabilities(outputs, spec)
    boxes = corners(outputs[spec.outputs[0].name][0], spec.outputs[0].unit, spec.sampling.size)
    sure = np.flatnonzero(scores >= (threshold_of(spec) if threshold is None else threshold))
    kept = sure[suppress(boxes[sure], scores[sure], classes[sure])] if len(sure) else sure
    scale = np.array([region.width, region.height] * 2, np.float32)
    placed = boxes[kept] * scale + np.array([region.left, region.top] * 2, np.float32)
    return Detections(
        tuple(
            Detection((float(b[0]), float(b[1]), float(b[2]), float(b[3])), spec.labels[c], float(s))
            for b, c, s in zip(placed, classes[kept], scores[kept], strict=True)
        )
    )


def coordinate_agreement(actual: Array, expected: Array) -> float:
    """Share of the boxes' coordinates that are off by less than 1 % of the range of all."""
    a, e = same_shape(actual, expected)
    return float((np.abs(a - e) < CLOSE * (float(np.ptp(e)) or 1.0)).mean())


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """Mean average precision over the classes at an overlap of one half, in percent, on ``val/images``.

    ``val/boxes.csv`` has the columns file, label, x0, y0, x1, y1 in pixels.

    Raises:
        BadInput: a file is missing, or the table can't be used.
    """
    import torch

    from reference.golden import named_outputs

    truth = read_boxes(data / "val" / "boxes.csv", spec.labels)
    right: dict[str, list[tuple[bool, float]]] = {label: [] for label in spec.labels}
    for name, known in truth.items():
        tensor, region = preprocess_picture(load_picture(data / "val" / "images" / name), spec.sampling)
        found = decode(named_outputs(spec, network(torch.from_numpy(tensor))), spec, region, 0.01)
        left = [(label, box) for label, box in known]
        for detection in found.objects:
            rivals = [i for i, (label, _) in enumerate(left) if label == detection.label]
            table = overlaps(np.array([detection.box_px]), np.array([left[i][1] for i in rivals]).reshape(-1, 4))
            hit = bool(rivals) and table.max() >= LEAST_OVERLAP
            right[detection.label].append((hit, detection.score))
            if hit:
                left.pop(rivals[int(table.argmax())])
    counts = {label: sum(one == label for known in truth.values() for one, _ in known) for label in spec.labels}
    precision = [
        average_precision(
            np.array([hit for hit, _ in found], bool),
            np.array([score for _, score in found], np.float32),
            counts[label],
        )
        for label, found in right.items()
        if counts[label]
    ]
    return {"map50": 100 * float(np.mean(precision)), "pictures": len(truth), "objects": sum(counts.values())}


def read_boxes(path: Path, labels: tuple[str, ...]) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Labelled boxes by picture.

    Raises:
        BadInput: the table is missing, empty, lacks a column or names a class that the model has not.
    """
    found: dict[str, list[tuple[str, tuple[float, ...]]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                box = tuple(float(row[name]) for name in ("x0", "y0", "x1", "y1"))
                found.setdefault(row["file"], []).append((row["label"], box))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise BadInput(f"can't use {path} ({error}); its columns are file, label, x0, y0, x1, y1") from error
    unknown = sorted({label for boxes in found.values() for label, _ in boxes} - set(labels))
    if unknown or not found:
        what = f"names the class {unknown[0]!r}; the model has {', '.join(labels[:5])}" if unknown else "has no box"
        raise BadInput(f"{path} {what}; mend it")
    return found


def name_outputs(found: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """Boxes (1, N, 4), scores (1, N, classes), or scores (1, N) and class numbers (1, N), in any order.

    Which form the boxes have can't be seen: they count as corners in pixels until the spec says another unit.

    Raises:
        BadInput: they are something else, or there are other labels than classes.
    """
    boxes = [t for t in found if len(t.shape) == 3 and t.shape[2] == 4 and t.is_float]
    rest = [t for t in found if t not in boxes[:1]]
    count = boxes[0].shape[1] if boxes else 0
    scores = [t for t in rest if t.is_float and t.shape[:2] == (1, count)]
    numbers = [t for t in rest if t not in scores and t.shape == (1, count)]
    flat = len(scores) == 1 and len(scores[0].shape) == 2
    if len(scores) != 1 or len(rest) != 1 + flat or (flat and len(numbers) != 1):
        shapes = ", ".join(f"{t.dtype} {t.shape}" for t in found)
        raise BadInput(
            "object_detection needs boxes (1, N, 4) and scores (1, N, classes), or scores (1, N) and class numbers "
            f"(1, N); the network gives {shapes}"
        )
    if flat and not labels:
        raise BadInput("the network gives class numbers, not how many there are; give --labels with a line for each")
    if not flat and labels and len(labels) != scores[0].shape[2]:
        raise BadInput(f"{len(labels)} labels are given, the network has {scores[0].shape[2]} classes; give as many")
    named = [
        TensorSpec("boxes", boxes[0].shape, "any", FORMS[0]),
        TensorSpec("scores", scores[0].shape, "any", SCORES[0]),
    ]
    return (*named, *(TensorSpec("classes", t.shape, "any", "class", dtype=t.dtype) for t in numbers))


def number_classes(outputs: tuple[TensorSpec, ...]) -> tuple[str, ...]:
    """Numbers for names."""
    return tuple(map(str, range(outputs[1].shape[2] if len(outputs[1].shape) > 2 else 1)))


TASK = Task(
    name="object_detection",
    result=Detections,
    decode=decode,
    agreement=Metric("coordinate_agreement", coordinate_agreement, True, short="coords same"),
    measure=measure,
    budget={"map50": -1.0},
    signature=name_outputs,
    unnamed_labels=number_classes,
    threshold=0.3,
    forms={0: FORMS, 1: SCORES},
)
