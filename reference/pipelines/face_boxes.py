"""Where faces are in a picture, by OpenCV's frontal cascade.

A stand-in with known weaknesses (profiles, small faces) that needs no weights of ours; the keypoint network's own
points then give the crop that counts.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.inputs.preprocess import Region
from reference.inputs.square import CROP_SCALE, square_around

# Medians over the 80 of 87 Helen validation faces that the cascade finds: training square against cascade box.
SIDE_FACTOR = 1.47
CENTER_SHIFT = 0.14
LARGEST_SIDE = 640


def find_faces(picture: NDArray[np.uint8]) -> list[Region]:
    """Square crops around faces as the keypoint network expects them, largest first.

    Args:
        picture: (H, W, 3) uint8 RGB.
    """
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))
    grey = cv2.equalizeHist(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    scale = min(1.0, LARGEST_SIDE / max(grey.shape))
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    smallest = max(24, min(grey.shape) // 12)
    boxes = cascade.detectMultiScale(grey, 1.1, 6, minSize=(smallest, smallest))
    regions = [from_cascade(*(float(v) / scale for v in box)) for box in boxes]
    return sorted(regions, key=lambda r: -r.width)


def from_cascade(x: float, y: float, width: float, height: float) -> Region:
    """The square that the training crops would have, from the cascade's box."""
    side = width * SIDE_FACTOR
    cx, cy = x + width / 2, y + height / 2 + CENTER_SHIFT * height
    return Region(cx - side / 2, cy - side / 2, side, side)


def from_points(points_px: NDArray[np.float32]) -> Region:
    """The square that the training crops have, from (68, 2) points in pixels."""
    left, top, side = square_around(points_px, CROP_SCALE)
    return Region(left + 0.5, top + 0.5, side, side)
