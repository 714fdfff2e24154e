"""Depth estimation: how far every pixel of a picture is, in whatever unit the network was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.grid import lay_over
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec, TensorSpec
from reference.tasks.base import Array, Metric, Network, Task, Tensors, same_shape

FORMS = ("relative_inverse_depth", "relative_depth", "metres")  # nearer is larger, or smaller, or measured


@dataclass(frozen=True)
class Depth:
    """How far things are.

    Attributes:
        values: (h, w) on the network's own grid.
        region: the part of the picture that the grid covers.
        unit: one of :data:`FORMS`.
    """

    values: NDArray[np.float32]
    region: Region
    unit: str

    def in_picture(self, width: int, height: int) -> NDArray[np.float32]:
        """Values (height, width) of the picture's pixels; NaN outside the region."""
        return lay_over(self.values, self.region, width, height)

    @property
    def nearness(self) -> NDArray[np.float32]:
        """(h, w) from 0, the farthest, to 1, the nearest."""
        low, high = float(self.values.min()), float(self.values.max())
        share = (self.values - low) / ((high - low) or 1.0)
        return share if self.unit == FORMS[0] else 1 - share

    def to_json(self) -> dict[str, Any]:
        """Unit, range and mean; the map itself is for a file."""
        v = self.values
        return {"unit": self.unit, "minimum": float(v.min()), "maximum": float(v.max()), "mean": float(v.mean())}


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> Depth:
    """The map over the region that the network saw."""
    first = spec.outputs[0]
    return Depth(np.asarray(outputs[first.name], np.float32).reshape(first.shape[-2:]), region, first.unit)


def depth_correlation(actual: Array, expected: Array) -> float:
    """Pearson's correlation of two maps: what is left when scale and shift mean nothing; 0 where one is constant."""
    a, e = (x.ravel() - x.mean() for x in same_shape(actual, expected))
    norm = float(np.linalg.norm(a) * np.linalg.norm(e))
    return float(a @ e) / norm if np.isfinite(norm) and norm else 0.0


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> dict[str, Any]:
    """Nothing: which scale and crop count is for the model's own ``evaluate`` to say.

    Raises:
        BadInput: always.
    """
    raise BadInput(
        f"nothing measures {spec.name}: scale, shift and crop of depth maps differ from data set to data set; write "
        "evaluate(predict, data) -> dict into its model.py"
    )


def name_outputs(found: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """One map (1, h, w) or (1, 1, h, w).

    What its values mean can't be seen: nearer counts as larger until the spec says another unit.

    Raises:
        BadInput: it is something else.
    """
    first, *others = found
    one_map = len(first.shape) in (3, 4) and int(np.prod(first.shape[:-2])) == 1
    if others or not one_map or not first.is_float:
        shapes = ", ".join(f"{t.dtype} {t.shape}" for t in found)
        raise BadInput(f"depth_estimation needs one output, (1, h, w) or (1, 1, h, w); the network gives {shapes}")
    return (TensorSpec("depth", first.shape, "any", FORMS[0]),)


TASK = Task(
    name="depth_estimation",
    result=Depth,
    decode=decode,
    agreement=Metric("depth_correlation", depth_correlation, True, short="correlation"),
    measure=measure,
    signature=name_outputs,
    forms={0: FORMS},
)
