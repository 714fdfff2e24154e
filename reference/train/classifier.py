"""Training of the classifier: row I2's two losses, batches that hold every image type (row I3)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reference import classifier
from reference.data.pictures import AllTypesSampler, PictureDataset, list_pictures


class ReverseGradient(torch.autograd.Function):
    """Identity forwards; the gradient times -weight backwards.

    One backward pass then does row I2: the image-type head descends the second loss, everything before it
    descends first loss - weight * second loss.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None


class ClassifierRecipe:
    """See :class:`reference.train.loop.Recipe`.

    Args:
        data: folder ``<split>/<image type>/<class>/*``.
        type_weight: largest weight of the second loss; it rises smoothly from 0 (Ganin and Lempitsky, 2015),
            because an untrained image-type head only adds noise.
    """

    monitor = "top1_mean"
    larger_is_better = True

    def __init__(self, data: Path, epochs: int, batch: int, seed: int, type_weight: float = 0.1) -> None:
        self.epochs = epochs
        self.type_weight = type_weight
        # Channels last: depthwise convolutions train about twice as fast on CPUs, with the same result.
        self.network = classifier.build(num_types=len(classifier.IMAGE_TYPES)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        names = (classifier.LABELS, classifier.IMAGE_TYPES)
        self.training = PictureDataset(list_pictures(data, "train", *names), classifier.SIZE, True, seed)
        self.validation = load_validation(data)
        for skipped in (self.training.skipped, self.validation.skipped):
            if skipped:
                print(f"{len(skipped)} unreadable pictures are left out, first {skipped[0]}", file=sys.stderr)
        each = batch // len(classifier.IMAGE_TYPES)
        self.sampler = AllTypesSampler(self.training.files.types, (each,) * len(classifier.IMAGE_TYPES), seed)
        counts = np.bincount(self.training.files.labels, minlength=len(classifier.LABELS))
        self.class_weights = torch.from_numpy((counts.mean() / counts) ** 0.5).float()
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}], lr=1e-3
        )

    def batches(self, epoch: int) -> DataLoader[Any]:
        self.training.epoch = self.sampler.epoch = epoch
        return DataLoader(self.training, batch_sampler=self.sampler, num_workers=2)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, labels, types = batch
        images = images.contiguous(memory_format=torch.channels_last)
        network = self.network
        assert network.type_head is not None
        features = network.embed(images)
        first = nn.functional.cross_entropy(
            network.target_head(features), labels, self.class_weights, label_smoothing=0.1
        )
        weight = self.type_weight * (2 / (1 + np.exp(-10 * progress)) - 1)
        second = nn.functional.cross_entropy(network.type_head(ReverseGradient.apply(features, weight)), types)
        return first + second, {"class_loss": float(first.detach()), "type_loss": float(second.detach())}

    def evaluate(self) -> dict[str, float]:
        return evaluate(self.network, self.validation)


def load_validation(data: Path) -> PictureDataset:
    """The validation pictures of a data folder."""
    return PictureDataset(list_pictures(data, "val", classifier.LABELS, classifier.IMAGE_TYPES), classifier.SIZE, False)


def evaluate(network: nn.Module, data: PictureDataset) -> dict[str, float]:
    """Top-1 in percent: the mean over the image types, the worst type, and each."""
    correct, types = [], []
    for images, labels, kinds in DataLoader(data, batch_size=128):
        correct.append((network(images).argmax(1) == labels).float())
        types.append(kinds)
    right, kind = torch.cat(correct), torch.cat(types)
    by_type = [100 * float(right[kind == t].mean()) for t in range(len(data.files.type_names))]
    return {
        "top1_mean": float(np.mean(by_type)),
        "top1_worst": min(by_type),
        **{f"top1_{name}": value for name, value in zip(data.files.type_names, by_type, strict=True)},
    }
