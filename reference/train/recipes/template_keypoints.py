"""Training of the template keypoints: losses on first, second and final points, rare attributes weighed up (T3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reference.checkpoint import TRAINING_HEADS, start_from
from reference.data import WORKERS
from reference.data.faces import FaceDataset, Jitter, attribute_weights, learn_templates
from reference.networks import template_keypoints
from reference.networks.point_maps import SIZE
from reference.registry import get_spec
from reference.tasks.face_keypoints import evaluate
from reference.train.options import Options
from reference.train.recipes.keypoints import KeypointData, epoch_order, heat_loss, point_loss, training_faces

ATTRIBUTES = 3  # yaw index, roll, covered share
HEAT_WEIGHT = 0.02
ATTRIBUTE_WEIGHT = 0.02
SECOND_JITTER = Jitter(angle=5.0, zoom=0.08, shift=0.02, upright=True)


class KeypointRecipe:
    """See :class:`reference.train.loop.Recipe`.

    Args:
        second: train the second network of the cascade, which sees upright crops of small error (row T6).
    """

    monitor = "nme_percent"
    larger_is_better = False

    def __init__(self, data: KeypointData, epochs: int, batch: int, seed: int, second: bool = False) -> None:
        self.epochs = epochs
        self.batch = batch
        self.second = second
        self.data = data
        # Channels last: depthwise convolutions train about twice as fast on CPUs, with the same result.
        self.network = template_keypoints.build(ATTRIBUTES).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        templates = learn_templates(data.faces.points[data.precise], self.network.templates.shape[1])
        self.network.templates.copy_(torch.from_numpy(templates))
        weights = attribute_weights(data.faces.yaw)
        weights = np.where(data.precise, weights, 0.5 * weights).astype(np.float32)
        jitter = SECOND_JITTER if second else Jitter()
        self.training = FaceDataset(data.faces, SIZE, jitter, weights, seed, offset=data.offset)
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3)
        self.seed = seed

    def batches(self, epoch: int) -> DataLoader[Any]:
        self.training.epoch = epoch
        order = epoch_order(self.data.faces, self.data.precise, np.random.default_rng((self.seed, epoch)))
        order = order[: len(order) // self.batch * self.batch].reshape(-1, self.batch)
        return DataLoader(self.training, batch_sampler=order.tolist(), num_workers=WORKERS)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, points, weights, attributes = batch
        out = self.network.stages(images.contiguous(memory_format=torch.channels_last))
        weights = weights.float()
        first = point_loss(out["template_keypoints"], points, weights)
        second = point_loss(out["direct_keypoints"], points, weights)
        result = point_loss(out["keypoints"], points, weights)
        heat = heat_loss(out["heat"], points, weights)
        attribute = ((out["attributes"] - attributes).abs().mean(1) * weights).mean()
        total = first + second + result + HEAT_WEIGHT * heat + ATTRIBUTE_WEIGHT * attribute
        parts = {"first": first, "second": second, "result": result, "heat": heat, "attribute": attribute}
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return evaluate(network, self.data.validation, SIZE, upright=self.second)


def make(o: Options) -> KeypointRecipe:
    """The recipe of the training command; a model that refines another is the second network of the cascade."""
    second = bool(get_spec(o.name).refines)
    recipe = KeypointRecipe(training_faces(o), o.epochs, o.batch, o.seed, second)
    if o.init is not None:
        head, recipe.network.attribute_head = recipe.network.attribute_head, None  # stored weights are without it
        start_from(recipe.network, o.init, ignore=TRAINING_HEADS)
        recipe.network.attribute_head = head
    return recipe
