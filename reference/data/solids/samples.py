"""The training samples of the voxel networks: heads, people with hair, objects, each by its share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from reference.data.heads import HEAD_LOADERS, HeadModel, disturb_depth, find_head_models, posed_pair
from reference.data.meshes import Objects, find_meshes, load_objects, no_shapes
from reference.data.solids import busts
from reference.data.solids.cache import Pair, PairCache, mirrored
from reference.data.solids.sensor import through_sensor
from reference.data.voxels import as_tensors
from reference.errors import BadInput
from reference.geometry.depth import normalize_depth
from reference.geometry.voxelize import crop_or_pad

Draw = Callable[[np.random.Generator, int], Pair]  # a pair of the given size

CROPPED = 0.2  # of the samples are made at another size, then cut or padded (row V4)
_SIZES = (0.8, 1.25)
_THROUGH_SENSOR = 0.5


@dataclass(frozen=True)
class Sources:
    """What samples are drawn from.

    Attributes:
        models: head models; their identities are held out by the seed.
        draws: a way to draw a pair, and its share of all samples; shares sum to 1.
        key: what they depend on, as text: shares and the files' contents. Another text is another cache.
    """

    models: list[HeadModel]
    draws: tuple[tuple[Draw, float], ...]
    key: str

    def draw(self, rng: np.random.Generator, size: int) -> Pair:
        """A pair without the camera's faults."""
        shares = np.cumsum([share for _, share in self.draws])
        draw = self.draws[int(np.searchsorted(shares[:-1], rng.random(), side="right"))][0]
        if rng.random() >= CROPPED:
            return draw(rng, size)
        depth, voxels = draw(rng, round(size * float(rng.uniform(*_SIZES))))
        return fit_size(depth, voxels, size)


def fit_size(depth: NDArray[np.float32], voxels: NDArray[np.bool_], size: int) -> Pair:
    """Row V4: a pair of another size, cut or padded around its centre; the depth is normalised anew.

    A crop that shows nothing stays empty.
    """
    cut = crop_or_pad(depth, size)
    return normalize_depth(np.where(cut > 0, 1 - cut, 0), cut > 0), crop_or_pad(voxels, size)


def load_sources(data: Path, objects: Path | None, object_share: float, bust_share: float) -> Sources:
    """Head models, people and meshes of a folder, and meshes of another.

    Args:
        object_share: of all samples, in [0, 1], where meshes are there.
        bust_share: of the others, where ``makehuman_busts.npz`` is there.

    Raises:
        BadInput: nothing is there, or a share is out of range.
    """
    for option, share in (("--object-share", object_share), ("--bust-share", bust_share)):
        if not 0 <= share <= 1:
            raise BadInput(f"{option} is {share}; allowed: 0 to 1, a share of the samples")
    if objects is not None and not objects.is_dir():
        raise BadInput(f"no folder {objects}; --objects names a folder with meshes")
    models = find_head_models(data)
    people = busts.load_busts(data / busts.FILE) if (data / busts.FILE).is_file() else None
    folder = objects or (data if find_meshes(data) else None)
    if not models and people is None and folder is None:
        raise no_shapes(data)
    heads = bool(models) or people is not None
    things = load_objects(folder) if folder is not None else None
    of_things = 0.0 if things is None else object_share if heads else 1.0
    of_people = 0.0 if people is None else (1 - of_things) * (bust_share if models else 1.0)
    draws = _draws(models, people, things, of_people, of_things)
    files = [data / name for name in (*HEAD_LOADERS, busts.FILE) if (data / name).is_file()]
    files += [] if folder is None else find_meshes(folder)
    contents = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
    return Sources(models, draws, f"{of_people} {of_things} {contents}")


def _draws(
    models: list[HeadModel], people: busts.Busts | None, things: Objects | None, of_people: float, of_things: float
) -> tuple[tuple[Draw, float], ...]:
    draws: list[tuple[Draw, float]] = []
    for model in models:

        def head(rng: np.random.Generator, size: int, model: HeadModel = model) -> Pair:
            return posed_pair(model.sample(rng), rng, size, True)

        draws.append((head, (1 - of_people - of_things) / len(models)))
    if people is not None:
        draws.append((people.pair, of_people))
    if things is not None:
        draws.append((things.pair, of_things))
    return tuple(draws)


class VoxelSamples(Dataset[tuple[Tensor, Tensor]]):
    """Samples ``start`` to ``start + count`` of an endless row, as (depth (1, S, S), voxels (S, S, S)) float32.

    A sample is fixed by its number and the seed. With a cache the pairs repeat after its count, in a mirror every other
    time, while the camera's faults are new each time.
    """

    def __init__(self, sources: Sources, size: int, seed: int, start: int, count: int, cache: PairCache | None) -> None:
        self.sources, self.size, self.seed = sources, size, seed
        self.start, self.count, self.cache = start, count, cache

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number = self.start + index
        pair = self.cache[number] if self.cache else clean_pair(self.sources, self.size, self.seed, number)
        if self.cache and number // self.cache.count % 2:
            pair = mirrored(pair)
        depth, voxels = pair
        rng = np.random.default_rng((self.seed, number, 1))
        if rng.random() < _THROUGH_SENSOR:
            depth = through_sensor(depth, rng)
        return as_tensors(disturb_depth(depth, rng), voxels)


def clean_pair(sources: Sources, size: int, seed: int, number: int) -> Pair:
    """The pair of a number, without the camera's faults."""
    return sources.draw(np.random.default_rng((seed, number)), size)


def make_cache(folder: Path, sources: Sources, size: int, seed: int, count: int) -> PairCache:
    """Keeps ``count`` pairs in ``folder``."""
    return PairCache(folder, size, count, f"{seed} {sources.key}", lambda n: clean_pair(sources, size, seed, n))
