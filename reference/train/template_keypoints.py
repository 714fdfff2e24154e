"""Training of the template keypoints: losses on first, second and final points, rare rotations weighted up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reference import template_keypoints
from reference.data import WORKERS
from reference.data.faces import FaceDataset, Faces, attribute_weights, learn_templates, load_faces

OUTER_EYES = (36, 45)
PRECISE_SETS = ("helen", "afw")


def point_loss(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted wing-like loss of (B, 2, 68) points: log near zero keeps the small errors moving.

    Source of the shape: Feng et al., *Wing loss*, CVPR 2018; errors are in fractions of the crop.
    """
    width, curvature = 0.04, 0.01
    error = (predicted - target).abs()
    offset = width - width * np.log(1 + width / curvature)
    wing = torch.where(error < width, width * torch.log(1 + error / curvature), error - offset)
    return (wing.mean((1, 2)) * weights).mean()


def normalized_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """NME of each face: mean point distance in percent of the distance of the outer eye corners.

    Args:
        predicted, target: (B, 2, 68), any unit.
    """
    distance = (predicted - target).norm(dim=1).mean(1)
    size = (target[..., OUTER_EYES[0]] - target[..., OUTER_EYES[1]]).norm(dim=1)
    return 100 * distance / size


class KeypointRecipe:
    """See :class:`reference.train.loop.Recipe`; ``data`` is a folder of the faces68 layout."""

    monitor = "nme_percent"
    larger_is_better = False

    def __init__(self, data: Path, epochs: int, batch: int, seed: int) -> None:
        self.epochs = epochs
        self.batch = batch
        # Channels last: depthwise convolutions train about twice as fast on CPUs, with the same result.
        self.network = template_keypoints.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        faces = load_faces(data, "train")
        precise = np.isin(np.array(faces.sources), PRECISE_SETS)
        templates = learn_templates(
            faces.points[precise] if precise.any() else faces.points, self.network.templates.shape[1]
        )
        self.network.templates.copy_(torch.from_numpy(templates))
        weights = attribute_weights(faces.yaw)
        # Video frames are many, alike and labelled to whole pixels: they count less.
        weights = np.where(precise | ~precise.any(), weights, 0.4 * weights).astype(np.float32)
        self.training = FaceDataset(faces, template_keypoints.SIZE, True, weights, seed)
        self.repeats = np.repeat(np.arange(len(faces.yaw)), np.where(precise, 2, 1))
        self.validation = load_validation(data)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=1e-4)
        self.seed = seed

    def batches(self, epoch: int) -> DataLoader[Any]:
        self.training.epoch = epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(self.repeats)
        order = order[: len(order) // self.batch * self.batch].reshape(-1, self.batch)
        return DataLoader(self.training, batch_sampler=order.tolist(), num_workers=WORKERS)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, points, weights = batch
        images = images.contiguous(memory_format=torch.channels_last)
        out = self.network.stages(images)
        weights = weights.float()
        first = point_loss(out["template_keypoints"], points, weights)
        second = point_loss(out["direct_keypoints"], points, weights)
        result = point_loss(out["keypoints"], points, weights)
        return first + second + result, {"first": float(first.detach()), "second": float(second.detach())}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return evaluate(network, self.validation)


def load_validation(data: Path) -> Faces:
    """The validation faces of every set."""
    return load_faces(data, "val")


def evaluate(network: Callable[[Tensor], Any], faces: Faces) -> dict[str, float]:
    """NME in percent of the outer eye distance, on the precisely labelled sets and on video frames."""
    results: dict[str, list[Tensor]] = {"keypoints": [], "template_keypoints": []}
    for images, points, _ in DataLoader(FaceDataset(faces, template_keypoints.SIZE, False), batch_size=128):
        for (_, errors), out in zip(results.items(), network(images), strict=True):
            errors.append(normalized_errors(out.transpose(1, 2), points))
    final, first = (torch.cat(errors).numpy() for errors in results.values())
    precise = np.isin(np.array(faces.sources), PRECISE_SETS)
    if not precise.any():
        precise[:] = True
    large = np.abs(faces.yaw) > 0.3
    groups = {
        "nme_percent": final[precise],
        "nme_small_pose": final[precise & ~large],
        "nme_large_pose": final[precise & large],
        "nme_template_only": first[precise],
        "nme_video": final[~precise],
    }
    return {
        **{name: float(errors.mean()) for name, errors in groups.items() if len(errors)},
        "failure_10": float(100 * (final[precise] > 10).mean()),
    }
