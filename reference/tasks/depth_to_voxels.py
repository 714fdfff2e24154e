"""Depth to voxels: a solid from one depth image (document V)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.geometry.voxelize import iou
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec
from reference.tasks.base import Metric, Metrics, Network, Task, Tensors, threshold_of
from reference.tasks.base import iou as voxel_iou

if TYPE_CHECKING:
    from torch import Tensor

CALIBRATION_SEED = 50_000  # between the seeds of the training (its epochs) and of the validation (1,000,000)


@dataclass(frozen=True)
class VoxelGrid:
    """A solid on a cubic grid.

    Attributes:
        occupancy: (S, S, S) float32, about 0 or 1; slices from the viewer away, rows down, columns right.
        threshold: at or above it a voxel is filled.
    """

    occupancy: NDArray[np.float32]
    threshold: float

    @property
    def filled(self) -> NDArray[np.bool_]:
        return self.occupancy >= self.threshold

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"size": self.occupancy.shape[0], "filled_voxels": int(self.filled.sum())}


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> VoxelGrid:
    """The ``occupancy`` as a solid."""
    return VoxelGrid(outputs["occupancy"][0], threshold_of(spec))


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """Metrics on a folder: held-out heads if it holds head models, else its meshes.

    Heads are measured plain, and under row V3's augmentation; ``iou_baseline`` is what extruding the visible surface
    to the best thickness for these very heads would give.

    Args:
        held_out: of a folder of meshes, only those that training leaves out.

    Raises:
        BadInput: the folder holds neither, or a mesh that can't be used.
    """
    from reference.data.heads import find_head_models
    from reference.data.meshes import chosen_meshes, find_meshes, front_view, no_shapes
    from reference.data.voxels import as_tensors, held_out_heads
    from reference.geometry.compare import extrusion_iou

    models, size, threshold = find_head_models(data), spec.sampling.size[0], threshold_of(spec)
    if not models:
        if not find_meshes(data):
            raise no_shapes(data)
        paths = chosen_meshes(data, held_out)
        return evaluate(network, (as_tensors(*front_view(path, size)) for path in paths), threshold)
    heads = held_out_heads(models, size)
    metrics = evaluate(network, heads, threshold)
    disturbed = held_out_heads(models, size, augmented=True)
    scores = [iou_of(network, depth, voxels, threshold) for depth, voxels in disturbed]
    metrics |= {"iou_mean_augmented": float(np.mean(scores)), "iou_worst_augmented": min(scores)}
    return metrics | {"iou_baseline": extrusion_iou([voxels.numpy() > 0.5 for _, voxels in heads])}


def evaluate(network: Network, samples: Iterable[tuple[Tensor, Tensor]], threshold: float) -> Metrics:
    """Mean and worst IoU, and mean Chamfer distance, over (depth (1, S, S), voxels (S, S, S)) pairs.

    See :func:`reference.geometry.compare.chamfer_percent`.
    """
    from reference.geometry.compare import chamfer_percent

    scores, distances = [], []
    for depth, voxels in samples:
        occupancy = network(depth[None])[0].detach().numpy()
        target = voxels.numpy() > 0.5
        scores.append(iou(occupancy >= threshold, target))
        distances.append(chamfer_percent(occupancy, target, threshold))
    return {
        "iou_mean": float(np.mean(scores)),
        "iou_worst": min(scores),
        "chamfer_percent": float(np.mean(distances)),
    }


def iou_of(network: Network, depth: Tensor, voxels: Tensor, threshold: float) -> float:
    """IoU of a network's answer to depth (1, S, S) with voxels (S, S, S)."""
    return iou((network(depth[None])[0] >= threshold).numpy(), (voxels > 0.5).numpy())


def generate_inputs(spec: ModelSpec, folder: Path, count: int, seed: int) -> tuple[NDArray[np.float32], ...] | None:
    """Depth images of random heads of the training's kind; None for a folder without head models (``*.npz``)."""
    if not any(folder.glob("*.npz")):
        return None
    from reference.data.heads import load_head_models
    from reference.data.voxels import HeadVoxels

    heads = HeadVoxels(load_head_models(folder), spec.sampling.size[0], count, True, CALIBRATION_SEED + seed)
    return tuple(heads[i][0].numpy()[None] for i in range(count))


TASK = Task(
    name="depth_to_voxels",
    result=VoxelGrid,
    decode=decode,
    agreement=Metric("voxel_iou", voxel_iou, True, short="IoU"),
    measure=measure,
    generate_inputs=generate_inputs,
)
