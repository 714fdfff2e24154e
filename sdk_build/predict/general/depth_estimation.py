"""Depth beside the picture: warm is near, cold is far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from reference.errors import BadInput
from reference.tasks.depth_estimation import Depth
from sdk_build.predict.base import FrameResult, Prediction, View
from sdk_build.predict.canvas import Picture, enlarge


def _first(prediction: Prediction | FrameResult) -> Depth:
    first = prediction.results[0]
    assert isinstance(first, Depth)
    return first


def describe(prediction: Prediction) -> str:
    """Unit and range."""
    told = _first(prediction).to_json()
    return f"{told['unit'].replace('_', ' ')} from {told['minimum']:.4g} to {told['maximum']:.4g}"


def paint(picture: Picture, result: Depth) -> Picture:
    """The picture beside its depth."""
    canvas, scale = enlarge(picture)
    region = result.region.scaled(scale)
    near = replace(result, values=result.nearness, region=region).in_picture(canvas.width, canvas.height)
    shades = np.nan_to_num(near * 255).clip(0, 255).astype(np.uint8)
    colored = cv2.cvtColor(cv2.applyColorMap(shades, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    colored[np.isnan(near)] = 0
    return np.concatenate([np.array(canvas), colored.astype(np.uint8)], axis=1)


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """See :func:`paint`."""
    return paint(prediction.picture, _first(prediction))


def draw_frame(frame: FrameResult) -> Picture:
    """See :func:`paint`."""
    return paint(frame.picture, _first(frame))


def write_npy(prediction: Prediction, target: Path) -> Path:
    """The map (height, width) of the picture's pixels as float32, NaN outside the region.

    Raises:
        BadInput: the file can't be written.
    """
    height, width = prediction.picture.shape[:2]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            np.save(file, _first(prediction).in_picture(width, height))
    except OSError as error:
        raise BadInput(f"can't write {target} ({error.strerror}); give a path in a writable folder") from error
    return target


VIEW = View(describe=describe, draw=draw, draw_frame=draw_frame, writers={".npy": write_npy})
