"""Training of the detector's second network on what the first one takes for faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from reference.card import MODELS_DIR
from reference.checkpoint import TRAINING_HEADS, load_weights
from reference.data.face_files import held_out
from reference.data.face_scenes import Sources
from reference.data.face_sources import load_backgrounds, load_faces
from reference.errors import BadInput
from reference.networks import face_detector, face_detector_refined
from reference.networks.face_detector_refined import SIZE
from reference.tasks.face_detection import Watched
from reference.train import distributed
from reference.train.options import Options
from reference.train.recipes.face_candidates import CANVAS, Candidates, collect

SCENES_A_FILE = 500
SCENES_SEED = 10  # of the scenes that candidates come from
WATCHED_SEED, WATCHED_SCENES = 2, 400  # held-out scenes of the training; the card's figures come from another seed
FALSE_PER_PICTURE = 0.1
WORTHLESS, PERFECT = 0.3, 0.6  # overlap with a face at which a candidate begins to be one, and is one
ZOOM, TURN, SHIFT = 0.18, 0.15, 0.08  # largest change of log size, radians, shares of the canvas's half side


class CandidateDataset(Dataset[tuple[Tensor, Tensor]]):
    """Items are (canvas (CANVAS, CANVAS, 3) uint8, how much of a face it is in [0, 1] float32)."""

    def __init__(self, candidates: Candidates) -> None:
        self.canvases = torch.from_numpy(candidates.canvases)
        share = (candidates.overlaps - WORTHLESS) / (PERFECT - WORTHLESS)
        self.faces = torch.from_numpy(np.clip(share, 0, 1).astype(np.float32))

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.canvases[index], self.faces[index]


def cut_squares(canvases: Tensor) -> Tensor:
    """(B, 3, SIZE, SIZE) float32 in [0, 1]: random squares about the middle of (B, CANVAS, CANVAS, 3) uint8 canvases.

    Turned, mirrored, in other light and at times without colour.
    """
    count = len(canvases)

    def spread(*shape: int, by: float) -> Tensor:
        return torch.empty(count, *shape, device=canvases.device).uniform_(-by, by)

    scale, angle = SIZE / CANVAS * torch.exp(spread(by=ZOOM)), spread(by=TURN)
    side = torch.where(spread(by=1) < 0, -1.0, 1.0)
    matrix = torch.zeros(count, 2, 3, device=canvases.device)
    matrix[:, 0, 0], matrix[:, 0, 1] = scale * angle.cos() * side, -scale * angle.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = scale * angle.sin() * side, scale * angle.cos()
    matrix[:, :, 2] = spread(2, by=SHIFT)
    places = nn.functional.affine_grid(matrix, [count, 3, SIZE, SIZE], align_corners=False)
    pixels = canvases.permute(0, 3, 1, 2).float() / 255
    squares = nn.functional.grid_sample(pixels, places, padding_mode="border", align_corners=False)
    gain = torch.exp(spread(3, 1, 1, by=0.1) + spread(1, 1, 1, by=0.3))
    squares = squares * gain + spread(1, 1, 1, by=0.1)
    grey = spread(1, 1, 1, by=1) < -0.8
    return torch.where(grey, squares.mean(1, keepdim=True), squares).clamp(0, 1)


class RefinerRecipe:
    """See :class:`reference.train.loop.Recipe`.

    Args:
        data: folder of the faces68 layout.
        backgrounds: folders of pictures without faces (:mod:`reference.data.face_sources`).
        out: the candidates are kept in ``candidates`` below it, so that a training that goes on has them.
        scenes: composed pictures that candidates are taken from.
        detector: weights of the first network.
    """

    monitor = "recall"
    larger_is_better = True

    def __init__(
        self, data: Path, backgrounds: list[Path], out: Path, epochs: int, batch: int, seed: int, scenes: int,
        init: Path | None = None, detector: Path = MODELS_DIR / "face_detector" / "weights.safetensors",
    ) -> None:  # fmt: skip
        cv2.setNumThreads(1)
        self.epochs, self.batch, self.seed = epochs, batch, seed
        self.network = face_detector_refined.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if init is not None:
            load_weights(self.network, init)
        self.first = load_first(detector)
        sources = Sources(load_faces(data, "train"), load_backgrounds(backgrounds, "train"))
        self.training = CandidateDataset(own_candidates(sources, self.first, scenes, out / "candidates"))
        if len(self.training) < batch:
            raise BadInput(f"{len(self.training)} candidates are less than one batch; give more --samples")
        unseen = Sources(load_faces(data, "val"), load_backgrounds(backgrounds, "val"))
        self.watched = Watched(held_out(unseen, WATCHED_SCENES, WATCHED_SEED), face_detector.SPEC, self.first, SIZE)
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}], lr=1e-3
        )

    def batches(self, epoch: int) -> DataLoader[Any]:
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.training))
        count = distributed.least(len(order) // self.batch)
        order = order[: count * self.batch].reshape(count, self.batch)
        return DataLoader(self.training, batch_sampler=order.tolist())

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        canvases, faces = batch
        logits = self.network(cut_squares(canvases).contiguous(memory_format=torch.channels_last))
        # The softmax of two logits is the sigmoid of their difference.
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0] - logits[:, 1], faces), {}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return self.watched.evaluate(network)


def load_first(weights: Path) -> nn.Module:
    """The detector, whose boxes the second network looks at."""
    network = face_detector.build().eval().requires_grad_(False)
    load_weights(network, weights, ignore=TRAINING_HEADS)
    return network


def own_candidates(sources: Sources, first: nn.Module, scenes: int, folder: Path) -> Candidates:
    """This process's share of the candidates of ``scenes`` scenes; a file that is there is taken as it is."""
    files = [(begin, folder / f"{begin:06d}.npz") for begin in range(0, scenes, SCENES_A_FILE)]
    own = files[distributed.rank() :: distributed.world()]
    missing = [(begin, file) for begin, file in own if not file.is_file()]
    for begin, file in tqdm(missing, "candidates", leave=False, disable=distributed.rank() > 0 or None):
        count = min(SCENES_A_FILE, scenes - begin)
        collect(sources, first, count, SCENES_SEED, begin).save(file)
    distributed.wait()
    if not own:
        raise BadInput(f"{scenes} scenes are too few for {distributed.world()} processes; give more --samples")
    return Candidates.join([Candidates.load(file) for _, file in own])


def make(o: Options) -> RefinerRecipe:
    """The recipe of the training command; candidates are kept in the output folder."""
    return RefinerRecipe(o.data, list(o.backgrounds), o.out, o.epochs, o.batch, o.seed, o.samples, o.init)
