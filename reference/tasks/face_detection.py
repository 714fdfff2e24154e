"""Face detection: boxes with five points, and the cascade of two networks (document T)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.data.raw_files import SCENES_TABLE, RawFile, read_table
from reference.errors import BadInput
from reference.inputs.preprocess import Region, preprocess_picture, sample_picture
from reference.inputs.square import square_of_box
from reference.spec import ModelSpec
from reference.tasks.base import Array, Cascade, Metric, Metrics, Network, Task, Tensors, same_shape, threshold_of
from reference.tasks.box_figures import figures, threshold_at
from reference.tasks.image_classification import softmax

if TYPE_CHECKING:
    from reference.data.face_scenes import Scene

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
# (1, 3, S, S) float32 RGB in [0, 1] to logits (2,) of face and background.
FaceJudge = Callable[[Floats], Floats]

# Of two boxes of one face, the one with the lower score goes.
LARGEST_OVERLAP = 0.4
SURE = 0.8  # score of the detector from which on no second network is asked
LOWEST_SCORE = 0.02  # below it nothing counts for the average precision either
LOWEST_REFINED = 0.3  # likewise, where a second network looks at the boxes too
# From the cascade's box to ours: shifts and sizes in shares of its side, medians over the training faces it finds.
CASCADE_SHIFT = (0.0, 0.16)
CASCADE_SIZE = (1.0, 0.96)
FALSE_PER_PICTURE = 0.1  # at which the recall of both networks is compared


@dataclass(frozen=True)
class FaceBoxes:
    """Faces in a picture, the most certain one first.

    Attributes:
        boxes_px: (N, 4) float32 x0, y0, x1, y1 in picture pixels, the picture's outer corner at (0, 0); a box may reach
            beyond the picture.
        scores: (N,) float32 in [0, 1], at least the threshold.
        points_px: (N, 5, 2) float32, x and y in picture pixels, the centre of the first pixel at (0, 0): the centres of
            the eyes, the tip of the nose, the corners of the mouth, the image's left first.
    """

    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    points_px: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        faces = zip(self.boxes_px, self.scores, self.points_px, strict=True)
        return {
            "faces": [
                {"box_px": box.round(2).tolist(), "score": round(float(score), 4), "points_px": xy.round(2).tolist()}
                for box, score, xy in faces
            ]
        }


def keep_best(boxes: NDArray[np.float32], scores: NDArray[np.float32], overlap: float = LARGEST_OVERLAP) -> list[int]:
    """Non-maximum suppression: which of (N, 4) boxes stay, by falling score; equal scores keep their order.

    The best box stays, every box whose intersection over union with it is larger than ``overlap`` goes, and so on. A
    box without area overlaps nothing.
    """
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    area = np.maximum(high - low, 0).prod(1)
    left = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    while left:
        best, left = left[0], left[1:]
        kept.append(int(best))
        both = np.maximum(np.minimum(high[best], high[left]) - np.maximum(low[best], low[left]), 0).prod(1)
        either = area[best] + area[left] - both
        left = [i for i, b, e in zip(left, both, either, strict=True) if b <= overlap * e]
    return kept


def find_faces(faces: NDArray[np.float32], region: Region, threshold: float) -> FaceBoxes:
    """The faces of a detector's output.

    Args:
        faces: (N, 15): x0, y0, x1, y1, score, five x, five y; places in shares of the region.
        region: the part of the picture that the network saw; boxes whose middle lies outside the network's input,
            scores below ``threshold`` and values that are not finite are dropped.
    """
    middle = (faces[:, :2] + faces[:, 2:4]) / 2
    inside = np.isfinite(faces).all(1) & (middle >= 0).all(1) & (middle <= 1).all(1)
    faces = faces[inside & (faces[:, 4] >= threshold)]
    faces = faces[keep_best(faces[:, :4], faces[:, 4])]
    size, start = np.array([region.width, region.height]), np.array([region.left, region.top])
    boxes = faces[:, :4].reshape(-1, 2, 2) * size + start
    points = np.stack([faces[:, 5:10], faces[:, 10:15]], axis=-1)
    return FaceBoxes(boxes.reshape(-1, 4).astype(np.float32), faces[:, 4], region.to_picture(points))


def decode(outputs: Tensors, spec: ModelSpec, region: Region) -> FaceBoxes:
    """The faces of the ``faces`` output from the spec's threshold on."""
    return find_faces(outputs["faces"][0], region, threshold_of(spec))


