"""The task's own metrics of an artifact, measured as the reference's are.

Evaluation calls a network; here the network is first a recorder, which notes the inputs, and then a replayer, which
gives the outputs that an artifact computed for them in a child process. So every artifact sees the very same inputs,
and reading the data once serves all of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.backends import Tensors
from sdk_build.sandbox import run_artifact

if TYPE_CHECKING:
    from torch import Tensor, nn

CHUNK = 256  # inputs per child process: bounds the size of the files that carry them
Metrics = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """Validation data of one model, ready to be asked about any artifact.

    Attributes:
        inputs: every input that the evaluation shows a network, in order, each with a batch of 1.
        score: metrics of the outputs for these inputs.
        reference: metrics of the float network itself.
    """

    spec: ModelSpec
    inputs: tuple[NDArray[np.float32], ...]
    score: Callable[[Sequence[Tensors]], Metrics]
    reference: Metrics

    def of_artifact(self, runtime: str, path: Path) -> Metrics:
        """Metrics of an artifact.

        Raises:
            ArtifactCrashed: it does not run.
        """
        outputs: list[Tensors] = []
        for start in range(0, len(self.inputs), self.chunk):
            given = [{self.spec.input.name: value} for value in self.inputs[start : start + self.chunk]]
            outputs += run_artifact(runtime, path, self.spec, given)
        return self.score(outputs)

    @property
    def chunk(self) -> int:
        """Inputs per child: few where outputs are volumes."""
        largest = max(t.size for t in (*self.spec.inputs, *self.spec.outputs))
        return max(1, min(CHUNK, (1 << 26) // largest))


def load_evaluation(spec: ModelSpec, network: nn.Module, data: Path) -> Evaluation:
    """Prepare the validation part of a data folder.

    Args:
        network: the float reference; the folder is the one it was trained with.

    Raises:
        BadInput: unusable folder, or a model whose training has no evaluation.
    """
    import torch

    if not data.is_dir():
        raise BadInput(f"no folder {data}; --data names the folder with the validation data")
    evaluate, validation = _task(spec, data)
    recorded: list[NDArray[np.float32]] = []

    def record(batch: Tensor) -> Any:
        recorded.extend(np.ascontiguousarray(batch[i : i + 1].numpy()) for i in range(len(batch)))
        return network(batch)

    with torch.no_grad():
        reference = evaluate(record, validation)

    def score(outputs: Sequence[Tensors]) -> Metrics:
        with torch.no_grad():
            return evaluate(_Replayer(spec, outputs), validation)

    return Evaluation(spec, tuple(recorded), score, reference)


class _Replayer:
    """Answers each call with the next stored outputs."""

    def __init__(self, spec: ModelSpec, outputs: Sequence[Tensors]) -> None:
        self.spec = spec
        self.outputs = outputs
        self.place = 0

    def __call__(self, batch: Tensor) -> Any:
        import torch

        now = self.outputs[self.place : self.place + len(batch)]
        self.place += len(batch)
        tensors = tuple(torch.from_numpy(np.concatenate([o[t.name] for o in now])) for t in self.spec.outputs)
        return tensors if len(tensors) > 1 else tensors[0]


def _task(spec: ModelSpec, data: Path) -> tuple[Callable[[Any, Any], Metrics], Any]:
    """The ``evaluate`` of a model's training with its validation data.

    The training of ``reference.<module>`` is ``reference.train.<module>``; it offers ``evaluate(network, data)`` and
    ``load_validation(folder)``, or ``held_out`` where data are generated at the network's size.
    """
    name = spec.network.split(":")[0]
    try:
        training = importlib.import_module(f"reference.train.{name}")
        if hasattr(training, "held_out"):
            return training.evaluate, training.held_out(training.load_head_models(data), spec.preprocess.size[0])
        return training.evaluate, training.load_validation(data)
    except (ModuleNotFoundError, AttributeError) as error:
        raise BadInput(
            f"{spec.name} has no evaluation ({error}); reference.train.{name} needs evaluate and load_validation"
        ) from error
