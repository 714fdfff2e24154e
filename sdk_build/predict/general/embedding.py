"""A vector: told by its size, and how alike several pictures are."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from reference.tasks.embedding import Embedding
from sdk_build.predict.base import Prediction, Request, View, predict_each
from sdk_build.predict.canvas import ACCENT, PAPER, Picture, enlarge

BARS = 120


def _first(prediction: Prediction) -> Embedding:
    first = prediction.results[0]
    assert isinstance(first, Embedding)
    return first


def describe(prediction: Prediction) -> str:
    """Size and length; beside the first picture's, how alike they are."""
    own = _first(prediction)
    text = f"{len(own.vector)} numbers, norm {float(np.linalg.norm(own.vector)):.4g}"
    if len(prediction.results) > 1:
        other = prediction.results[1]
        assert isinstance(other, Embedding)
        text += f", cosine {own.similarity(other):.3f} with the first picture"
    return text


def predict(request: Request) -> list[Prediction]:
    """A vector for each picture, and the first one's with every other."""
    found = predict_each(request)
    first = found[0].results
    return [found[0], *(Prediction(p.file, p.results + first, p.picture, p.runtime) for p in found[1:])]


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """The picture above the vector's numbers as bars."""
    canvas, _ = enlarge(prediction.picture)
    values = _first(prediction).vector[:BARS]
    height = canvas.height // 4
    panel = Image.new("RGB", (canvas.width, height), PAPER)
    pen = ImageDraw.Draw(panel)
    most = float(np.abs(values).max()) or 1.0
    step = canvas.width / len(values)
    for number, value in enumerate(values):
        end = height / 2 - 0.45 * height * float(value) / most
        top, bottom = sorted((height / 2, end))
        pen.rectangle((number * step, top, (number + 0.8) * step, bottom), ACCENT)
    return np.concatenate([np.array(canvas), np.array(panel)])


VIEW = View(describe=describe, draw=draw, predict=predict, frames=None)