def refine(found: FaceBoxes, picture: Picture, judge: FaceJudge, size: int, threshold: float) -> FaceBoxes:
    """The boxes that the detector and a second network take for faces, the most certain one first.

    A box's score is the geometric mean of the detector's and the second network's probability of a face. Of a box of
    which the detector is sure that probability counts as 1, and one that can't reach the threshold is dropped: the
    second network looks at what lies between.

    Args:
        found: of the detector, down to the square of the threshold or lower.
        judge: the second network; it sees :func:`square_of_box`.
        size: side of its input.
        threshold: lower scores are dropped.
    """
    kept, scores = [], []
    for number in np.flatnonzero(found.scores >= threshold**2):
        face = 1.0
        if found.scores[number] < SURE:
            region = square_of_box(*(float(v) for v in found.boxes_px[number]))
            face = float(softmax(judge(sample_picture(picture, region, (size, size))))[0])
        score = math.sqrt(float(found.scores[number]) * face)
        if score >= threshold:
            kept.append(number)
            scores.append(score)
    order = np.argsort(-np.array(scores), kind="stable")
    chosen = np.array(kept, int)[order]
    return FaceBoxes(found.boxes_px[chosen], np.array(scores, np.float32)[order], found.points_px[chosen])


def face_agreement(actual: Array, expected: Array, threshold: float = 0.3) -> float:
    """How alike the faces of two detectors' outputs are: mean IoU over all faces that either of them finds.

    A face that only one of them finds counts 0; 1 if neither finds one.

    Args:
        actual, expected: (1, N, 15) as :mod:`reference.networks.face_detector` puts out.
        threshold: score from which a box counts.
    """
    a, e = (_faces(x[0], threshold) for x in same_shape(actual, expected))
    if len(a) == 0 or len(e) == 0:
        return float(len(a) == len(e))
    both = np.minimum(a[:, None, 2:], e[None, :, 2:]) - np.maximum(a[:, None, :2], e[None, :, :2])
    shared = np.maximum(both, 0).prod(-1)
    area_a, area_e = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, e))
    table = shared / (area_a[:, None] + area_e[None] - shared)
    # Best pairs first; boxes of one picture hardly overlap, so that no better pairing is lost.
    total, pairs = 0.0, 0
    while table.max(initial=0) > 0:
        i, j = np.unravel_index(table.argmax(), table.shape)
        total, pairs = total + float(table[i, j]), pairs + 1
        table[i], table[:, j] = 0, 0
    return total / (len(a) + len(e) - pairs)


def _faces(faces: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Boxes (N, 4) that count; a value that is not finite is no face."""
    return find_faces(faces.astype(np.float32), Region(0, 0, 1, 1), threshold).boxes_px.astype(np.float64)


def detect(spec: ModelSpec, network: Network, picture: Picture, threshold: float) -> FaceBoxes:
    """Faces in an (H, W, 3) uint8 picture, by the reference or an artifact."""
    import torch

    tensor, region = preprocess_picture(picture, spec.sampling)
    with torch.no_grad():
        found = network(torch.from_numpy(tensor)).numpy()[0]
    return find_faces(found, region, threshold)


def evaluate(spec: ModelSpec, network: Network, scenes: Sequence[Scene]) -> Metrics:
    """:func:`figures` of a network."""
    found = [detect(spec, network, scene.picture, LOWEST_SCORE) for scene in scenes]
    return figures(found, scenes, threshold_of(spec))


def cascade_faces(picture: NDArray[np.uint8]) -> FaceBoxes:
    """What OpenCV's frontal cascade finds in an (H, W, 3) uint8 picture, as boxes of our kind; it has no points."""
    grey = cv2.equalizeHist(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    found, _, weights = _cascade().detectMultiScale3(
        grey, scaleFactor=1.1, minNeighbors=5, minSize=(20, 20), outputRejectLevels=True
    )
    squares = np.asarray(found, np.float64).reshape(-1, 4)
    side = squares[:, 2:]
    middle = squares[:, :2] + side * (0.5 + np.array(CASCADE_SHIFT))
    half = side * np.array(CASCADE_SIZE) / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)
    scores = np.asarray(weights, np.float32).reshape(-1)
    return FaceBoxes(boxes, scores, np.full((len(boxes), 5, 2), np.nan, np.float32))


@lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))


