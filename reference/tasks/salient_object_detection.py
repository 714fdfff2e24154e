"""Salient object detection: where the subject of a picture is (document I, row I6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.grid import resample
from reference.inputs.preprocess import Region, preprocess_picture
from reference.spec import ModelSpec
from reference.tasks.base import Metric, Metrics, Network, Task, Tensors, iou, threshold_of

if TYPE_CHECKING:
    from reference.data.masks import Pair

BETA2 = 0.3  # weight of precision in the F-measure, customary in this field (Achanta et al., 2009)


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
        columns, across = resample(width, self.region.left, self.region.width, w)
        rows, down = resample(height, self.region.top, self.region.height, h)
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


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> Mask:
    """The ``mask`` over the region that the network saw."""
    return Mask(outputs["mask"][0, 0], region, threshold_of(spec))


def load_validation(data: Path) -> list[Pair]:
    """The validation pairs of a folder: of its ``val`` split, or drawn characters with masks."""
    from reference.data.masks import list_characters, list_pairs

    if (data / "val").is_dir():
        return list_pairs(data, "val")
    characters = list_characters(data)
    if not characters:
        raise BadInput(f"{data} has neither val/images with val/masks nor <name>/texture.png with mask.png")
    return characters


def evaluate(spec: ModelSpec, network: Network, pairs: list[Pair]) -> Metrics:
    """Mean absolute error, maximal F-measure (beta squared 0.3) and mean IoU, at the pictures' own resolution.

    Args:
        network: (1, 3, S, S) picture to (1, 1, S, S) mask: the reference or an artifact.
    """
    import torch

    from reference.data.masks import load_pair, overlap

    threshold = threshold_of(spec)
    errors, overlaps, curves = [], [], []
    for pair in pairs:
        subject = load_pair(pair)
        tensor, region = preprocess_picture(subject.picture, spec.sampling)
        with torch.no_grad():
            small = network(torch.from_numpy(tensor)).numpy()[0, 0]
        height, width = subject.mask.shape
        guess = Mask(small, region, threshold).in_picture(width, height)
        errors.append(float(np.abs(guess - subject.mask).mean()))
        filled = guess >= threshold
        overlaps.append(overlap(filled, subject.mask))
        curves.append(precision_recall(guess, subject.mask))
    precision, recall = np.mean(curves, axis=0)
    f = (1 + BETA2) * precision * recall / np.maximum(BETA2 * precision + recall, 1e-12)
    return {"mae": float(np.mean(errors)), "max_f": float(f.max()), "iou": float(np.mean(overlaps))}


def precision_recall(guess: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(2, 255): precision and recall of ``guess`` >= t / 255 for t = 1 ... 255; precision is 1 where nothing is."""
    levels = np.clip(np.floor(guess * 255 + 1e-4), 0, 255).astype(int)
    hits = np.bincount(levels[mask], minlength=256)[::-1].cumsum()[::-1][1:]
    found = np.bincount(levels.ravel(), minlength=256)[::-1].cumsum()[::-1][1:]
    precision = np.where(found > 0, hits / np.maximum(found, 1), 1.0)
    return np.stack([precision, hits / max(1, int(mask.sum()))])


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """:func:`evaluate` on a folder's validation pairs.

    Raises:
        BadInput: the folder can't be used.
    """
    return evaluate(spec, network, load_validation(data))


TASK = Task(
    name="salient_object_detection",
    result=Mask,
    decode=decode,
    agreement=Metric("mask_iou", iou, True, short="IoU"),
    measure=measure,
)
