"""Training of the face detector on composed scenes: quality focal loss, generalised IoU, and five points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from reference.checkpoint import load_features, load_weights
from reference.data.face_files import held_out
from reference.data.face_scenes import Scene, Sources, compose
from reference.data.face_sources import Face, load_backgrounds, load_faces, load_rendered
from reference.errors import WeightsError
from reference.networks import face_detector
from reference.tasks.face_detection import evaluate
from reference.train.options import Options

MOST_FACES = 6
# A score is trained towards how good the box is: 0 at the first overlap, 1 from the second one on. The overlap itself
# would rank every small face, whose boxes fit less well, below large mistakes.
WORTHLESS, PERFECT = 0.2, 0.7
FINE_BELOW, COARSE_FROM = 56.0, 40.0  # longer side in input pixels; between the two, both grids learn a face
SMALLEST = 14.0
SMALL_SHARE = 0.4
# (until this share of the training, frame): most is learnt sooner on smaller frames.
FRAMES = ((0.5, (192, 256)), (1.0, (face_detector.HEIGHT, face_detector.WIDTH)))
VALIDATION_SCENES = 160


class SceneDataset(Dataset[tuple[Tensor, Tensor]]):
    """Scenes at the network's scale, in which pictures of 640 x 480 measure 384 x 288.

    Items are (image (3, H, W) uint8 RGB, faces (MOST_FACES, 15) float32): x0, y0, x1, y1 in input pixels, 1 where there
    is a face and 0 where not, then five x and five y.
    """

    def __init__(self, sources: Sources, count: int, seed: int) -> None:
        self.sources, self.count, self.seed = sources, count, seed
        self.epoch = 0
        self.frame = FRAMES[-1][1]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        scene = compose(self.sources, self.frame, rng, SMALLEST, SMALL_SHARE)
        image = torch.from_numpy(np.ascontiguousarray(scene.picture.transpose(2, 0, 1)))
        return image, torch.from_numpy(as_rows(scene))


def start_from(network: nn.Module, path: Path) -> None:
    """Start from a face detector's weights, or from another network's features.

    Raises:
        WeightsError: the file holds neither.
    """
    try:
        load_weights(network, path)
    except WeightsError:
        load_features(network, path)


def as_rows(scene: Scene) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A scene's faces as rows (MOST_FACES, 15); rows of zeros where there is none."""
    rows = np.zeros((MOST_FACES, face_detector.COLUMNS), np.float32)
    count = min(len(scene.boxes), MOST_FACES)
    rows[:count, :4] = scene.boxes[:count]
    rows[:count, 4] = 1
    rows[:count, 5:10] = scene.points[:count, :, 0]
    rows[:count, 10:] = scene.points[:count, :, 1]
    return rows


