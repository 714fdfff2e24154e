"""No meaning at all: whatever tensors a network gives, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec
from reference.tasks.base import Array, Metric, Metrics, Network, Task, Tensors, same_shape


@dataclass(frozen=True)
class RawTensors:
    """A network's outputs by name, in the spec's order.

    Attributes:
        values: arrays in the spec's shapes and types.
    """

    values: Mapping[str, NDArray[Any]]

    def to_json(self) -> dict[str, Any]:
        """Shape, type and, of what has numbers, the range of each; the numbers themselves are for a file."""
        return {
            name: {
                "shape": list(v.shape),
                "dtype": str(v.dtype),
                "minimum": float(v.min()),
                "maximum": float(v.max()),
                "mean": float(v.mean()),
            }
            for name, v in self.values.items()
        }


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> RawTensors:
    """The outputs as they are."""
    return RawTensors({t.name: outputs[t.name] for t in spec.outputs})


def finite_share(actual: Array, expected: Array) -> float:
    """Share of the values that are finite where the expected ones are."""
    a, e = same_shape(actual, expected)
    wanted = np.isfinite(e)
    return float(np.isfinite(a[wanted]).mean()) if wanted.any() else 1.0


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """Nothing: what is good is for the model's own ``evaluate`` to say.

    Raises:
        BadInput: always.
    """
    raise BadInput(
        f"nothing measures {spec.name}: tensors have no meaning of their own; write evaluate(predict, data) -> dict "
        "into its model.py"
    )


TASK = Task(
    name="tensors",
    result=RawTensors,
    decode=decode,
    agreement=Metric("finite_share", finite_share, True, short="finite"),
    measure=measure,
    signature=lambda outputs, labels: outputs,
)
