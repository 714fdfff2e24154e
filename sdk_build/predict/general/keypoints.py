"""Points on the picture."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from reference.tasks.keypoints import Points
from sdk_build.predict.base import FrameResult, Prediction, View
from sdk_build.predict.canvas import INK, POINT, Picture, enlarge, font_of

NAMED = 40  # more names than this hide the picture


def _first(prediction: Prediction | FrameResult) -> Points:
    first = prediction.results[0]
    assert isinstance(first, Points)
    return first


def describe(prediction: Prediction) -> str:
    """How many, and the box that they span."""
    points = _first(prediction).points_px
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return f"{len(points)} points from ({x0:.0f}, {y0:.0f}) to ({x1:.0f}, {y1:.0f})"


def paint(picture: Picture, result: Points) -> Picture:
    """The picture with its points, and their names where there are few."""
    canvas, scale = enlarge(picture)
    pen = ImageDraw.Draw(canvas)
    radius, size = max(3, canvas.height // 160), max(12, canvas.height // 44)
    for number, point in enumerate(result.points_px):
        x, y = (point + 0.5) * scale
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), POINT, INK)
        if result.labels and len(result.labels) <= NAMED:
            label = result.labels[number]
            pen.text((x + 1.6 * radius, y), label, POINT, font_of(size), anchor="lm", stroke_width=2, stroke_fill=INK)
    return np.array(canvas)


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """See :func:`paint`."""
    return paint(prediction.picture, _first(prediction))


def draw_frame(frame: FrameResult) -> Picture:
    """See :func:`paint`."""
    return paint(frame.picture, _first(frame))


VIEW = View(describe=describe, draw=draw, draw_frame=draw_frame)
