"""Training of the saliency network (row I6): mask losses at three scales, and the classifier's second loss."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reference.checkpoint import load_features, load_weights
from reference.data import WORKERS
from reference.data.masks import (
    CARTOON,
    DRAWING,
    MaskDataset,
    Subject,
    cut_all,
    guess_masks,
    list_pairs,
    load_pair,
)
from reference.data.pictures import AllTypesSampler
from reference.errors import BadInput
from reference.networks import saliency
from reference.tasks.salient_object_detection import evaluate
from reference.train.options import Options
from reference.train.recipes.classifier import ReverseGradient

# (until this share of the training, side in pixels): which region is the subject is learnt cheaply on small pictures
SIZES = ((0.5, 128), (0.85, 176), (1.0, 224))
LATER_SIZES = ((0.3, 128), (0.7, 176), (1.0, 224))  # of a network that goes on from its own weights
SHARES = (0.75, 0.14, 0.11, 0.4)  # of photos, drawings, cartoons and guessed masks in a batch, scaled to 1
SCALE_WEIGHTS = (0.25, 0.25, 1.0)  # of the masks at 1/16, 1/8 and 1/4 of the resolution
LONGEST_EPOCH = 100  # batches: sizes, checkpoints and the clock go by epochs


class SaliencyRecipe:
    """See :class:`reference.train.loop.Recipe`.

    Args:
        data: folder ``<split>/images`` and ``<split>/masks``.
        drawings: folder of the classifier's layout whose sketches and cartoons are cut out; None: photos alone.
        init: weights of a classifier or saliency network to start from.
        type_weight: largest weight of the second loss.
        unlabelled: folders of pictures without masks, which get those that the network of ``init`` gives.
    """

    monitor = "max_f"
    larger_is_better = True

    def __init__(
        self, data: Path, epochs: int, batch: int, seed: int, drawings: Path | None, init: Path | None,
        type_weight: float = 0.05, unlabelled: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        self.epochs = epochs
        self.type_weight = type_weight
        self.network = saliency.build(len(saliency.IMAGE_TYPES)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if init is not None:
            load_features(self.network, init)
        photos = [load_pair(pair) for pair in list_pairs(data, "train")]
        sketches: list[Subject] = []
        cartoons: list[Subject] = []
        if drawings is not None:
            sketches = cut_all(drawings / "train" / "sketch", DRAWING)
            cartoons = cut_all(drawings / "train" / "cartoon", CARTOON)
            print(f"{len(photos)} photos, {len(sketches)} drawings, {len(cartoons)} cartoons", file=sys.stderr)
            if not sketches or not cartoons:
                raise BadInput(
                    f"no drawing or no cartoon in {drawings}/train can be cut out; --drawings has sketch/, cartoon/"
                )
        guessed = self._guess(init, unlabelled) if unlabelled else []
        self.sizes = LATER_SIZES if unlabelled else SIZES
        self.training = MaskDataset(photos, sketches, cartoons, seed, guessed)
        shares = tuple(share for share, kind in zip(SHARES, (photos, sketches, cartoons, guessed), strict=True) if kind)
        shares = tuple(share / sum(shares) for share in shares)
        ends = np.round(np.cumsum((0, *shares)) * batch).astype(int)
        kinds = np.unique(self.training.types, return_inverse=True)[1]
        self.sampler = AllTypesSampler(kinds, tuple(int(n) for n in np.diff(ends)), seed)
        self.sampler.batches = min(len(photos) // int(ends[1]), LONGEST_EPOCH)
        self.validation = list_pairs(data, "val")
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}], lr=1e-3
        )

    def _guess(self, init: Path | None, folders: Sequence[Path]) -> list[Subject]:
        if init is None:
            raise BadInput("--unlabelled needs --init with a saliency network's weights, which give the masks")
        teacher = saliency.build()
        load_weights(teacher, init, ignore=("type_head.",))
        self.network.load_state_dict({**self.network.state_dict(), **teacher.state_dict()})  # it goes on from there
        teacher.eval()  # its plain masks: guess_masks looks at the mirror image by itself
        found = guess_masks(lambda x: teacher.logits(x)[0].sigmoid(), folders, saliency.SIZE)
        print(f"{len(found)} pictures with a guessed mask", file=sys.stderr)
        if not found:
            raise BadInput(f"no picture in {', '.join(map(str, folders))} has a subject that the network is sure of")
        return found

    def batches(self, epoch: int) -> DataLoader[Any]:
        self.training.epoch = self.sampler.epoch = epoch
        self.training.size = next((s for share, s in self.sizes if epoch < share * self.epochs), self.sizes[-1][1])
        return DataLoader(self.training, batch_sampler=self.sampler, num_workers=WORKERS)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, masks, types = batch
        scales, features = self.network.scales(images.contiguous(memory_format=torch.channels_last))
        first = torch.zeros((), device=masks.device)
        weights = edge_weights(masks)
        for scale, share in zip(scales, SCALE_WEIGHTS, strict=True):
            enlarged = nn.functional.interpolate(scale, masks.shape[2:], mode="bilinear")
            first = first + share * mask_loss(enlarged, masks, weights)
        weight = self.type_weight * (2 / (1 + np.exp(-10 * progress)) - 1)
        assert self.network.type_head is not None
        second = nn.functional.cross_entropy(self.network.type_head(ReverseGradient.apply(features, weight)), types)
        return first + second, {"mask_loss": float(first.detach()), "type_loss": float(second.detach())}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return evaluate(saliency.SPEC, network, self.validation)


def edge_weights(masks: Tensor) -> Tensor:
    """Weights (B, 1, H, W) of the pixels: 1 + 5 times a pixel's difference from the mean of its neighbourhood, a
    seventh of the picture's side (Wei et al., *F3Net*, AAAI 2020).

    Args:
        masks: (B, 1, H, W) in [0, 1].
    """
    kernel = max(3, masks.shape[-1] // 7 | 1)
    around = masks
    for shape in ((kernel, 1), (1, kernel)):  # one after the other: a square window costs half of a training step
        padding = (shape[0] // 2, shape[1] // 2)
        around = nn.functional.avg_pool2d(around, shape, stride=1, padding=padding, count_include_pad=False)
    return 1 + 5 * (around - masks).abs()


def mask_loss(logits: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy, mean absolute error, and one minus the soft overlap of each picture.

    Args:
        logits: (B, 1, H, W).
        masks: (B, 1, H, W) in [0, 1].
        weights: (B, 1, H, W) of the pixels, as :func:`edge_weights` gives them.
    """
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, masks, weights, reduction="sum") / weights.sum()
    guess = logits.sigmoid()
    both = (weights * guess * masks).sum((1, 2, 3))
    either = (weights * (guess + masks - guess * masks)).sum((1, 2, 3))
    return entropy + (guess - masks).abs().mean() + (1 - (both + 1) / (either + 1)).mean()


def make(o: Options) -> SaliencyRecipe:
    """The recipe of the training command."""
    return SaliencyRecipe(o.data, o.epochs, o.batch, o.seed, o.drawings, o.init, unlabelled=o.unlabelled)
