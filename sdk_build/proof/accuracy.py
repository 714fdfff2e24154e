"""The task's own metrics of an artifact, measured by the function that measures the reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.spec import ModelSpec
from reference.tasks import measure
from sdk_build.proof.sandbox import ArtifactProcess

if TYPE_CHECKING:
    from torch import Tensor, nn

Metrics = dict[str, float]


class ArtifactNetwork:
    """An artifact that is called like its reference: (B, ...) input to one output tensor, or a tuple of several."""

    def __init__(self, process: ArtifactProcess) -> None:
        self.process = process

    def __call__(self, *batch: Tensor) -> Any:
        """Outputs of a batch, one input at a time where an artifact's batch is 1."""
        import numpy as np
        import torch

        spec = self.process.spec
        size = spec.input.shape[0] if spec.input.shape else 1
        parts = [x.split(size) if x.ndim else (x,) for x in batch]
        given = [{t.name: x.numpy() for t, x in zip(spec.inputs, xs, strict=True)} for xs in zip(*parts, strict=True)]
        each = [self.process.run(inputs) for inputs in given]
        outputs = tuple(torch.from_numpy(np.concatenate([e[t.name] for e in each])) for t in spec.outputs)
        return outputs[0] if len(outputs) == 1 else outputs


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
        with ArtifactProcess(runtime, path, self.spec) as process:
            return numbers(measure(self.spec, ArtifactNetwork(process), self.data))


def load_evaluation(spec: ModelSpec, network: nn.Module, data: Path) -> Evaluation:
    """Measure the float reference on the validation part of a data folder.

    Raises:
        BadInput: the folder can't be used, or the model has no evaluation.
    """
    import torch

    shown = 0

    def counted(*batch: Tensor) -> Any:
        nonlocal shown
        shown += len(batch[0]) if batch[0].ndim else 1
        return network(*batch)

    with torch.no_grad():
        reference = numbers(measure(spec, counted, data))
    return Evaluation(spec, data, shown, reference)


def numbers(metrics: dict[str, Any]) -> Metrics:
    """The plain numbers among metrics; tables are for people."""
    return {name: float(value) for name, value in metrics.items() if not isinstance(value, dict)}
