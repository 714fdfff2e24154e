"""Training of the voxel family by row V5: squared error, momentum; data rendered from meshes on the fly (V3)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reference.checkpoint import load_weights
from reference.data import WORKERS
from reference.data.meshes import chosen_meshes, front_view
from reference.data.solids.samples import Sources, VoxelSamples, load_sources, make_cache
from reference.data.voxels import as_tensors, held_out_heads
from reference.errors import BadInput, WeightsError
from reference.networks.voxel import THRESHOLD, VOLUME_CHANNELS, VoxelNetwork
from reference.registry import get_spec
from reference.tasks.depth_to_voxels import iou_of
from reference.train.options import Options
from reference.train.recipes.grow import grow_from


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
    """See :class:`reference.train.loop.Recipe`; ``data`` is the folder with the head models or meshes."""

    monitor = "iou_mean"
    larger_is_better = True

    def __init__(self, size: int, sources: Sources, options: Options) -> None:
        o = options
        self.size, self.sources = size, sources
        self.epochs, self.batch, self.samples, self.seed = o.epochs, o.batch, o.samples, o.seed
        self.surface_weight = o.surface_weight
        self.cache = make_cache(o.cache, sources, size, o.seed, o.cached) if o.cache is not None else None
        self.network = VoxelNetwork(size)
        if o.init is not None:
            copied = start_from(self.network, o.init)
            print(f"{copied} of {len(self.network.state_dict())} tensors start from {o.init}", file=sys.stderr)
        # Channels last is a tenth faster on a CPU.
        self.network.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.decoder.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        count = 32 if size <= 128 else 8
        self.validation = (
            held_out_heads(sources.models, size)
            if sources.models
            else [as_tensors(*front_view(p, size)) for p in chosen_meshes(o.objects or o.data, True)[:count]]
        )
        # Adam keeps a running mean of past gradients, which is the document's "gradient of the last training"; its
        # per-weight step is ours, because hours must do here what the document gives 200 epochs.
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=1e-5)

    def batches(self, epoch: int) -> DataLoader[Any]:
        data = VoxelSamples(self.sources, self.size, self.seed, epoch * self.samples, self.samples, self.cache)
        return DataLoader(data, batch_size=self.batch, num_workers=WORKERS)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        depth, voxels = batch
        volume = self.network.to_volume(self.network.encoder(depth))
        before_last = self.network.decoder[:-1](volume).flatten(1, 2).float()
        # The document's last rectifier can fall silent for good: once every voxel is negative, no gradient is left.
        # A slight slope below zero, in training only, keeps it alive.
        error = (nn.functional.leaky_relu(before_last, 0.1) - voxels).square()
        plain = error.detach().mean()
        if not self.surface_weight:
            return error.mean(), {}
        return (error * (1 + self.surface_weight * near_surface(voxels))).mean(), {"plain_loss": float(plain)}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        scores = [iou_of(network, depth, voxels, THRESHOLD) for depth, voxels in self.validation]
        return {"iou_mean": float(np.mean(scores)), "iou_worst": min(scores)}


def near_surface(voxels: Tensor) -> Tensor:
    """(B, S, S, S) 1 where a filled and an empty voxel are neighbours within one step along any axis, else 0."""
    around = nn.functional.avg_pool3d(voxels[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    return ((around > 1e-4) & (around < 1 - 1e-4)).float()


def make(o: Options) -> VoxelRecipe:
    """The recipe of the training command.

    Raises:
        BadInput: an option makes no sense, or the data can't be used.
    """
    if o.surface_weight < 0:
        raise BadInput(f"--surface-weight is {o.surface_weight}; allowed: 0 (every voxel alike) or more")
    size = get_spec(o.name).sampling.size[0]
    return VoxelRecipe(size, load_sources(o.data, o.objects, o.object_share, o.bust_share), o)
