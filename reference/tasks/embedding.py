"""Embedding: a vector for a picture, near to those of pictures that are alike."""

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


@dataclass(frozen=True)
class Embedding:
    """A picture as a vector.

    Attributes:
        vector: (D,) as the network gives it.
    """

    vector: NDArray[np.float32]

    def similarity(self, other: Embedding) -> float:
        """Cosine of the angle between two: 1 for alike, 0 where one is zero."""
        norm = float(np.linalg.norm(self.vector) * np.linalg.norm(other.vector))
        return float(self.vector @ other.vector) / norm if norm else 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"vector": self.vector.tolist(), "norm": float(np.linalg.norm(self.vector))}


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> Embedding:
    """The output's only row."""
    return Embedding(np.asarray(outputs[spec.outputs[0].name], np.float32).ravel())


def angle_degrees(actual: Array, expected: Array) -> float:
    """Angle between two vectors in degrees; 90 where one of them is zero or not finite."""
    a, e = (x.ravel() for x in same_shape(actual, expected))
    norm = float(np.linalg.norm(a) * np.linalg.norm(e))
    if not np.isfinite(norm) or not norm:
        return 90.0
    # By the chord: an arc cosine loses small angles to rounding.
    chord = np.linalg.norm(a / np.linalg.norm(a) - e / np.linalg.norm(e))
    return float(np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1))))


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> dict[str, Any]:
    """Nothing: which pictures are alike is for the model's own ``evaluate`` to say.

    Raises:
        BadInput: always.
    """
    raise BadInput(
        f"nothing measures {spec.name}: which pictures are alike depends on its purpose; write "
        "evaluate(predict, data) -> dict into its model.py"
    )


def name_outputs(found: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """One vector (1, D), or (1, D, 1, 1) as pooling leaves it.

    Raises:
        BadInput: it is something else.
    """
    first, *others = found
    flat = len(first.shape) > 1 and int(np.prod(first.shape)) == first.shape[1]
    if others or not flat or not first.is_float:
        shapes = ", ".join(f"{t.dtype} {t.shape}" for t in found)
        raise BadInput(f"embedding needs one output, a vector (1, D); the network gives {shapes}")
    return (TensorSpec("embedding", first.shape, "any", "feature"),)


TASK = Task(
    name="embedding",
    result=Embedding,
    decode=decode,
    agreement=Metric("angle_degrees", angle_degrees, False, "deg", short="angle"),
    measure=measure,
    signature=name_outputs,
)
