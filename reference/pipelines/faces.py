"""From a picture to the 68 points of every face in it: detector, crop, network, second crop, second network (row T6).

Between detector and first crop, a second network may look at each box in the picture's own pixels (:func:`refine`).

The networks are functions from tensors to tensors, so that the same lines run PyTorch and the artifacts of a bundle.

Crops for the second network are squares that may be turned: pixel (column, row) of an S x S crop is the mean of k x k
bilinear samples of the picture, k = ceil(side / S) but at most 32, evenly spread over the pixel; beyond the
border edge pixels repeat.
The apps implement the same rules, and the vectors of ``sdk_build.app_vectors`` prove it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import Region, sample_picture
from reference.inputs.square import Square, square_from_points
from reference.pipelines.steady import Steady, steady

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
# (1, 3, S, S) float32 RGB in [0, 1] to (68, 2) points, and those of the template alone, in fractions of the crop.
PointNetwork = Callable[[Floats], tuple[Floats, Floats]]
FindFaces = Callable[[Picture], Sequence[Region]]
FindCrops = Callable[[Picture], Sequence[Region | Square]]
# (1, 3, S, S) float32 RGB in [0, 1] to logits (2,) of face and background.
FaceJudge = Callable[[Floats], Floats]

LOST_DISAGREEMENT = 0.25  # mean distance of result and template, in outer eye distances; 0.05 is usual on faces
LOST_GROWTH = 1.6  # largest change of a face's side from one frame to the next
LOST_SHIFT = 0.6  # largest shift of its centre, in sides
LOST_LIKENESS = 0.5  # least correlation of the crop's thumbnail with the one before: networks see a face in a wall, too
THUMBNAIL = 16  # its side
SMALLEST_SIDE = 16.0  # of a crop, in pixels
LARGEST_SIDE = 8.0  # of a crop, in longer sides of the picture: beyond it the points are no face's
SAME_FACE = 0.3  # overlap from which on a track and a detector's crop show one face


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """A face's keypoints.

    Attributes:
        points_px: (68, 2) float32 in picture pixels, the centre of the first pixel at (0, 0).
        template_points_px: likewise, from the template alone.
        square: the crop that the last network saw.
        disagreement: mean distance of the two in outer eye distances; large where there is no face.
        thumbnail: (16, 16) float32 grey of the crop.
        tracked: the crop came from the frame before, not from the detector.
    """

    points_px: Floats
    template_points_px: Floats
    square: Square
    disagreement: float
    thumbnail: Floats
    tracked: bool = False


class FaceKeypointDetector:
    """Finds faces and their keypoints in pictures, and follows them through videos.

    A face whose points are not finite, or beyond all bounds, is left out.

    Args:
        find: the detector; crops as the first network expects them.
        first: the keypoint network.
        second: the cascade's second network; without it the first one's points are the result.
        size: side of both networks' input.
        most: faces to follow or return, largest first.
        check_every: frames of a video after which the detector looks again, so that a track that drifted onto something
            else ends and a new face is seen.
        smooth: steady the points of videos (:mod:`reference.pipelines.steady`); what is tracked stays as it is.
    """

    def __init__(
        self,
        find: FindCrops,
        first: PointNetwork,
        second: PointNetwork | None = None,
        size: int = 112,
        most: int = 8,
        check_every: int = 30,
        smooth: bool = True,
    ) -> None:
        self.find, self.first, self.second, self.smooth = find, first, second, smooth
        self.size, self.most, self.check_every = size, most, check_every
        self.reset()

    def reset(self) -> None:
        """Forget the video so far."""
        self._tracks: list[DetectedFace] = []
        self._steady: list[Steady] = []  # of each track
        self._since_check = 0
        self._time = -math.inf
        self.detector_runs = 0

    def detect(self, picture: Picture) -> list[DetectedFace]:
        """Keypoints of every face in an (H, W, 3) uint8 RGB picture, largest first."""
        faces = [self.at(picture, region) for region in self._find(picture)]
        return [face for face in faces if face is not None]

    def detect_for_video(self, frame: Picture, timestamp_ms: float) -> list[DetectedFace]:
        """Keypoints in the next frame of a video; the detector runs only when a track is lost or a check is due.

        Raises:
            BadInput: the timestamp is not later than the last frame's.
        """
        if timestamp_ms <= self._time:
            raise BadInput(f"timestamp is {timestamp_ms} ms after {self._time} ms; frames must come in order")
        self._time = timestamp_ms
        followed = [self._from_square(frame, square_from_points(track.points_px)) for track in self._tracks]
        kept = [now for now, before in zip(followed, self._tracks, strict=True) if self._holds(now, before, frame)]
        self._since_check += 1
        if not kept or len(kept) < len(self._tracks) or self._since_check >= self.check_every:
            kept = self._check(frame, kept)
            self._since_check = 0
        self._tracks = sorted(kept, key=lambda face: -face.square.side)[: self.most]
        return self._steadied(followed, timestamp_ms) if self.smooth else list(self._tracks)

    def _steadied(self, followed: list[DetectedFace], time_ms: float) -> list[DetectedFace]:
        """The tracks with smoothed points; a face that was not followed from the frame before starts anew."""
        states = {id(face): state for face, state in zip(followed, self._steady, strict=True)}
        self._steady = [_take_in(states.get(id(face)), face, time_ms) for face in self._tracks]
        pairs = zip(self._tracks, self._steady, strict=True)
        return [replace(face, points_px=state.points_px) for face, state in pairs]

    def _check(self, frame: Picture, kept: list[DetectedFace]) -> list[DetectedFace]:
        """Let the detector confirm tracks, end others, and add new faces."""
        confirmed: list[DetectedFace] = []
        for region in self._find(frame):
            same = (face for face in kept if _overlap(face.square, region) > SAME_FACE and face not in confirmed)
            face = next(same, None) or self.at(frame, region)
            if face is not None:
                confirmed.append(face)
        return confirmed

    def _find(self, picture: Picture) -> list[Region | Square]:
        self.detector_runs += 1
        largest = LARGEST_SIDE * max(picture.shape[:2])
        regions = [region for region in self.find(picture) if 0 < region.width <= largest]
        return sorted(regions, key=lambda region: -region.width)[: self.most]

    def at(self, picture: Picture, region: Region | Square) -> DetectedFace | None:
        """Keypoints of the face in a given region of a picture; None where they are no face's."""
        if isinstance(region, Square):
            crop = region.sample(picture, self.size)
        else:
            crop = sample_picture(picture, region, (self.size, self.size))
        points, _ = self.first(crop)
        # The detector's square is rough: the network looks again through its own.
        square = square_from_points(region.to_picture(points))
        if not _fits(square, picture):
            return None
        face = self._from_square(picture, square, tracked=False)
        return face if _fits(square_from_points(face.points_px), picture) else None

    def _from_square(self, picture: Picture, square: Square, tracked: bool = True) -> DetectedFace:
        network = self.second or self.first
        square = Square(square.x, square.y, max(square.side, SMALLEST_SIDE), square.angle)
        crop = square.sample(picture, self.size)
        points, template = (square.to_picture(p) for p in network(crop))
        eyes = max(1e-6, float(np.linalg.norm(template[45] - template[36])))
        distance = float(np.linalg.norm(points - template, axis=1).mean()) / eyes
        return DetectedFace(points, template, square, distance, thumbnail_of(crop), tracked)

    def _holds(self, now: DetectedFace, before: DetectedFace, frame: Picture) -> bool:
        """Whether a track still follows the face that it followed."""
        new, old = square_from_points(now.points_px), square_from_points(before.points_px)
        growth = new.side / max(old.side, 1e-6)
        moved = math.hypot(new.x - old.x, new.y - old.y) / max(old.side, 1e-6)
        height, width = frame.shape[:2]
        inside = -0.5 <= new.x < width and -0.5 <= new.y < height and new.side >= SMALLEST_SIDE and _fits(new, frame)
        steady = 1 / LOST_GROWTH < growth < LOST_GROWTH and moved < LOST_SHIFT
        alike = likeness(now.thumbnail, before.thumbnail) >= LOST_LIKENESS
        return inside and steady and alike and now.disagreement < LOST_DISAGREEMENT


