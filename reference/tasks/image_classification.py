"""Image classification: one of several classes (document I)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec, TensorSpec
from reference.tasks.base import Array, Metric, Metrics, Network, Task, Tensors, same_shape
from reference.tasks.calibration import calibration_error

if TYPE_CHECKING:
    from torch import Tensor

    from reference.data.pictures import PreparedPictures


@dataclass(frozen=True)
class Classification:
    """What a picture shows.

    Attributes:
        scores: (label, probability) of every class, most probable first.
        threshold: a smaller probability of the first class means that the picture shows none of them.
    """

    scores: tuple[tuple[str, float], ...]
    threshold: float = 0.0

    @property
    def label(self) -> str:
        return self.scores[0][0]

    @property
    def score(self) -> float:
        return self.scores[0][1]

    @property
    def known(self) -> bool:
        """False where the picture shows none of the classes."""
        return self.score >= self.threshold

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"label": self.label, "score": self.score, "known": self.known, "scores": dict(self.scores)}


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of (N,) logits."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> Classification:
    """Probabilities of the first output's logits, most probable first; equal ones keep the classes' order."""
    probabilities = softmax(outputs[spec.outputs[0].name][0])
    order = np.argsort(-probabilities, kind="stable")
    scores = tuple((spec.labels[i], float(probabilities[i])) for i in order)
    return Classification(scores, spec.postprocess.threshold or 0.0)


def top1_agreement(actual: Array, expected: Array) -> float:
    """Share of rows of (N, classes) whose largest entry is in the same place."""
    a, e = same_shape(actual, expected)
    return float((a.argmax(-1) == e.argmax(-1)).mean()) if np.isfinite(a).all() else 0.0


def load_validation(spec: ModelSpec, data: Path) -> PreparedPictures:
    """The validation pictures of a folder in one of the layouts of :mod:`reference.data.own_pictures`.

    With image types, ``val/<image type>/<class>/*``, any of the types and any of the classes may be there.
    """
    from reference.data.own_pictures import has_types, list_own_pictures
    from reference.data.pictures import PreparedPictures, list_pictures

    find = list_pictures if has_types(data) else list_own_pictures
    return PreparedPictures(find(data, "val", spec.labels), spec.sampling)


def look(network: Network, data: PreparedPictures) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, classes), class numbers (N,), -1 where a picture can't be read, and image-type numbers (N,)."""
    import torch
    from torch.utils.data import DataLoader

    answers, labels, kinds = [], [], []
    for images, truth, types in DataLoader(data, batch_size=64):
        answers.append(network(images))
        labels.append(truth)
        kinds.append(types)
    return torch.cat(answers), torch.cat(labels), torch.cat(kinds)


def evaluate(network: Network, data: PreparedPictures) -> Metrics:
    """Top-1 in percent: the mean over the image types, the worst type, each; and what was taken for what.

    Args:
        network: (B, 3, H, W) pictures to (B, classes) logits: the reference or an artifact.

    Returns:
        ``top1_mean``, ``top1_worst``, ``top1_by_type`` {type: percent}, ``confusion`` {true class: {predicted: count}},
        ``calibration_error`` (percent), ``pictures`` and ``unreadable`` (counts).
    """
    import torch

    logits, truth, kind = look(network, data)
    guess = logits.argmax(1)
    good = truth >= 0
    names, classes = data.files.type_names, data.files.class_names
    right = (guess == truth).float()
    by_type = {
        name: 100 * float(right[good & (kind == t)].mean())
        for t, name in enumerate(names)
        if bool((good & (kind == t)).any())
    }
    if not by_type:
        raise BadInput(
            f"none of the {len(data)} validation pictures can be read, first {data.skipped[0]}; restore them"
        )
    counts = torch.bincount(truth[good] * len(classes) + guess[good], minlength=len(classes) ** 2)
    rows = counts.view(len(classes), len(classes)).tolist()
    return {
        "top1_mean": float(np.mean(list(by_type.values()))),
        "top1_worst": min(by_type.values()),
        "top1_by_type": by_type,
        "confusion": {c: dict(zip(classes, row, strict=True)) for c, row in zip(classes, rows, strict=True)},
        "calibration_error": calibration_error(logits[good], truth[good]),
        "pictures": int(good.sum()),
        "unreadable": len(data.skipped),
    }


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """:func:`evaluate` on a folder's validation pictures.

    Raises:
        BadInput: the folder can't be used.
    """
    return evaluate(network, load_validation(spec, data))


def name_outputs(found: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """A row of logits, a class each.

    Raises:
        BadInput: it is something else, or there are other labels than classes.
    """
    first, *others = found
    if len(first.shape) != 2 or first.shape[0] != 1 or not first.is_float or others:
        shapes = ", ".join(f"{t.dtype} {t.shape}" for t in found)
        raise BadInput(
            f"image_classification needs one output, a row of numbers (1, classes); the network gives {shapes}"
        )
    if labels and len(labels) != first.shape[1]:
        raise BadInput(
            f"{len(labels)} labels are given, the network tells {first.shape[1]} classes apart; give as many"
        )
    return (TensorSpec("logits", first.shape, "NC", "logit"),)


def number_classes(outputs: tuple[TensorSpec, ...]) -> tuple[str, ...]:
    """Numbers for names."""
    return tuple(map(str, range(outputs[0].shape[1])))


TASK = Task(
    name="image_classification",
    result=Classification,
    decode=decode,
    agreement=Metric("top1_agreement", top1_agreement, True, short="top-1 same"),
    measure=measure,
    budget={"top1_mean": -1.0},
    turnable=True,
    signature=name_outputs,
    unnamed_labels=number_classes,
)
