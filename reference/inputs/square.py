"""Squares of a picture that a face network sees, upright or turned.

Pixel (column, row) of an S x S crop of a turned square is the mean of k x k bilinear samples of the picture, k =
ceil(side / S) but at most 32, evenly spread over the pixel; beyond the border edge pixels repeat. The apps implement
the same rule, and the vectors of ``sdk_build.app_vectors`` prove it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.inputs.preprocess import Region

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

CROP_SCALE = 1.6  # side of the network's crop in sides of the landmarks' box
SQUARE_OF_BOX = 1.4  # the keypoint networks' square, in longer sides of the detector's box
MOST_SAMPLES = 32  # a pixel and axis
_SAMPLES = 1 << 20  # at a time, so that a large face takes little memory


@dataclass(frozen=True)
class Square:
    """A square of a picture, turned by ``angle``.

    Attributes:
        x, y: its centre in pixels, the centre of the first pixel at (0, 0).
        side: in pixels.
        angle: degrees by which the picture is turned clockwise to make the face upright.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    @property
    def width(self) -> float:
        """Side, by the name that a region has."""
        return self.side

    @property
    def upright(self) -> Region:
        """The square with its turn left out."""
        return Region(self.x + 0.5 - self.side / 2, self.y + 0.5 - self.side / 2, self.side, self.side)

    def to_picture(self, fractions: Floats) -> Floats:
        """Fractions of the crop (..., 2), x then y, to picture pixels."""
        return self._places(fractions).astype(np.float32)

    def sample(self, picture: Picture, size: int) -> Floats:
        """The crop (1, 3, size, size) float32 RGB in [0, 1]."""
        fine = min(max(1, math.ceil(self.side / size)), MOST_SAMPLES)
        middles = (np.arange(size * fine) + 0.5) / (size * fine)
        rows = max(1, _SAMPLES // (size * fine * fine))
        chunks = (middles[fine * i : fine * (i + rows)] for i in range(0, size, rows))
        parts = [self._sample_rows(picture, middles, chunk) for chunk in chunks]
        # Over whole pixels "area" is the mean.
        small = [cv2.resize(part, (size, len(part) // fine), interpolation=cv2.INTER_AREA) for part in parts]
        return np.ascontiguousarray(np.concatenate(small).transpose(2, 0, 1)[None] / np.float32(255))

    def _sample_rows(self, picture: Picture, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> Floats:
        """(rows, columns, 3) bilinear samples. Not cv2.remap alone: it rounds places to 1/32 of a pixel."""
        height, width = picture.shape[:2]
        x, y = np.moveaxis(self._places(np.stack(np.meshgrid(columns, rows), axis=-1)), -1, 0)
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        left, top = np.floor(x).astype(np.float32), np.floor(y).astype(np.float32)
        across, down = (x - left).astype(np.float32), (y - top).astype(np.float32)
        right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        corners = ((left, top, 1 - across, 1 - down), (right, top, across, 1 - down),
                   (left, bottom, 1 - across, down), (right, bottom, across, down))  # fmt: skip
        total = np.zeros((*x.shape, 3), np.float32)
        for at_x, at_y, share_x, share_y in corners:
            taken = cv2.remap(picture, at_x, at_y, cv2.INTER_NEAREST)
            total += cv2.multiply(taken, cv2.merge([share_x * share_y] * 3), dtype=cv2.CV_32F)
        return total

    def _places(self, fractions: NDArray[np.floating]) -> NDArray[np.float64]:
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        moved = (fractions.astype(np.float64) - 0.5) * self.side
        back = np.array([[cos, -sin], [sin, cos]])  # rows times this matrix: the turn undone
        return np.asarray(moved @ back + [self.x, self.y], np.float64)


def square_from_points(points_px: Floats) -> Square:
    """The upright square that the second network was trained on, from (68, 2) points in pixels."""
    left, top, side, angle = upright_square(points_px, CROP_SCALE)
    return Square(left + side / 2, top + side / 2, side, angle)


def square_of_box(x0: float, y0: float, x1: float, y1: float) -> Region:
    """The crop for the first network from a face detector's box: a square about its centre, as in the training."""
    side = max(x1 - x0, y1 - y0) * SQUARE_OF_BOX
    return Region((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, side)


def square_around(points: NDArray[np.float32], scale: float) -> tuple[float, float, float]:
    """(left, top, side) of a square of ``scale`` longer sides of the points' box, about the box's centre."""
    low, high = points.min(0), points.max(0)
    side = float((high - low).max()) * scale
    center = (low + high) / 2
    return float(center[0]) - side / 2, float(center[1]) - side / 2, side


def roll_of(points: NDArray[np.float32]) -> float:
    """Roll of a face in degrees, from the line through the eyes of (68, 2) points; positive: its left eye is lower."""
    x, y = points[42:48].mean(0) - points[36:42].mean(0)
    return float(np.degrees(np.arctan2(y, x)))


def upright_square(points: NDArray[np.float32], scale: float) -> tuple[float, float, float, float]:
    """(left, top, side, angle) for :func:`cut_square`: as :func:`square_around`, for the face with its roll undone."""
    angle = -roll_of(points)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]], np.float32)
    left, top, side = square_around(points @ turn.T, scale)
    center = np.array([left + side / 2, top + side / 2], np.float32) @ turn  # the inverse of a rotation
    return float(center[0]) - side / 2, float(center[1]) - side / 2, side, angle
