"""What the trainings of both keypoint networks share: losses, metrics, and the faces they learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from reference.data.faces import CROP_SCALE, FaceDataset, Faces, join, load_faces, select, square_around
from reference.data.heads import load_head_models
from reference.data.pictures import SUFFIXES
from reference.data.rendered_faces import render_faces
from reference.errors import BadInput
from reference.face_pipeline import Square, square_from_points

OUTER_EYES = (36, 45)
PRECISE_SETS = ("helen", "afw")
LARGE_POSE = 0.3  # of the yaw index: the far eye's outer corner is about to vanish
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


def normalized_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """NME of each face: mean point distance in percent of the distance of the outer eye corners.

    Args:
        predicted, target: (B, 2, 68), any unit.
    """
    distance = (predicted - target).norm(dim=1).mean(1)
    size = (target[..., OUTER_EYES[0]] - target[..., OUTER_EYES[1]]).norm(dim=1)
    return 100 * distance / size


@dataclass(frozen=True)
class KeypointData:
    """What a keypoint network learns from.

    Attributes:
        faces: photographed and rendered faces.
        precise: which of them are labelled precisely (Helen, AFW; all photographs where there is neither).
        validation: faces of the validation split.
    """

    faces: Faces
    precise: NDArray[np.bool_]
    validation: Faces


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
    faces, validation = load_faces(data, "train"), load_faces(data, "val")
    precise = np.isin(np.array(faces.sources), PRECISE_SETS)
    if not precise.any():
        precise[:] = True
    if heads is None or rendered == 0:
        return KeypointData(faces, precise, validation)
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
    return KeypointData(join([faces, extra]), precise, validation)


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
    """The faces of one epoch: precise photographs twice, half of the video frames, half of the rendered ones.

    Video frames are many and alike, and labelled to whole pixels; rendered faces are there for the large poses.
    """
    others = np.flatnonzero(~precise)
    half = rng.permutation(others)[: (len(others) + 1) // 2]
    return rng.permutation(np.concatenate([np.repeat(np.flatnonzero(precise), 2), half]))


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


def evaluate(network: Callable[[Tensor], Any], faces: Faces, size: int, upright: bool = False) -> dict[str, float]:
    """NME in percent of the outer eye distance, AUC and failure rate at 10 %; see :func:`summarize`.

    Args:
        network: (B, 3, S, S) to keypoints (B, 68, 2), or several such outputs of which the first is the result and the
            second comes from the templates alone.
        size: side of the network's input.
        upright: crops with the roll undone, as the second network of a cascade gets them.
    """

    def run(part: FaceDataset) -> list[NDArray[np.float32]]:
        errors: list[list[Tensor]] = [[], []]
        for images, points, *_ in DataLoader(part, batch_size=64):
            out = network(images)
            outputs = out if isinstance(out, tuple | list) else (out,)
            for kept, output in zip(errors, outputs, strict=False):
                kept.append(normalized_errors(output.transpose(1, 2), points))
        return [torch.cat(kept).numpy() for kept in errors if kept]

    final, *first = run(FaceDataset(faces, size, upright=upright))
    covered, *_ = run(FaceDataset(faces, size, occluded=True, upright=upright))
    return summarize(faces, final, covered, first[0] if first else None)


def evaluate_cascade(
    first: Callable[[Tensor], Any], second: Callable[[Tensor], Any], faces: Faces, size: int
) -> dict[str, float]:
    """As :func:`evaluate`, of the second network on crops cut by the first network's points (row T6).

    Args:
        first, second: (1, 3, S, S) to keypoints (1, 68, 2) and more outputs.
    """

    def run(occluded: bool) -> NDArray[np.float32]:
        part = FaceDataset(faces, size, occluded=occluded)
        errors = []
        for index in range(len(part)):
            crop, points, *_ = part[index]
            found = first(crop[None])[0][0].numpy()
            # What is covered is covered for both networks: the second crop is cut from the first one's pixels there.
            picture = (crop.permute(1, 2, 0).numpy() * 255).astype(np.uint8) if occluded else faces.canvases[index]
            whole = Square((size - 1) / 2, (size - 1) / 2, size) if occluded else _exact(faces.points[index])
            square = square_from_points(whole.to_picture(found))
            result = square.to_picture(second(torch.from_numpy(square.sample(picture, size)))[0][0].numpy())
            truth = whole.to_picture(points.numpy().T)
            errors.append(normalized_errors(torch.from_numpy(result.T[None]), torch.from_numpy(truth.T[None])))
        return torch.cat(errors).numpy()

    return summarize(faces, run(False), run(True))


def _exact(points: NDArray[np.float32]) -> Square:
    left, top, side = square_around(points, CROP_SCALE)
    return Square(left + side / 2, top + side / 2, side)


def summarize(
    faces: Faces,
    final: NDArray[np.float32],
    covered: NDArray[np.float32],
    first: NDArray[np.float32] | None = None,
) -> dict[str, float]:
    """Metrics of (N,) errors in percent of the outer eye distance.

    Precisely labelled sets (Helen, AFW) count, by pose and with an artificially covered part; video frames are reported
    apart, and rendered faces not at all.

    Args:
        covered: with a part of each face covered.
        first: of the templates alone.
    """
    sources = np.array(faces.sources)
    precise = np.isin(sources, PRECISE_SETS)
    if not precise.any():
        precise[:] = True
    large = np.abs(faces.yaw) > LARGE_POSE
    groups = {
        "nme_percent": final[precise],
        "nme_small_pose": final[precise & ~large],
        "nme_large_pose": final[precise & large],
        "nme_occluded": covered[precise],
        "nme_video": final[~precise & (sources == "youtube_faces")],
    }
    if first is not None:
        groups["nme_template_only"] = first[precise]
    return {
        **{name: float(errors.mean()) for name, errors in groups.items() if len(errors)},
        "auc_10": float(100 * np.clip(1 - final[precise] / 10, 0, 1).mean()),
        "failure_10": float(100 * (final[precise] > 10).mean()),
    }
