"""Image to image: a picture in, another picture out (style, enhancement, enlargement)."""

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

FORMS = {"zero_to_one": (0.0, 1.0), "minus_one_to_one": (-1.0, 1.0), "zero_to_255": (0.0, 255.0)}
VISIBLE = 4 / 255  # of the range: a difference that eyes may see in a flat area


@dataclass(frozen=True)
class NewPicture:
    """The picture that a network makes.

    Attributes:
        picture: (h, w, 3) RGB.
        region: the part of the input picture that it was made of.
    """

    picture: NDArray[np.uint8]
    region: Region

    def to_json(self) -> dict[str, Any]:
        """Size and mean colour; the picture itself is for a file."""
        height, width = self.picture.shape[:2]
        return {"width": width, "height": height, "mean_rgb": self.picture.reshape(-1, 3).mean(0).round(2).tolist()}


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> NewPicture:
    """The output as 8-bit RGB, values beyond its range cut off."""
    first = spec.outputs[0]
    low, high = FORMS[first.unit]
    values = (np.asarray(outputs[first.name][0], np.float32) - low) / (high - low)
    pixels = (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return NewPicture(np.ascontiguousarray(np.repeat(pixels, 3 // pixels.shape[2], 2)), region)


def picture_agreement(actual: Array, expected: Array) -> float:
    """Share of the values that are off by less than eyes may see: 4 of 255 of the range."""
    a, e = same_shape(actual, expected)
    return float((np.abs(a - e) <= VISIBLE * (float(np.ptp(e)) or 1.0)).mean())


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> dict[str, Any]:
    """Nothing: what a good picture is, is for the model's own ``evaluate`` to say.

    Raises:
        BadInput: always.
    """
    raise BadInput(
        f"nothing measures {spec.name}: what a good picture is depends on its purpose; write "
        "evaluate(predict, data) -> dict into its model.py"
    )


def name_outputs(found: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """One picture (1, 1 or 3, h, w).

    Its range can't be seen for sure: it counts as 0 to 1 until the spec says another unit.

    Raises:
        BadInput: it is something else.
    """
    first, *others = found
    if others or len(first.shape) != 4 or first.shape[0] != 1 or first.shape[1] not in (1, 3) or not first.is_float:
        shapes = ", ".join(f"{t.dtype} {t.shape}" for t in found)
        raise BadInput(f"image_to_image needs one output, (1, 1 or 3, h, w); the network gives {shapes}")
    return (TensorSpec("picture", first.shape, "NCHW", next(iter(FORMS))),)


TASK = Task(
    name="image_to_image",
    result=NewPicture,
    decode=decode,
    agreement=Metric("picture_agreement", picture_agreement, True, short="pixels same"),
    measure=measure,
    signature=name_outputs,
    forms={0: tuple(FORMS)},
)
