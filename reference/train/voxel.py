"""Training of the voxel family by row V5: squared error, momentum; data rendered from heads on the fly (V3)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from reference.checkpoint import load_weights
from reference.data import WORKERS
from reference.data.heads import HeadModel, load_ict, load_makehuman, voxel_sample
from reference.errors import BadInput, WeightsError
from reference.train.grow import grow_from
from reference.voxel import THRESHOLD, VOLUME_CHANNELS, VoxelNetwork

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
        model = self.models[index % len(self.models)]
        depth, voxels = voxel_sample(model, rng, self.size, self.augmented)
        return torch.from_numpy(depth)[None].float(), torch.from_numpy(voxels).float()


def load_head_models(data: Path) -> list[HeadModel]:
    """The morphable heads in a folder: ``ict_facekit.npz`` and ``makehuman_heads.npz``, one of them is enough."""
    loaders = {"ict_facekit.npz": load_ict, "makehuman_heads.npz": load_makehuman}
    models = [load(data / name) for name, load in loaders.items() if (data / name).is_file()]
    if not models:
        raise BadInput(f"no head model in {data}; needed: {' or '.join(loaders)}")
    return models


def start_from(network: VoxelNetwork, path: Path) -> int:
    """Copy what fits from the weights of another member of the family; returns the number of tensors.

    Convolutions are matched from the input onwards, transposed convolutions from the output backwards: that is
    where equal layers of two members stand.

    Raises:
        WeightsError: the file is missing or damaged, or of another family.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"can't read weights {path}: {error}; --init names weights of a voxel network") from error
    if not any(name.startswith("decoder.") for name in stored):
        raise WeightsError(f"{path} has no decoder; --init names weights of a voxel network")
    state = network.state_dict()

    offset = last(stored, "decoder") - last(state, "decoder")
    side = len(stored[f"encoder.{last(stored, 'encoder')}.bias"]) // VOLUME_CHANNELS
    if side == network.to_volume.side and offset == -2:  # one stage less, a layer and its rectifier
        smaller = VoxelNetwork(network.size // 2)
        load_weights(smaller, path)
        grow_from(network, smaller)
        return len(state)
    copied = 0
    for name, tensor in state.items():
        part, number, kind = name.split(".")
        other = f"{part}.{int(number) + (offset if part == 'decoder' else 0)}.{kind}"
        if other not in stored:
            continue
        source = stored[other].float()
        if part == "encoder" and int(number) == last(state, part) == last(stored, part):
            source = resample_slices(source, len(tensor))
        if source.shape == tensor.shape:
            tensor.copy_(source)
            copied += 1
    return copied


def last(names: Iterable[str], part: str) -> int:
    """Number of the last layer of a part, among names such as ``decoder.6.weight``."""
    return max(int(name.split(".")[1]) for name in names if name.startswith(f"{part}."))


def resample_slices(values: Tensor, channels: int) -> Tensor:
    """Fit the layer before the change of dimension to another number of slices, by linear interpolation.

    Args:
        values: (256 * d, ...) weight or bias; channel c of slice s is entry c * d + s.
        channels: 256 times the wanted number of slices.
    """
    slices = values.reshape(VOLUME_CHANNELS, len(values) // VOLUME_CHANNELS, -1).permute(0, 2, 1)
    resampled = nn.functional.interpolate(slices, size=channels // VOLUME_CHANNELS, mode="linear", align_corners=False)
    return resampled.permute(0, 2, 1).reshape(channels, *values.shape[1:])


class VoxelRecipe:
    """See :class:`reference.train.loop.Recipe`; ``data`` is the folder with the head models."""

    monitor = "iou_mean"
    larger_is_better = True

    def __init__(
        self, size: int, data: Path, epochs: int, batch: int, seed: int, samples: int, init: Path | None
    ) -> None:
        self.size = size
        self.epochs = epochs
        self.batch = batch
        self.samples = samples
        self.seed = seed
        self.models = load_head_models(data)
        self.network = VoxelNetwork(size)
        if init is not None:
            copied = start_from(self.network, init)
            print(f"{copied} of {len(self.network.state_dict())} tensors start from {init}", file=sys.stderr)
        self.validation = held_out(self.models, size)
        # Adam keeps a running mean of past gradients, which is the document's "gradient of the last training"; its
        # per-weight step is ours, because minutes must do here what the document gives 200 epochs.
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=1e-5)

    def batches(self, epoch: int) -> DataLoader[Any]:
        data = HeadVoxels(self.models, self.size, self.samples, True, self.seed + epoch)
        return DataLoader(data, batch_size=self.batch, num_workers=WORKERS)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        depth, voxels = batch
        volume = self.network.to_volume(self.network.encoder(depth))
        before_last = self.network.decoder[:-1](volume).flatten(1, 2)
        # The document's last rectifier can fall silent for good: once every voxel is negative, no gradient is left.
        # A slight slope below zero, in training only, keeps it alive.
        return (nn.functional.leaky_relu(before_last, 0.1) - voxels).square().mean(), {}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return evaluate(network, self.validation)


def held_out(models: list[HeadModel], size: int) -> list[tuple[Tensor, Tensor]]:
    """Heads of identities that the training never sees; fewer of the large ones, for time."""
    heads = HeadVoxels(models, size, 32 if size <= 128 else 8, False, VALIDATION_SEED)
    return [heads[i] for i in range(len(heads))]


def evaluate(network: Callable[[Tensor], Any], samples: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Mean and worst IoU over (depth (1, S, S), voxels (S, S, S)) pairs."""
    scores = []
    for depth, voxels in samples:
        predicted = network(depth[None])[0] >= THRESHOLD
        target = voxels > 0.5
        scores.append(float((predicted & target).sum() / (predicted | target).sum()))
    return {"iou_mean": float(np.mean(scores)), "iou_worst": min(scores)}