def _fits(square: Square, picture: Picture) -> bool:
    """Whether a crop can be taken: no value that is not finite, no side beyond all bounds."""
    finite = all(map(math.isfinite, (square.x, square.y, square.side, square.angle)))
    return finite and square.side <= LARGEST_SIDE * max(picture.shape[:2])


def thumbnail_of(crop: Floats) -> Floats:
    """(16, 16) float32: means of the blocks of a (1, 3, S, S) crop, S a multiple of 16, over its three channels."""
    block = crop.shape[-1] // THUMBNAIL
    return np.asarray(crop[0].reshape(3, THUMBNAIL, block, THUMBNAIL, block).mean((0, 2, 4)), np.float32)


def likeness(a: Floats, b: Floats) -> float:
    """Correlation of two thumbnails in [-1, 1]; 0 where one of them is flat."""
    x, y = (t.astype(np.float64) - t.mean(dtype=np.float64) for t in (a, b))
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float((x * y).sum()) / length if length > 1e-6 else 0.0


def _take_in(before: Steady | None, face: DetectedFace, time_ms: float) -> Steady:
    eyes = float(np.linalg.norm(face.points_px[45] - face.points_px[36]))
    # On a profile the eyes' distance is nothing; a crop's side never is.
    return steady(before, face.points_px, time_ms, max(eyes, face.square.side / 6))


def _overlap(square: Square, region: Region | Square) -> float:
    """Intersection over union of a square and a region, turns left out."""
    region = region.upright if isinstance(region, Square) else region
    left, top = square.upright.left, square.upright.top
    width = min(left + square.side, region.left + region.width) - max(left, region.left)
    height = min(top + square.side, region.top + region.height) - max(top, region.top)
    common = max(0.0, width) * max(0.0, height)
    return common / (square.side**2 + region.width * region.height - common)