def evaluate_cascade(scenes: Sequence[Scene]) -> dict[str, float]:
    """:func:`figures` of OpenCV's cascade; every box that it gives counts."""
    return figures([cascade_faces(scene.picture) for scene in scenes], scenes, -np.inf)


@lru_cache(maxsize=1)
def load_validation(data: Path) -> tuple[list[Scene], dict[str, float]]:
    """Pictures with known faces (:mod:`reference.data.face_files`), and what OpenCV's cascade finds in them."""
    from reference.data.face_files import read_scenes

    scenes = read_scenes(data)
    return scenes, {f"cascade_{name}": value for name, value in evaluate_cascade(scenes).items()}


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """The figures of a detector on a folder of pictures with known faces, and the cascade's on the same pictures."""
    scenes, cascade = load_validation(data)
    return evaluate(spec, network, scenes) | cascade


class Watched:
    """Held-out scenes with what the detector finds in them."""

    def __init__(self, scenes: Sequence[Scene], spec: ModelSpec, first: Network, size: int) -> None:
        self.scenes = scenes
        self.size = size
        self.found = [detect(spec, first, scene.picture, LOWEST_REFINED**2) for scene in scenes]

    def refined(self, second: Network) -> list[FaceBoxes]:
        """What both networks find, down to :data:`LOWEST_REFINED`."""
        pairs = zip(self.found, self.scenes, strict=True)
        judge = as_judge(second)
        return [refine(boxes, scene.picture, judge, self.size, LOWEST_REFINED) for boxes, scene in pairs]

    def evaluate(self, second: Network) -> dict[str, float]:
        """``recall`` where there are 0.1 false boxes per picture, the ``threshold`` of that, ``average_precision``."""
        found = self.refined(second)
        threshold = threshold_at(found, self.scenes, FALSE_PER_PICTURE)
        result = figures(found, self.scenes, threshold)
        return {"threshold": threshold} | {n: result[n] for n in ("recall", "average_precision") if n in result}


def as_judge(network: Network) -> FaceJudge:
    """A network from tensors to tensors, as the pipeline takes it."""

    def judge(crop: Floats) -> Floats:
        import torch

        with torch.no_grad():
            logits: Floats = network(torch.from_numpy(crop)).numpy()[0]
        return logits

    return judge


def measure_cascade(first: ModelSpec, second: ModelSpec, network: Network, data: Path) -> Metrics:
    """The figures of a detector's stored weights with a second network, and OpenCV's cascade's on the same pictures."""
    scenes, cascade = load_validation(data)
    watched = _watch(data, first, second.sampling.size[0])
    return figures(watched.refined(network), scenes, threshold_of(second)) | cascade


@lru_cache(maxsize=1)
def _watch(data: Path, first: ModelSpec, size: int) -> Watched:
    from reference.registry import load_network

    return Watched(load_validation(data)[0], first, load_network(first), size)


def find_squares(folder: Path) -> list[RawFile] | None:
    """What the detector's second network would see of the faces in a folder of scenes, and pictures without faces."""
    from reference.data.face_files import BOX

    if not (folder / SCENES_TABLE).is_file():
        return None
    found: list[RawFile] = []
    for row in read_table(folder / SCENES_TABLE):
        if not row.get("file"):
            raise BadInput(f"{folder / SCENES_TABLE} has no column file; it must name the picture of each row")
        path = folder / row["file"]
        if row.get("x0"):
            try:
                square = square_of_box(*(float(row[name]) for name in BOX))
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(f"box of {row['file']!r} is no four numbers ({error}); mend the table") from error
            box = (square.left, square.top, square.left + square.width, square.top + square.height)
            found.append(RawFile(path, box))
        else:
            found.append(RawFile(path))
    return found


TASK = Task(
    name="face_detection",
    result=FaceBoxes,
    decode=decode,
    agreement=Metric("face_agreement", face_agreement, True, short="IoU"),
    measure=measure,
    cascade=Cascade(measure_cascade, find_squares),
)
