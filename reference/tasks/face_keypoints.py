"""Face keypoints: 68 points in 300-W order (documents T and H)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.inputs.preprocess import Region
from reference.inputs.square import CROP_SCALE, Square, square_around, square_from_points
from reference.spec import ModelSpec
from reference.tasks.base import Array, Cascade, Metric, Metrics, Network, Task, Tensors, same_shape

if TYPE_CHECKING:
    from torch import Tensor

    from reference.data.faces import FaceDataset, Faces

OUTER_EYES = (36, 45)
PRECISE_SETS = ("helen", "afw")
LARGE_POSE = 0.3  # of the yaw index: the far eye's outer corner is about to vanish


@dataclass(frozen=True)
class Keypoints:
    """Points on a face.

    Attributes:
        points_px: (68, 2) float32, x and y in picture pixels, the centre of the first pixel at (0, 0).
        template_points_px: likewise, from the template alone; the same points where the network has no template.
        region: the crop that the network saw.
    """

    points_px: NDArray[np.float32]
    template_points_px: NDArray[np.float32]
    region: Region

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"points_px": self.points_px.round(3).tolist()}


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> Keypoints:
    """The first output's points, and the second's, those of the template, where there is one, in picture pixels."""
    points, *template = (region.to_picture(outputs[t.name][0]) for t in spec.outputs)
    return Keypoints(points, template[0] if template else points, region)


def nme_percent(actual: Array, expected: Array) -> float:
    """Mean distance of (N, P, 2 or 3) points in percent of the expected distance of the outer eye corners.

    The first 68 points are the landmarks in 300-W order.
    """
    a, e = same_shape(actual, expected)
    distance = np.linalg.norm(a - e, axis=-1).mean(-1)
    eyes = np.linalg.norm(e[..., OUTER_EYES[0], :] - e[..., OUTER_EYES[1], :], axis=-1)
    value = float(100 * (distance / np.maximum(eyes, 1e-12)).mean())
    return value if np.isfinite(value) else float("inf")


def normalized_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """NME of each face: mean point distance in percent of the distance of the outer eye corners.

    Args:
        predicted, target: (B, 2, 68), any unit.
    """
    distance = (predicted - target).norm(dim=1).mean(1)
    size = (target[..., OUTER_EYES[0]] - target[..., OUTER_EYES[1]]).norm(dim=1)
    return 100 * distance / size


def evaluate(network: Network, faces: Faces, size: int, upright: bool = False) -> dict[str, float]:
    """NME in percent of the outer eye distance, AUC and failure rate at 10 %; see :func:`summarize`.

    Args:
        network: (B, 3, S, S) to keypoints (B, 68, 2), or several such outputs of which the first is the result and the
            second comes from the templates alone.
        size: side of the network's input.
        upright: crops with the roll undone, as the second network of a cascade gets them.
    """
    import torch
    from torch.utils.data import DataLoader

    from reference.data.faces import FaceDataset

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


def evaluate_cascade(first: Network, second: Network, faces: Faces, size: int) -> dict[str, float]:
    """As :func:`evaluate`, of the second network on crops cut by the first network's points (row T6).

    Args:
        first, second: (1, 3, S, S) to keypoints (1, 68, 2) and more outputs.
    """
    import torch

    def run(occluded: bool) -> NDArray[np.float32]:
        found, truth, _ = cascade_points(first, second, faces, size, occluded)
        pair = (torch.from_numpy(points.transpose(0, 2, 1)) for points in (found, truth))
        return np.asarray(normalized_errors(*pair))

    return summarize(faces, run(False), run(True))


def cascade_points(
    first: Network, second: Network, faces: Faces, size: int, occluded: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Points of the second network on crops cut by the first network's points, and where they should be.

    Args:
        first, second: see :func:`evaluate_cascade`.
        occluded: with a random part of every face covered, the same one each time.

    Returns:
        (N, 68, 2) found and labelled points in canvas pixels (occluded: of the first crop); (N,) covered share.
    """
    import torch

    from reference.data.faces import FaceDataset

    part = FaceDataset(faces, size, occluded=occluded)
    found, truth, covered = [], [], []
    for index in range(len(part)):
        crop, points, _, attributes = part[index]
        rough = first(crop[None])[0][0].numpy()
        # What is covered is covered for both networks: the second crop is cut from the first one's pixels there.
        picture = (crop.permute(1, 2, 0).numpy() * 255).astype(np.uint8) if occluded else faces.canvases[index]
        whole = Square((size - 1) / 2, (size - 1) / 2, size) if occluded else _exact(faces.points[index])
        square = square_from_points(whole.to_picture(rough))
        found.append(square.to_picture(second(torch.from_numpy(square.sample(picture, size)))[0][0].numpy()))
        truth.append(whole.to_picture(points.numpy().T))
        covered.append(float(attributes[2]))
    return np.stack(found), np.stack(truth), np.array(covered, np.float32)


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


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """:func:`evaluate` on the validation faces of a folder.

    Raises:
        BadInput: the folder can't be used.
    """
    from reference.data.faces import load_faces

    return evaluate(network, load_faces(data, "val"), spec.sampling.size[0])


def measure_cascade(first: ModelSpec, second: ModelSpec, network: Network, data: Path) -> Metrics:
    """:func:`evaluate_cascade` on the validation faces of a folder.

    Raises:
        BadInput: the folder can't be used.
    """
    import torch

    from reference.data.faces import load_faces
    from reference.registry import load_network

    faces = load_faces(data, "val")
    with torch.no_grad():
        return evaluate_cascade(load_network(first), network, faces, second.sampling.size[0])


NME = Metric("nme_percent", nme_percent, False, "%", short="NME +")
TASK = Task(
    name="face_keypoints",
    result=Keypoints,
    decode=decode,
    agreement=NME,
    measure=measure,
    cascade=Cascade(measure_cascade),
)
