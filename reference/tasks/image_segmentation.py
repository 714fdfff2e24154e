"""Image segmentation: the class of every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.grid import lay_classes_over
from reference.inputs.preprocess import Region, load_picture, preprocess_picture
from reference.spec import ModelSpec, TensorSpec
from reference.tasks.base import Array, Metric, Metrics, Network, Task, Tensors, same_shape

IGNORED = 255  # of a label map: not looked at, as in PASCAL VOC and Cityscapes


@dataclass(frozen=True)
class Segmentation:
    """What every pixel shows.

    Attributes:
        classes: (h, w) class numbers on the network's own grid.
        region: the part of the picture that the grid covers.
        labels: names of the classes.
    """

    classes: NDArray[np.int64]
    region: Region
    labels: tuple[str, ...]

    def in_picture(self, width: int, height: int) -> NDArray[np.int64]:
        """Class numbers (height, width) of the picture's pixels; -1 outside the region."""
        return lay_classes_over(self.classes, self.region, width, height)

    def shares(self) -> dict[str, float]:
        """Share of the grid that each class covers, the largest first; classes that cover nothing are left out."""
        counts = np.bincount(self.classes.ravel(), minlength=len(self.labels)) / self.classes.size
        return {self.labels[i]: float(counts[i]) for i in np.argsort(-counts, kind="stable") if counts[i] > 0}

    def to_json(self) -> dict[str, Any]:
        """Share of each class, and the class numbers as base64 of a grey PNG that covers the region."""
        return {"shares": self.shares(), "labels": list(self.labels), "classes_png": self._png()}

    def _png(self) -> str:
        import base64
        import io

        from PIL import Image

        target = io.BytesIO()
        few = len(self.labels) <= 256
        Image.fromarray(self.classes.astype(np.uint8 if few else np.uint16)).save(target, "PNG")
        return base64.b64encode(target.getvalue()).decode("ascii")


def classes_of(output: NDArray[Any]) -> NDArray[np.int64]:
    """Class numbers (h, w) of scores (1, classes, h, w), of one score (above 0 is the second class), or of numbers."""
    if output.dtype.kind != "f":
        return np.asarray(output, np.int64).reshape(output.shape[-2:])
    return np.asarray(output[0, 0] > 0 if output.shape[1] == 1 else output[0].argmax(0), np.int64)


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> Segmentation:
    """The most probable class of every cell over the region that the network saw."""
    return Segmentation(classes_of(outputs[spec.outputs[0].name]), region, spec.labels)


def pixel_agreement(actual: Array, expected: Array) -> float:
    """Share of the cells whose class is the same, of scores (1, classes, h, w) or class numbers."""
    a, e = same_shape(actual, expected)
    if not np.isfinite(a).all():
        return 0.0
    if a.ndim == 4 and a.shape[1] > 1:
        return float((a.argmax(1) == e.argmax(1)).mean())
    return float(((a > 0) == (e > 0)).mean()) if a.ndim == 4 else float((a == e).mean())


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """Mean intersection over union and pixel accuracy, in percent, on ``val/images`` with ``val/masks/*.png``.

    A mask holds a class number per pixel; 255 is not looked at.

    Raises:
        BadInput: there are no such pictures, or a mask can't be read.
    """
    import torch

    from reference.golden import named_outputs

    table = np.zeros((len(spec.labels), len(spec.labels)), np.int64)
    pairs = list_pairs(data)
    for picture, mask in pairs:
        pixels = load_picture(picture)
        tensor, region = preprocess_picture(pixels, spec.sampling)
        result = decode(named_outputs(spec, network(torch.from_numpy(tensor))), spec, region)
        guess = result.in_picture(pixels.shape[1], pixels.shape[0])
        truth = load_classes(mask, guess.shape, len(spec.labels))
        looked = (truth != IGNORED) & (guess >= 0)
        index = truth[looked] * len(spec.labels) + guess[looked]
        table += np.bincount(index, minlength=table.size).reshape(table.shape)
    both, either = np.diag(table), table.sum(0) + table.sum(1) - np.diag(table)
    there = table.sum(1) > 0
    return {
        "miou": 100 * float((both[there] / either[there]).mean()),
        "pixel_accuracy": 100 * float(both.sum() / max(1, table.sum())),
        "pictures": len(pairs),
    }


def list_pairs(data: Path) -> list[tuple[Path, Path]]:
    """Validation pictures with their masks.

    Raises:
        BadInput: there is none, or one has no mask.
    """
    pictures = sorted(p for p in (data / "val" / "images").glob("*") if p.is_file())
    if not pictures:
        raise BadInput(f"no picture in {data}/val/images; the layout is val/images/* and val/masks/*.png")
    pairs = [(p, data / "val" / "masks" / f"{p.stem}.png") for p in pictures]
    missing = [mask for _, mask in pairs if not mask.is_file()]
    if missing:
        raise BadInput(f"{len(missing)} pictures have no mask, first {missing[0]}; add it")
    return pairs


def load_classes(path: Path, shape: tuple[int, ...], count: int) -> NDArray[np.int64]:
    """Class numbers of a mask, 255 where nothing counts.

    Raises:
        BadInput: it can't be read, has another size than the picture, or numbers that are no class.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            values = np.array(opened).astype(np.int64)
    except OSError as error:
        raise BadInput(f"can't read {path} ({error}); give a grey or palette PNG of class numbers") from error
    if values.shape != shape:
        raise BadInput(f"{path} is {values.shape}, its picture {shape}; give a class number for every pixel")
    if ((values >= count) & (values != IGNORED)).any():
        raise BadInput(f"{path} has class {values[values != IGNORED].max()}; the model has classes 0 to {count - 1}")
    return values


def name_outputs(found: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """Scores of every class for every cell, or class numbers.

    Raises:
        BadInput: it is something else, or there are other labels than classes.
    """
    first, *others = found
    scores = len(first.shape) == 4 and first.shape[0] == 1 and first.is_float
    numbers = (
        not first.is_float and int(np.prod(first.shape)) == int(np.prod(first.shape[-2:])) and len(first.shape) > 1
    )
    if others or not (scores or numbers):
        shapes = ", ".join(f"{t.dtype} {t.shape}" for t in found)
        raise BadInput(
            f"image_segmentation needs one output, (1, classes, h, w) or class numbers; the network gives {shapes}"
        )
    if scores and labels and len(labels) != max(2, first.shape[1]):
        raise BadInput(
            f"{len(labels)} labels are given, the network has {max(2, first.shape[1])} classes; give as many"
        )
    if numbers and not labels:
        raise BadInput("the network gives class numbers, not how many there are; give --labels with a line for each")
    layout, unit = ("NCHW", "logit") if scores else ("any", "class")
    return (TensorSpec("classes", first.shape, layout, unit, dtype=first.dtype),)


def number_classes(outputs: tuple[TensorSpec, ...]) -> tuple[str, ...]:
    """Numbers for names; of class numbers nobody knows how many there are."""
    count = outputs[0].shape[1] if outputs[0].is_float else 1
    return tuple(map(str, range(max(2, count))))


TASK = Task(
    name="image_segmentation",
    result=Segmentation,
    decode=decode,
    agreement=Metric("pixel_agreement", pixel_agreement, True, short="pixels same"),
    measure=measure,
    budget={"miou": -1.0},
    signature=name_outputs,
    unnamed_labels=number_classes,
)
