"""Training of the classifier: row I2's two losses, batches that hold every image type (row I3)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reference.checkpoint import load_features
from reference.data import WORKERS
from reference.data.drawings import report_removed
from reference.data.pictures import (
    AllTypesSampler,
    PictureDataset,
    complete_drawings,
    list_pictures,
)
from reference.errors import BadInput
from reference.networks import classifier
from reference.tasks.image_classification import evaluate, load_validation
from reference.train import distributed
from reference.train.options import Options


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


# Share of each image type in a batch: photo, art_painting, cartoon, sketch. Paintings are the hardest.
TYPE_SHARES = (0.25, 0.3, 0.25, 0.2)
DRAWINGS = "sketch"
# Share of the training in which pictures are mixed; the last steps see whole pictures, as an app does.
MIXED = 0.85
# (until this share of the training, side in pixels). Random crops show objects larger than the whole picture does, so
# training below the final size both saves time and fits better (Touvron et al., "Fixing the train-test resolution
# discrepancy", 2019).
SIZES = ((0.5, 96), (1.0, 112))


class ClassifierRecipe:
    """See :class:`reference.train.loop.Recipe`.

    Args:
        data: folder ``<split>/<image type>/<class>/*``.
        type_weight: largest weight of the second loss; it rises smoothly from 0 (Ganin and Lempitsky, 2015),
            because an untrained image-type head only adds noise. 0 leaves the document's method out.
        only: train with this image type alone, for comparison; the validation has all of them.
        min_outline: drawings whose outline is less complete are left out (row I5).
        init: weights whose features the training starts from: of the backbone, or of another classifier.

    Attributes:
        removed: (file, completeness) of the drawings that were left out.
    """

    monitor = "top1_mean"
    larger_is_better = True

    def __init__(
        self,
        data: Path,
        epochs: int,
        batch: int,
        seed: int,
        type_weight: float = 0.1,
        only: str | None = None,
        min_outline: float = 0.0,
        init: Path | None = None,
    ) -> None:
        self.epochs = epochs
        self.type_weight = type_weight
        # Channels last: depthwise convolutions train about twice as fast on CPUs, with the same result.
        self.network = classifier.build(num_types=len(classifier.IMAGE_TYPES)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if init is not None:
            load_features(self.network, init)
        if only is not None and only not in classifier.IMAGE_TYPES:
            raise BadInput(f"image type is {only!r}; allowed: {', '.join(classifier.IMAGE_TYPES)}")
        types = (only,) if only else classifier.IMAGE_TYPES
        files = list_pictures(data, "train", classifier.LABELS, types)
        self.removed: list[tuple[Path, float]] = []
        if min_outline > 0 and DRAWINGS in types:
            files, self.removed = complete_drawings(files, DRAWINGS, min_outline)
            print(f"{len(self.removed)} drawings with an outline below {min_outline} are left out", file=sys.stderr)
        self.training = PictureDataset(files, classifier.SIZE, True, seed)
        self.validation = load_validation(classifier.SPEC, data)
        if self.training.skipped:
            print(f"{len(self.training.skipped)} unreadable pictures are left out:", file=sys.stderr)
            print(*self.training.skipped, sep="\n", file=sys.stderr)
        per_type = (batch,) if only else split_batch(batch)
        self.sampler = AllTypesSampler(
            self.training.files.types, per_type, seed, distributed.rank(), distributed.world()
        )
        if only:  # as many steps as with every type
            everything = list_pictures(data, "train", classifier.LABELS, classifier.IMAGE_TYPES)
            self.sampler.batches = len(everything.paths) // batch
        self.class_weights = weights_of_classes(self.training.files.labels, len(classifier.LABELS))
        self.optimizer = optimizer_of(self.network)

    def batches(self, epoch: int) -> DataLoader[Any]:
        self.training.epoch = self.sampler.epoch = epoch
        self.training.smallest_crop = 0.25 if epoch < MIXED * self.epochs else 0.4
        self.training.size = next((size for share, size in SIZES if epoch < share * self.epochs), SIZES[-1][1])
        return DataLoader(self.training, batch_sampler=self.sampler, num_workers=WORKERS)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, labels, types = batch
        network = self.network
        images, order, share = images.contiguous(memory_format=torch.channels_last), labels, 1.0
        if network.training and progress < MIXED:
            images, order, share = mix(images)
        features = network.embed(images)
        logits = network.target_head(features)
        weights = self.class_weights.to(images.device)
        weight = self.type_weight * (2 / (1 + np.exp(-10 * progress)) - 1)
        type_logits = network.type_head(ReverseGradient.apply(features, weight)) if network.type_head else None
        first = second = torch.zeros((), device=images.device)
        for part, those in ((share, slice(None)), (1 - share, order)):
            if part > 0:
                first = first + part * nn.functional.cross_entropy(logits, labels[those], weights, label_smoothing=0.1)
                if type_logits is not None:
                    second = second + part * nn.functional.cross_entropy(type_logits, types[those])
        return first + second, {"class_loss": float(first.detach()), "type_loss": float(second.detach())}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        metrics = evaluate(network, self.validation)
        by_type = {f"top1_{name}": value for name, value in metrics["top1_by_type"].items()}
        return {"top1_mean": metrics["top1_mean"], "top1_worst": metrics["top1_worst"], **by_type}


def weights_of_classes(labels: NDArray[np.int64], count: int) -> Tensor:
    """Weight of each class's loss: the square root of how much rarer than the mean it is."""
    counts = np.bincount(labels, minlength=count)
    return torch.from_numpy((counts.mean() / counts) ** 0.5).float()


def optimizer_of(network: nn.Module) -> torch.optim.AdamW:
    """AdamW whose decay leaves biases and batch statistics alone."""
    decayed = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}], lr=1e-3
    )


def split_batch(batch: int) -> tuple[int, ...]:
    """Pictures of each image type in a batch of ``batch``, as near to ``TYPE_SHARES`` as whole numbers come."""
    ends = np.round(np.cumsum((0, *TYPE_SHARES)) * batch).astype(int)
    return tuple(int(n) for n in np.diff(ends))


def mix(images: Tensor) -> tuple[Tensor, Tensor, float]:
    """Put a rectangle of another picture of the batch into each (CutMix, Yun et al., 2019), in every second batch.

    Draws from torch's generator, whose state the checkpoint keeps.

    Returns:
        The pictures, the number of the other picture for each, and the share of the own picture that is left.
    """
    order = torch.randperm(len(images))
    chance, left, x, y = torch.rand(4).tolist()
    if chance >= 0.5:
        return images, order, 1.0
    height, width = images.shape[2:]
    h, w = round(height * (1 - left) ** 0.5), round(width * (1 - left) ** 0.5)
    top, start = round(y * (height - h)), round(x * (width - w))
    images = images.clone(memory_format=torch.preserve_format)
    images[:, :, top : top + h, start : start + w] = images[order, :, top : top + h, start : start + w]
    return images, order, 1 - h * w / (height * width)


def make(o: Options) -> ClassifierRecipe:
    """The recipe of the training command; the drawings that it leaves out are shown in the output folder."""
    recipe = ClassifierRecipe(o.data, o.epochs, o.batch, o.seed, o.type_weight, o.only_type, o.min_outline, o.init)
    if distributed.rank() == 0 and recipe.removed:
        report_removed(recipe.removed, o.out)
    return recipe
