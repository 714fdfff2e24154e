"""Random changes of pictures for training: pure functions of a picture and a generator.

Pictures are (H, W, 3) uint8 RGB; every function returns a new array of the same type.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def random_crop(picture: Picture, size: int, rng: np.random.Generator, smallest: float = 0.35) -> Picture:
    """Cut a random rectangle of ``smallest`` to all of the area and scale it to size x size (row I4: several sizes)."""
    height, width = picture.shape[:2]
    area = rng.uniform(smallest, 1.0) * height * width
    aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    h = int(np.clip(round(np.sqrt(area / aspect)), 1, height))
    w = int(np.clip(round(np.sqrt(area * aspect)), 1, width))
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    interpolation = cv2.INTER_AREA if min(h, w) > size else cv2.INTER_LINEAR
    return cv2.resize(picture[top : top + h, left : left + w], (size, size), interpolation=interpolation)  # type: ignore[return-value]


def random_blur(picture: Picture, rng: np.random.Generator, largest_sigma: float = 1.5) -> Picture:
    """Gaussian blur of a random width in pixels (row I4)."""
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.2, largest_sigma))  # type: ignore[return-value]


def random_resolution(picture: Picture, rng: np.random.Generator, lowest: float = 0.4) -> Picture:
    """Scale down and up again (row I4: resolution change)."""
    height, width = picture.shape[:2]
    factor = rng.uniform(lowest, 1.0)
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def random_quarter_turn(picture: Picture, rng: np.random.Generator) -> Picture:
    """Rotate by 90, 180 or 270 degrees (row I4)."""
    return np.ascontiguousarray(np.rot90(picture, int(rng.integers(1, 4))))


def random_color(picture: Picture, rng: np.random.Generator, strength: float = 0.35) -> Picture:
    """Change brightness, contrast and saturation by up to ``strength``, and sometimes drop the colour."""
    pixels = picture.astype(np.float32)
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    saturation, contrast, brightness = 1 + rng.uniform(-strength, strength, 3)
    if rng.random() < 0.1:
        saturation = 0.0
    pixels = grey[..., None] + saturation * (pixels - grey[..., None])
    pixels = (grey.mean() + contrast * (pixels - grey.mean())) * brightness
    return np.clip(pixels, 0, 255).astype(np.uint8)


def random_rotation(picture: Picture, rng: np.random.Generator, largest: float = 20.0) -> Picture:
    """Rotate by up to ``largest`` degrees about the centre; beyond the border edge pixels repeat."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), rng.uniform(-largest, largest), 1.0)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def match_color(picture: Picture, palette: Picture) -> Picture:
    """Give each colour channel the mean and the spread that it has in another picture (Reinhard et al., 2001, in RGB).

    A photo gets a painting's palette and a painting a cartoon's, while the shapes stay.
    """
    (mean, spread), (target_mean, target_spread) = (cv2.meanStdDev(p) for p in (picture, palette))
    # At most twice the contrast: a flat picture would turn to noise.
    gain = np.clip((target_spread + 1) / (spread + 1), 0.5, 2.0)
    table = gain * (np.arange(256) - mean) + target_mean  # (3, 256)
    return cv2.LUT(picture, np.clip(table.T[None], 0, 255).astype(np.uint8))  # type: ignore[return-value]


def pencil_drawing(picture: Picture, rng: np.random.Generator) -> Picture:
    """Dark lines on white where the brightness changes: the picture divided by its blurred self ("colour dodge")."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) + 1
    blurred = cv2.GaussianBlur(grey, (0, 0), rng.uniform(1.5, 4.0))
    lines = np.clip(255 * (grey / blurred), 0, 255)
    dark = np.clip(255 - rng.uniform(1.5, 4.0) * (255 - lines), 0, 255).astype(np.uint8)
    return np.repeat(dark[..., None], 3, axis=2)


def random_occlusion(
    picture: Picture, rng: np.random.Generator, smallest: float = 0.1, largest: float = 0.45
) -> Picture:
    """Cover a random rectangle, ``smallest`` to ``largest`` of each side, with a flat colour or noise (row T4)."""
    height, width = picture.shape[:2]
    h, w = (np.array([height, width]) * rng.uniform(smallest, largest, 2)).round().astype(int).clip(1)
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    covered = picture.copy()
    if rng.random() < 0.5:
        covered[top : top + h, left : left + w] = rng.integers(0, 256, 3)
    else:
        covered[top : top + h, left : left + w] = rng.integers(0, 256, (h, w, 3))
    return covered
