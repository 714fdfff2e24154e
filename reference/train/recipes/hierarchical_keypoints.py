"""Training of the hierarchical keypoints: balanced poses (row H1), losses on originals and augmented copies (H5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from reference.checkpoint import start_from
from reference.data import WORKERS
from reference.data.faces import FaceDataset, Faces, Jitter
from reference.networks import hierarchical_keypoints
from reference.tasks.face_keypoints import evaluate
from reference.train.options import Options
from reference.train.recipes.keypoints import (
    KeypointData,
    balance_poses,
    epoch_order,
    heat_loss,
    point_loss,
    training_faces,
)

HEAT_WEIGHT = 0.02  # of the maps' cross-entropy beside the points' distances


class OriginalAndCopy(Dataset[tuple[Tensor, Tensor, Tensor, Tensor]]):
    """Each face twice: (image, points) as it is, and (image, points) of an augmented copy ("expanded image").

    The original still moves a little, by a few percent of its side: a crop in an app is never exact.
    """

    def __init__(self, faces: Faces, seed: int, offset: float = 0.0) -> None:
        size = hierarchical_keypoints.SIZE
        self.original = FaceDataset(faces, size, Jitter(angle=2.0, zoom=0.04, shift=0.01), seed=seed, offset=offset)
        self.copy = FaceDataset(faces, size, Jitter(), seed=seed + 1, offset=offset)

    def __len__(self) -> int:
        return len(self.original)

    def start_epoch(self, epoch: int) -> None:
        """Draw other random changes."""
        self.original.epoch = self.copy.epoch = epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        image, points, *_ = self.original[index]
        copied, copied_points, *_ = self.copy[index]
        return image, points, copied, copied_points


class HierarchicalRecipe:
    """See :class:`reference.train.loop.Recipe`.

    Args:
        difference: largest difference of the counts of large and small poses in an epoch, as a share; None: as is.
        copies: weight of the second loss, on augmented copies; 0: originals alone.
    """

    monitor = "nme_percent"
    larger_is_better = False

    def __init__(
        self,
        data: KeypointData,
        epochs: int,
        batch: int,
        seed: int,
        difference: float | None = 0.05,
        copies: float = 1.0,
    ) -> None:
        self.epochs = epochs
        self.batch = batch
        self.seed = seed
        self.data = data
        self.difference = difference
        self.copies = copies
        self.network = hierarchical_keypoints.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.training = OriginalAndCopy(data.faces, seed, data.offset)
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3)

    def batches(self, epoch: int) -> DataLoader[Any]:
        self.training.start_epoch(epoch)
        rng = np.random.default_rng((self.seed, epoch))
        order = epoch_order(self.data.faces, self.data.precise, rng)
        if self.difference is not None:
            order = balance_poses(order, self.data.faces.yaw, rng, self.difference)
        order = order[: len(order) // self.batch * self.batch].reshape(-1, self.batch)
        return DataLoader(self.training, batch_sampler=order.tolist(), num_workers=WORKERS)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, points, copied, copied_points = batch
        if self.copies == 0:
            total = self._loss(self._predict(images), points)
            return total, {"first": float(total.detach())}
        # One pass over both: batch statistics see what the network will see.
        both = self._predict(torch.cat([images, copied]))
        first = self._loss({name: value[: len(images)] for name, value in both.items()}, points)
        second = self._loss({name: value[len(images) :] for name, value in both.items()}, copied_points)
        return first + self.copies * second, {"first": float(first.detach()), "second": float(second.detach())}

    @staticmethod
    def _loss(out: dict[str, Tensor], points: Tensor) -> Tensor:
        ones = points.new_ones(len(points))
        return point_loss(out["keypoints"], points, ones) + HEAT_WEIGHT * heat_loss(out["heat"], points, ones)

    def _predict(self, images: Tensor) -> dict[str, Tensor]:
        return self.network.stages(images.contiguous(memory_format=torch.channels_last))

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return evaluate(network, self.data.validation, hierarchical_keypoints.SIZE)


def make(o: Options) -> HierarchicalRecipe:
    """The recipe of the training command."""
    balance, copies = None if o.unbalanced else 0.05, 0.0 if o.no_copies else 1.0
    recipe = HierarchicalRecipe(training_faces(o), o.epochs, o.batch, o.seed, balance, copies)
    if o.init is not None:
        start_from(recipe.network, o.init)
    return recipe
