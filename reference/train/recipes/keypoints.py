"""What the trainings of both keypoint networks share: losses, metrics, and the faces they learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference.data.faces import Faces, join, load_faces, select
from reference.data.heads import load_head_models
from reference.data.pictures import SUFFIXES
from reference.data.rendered_faces import render_faces
from reference.errors import BadInput
from reference.tasks.face_keypoints import LARGE_POSE, PRECISE_SETS
from reference.train.label_shift import usual_shift
from reference.train.options import Options

MOST_BACKDROPS = 400


def point_loss(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted wing-like loss of (B, 2, 68) points: log near zero keeps the small errors moving.

    Source of the shape: Feng et al., *Wing loss*, CVPR 2018; errors are in fractions of the crop.
    """
    width, curvature = 0.04, 0.01
    error = (predicted - target).abs()
    offset = width - width * np.log(1 + width / curvature)
    wing = torch.where(error < width, width * torch.log(1 + error / curvature), error - offset)
    return (wing.mean((1, 2)) * weights).mean()


def heat_loss(heat: Tensor, points: Tensor, weights: Tensor, spread: float = 0.9) -> Tensor:
    """Cross-entropy of each point's map against a Gaussian around the point.

    Args:
        heat: (B, P, S * S) logits.
        points: (B, 2, P) in fractions of the crop; points outside it don't count.
        weights: (B,).
        spread: standard deviation of the Gaussian in cells.
    """
    side = round(heat.shape[2] ** 0.5)
    centers = torch.arange(side, device=heat.device) + 0.5
    x, y = (torch.exp(-((points[:, i, :, None] * side - centers) ** 2) / (2 * spread**2)) for i in (0, 1))
    target = (y[..., :, None] * x[..., None, :]).flatten(2)
    mass = target.sum(2, keepdim=True)
    entropy = -(target / mass.clamp(min=1e-6) * torch.log_softmax(heat, dim=2)).sum(2)
    inside = ((points > 0) & (points < 1)).all(1)
    return ((entropy * inside).mean(1) * weights).mean()


@dataclass(frozen=True)
class KeypointData:
    """What a keypoint network learns from.

    Attributes:
        faces: photographed and rendered faces.
        precise: which of them are labelled precisely (Helen, AFW; all photographs where there is neither).
        validation: faces of the validation split, with their labels as they are.
        offset: what the labels of the precise sets usually lie beside what they label, in sides of the crop. The faces
            lie without it, so that mirror images fit; the network is to learn the labels of these sets.
    """

    faces: Faces
    precise: NDArray[np.bool_]
    validation: Faces
    offset: float = 0.0


def load_training(
    data: Path,
    heads: Path | None = None,
    backgrounds: Path | None = None,
    rendered: int = 0,
    cache: Path | None = None,
    seed: int = 0,
) -> KeypointData:
    """Photographed faces and, with head models, rendered ones.

    Args:
        data: folder of the faces68 layout.
        heads: folder with ``ict_facekit.npz``, ``makehuman_heads.npz`` or both; None: photographs alone.
        backgrounds: folder with pictures for behind the heads.
        rendered: number of rendered faces.
        cache: file that keeps them for a resumed training.

    Raises:
        BadInput: a folder lacks what it should hold.
    """
    faces, validation = load_faces(data, "train", corrected=True), load_faces(data, "val")
    offset = usual_shift(data, PRECISE_SETS)
    precise = np.isin(np.array(faces.sources), PRECISE_SETS)
    if not precise.any():
        precise[:] = True
    if heads is None or rendered == 0:
        return KeypointData(faces, precise, validation, offset)
    if cache is not None and cache.is_file():
        with np.load(cache) as stored:
            extra = Faces(stored["canvases"], stored["points"], stored["yaw"], ("rendered",) * len(stored["yaw"]))
    else:
        models = [model for model in load_head_models(heads) if model.landmarks68 is not None]
        extra = render_faces(models, rendered, seed, select(faces, precise), load_backdrops(backgrounds))
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            np.savez(cache, canvases=extra.canvases, points=extra.points, yaw=extra.yaw)
    precise = np.concatenate([precise, np.zeros(len(extra.yaw), bool)])
    return KeypointData(join([faces, extra]), precise, validation, offset)


def load_backdrops(folder: Path | None) -> list[NDArray[np.uint8]]:
    """Up to 400 pictures below a folder, evenly spread over their order."""
    if folder is None:
        return []
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and "mask" not in p.parent.name)
    if not paths:
        raise BadInput(f"no pictures in {folder}; --backgrounds names a folder with pictures")
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(MOST_BACKDROPS, len(paths))).astype(int))
    pictures = (cv2.imread(str(paths[i]), cv2.IMREAD_COLOR) for i in chosen)
    return [np.ascontiguousarray(p[..., ::-1]) for p in pictures if p is not None]


def epoch_order(faces: Faces, precise: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """The faces of one epoch: precise photographs twice; half of the video frames and rendered ones, but not more.

    Video frames are many and alike, and labelled to whole pixels; rendered faces are there for the large poses.
    """
    others, twice = np.flatnonzero(~precise), np.repeat(np.flatnonzero(precise), 2)
    half = rng.permutation(others)[: min((len(others) + 1) // 2, max(1, len(twice)))]
    return rng.permutation(np.concatenate([twice, half]))


def balance_poses(
    order: NDArray[np.int64], yaw: NDArray[np.float32], rng: np.random.Generator, difference: float = 0.05
) -> NDArray[np.int64]:
    """Bring the counts of large and small poses within ``difference`` of the total (row H1).

    Faces of the larger group are left out by chance, down to that range.

    Args:
        order: (N,) numbers of faces.
        yaw: of every face.
        difference: largest difference of the two counts, as a share of their sum.

    Raises:
        BadInput: one of the groups is empty.
    """
    large = np.abs(yaw[order]) > LARGE_POSE
    groups = [order[large], order[~large]]
    if min(map(len, groups)) == 0:
        raise BadInput("all faces have the same pose, allowed are large and small ones; add faces or leave the balance")
    few, many = sorted(groups, key=len)
    most = int(len(few) * (1 + difference) / (1 - difference))
    return rng.permutation(np.concatenate([few, rng.permutation(many)[:most]]))


def training_faces(o: Options) -> KeypointData:
    """:func:`load_training` for the training command; rendered faces are kept in the output folder."""
    backgrounds = o.backgrounds[0] if o.backgrounds else None
    return load_training(o.data, o.heads, backgrounds, o.rendered, o.out / "rendered.npz", o.seed)
