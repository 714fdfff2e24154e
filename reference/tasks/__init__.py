"""The tasks by name: what a result is, how it is read, compared and measured. Adding one is a line here.

Every task is one module; generic code asks :func:`get_task` and never compares names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reference.card import Card
from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec
from reference.tasks import (
    depth_estimation,
    depth_to_voxels,
    embedding,
    face_detection,
    face_keypoints,
    face_reconstruction,
    image_classification,
    image_segmentation,
    image_to_image,
    keypoints,
    object_detection,
    salient_object_detection,
    tensors,
)
from reference.tasks.base import Metrics, Network, Result, Task, Tensors

TASKS: dict[str, Task] = {
    "image_classification": image_classification.TASK,
    "salient_object_detection": salient_object_detection.TASK,
    "face_detection": face_detection.TASK,
    "face_keypoints": face_keypoints.TASK,
    "depth_to_voxels": depth_to_voxels.TASK,
    "face_reconstruction": face_reconstruction.TASK,
    "image_segmentation": image_segmentation.TASK,
    "object_detection": object_detection.TASK,
    "keypoints": keypoints.TASK,
    "depth_estimation": depth_estimation.TASK,
    "image_to_image": image_to_image.TASK,
    "embedding": embedding.TASK,
    "tensors": tensors.TASK,
}


def get_task(spec: ModelSpec) -> Task:
    """The task of a model.

    Raises:
        BadInput: there is no such task, or it has another result type than the spec.
    """
    if spec.task not in TASKS:
        raise BadInput(f"task of model {spec.name} is {spec.task!r}; allowed: {', '.join(TASKS)}")
    task, result = TASKS[spec.task], spec.postprocess.result
    known = list(dict.fromkeys(each.result.__name__ for each in TASKS.values()))
    if result not in known:
        raise BadInput(f"result is {result!r}; allowed: {', '.join(known)}")
    if result != task.result.__name__:
        raise BadInput(f"result of model {spec.name} is {result!r}; {spec.task} gives {task.result.__name__}")
    return task


def budget_of(spec: ModelSpec, card: Card) -> Mapping[str, float]:
    """By how much fewer bits may change the metrics: as the card says, else one point of the task's own metric.

    Empty where neither says anything, or where a user's model.py measures by itself: its metrics are unknown here.
    """
    from reference.tasks.own import measure_by

    return card.budget or ({} if measure_by(spec) else get_task(spec).budget)


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> Result:
    """The typed result of one input's output tensors (batch of 1)."""
    return get_task(spec).decode(outputs, spec, region)


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """Metrics of whatever maps a model's input batches to its outputs, on the validation part of a data folder.

    The second network of a cascade is measured together with the stored weights of the first one.

    Args:
        held_out: of a folder of meshes, only those that training leaves out.

    Raises:
        BadInput: unknown task or unusable folder.
    """
    from reference.registry import get_spec
    from reference.tasks.own import measure_by

    if not data.is_dir():
        raise BadInput(f"no folder {data}; --data names the folder with the validation data")
    own = measure_by(spec)
    if own is not None:
        return own(network, data)
    if not spec.refines:
        return get_task(spec).measure(spec, network, data, held_out)
    first = get_spec(spec.refines)
    cascade = get_task(first).cascade
    if cascade is None:
        raise BadInput(f"model {spec.name} refines {first.name}, whose task {first.task} has no cascade")
    return cascade.measure(first, spec, network, data)
