"""The subject of a picture, alone and with its outline (document I, row I6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from reference.tasks.salient_object_detection import Mask
from sdk_build.predict.base import FrameResult, Prediction, View
from sdk_build.predict.canvas import LINE, PAPER, Picture, enlarge


def _first(prediction: Prediction | FrameResult) -> Mask:
    first = prediction.results[0]
    assert isinstance(first, Mask)
    return first


def describe(prediction: Prediction) -> str:
    """How much of the picture is subject."""
    return f"the subject covers {100 * _first(prediction).to_json()['coverage']:.0f} % of the picture"


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """See :func:`draw_mask`."""
    canvas, scale = enlarge(prediction.picture)
    return draw_mask(canvas, _first(prediction), scale)


def draw_frame(frame: FrameResult) -> Picture:
    """See :func:`draw_mask`."""
    canvas, scale = enlarge(frame.picture)
    return draw_mask(canvas, _first(frame), scale)


def draw_mask(canvas: Image.Image, result: Mask, scale: float) -> Picture:
    """The picture with everything but the subject dimmed and the subject's outline, beside the subject alone."""
    import cv2

    region = result.region.scaled(scale)
    soft = replace(result, region=region).in_picture(canvas.width, canvas.height)
    picture = np.array(canvas)
    shown = (picture * (0.35 + 0.65 * soft[..., None])).astype(np.uint8)
    filled = (soft >= result.threshold).astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, outlines, -1, LINE, max(2, canvas.height // 240), cv2.LINE_AA)
    alone = picture * soft[..., None] + np.array(PAPER) * (1 - soft[..., None])
    return np.concatenate([shown, alone.astype(np.uint8)], axis=1)


VIEW = View(describe=describe, draw=draw, draw_frame=draw_frame)
