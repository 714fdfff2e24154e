"""What makes a task, whatever the model: its result, its metrics, and the data it is measured and calibrated with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reference.data.raw_files import RawFile
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec, TensorSpec

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.floating]
Tensors = Mapping[str, NDArray[np.float32]]
# The reference or an artifact: a batch of the model's input to its output, or a tuple of several.
Network = Callable[["Tensor"], Any]
Metrics = dict[str, Any]


class Result(Protocol):
    """What a task gives for one input."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""


@dataclass(frozen=True)
class Metric:
    """How far an artifact's output is from the reference's, with the side on which a limit lies.

    Attributes:
        function: of ``actual`` and ``expected``, arrays of one shape.
        larger_is_better: the limit is a lower bound; otherwise an upper one.
        unit: shown behind a value.
        short: what it is called in a narrow column.
    """

    name: str
    function: Callable[[Array, Array], float]
    larger_is_better: bool
    unit: str = ""
    short: str = ""

    def passes(self, value: float, limit: float) -> bool:
        """True if the value keeps the limit."""
        return value >= limit if self.larger_is_better else value <= limit


@dataclass(frozen=True)
class Cascade:
    """What a second network that looks at this task's results is measured and calibrated with.

    Attributes:
        measure: the task's metrics of both networks together: the first one's spec, whose stored weights are used, the
            second one's spec and network, and the folder with the validation data.
        find_inputs: what the second network sees, in a folder; None where the folder is not of this kind.
    """

    measure: Callable[[ModelSpec, ModelSpec, Network, Path], Metrics]
    find_inputs: Callable[[Path], list[RawFile] | None] = lambda folder: None


@dataclass(frozen=True)
class Task:
    """Everything that a task means; generic code asks it and never its name.

    Attributes:
        name: as it stands in a spec and in bundle.json.
        result: the type that :attr:`decode` gives; its name stands in a spec's postprocessing.
        decode: the typed result of one input's output tensors (batch of 1) and the region that the network saw.
        agreement: what compares an artifact's first output with the reference's, beside the general metrics.
        measure: reads the labelled data in a folder and gives the metrics of a network on its validation part; the
            flag asks for nothing but what training leaves out, where a folder has no such part.
        generate_inputs: calibration inputs (count, seed) for data sets that hold models and no pictures; None where
            the folder is of another kind.
        cascade: for a second network that takes up this task's results.
        signature: the outputs of a user's network as this task names them, of how they were found and the labels;
            raises BadInput where they don't fit. None: the task is for built-in networks alone.
        unnamed_labels: the classes of such outputs, numbered; none for a task without classes.
        labelled: labels may be given although no output says how many there are.
        threshold: for the spec of a user's network, where the task needs one.
        forms: by the place of an output, what its values may mean where that can't be seen; the first is assumed.
        budget: what fewer bits may cost where a card has no budget, metric to change with its sign; empty where a task
            has no metric of its own.
        turnable: a picture that is turned by quarters has the same labels.
    """

    name: str
    result: type
    decode: Callable[[Tensors, ModelSpec, Region], Result]
    agreement: Metric
    measure: Callable[[ModelSpec, Network, Path, bool], Metrics]
    generate_inputs: Callable[[ModelSpec, Path, int, int], tuple[NDArray[np.float32], ...] | None] = (
        lambda spec, folder, count, seed: None
    )
    cascade: Cascade | None = None
    turnable: bool = False
    budget: Mapping[str, float] = field(default_factory=dict)
    signature: Callable[[tuple[TensorSpec, ...], tuple[str, ...]], tuple[TensorSpec, ...]] | None = None
    unnamed_labels: Callable[[tuple[TensorSpec, ...]], tuple[str, ...]] = lambda outputs: ()
    labelled: bool = False
    threshold: float | None = None
    forms: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def same_shape(actual: Array, expected: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both in float64.

    Raises:
        ValueError: their shapes differ.
    """
    if actual.shape != expected.shape:
        raise ValueError(f"shapes are {actual.shape} and {expected.shape}; both must be equal")
    return np.asarray(actual, np.float64), np.asarray(expected, np.float64)


def threshold_of(spec: ModelSpec) -> float:
    """The threshold that a spec's postprocessing has; every registered model of such a task has one."""
    assert spec.postprocess.threshold is not None
    return spec.postprocess.threshold


def iou(actual: Array, expected: Array, threshold: float = 0.5) -> float:
    """Intersection over union of the voxels or pixels at or above ``threshold``; 1 if both are empty."""
    a, e = (x >= threshold for x in same_shape(actual, expected))
    union = int((a | e).sum())
    return int((a & e).sum()) / union if union else 1.0
