"""Boxes with class and score on the picture."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from reference.tasks.object_detection import Detections
from sdk_build.predict.base import FrameResult, Prediction, View
from sdk_build.predict.canvas import INK, Picture, enlarge, font_of
from sdk_build.predict.general.image_segmentation import color_of


def _first(prediction: Prediction | FrameResult) -> Detections:
    first = prediction.results[0]
    assert isinstance(first, Detections)
    return first


def describe(prediction: Prediction) -> str:
    """How many of what, most probable first."""
    found = _first(prediction).objects
    return (
        ", ".join(f"{o.label} {100 * o.score:.0f} %" for o in found[:6]) + (", ..." if len(found) > 6 else "") or "none"
    )


def paint(picture: Picture, result: Detections) -> Picture:
    """The picture with its objects."""
    canvas, scale = enlarge(picture)
    pen = ImageDraw.Draw(canvas)
    width, size = max(2, canvas.height // 220), max(14, canvas.height // 34)
    font = font_of(size)
    labels = sorted({o.label for o in result.objects})
    for found in reversed(result.objects):  # the most probable on top
        color = color_of(labels.index(found.label) + 1)
        x0, y0, x1, y1 = (v * scale for v in found.box_px)
        pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=color, width=width)
        text = f"{found.label} {100 * found.score:.0f} %"
        left = float(np.clip(x0, 0, max(0.0, canvas.width - pen.textlength(text, font) - size)))
        top = y0 - 1.4 * size if y0 > 1.4 * size else y0
        pen.rectangle((left, top, left + pen.textlength(text, font) + size * 0.6, top + 1.4 * size), fill=color)
        pen.text((left + size * 0.3, top + 0.7 * size), text, INK, font, anchor="lm")
    return np.array(canvas)


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """See :func:`paint`."""
    return paint(prediction.picture, _first(prediction))


def draw_frame(frame: FrameResult) -> Picture:
    """See :func:`paint`."""
    return paint(frame.picture, _first(frame))


VIEW = View(describe=describe, draw=draw, draw_frame=draw_frame)
