"""Classes of pixels as colours over the picture, with a legend."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from reference.tasks.image_segmentation import Segmentation
from sdk_build.predict.base import FrameResult, Prediction, View
from sdk_build.predict.canvas import INK, PAPER, Picture, enlarge, font_of

LISTED = 8  # classes of a legend


def color_of(number: int) -> tuple[int, int, int]:
    """A colour of a class; neighbouring numbers differ well, the first class is a neutral grey."""
    if number == 0:
        return (128, 130, 134)
    red, green, blue = colorsys.hsv_to_rgb((number * 0.618034) % 1, 0.72, 0.92)
    return round(255 * red), round(255 * green), round(255 * blue)


def _first(prediction: Prediction | FrameResult) -> Segmentation:
    first = prediction.results[0]
    assert isinstance(first, Segmentation)
    return first


def describe(prediction: Prediction) -> str:
    """The classes that cover most, with their shares."""
    return ", ".join(f"{label} {100 * share:.0f} %" for label, share in list(_first(prediction).shares().items())[:4])


def paint(picture: Picture, result: Segmentation) -> Picture:
    """The picture under the colours of its classes, above a legend."""
    canvas, scale = enlarge(picture)
    region = result.region.scaled(scale)
    classes = replace(result, region=region).in_picture(canvas.width, canvas.height)
    table = np.array([color_of(i) for i in range(len(result.labels))], np.float32)
    shown = np.array(canvas, np.float32)
    inside = classes >= 0
    shown[inside] = 0.45 * shown[inside] + 0.55 * table[classes[inside]]
    shown[~inside] *= 0.5
    listed = list(result.shares().items())[:LISTED]
    row = max(26, canvas.width // 24)
    panel = Image.new("RGB", (canvas.width, row * len(listed) + row // 2), PAPER)
    pen, font = ImageDraw.Draw(panel), font_of(int(row * 0.55))
    for number, (label, share) in enumerate(listed):
        y = row // 4 + number * row
        color = color_of(result.labels.index(label))
        pen.rounded_rectangle((row * 0.4, y + row * 0.2, row * 1.2, y + row * 0.8), row * 0.12, color)
        pen.text((row * 1.6, y + row / 2), label, INK, font, anchor="lm")
        pen.text((canvas.width - row * 0.4, y + row / 2), f"{100 * share:.1f} %", INK, font, anchor="rm")
    return np.concatenate([shown.astype(np.uint8), np.array(panel)])


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """See :func:`paint`."""
    return paint(prediction.picture, _first(prediction))


def draw_frame(frame: FrameResult) -> Picture:
    """The frame under the colours; without the legend, whose height would change."""
    canvas, _ = enlarge(frame.picture)
    return paint(frame.picture, _first(frame))[: canvas.height]


VIEW = View(describe=describe, draw=draw, draw_frame=draw_frame)
