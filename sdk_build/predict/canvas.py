"""What drawn results share: colours, sizes, fonts and captions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
INK, PAPER, ACCENT = (28, 30, 34), (250, 250, 248), (0, 122, 204)
POINT, LINE = (255, 214, 10), (40, 200, 120)
SMALLEST, LARGEST = 480, 1280


def enlarge(picture: Picture) -> tuple[Image.Image, float]:
    """The picture at a size that shows well, and its scale."""
    longest = max(picture.shape[:2])
    scale = float(np.clip(longest, SMALLEST, LARGEST)) / longest
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), scale


@lru_cache(maxsize=16)
def font_of(size: int) -> Any:
    """The font that Pillow brings, at a size in pixels."""
    return ImageFont.load_default(max(10, size))


def banner(canvas: Image.Image, text: str) -> None:
    height = max(30, canvas.height // 14)
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((0, canvas.height - height, canvas.width, canvas.height), PAPER)
    pen.text((canvas.width / 2, canvas.height - height / 2), text, INK, font_of(int(height * 0.55)), anchor="mm")


def captioned(tile: Picture, text: str) -> Picture:
    height = tile.shape[0] // 10
    strip = Image.new("RGB", (tile.shape[1], height), PAPER)
    ImageDraw.Draw(strip).text((tile.shape[1] / 2, height / 2), text, INK, font_of(int(height * 0.55)), anchor="mm")
    return np.concatenate([tile, np.array(strip)])
