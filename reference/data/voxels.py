"""Pairs of a depth image and the voxels behind it, drawn from head models (document V, row V3)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from reference.data.heads import HeadModel, voxel_sample

VALIDATION_SEED = 1_000_000  # far from every training seed: held-out identities


class HeadVoxels(Dataset[tuple[Tensor, Tensor]]):
    """Random heads as (depth (1, S, S) float32, voxels (S, S, S) float32 of 0 and 1).

    Every item is a new identity, expression and pose, fixed by its seed.
    """

    def __init__(self, models: list[HeadModel], size: int, count: int, augmented: bool, seed: int) -> None:
        self.models = models
        self.size = size
        self.count = count
        self.augmented = augmented
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        return as_tensors(*voxel_sample(self.models[index % len(self.models)], rng, self.size, self.augmented))


def as_tensors(depth: NDArray[np.float32], voxels: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """(S, S) depth and (S, S, S) voxels as (1, S, S) and (S, S, S) float32."""
    return torch.from_numpy(depth)[None].float(), torch.from_numpy(voxels).float()


def held_out_heads(models: list[HeadModel], size: int, augmented: bool = False) -> list[tuple[Tensor, Tensor]]:
    """Heads of identities that the training never sees; fewer of the large ones, for time."""
    heads = HeadVoxels(models, size, 32 if size <= 128 else 8, augmented, VALIDATION_SEED)
    return [heads[i] for i in range(len(heads))]
