"""Boxes of faces, by one network or by the cascade of two (document T)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from reference.errors import BadInput
from reference.inputs.preprocess import Box, load_picture
from reference.pipelines.face_search import in_tiles
from reference.tasks.face_detection import FaceBoxes
from sdk_build.predict.base import (
    Clip,
    FrameResult,
    GivenBundles,
    Prediction,
    Request,
    View,
    predict_each,
    predict_frames,
)
from sdk_build.predict.canvas import INK, LINE, POINT, Picture, banner, enlarge, font_of
from sdk_build.predict.faces import Helpers, open_detector, open_judge


def _first(prediction: Prediction | FrameResult) -> FaceBoxes:
    first = prediction.results[0]
    assert isinstance(first, FaceBoxes)
    return first


def describe(prediction: Prediction) -> str:
    """How many faces, and how certain each is."""
    first = _first(prediction)
    scores = ", ".join(f"{100 * score:.0f} %" for score in first.scores)
    count = len(first.scores)
    return f"{count} face{'s' if count > 1 else ''} ({scores})" if count else "no face found"


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """See :func:`draw_boxes`."""
    canvas, scale = enlarge(prediction.picture)
    return draw_boxes(canvas, _first(prediction), scale)


def draw_frame(frame: FrameResult) -> Picture:
    """See :func:`draw_boxes`."""
    canvas, scale = enlarge(frame.picture)
    return draw_boxes(canvas, _first(frame), scale)


def draw_boxes(canvas: Image.Image, result: FaceBoxes, scale: float) -> Picture:
    """The picture with the box, the score and the five points of each face."""
    pen = ImageDraw.Draw(canvas)
    line = max(2, canvas.height // 240)
    for box, score, points in zip(result.boxes_px * scale, result.scores, result.points_px, strict=True):
        side = float((box[2:] - box[:2]).max())
        pen.rounded_rectangle(tuple(box), side * 0.06, outline=LINE, width=line)
        radius = max(1.5, side / 45)
        for x, y in (points + 0.5) * scale:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), POINT, INK)
        font = font_of(int(np.clip(side / 7, 11, 22)))
        text = f"{100 * score:.0f} %"
        width, height = pen.textlength(text, font) + 8, font.size + 6
        left, top = max(0.0, float(box[0])), max(0.0, float(box[1]) - height)
        pen.rectangle((left, top, left + width, top + height), LINE)
        pen.text((left + width / 2, top + height / 2), text, INK, font, anchor="mm")
    if not len(result.scores):
        banner(canvas, "no face found")
    return np.array(canvas)


def open_helpers(given: GivenBundles, box: Box | None) -> Helpers:
    """The second network of the cascade.

    Raises:
        BadInput: it is something else, or a box was given with it.
    """
    if box and "--refined" in given:
        raise BadInput("--box and --refined were given; two networks look at the whole picture: leave one out")
    return Helpers(detector_refined=open_judge("--refined", given.get("--refined")))


def predict(request: Request) -> list[Prediction]:
    """The faces that the detector, and if given its second network, find in every picture.

    Raises:
        BadInput: a picture can't be used.
    """
    second = request.helpers.detector_refined
    if request.box and request.faces.tiles != 1:
        raise BadInput("--box and --tiles were given; tiles are parts of the whole picture: leave one out")
    if second is None and request.faces.tiles == 1:
        return predict_each(request)
    pictures = [load_picture(file) for file in request.files]
    with open_detector(request.bundle, request.runtime, second) as whole:
        look = in_tiles(whole, request.faces.tiles)
        return request.answer([((look(picture),), picture) for picture in pictures])


def detect_frames(request: Request, clip: Clip) -> Iterator[FrameResult]:
    """Frame by frame, by one network or by two."""
    second = request.helpers.detector_refined
    if second is None and request.faces.tiles == 1:
        yield from predict_frames(request, clip)
        return
    with open_detector(request.bundle, request.runtime, second) as whole:
        look = in_tiles(whole, request.faces.tiles)
        for number, (time_ms, picture) in enumerate(clip.pictures):
            yield FrameResult(number, time_ms, picture, (look(picture),), None)


VIEW = View(
    describe=describe,
    draw=draw,
    draw_frame=draw_frame,
    predict=predict,
    frames=detect_frames,
    face_options=("--tiles",),
    helpers=("--refined",),
    open_helpers=open_helpers,
)