def assign(faces: Tensor, anchors: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Which cell learns which face.

    The cells around a face's middle learn it, at least one and up to three in a row; small faces on the fine grid,
    large ones on the coarse grid. Where faces compete for a cell, the smaller one gets it.

    Args:
        faces: (B, G, 15) as :class:`SceneDataset` gives them.
        anchors: (1, N, 2) centres of the cells in pixels.
        strides: (1, N, 1).

    Returns:
        (B, N) bool, and the index of the face (B, N) in [0, G).
    """
    middle = (faces[..., 0:2] + faces[..., 2:4]) / 2  # (B, G, 2)
    longer = (faces[..., 2:4] - faces[..., 0:2]).amax(-1)[:, None]  # (B, 1, G)
    fine = (strides == min(face_detector.STRIDES)).expand(-1, -1, faces.shape[1])
    fits = torch.where(fine, longer < FINE_BELOW, longer >= COARSE_FROM)
    radius = torch.minimum(torch.maximum(0.25 * longer, 0.8 * strides), 1.5 * strides)
    distance = (anchors[:, :, None] - middle[:, None]).abs().amax(-1)  # (B, N, G)
    positive = (distance < radius) & fits & (faces[:, None, :, 4] > 0)
    size = torch.where(positive, longer, torch.inf)
    return positive.any(-1), size.argmin(-1)


def detection_loss(raw: Tensor, faces: Tensor, size: tuple[int, int]) -> tuple[Tensor, dict[str, float]]:
    """Quality focal loss of all cells, and of the cells with a face generalised IoU and the points' distances.

    Args:
        raw: (B, N, 15) of :meth:`reference.networks.face_detector.FaceDetector.raw`.
        faces: (B, G, 15).
        size: (height, width) of the input in pixels.
    """
    anchors, strides = (part.to(raw.device) for part in face_detector.grid(*size))
    positive, index = assign(faces, anchors, strides)
    count = max(1, int(positive.sum()))
    weights = equal_weights(positive, index, faces.shape[1])
    decoded = face_detector.decode(*(part.transpose(1, 2) for part in (raw, anchors, strides)))
    low, high, x, y = (part.transpose(1, 2)[positive] for part in decoded)
    wanted = torch.gather(faces, 1, index[..., None].expand(-1, -1, faces.shape[2]))[positive]
    overlap, generalised = box_overlap(low, high, wanted[:, 0:2], wanted[:, 2:4])
    quality = torch.zeros_like(raw[..., 0])
    quality[positive] = ((overlap.detach() - WORTHLESS) / (PERFECT - WORTHLESS)).clamp(0, 1)
    score = raw[..., 0]
    entropy = nn.functional.binary_cross_entropy_with_logits(score, quality, reduction="none")
    focal = ((score.sigmoid() - quality).square() * entropy * torch.where(positive, weights, 1.0)).sum() / count
    weights = weights[positive]
    box = ((1 - generalised) * weights).sum() / count
    sides = wanted[:, 2:4] - wanted[:, 0:2]
    far = torch.cat([(x - wanted[:, 5:10]) / sides[:, 0:1], (y - wanted[:, 10:]) / sides[:, 1:2]], dim=1)
    distance = nn.functional.smooth_l1_loss(far, torch.zeros_like(far), beta=0.05, reduction="none")
    points = (distance.mean(1) * weights).sum() / count
    parts = {"score_loss": focal, "box_loss": box, "point_loss": points}
    return focal + 2 * box + 4 * points, {key: float(value.detach()) for key, value in parts.items()}


def equal_weights(positive: Tensor, index: Tensor, most: int) -> Tensor:
    """Weights (B, N) of the cells with a face, so that every face counts the same; their mean is 1.

    A large face has many cells and a small one few: without weights the small ones are hardly learnt.
    """
    own = nn.functional.one_hot(index, most) * positive[..., None]  # (B, N, G)
    cells = own.sum(1, keepdim=True)  # (B, 1, G)
    share = positive.sum() / (cells > 0).sum().clamp(min=1)
    return (own * share / cells.clamp(min=1)).sum(-1)


def box_overlap(low: Tensor, high: Tensor, other_low: Tensor, other_high: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (N,) of pairs of boxes given by their corners (N, 2)."""
    both = (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0).prod(1)
    either = (high - low).prod(1) + (other_high - other_low).prod(1) - both
    hull = (torch.maximum(high, other_high) - torch.minimum(low, other_low)).prod(1)
    overlap = both / either.clamp(min=1e-6)
    return overlap, overlap - (hull - either) / hull.clamp(min=1e-6)


class DetectorRecipe:
    """See :class:`reference.train.loop.Recipe`.

    Args:
        data: folder of the faces68 layout.
        backgrounds: folders of pictures without faces (:mod:`reference.data.face_sources`); none: plain colours.
        samples: scenes an epoch.
        rendered: rendered heads, if any.
        init: weights to start from: of a face detector, or of another network whose features are of the same width.
    """

    monitor = "average_precision"
    larger_is_better = True

    def __init__(
        self, data: Path, backgrounds: list[Path], epochs: int, batch: int, seed: int, samples: int,
        rendered: list[Face] | None = None, init: Path | None = None,
    ) -> None:  # fmt: skip
        cv2.setNumThreads(1)  # the loader's workers are the threads
        self.epochs = epochs
        self.batch = batch
        self.network = face_detector.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if init is not None:
            start_from(self.network, init)
        sources = Sources(load_faces(data, "train"), load_backgrounds(backgrounds, "train"), rendered or [])
        self.training = SceneDataset(sources, samples, seed)
        unseen = Sources(load_faces(data, "val"), load_backgrounds(backgrounds, "val"))
        self.validation = held_out(unseen, VALIDATION_SCENES)
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}], lr=1e-3
        )

    def batches(self, epoch: int) -> DataLoader[Any]:
        self.training.epoch = epoch
        self.training.frame = next(frame for share, frame in FRAMES if epoch < share * self.epochs or share == 1)
        return DataLoader(self.training, self.batch, drop_last=True, num_workers=1)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, faces = batch
        images = (images.float() / 255).contiguous(memory_format=torch.channels_last)
        return detection_loss(self.network.raw(images), faces, images.shape[2:])

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return evaluate(face_detector.SPEC, network, self.validation)


def make(o: Options) -> DetectorRecipe:
    """The recipe of the training command; rendered heads are kept in the output folder."""
    heads = load_rendered(o.heads, o.data, o.rendered, o.seed, o.out / "rendered.npz") if o.heads else []
    return DetectorRecipe(o.data, list(o.backgrounds), o.epochs, o.batch, o.seed, o.samples, heads, o.init)
