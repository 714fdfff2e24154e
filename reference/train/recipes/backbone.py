"""Pretraining of the picture networks' features: many labelled pictures, several data sets at once, a head for each.

``python -m reference.train backbone --data DIR...``. The result is no model of its own and no app gets it: its weights
are where the trainings of the picture and face networks start (``--init backbone``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reference.checkpoint import load_features, save_weights
from reference.data import WORKERS
from reference.data.labelled import LabelledPictures, LabelledSet, open_sets
from reference.data.pictures import AllTypesSampler
from reference.networks import classifier
from reference.networks.layers import MOBILENETV3_SMALL, MobileNetV3Features, Normalize, initialize
from reference.train import distributed
from reference.train.options import Options

# (until this share of the training, side in pixels): what an object looks like at large is learnt cheaply on small
# pictures (Howard, "Training ImageNet in 3 hours", 2018).
SIZES = ((0.6, 48), (1.0, 64))
EVALUATION_SIZE = 64
# A data set's share of a batch grows with the size of the set to this power: 1 would leave small sets unseen, 0 would
# repeat them too often.
BALANCE = 0.75
VALIDATED = 2000  # pictures of each set at most


class Backbone(nn.Module):
    """MobileNetV3 features, pooled, with a linear head for each data set.

    Args:
        classes: number of classes by data set.
        variant: ``small`` or ``large``.
        width: channel multiplier.
    """

    def __init__(self, classes: dict[str, int], variant: str = "small", width: float = 1.0) -> None:
        super().__init__()
        self.normalize = Normalize(classifier.MEAN, classifier.STD)
        self.features = MobileNetV3Features(variant, width)
        channels = self.features.out_channels
        self.heads = nn.ModuleList(nn.Linear(channels, count) for count in classes.values())
        initialize(self)

    def embed(self, image: Tensor) -> Tensor:
        """Pooled features (B, C) of (B, 3, H, W) RGB in [0, 1]."""
        features: Tensor = self.features(self.normalize(image))
        return features.mean((2, 3))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Logits (B, classes) of each data set's head."""
        features = self.embed(image)
        return [head(features) for head in self.heads]


class BackboneRecipe:
    """See :class:`reference.train.loop.Recipe`.

    Args:
        folders: data sets, ``<data set>/{train,val}/<class>/<picture>``.
        store: folder for the decoded pictures.
        samples: pictures of an epoch.
        init: weights of a network with the same features to start from.
        width: channel multiplier.
    """

    monitor = "top1_mean"
    larger_is_better = True

    def __init__(
        self, folders: Sequence[Path], store: Path, epochs: int, batch: int, seed: int, samples: int,
        init: Path | None = None, width: float = 1.0,
    ) -> None:  # fmt: skip
        self.epochs = epochs
        if distributed.rank() > 0:
            distributed.wait()  # the first process decodes, the others read what it wrote
        parts = open_sets(folders, "train", store)
        validation = open_sets(folders, "val", store)
        if distributed.rank() == 0:
            distributed.wait()
            report([*parts, *validation])
        self.names = [part.name for part in parts]
        self.network = Backbone({p.name: len(p.class_names) for p in parts}, width=width)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if init is not None:
            load_features(self.network, init)
        self.training = LabelledPictures(parts, SIZES[0][1], True, seed)
        self.validation = LabelledPictures(validation, EVALUATION_SIZE, False)
        per_set = split_batch(batch, [len(part.labels) for part in parts])
        self.sampler = AllTypesSampler(self.training.sets, per_set, seed, distributed.rank(), distributed.world())
        self.sampler.batches = max(1, samples // batch)
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}], lr=1e-3
        )

    def batches(self, epoch: int) -> DataLoader[Any]:
        self.training.epoch = self.sampler.epoch = epoch
        self.training.size = next((size for share, size in SIZES if epoch < share * self.epochs), SIZES[-1][1])
        return DataLoader(self.training, batch_sampler=self.sampler, num_workers=WORKERS)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, labels, sets = batch
        logits = self.network((images.float() / 255).contiguous(memory_format=torch.channels_last))
        total = torch.zeros((), device=labels.device)
        parts: dict[str, float] = {}
        for number, name in enumerate(self.names):
            own = sets == number
            if not bool(own.any()):
                continue
            loss = nn.functional.cross_entropy(logits[number][own], labels[own], label_smoothing=0.1)
            total = total + own.float().mean() * loss
            parts[f"{name}_loss"] = float(loss.detach())
        return total, parts

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return evaluate(network, self.validation)


def width_of(path: Path) -> float:
    """The channel multiplier of stored features; 1 where there are none that say it."""
    from safetensors import SafetensorError, safe_open

    last = f"features.{len(MOBILENETV3_SMALL) + 1}.1.weight"
    try:
        with safe_open(path, "pt") as file:
            return len(file.get_tensor(last)) / MobileNetV3Features("small").out_channels
    except (SafetensorError, OSError):
        return 1.0


def keep_features(trained: Path, out: Path) -> int:
    """Write a training's features without the heads, which only it needs; returns the number of tensors.

    Raises:
        WeightsError: ``trained`` is no backbone's weights, or ``out`` can't be written.
    """
    network = Backbone({}, width=width_of(trained))
    count = load_features(network, trained)
    save_weights(network, out)
    return count


def report(parts: Sequence[LabelledSet]) -> None:
    """Say what each data set holds and what could not be read."""
    for part in parts:
        print(
            f"{part.name}: {len(part.labels)} pictures of {len(part.class_names)} classes, "
            f"{part.pictures.shape[1]} px, {len(part.skipped)} unreadable{''.join(f', {p}' for p in part.skipped[:3])}",
            file=sys.stderr,
        )


def split_batch(batch: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Pictures of each data set in a batch of about ``batch``; one or more of each."""
    shares = np.asarray(sizes, float) ** BALANCE
    return tuple(int(max(1, round(batch * share))) for share in shares / shares.sum())


@torch.no_grad()
def evaluate(network: nn.Module, data: LabelledPictures) -> dict[str, float]:
    """Top-1 in percent on at most ``VALIDATED`` evenly chosen pictures of each set, and the mean over the sets."""
    result: dict[str, float] = {}
    for number, part in enumerate(data.parts):
        start, count = int(data.starts[number]), len(part.labels)
        chosen = np.unique(np.linspace(0, count - 1, min(count, VALIDATED)).astype(int)) + start
        right = 0
        loader = DataLoader(torch.utils.data.Subset(data, chosen.tolist()), batch_size=100)
        for images, labels, _ in loader:
            images = (images.float() / 255).contiguous(memory_format=torch.channels_last)
            right += int((network(images)[number].argmax(1) == labels).sum())
        result[f"top1_{part.name}"] = 100 * right / len(chosen)
    return {"top1_mean": float(np.mean(list(result.values()))), **result}


def make(o: Options) -> BackboneRecipe:
    """The recipe of the training command; decoded pictures lie in the output folder."""
    return BackboneRecipe(o.folders, o.out / "pictures", o.epochs, o.batch, o.seed, o.samples, o.init, o.width)
