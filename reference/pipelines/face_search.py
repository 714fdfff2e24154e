"""Two ways of looking again for faces: at quarter turns of a picture, and at parts of it.

A detector that was trained on faces turned by up to 45 degrees finds every roll in one of four quarter turns. One that
sees the whole picture in few pixels finds small faces in parts of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.inputs.square import SQUARE_OF_BOX, Square, square_of_box
from reference.tasks.face_detection import FaceBoxes, keep_best

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Look = Callable[[Picture], FaceBoxes]

UPRIGHT = 30.0  # degrees of roll up to which the first crop is cut as the picture stands
MOST_TILES = 8  # a side
OVERLAP = 0.25  # of neighbouring tiles, in shares of a tile's side: faces up to that size lie whole in one of them
CUT = 0.02  # shares of a tile's side: a box that ends so near an inner border shows a part of a face


def at_any_roll(look: Look) -> Callable[[Picture], Sequence[Region | Square]]:
    """Squares around the faces of a picture for the first keypoint network, upright for the face.

    The picture is looked at as it is and turned by one, two and three quarters, and the turn with the surest face
    counts: a detector now and then is rather sure of a face upside down, with points that are no use. A face whose
    eyes' line lies aslant by more than 30 degrees gets a turned square.

    Args:
        look: boxes and five points of the faces in a picture.
    """

    def find(picture: Picture) -> Sequence[Region | Square]:
        turned = [look(np.ascontiguousarray(np.rot90(picture, quarters))) for quarters in range(4)]
        quarters = max(range(4), key=lambda k: float(turned[k].scores.max(initial=0.0)))
        found = turned[quarters]
        pairs = zip(found.boxes_px, found.points_px, strict=True)
        return [_square(box, points, quarters, picture.shape[:2]) for box, points in pairs]

    return find


def _square(box: Floats, points: Floats, quarters: int, shape: tuple[int, ...]) -> Region | Square:
    """The first crop of a face from its box and five points in the turned picture."""
    eyes = turned_back(points[:2], quarters, shape)
    along = eyes[1] - eyes[0]
    roll = float(np.degrees(np.arctan2(along[1], along[0])))
    if quarters == 0 and not abs(roll) > UPRIGHT:
        return square_of_box(*(float(v) for v in box))
    between = np.array((box[:2] + box[2:]) / 2 - 0.5, np.float32)
    middle = turned_back(between[None], quarters, shape)[0]
    side = float(max(box[2] - box[0], box[3] - box[1])) * SQUARE_OF_BOX
    return Square(float(middle[0]), float(middle[1]), side, -roll)


def turned_back(points: Floats, quarters: int, shape: tuple[int, ...]) -> Floats:
    """Points (N, 2) of ``numpy.rot90(picture, quarters)`` in the picture; pixel centres are whole numbers.

    Args:
        shape: height and width of the picture.
    """
    height, width = shape
    x, y = points[:, 0], points[:, 1]
    places = {0: (x, y), 1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x)}
    return np.stack(places[quarters % 4], axis=1).astype(np.float32)


def in_tiles(look: Look, count: int) -> Look:
    """The faces of a picture as a whole and of ``count`` x ``count`` parts that overlap by a quarter.

    Of boxes of one face the most certain stays; boxes that an inner border of a tile cuts are left to the others.

    Args:
        look: boxes and five points of the faces in a picture.
        count: tiles a side, 1 to 8; 1: the picture as a whole alone.

    Raises:
        BadInput: ``count`` is something else.
    """
    if not 1 <= count <= MOST_TILES:
        raise BadInput(f"tiles a side: {count}; allowed: 1 to {MOST_TILES}")

    def find(picture: Picture) -> FaceBoxes:
        height, width = picture.shape[:2]
        found = [look(picture)]
        parts = [(x, y) for y in _spans(height, count) for x in _spans(width, count)] if count > 1 else []
        for (left, right), (top, bottom) in parts:
            tile = np.ascontiguousarray(picture[top:bottom, left:right])
            found.append(_whole(look(tile), (left, top, right, bottom), (width, height)))
        return _merge(found)

    return find


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """First pixel and end of parts of ``length`` pixels that overlap by :data:`OVERLAP`."""
    side = min(length, int(np.ceil(length / (count - (count - 1) * OVERLAP))))
    starts = np.linspace(0, length - side, count).round().astype(int)
    return [(int(start), int(start) + side) for start in starts]


def _whole(found: FaceBoxes, part: tuple[int, int, int, int], size: tuple[int, int]) -> FaceBoxes:
    """Boxes of a part in the picture, without those that its inner borders cut."""
    left, top, right, bottom = part
    margin = CUT * np.array([right - left, bottom - top])
    # Beyond a border of the picture nothing is hidden.
    low = np.where([left > 0, top > 0], margin, -np.inf)
    high = np.where([right < size[0], bottom < size[1]], [right - left, bottom - top] - margin, np.inf)
    kept = (found.boxes_px[:, :2] >= low).all(1) & (found.boxes_px[:, 2:] <= high).all(1)
    start = np.array([left, top], np.float32)
    boxes = found.boxes_px[kept] + np.tile(start, 2)
    return FaceBoxes(boxes, found.scores[kept], found.points_px[kept] + start)


def _merge(parts: Sequence[FaceBoxes]) -> FaceBoxes:
    boxes = np.concatenate([part.boxes_px for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    points = np.concatenate([part.points_px for part in parts])
    kept = keep_best(boxes, scores)
    return FaceBoxes(boxes[kept], scores[kept], points[kept])
