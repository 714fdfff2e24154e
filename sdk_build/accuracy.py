"""The task's own metrics of an artifact, measured by the function that measures the reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

Metrics = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """Validation data of one model.

    Attributes:
        data: the folder with it.
        samples: inputs that the evaluation shows a network.
        reference: metrics of the float network.
    """

    spec: ModelSpec
    data: Path
    samples: int
    reference: Metrics

    def of_artifact(self, runtime: str, path: Path) -> Metrics:
        """Metrics of an artifact, which runs in a child process.

        Raises:
            ArtifactCrashed: it does not run.
        """
        from reference.evaluate import measure
        from sdk_build.evaluate import ArtifactNetwork
        from sdk_build.sandbox import ArtifactProcess

        with ArtifactProcess(runtime, path, self.spec) as process:
            return numbers(measure(self.spec.name, self.data, ArtifactNetwork(process)))


def load_evaluation(spec: ModelSpec, network: nn.Module, data: Path) -> Evaluation:
    """Measure the float reference on the validation part of a data folder.

    Raises:
        BadInput: the folder can't be used, or the model has no evaluation.
    """
    import torch

    from reference.evaluate import measure

    shown = 0

    def counted(batch: Tensor) -> Any:
        nonlocal shown
        shown += len(batch)
        return network(batch)

    with torch.no_grad():
        reference = numbers(measure(spec.name, data, counted))
    return Evaluation(spec, data, shown, reference)


def numbers(metrics: dict[str, Any]) -> Metrics:
    """The plain numbers among metrics; tables are for people."""
    return {name: float(value) for name, value in metrics.items() if not isinstance(value, dict)}
