"""The picture that a network made."""

from __future__ import annotations

import numpy as np

from reference.tasks.image_to_image import NewPicture
from sdk_build.predict.base import FrameResult, Prediction, View
from sdk_build.predict.canvas import Picture


def _first(prediction: Prediction | FrameResult) -> NewPicture:
    first = prediction.results[0]
    assert isinstance(first, NewPicture)
    return first


def describe(prediction: Prediction) -> str:
    """Size."""
    height, width = _first(prediction).picture.shape[:2]
    return f"a picture of {width} x {height} pixels"


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """The picture itself, pixel for pixel."""
    return np.asarray(_first(prediction).picture)


def draw_frame(frame: FrameResult) -> Picture:
    """The picture itself, pixel for pixel."""
    return np.asarray(_first(frame).picture)


VIEW = View(describe=describe, draw=draw, draw_frame=draw_frame)
