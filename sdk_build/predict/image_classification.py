"""Classes beside or on a picture; on video one counts once frames in a row agree (document I, rows I7 and I8)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from reference.pipelines.video import Agreement, agree, smooth
from reference.tasks.image_classification import Classification
from sdk_build.predict.base import Clip, FrameResult, Prediction, Request, View, results_of_frames
from sdk_build.predict.canvas import ACCENT, INK, PAPER, Picture, enlarge, font_of

NONE = "none of these"


def _first(prediction: Prediction) -> Classification:
    first = prediction.results[0]
    assert isinstance(first, Classification)
    return first


def describe(prediction: Prediction) -> str:
    """The three most probable classes."""
    first = _first(prediction)
    likely = ", ".join(f"{label} {100 * score:.1f} %" for label, score in first.scores[:3])
    return likely if first.known else f"{NONE} ({likely})"


def caption(prediction: Prediction) -> tuple[str, str]:
    """Class and probability."""
    first = _first(prediction)
    return first.label if first.known else NONE, f"{100 * first.score:.0f} %"


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """The picture above its classes, or with the most probable one on it (row I8)."""
    canvas, _ = enlarge(prediction.picture)
    first = _first(prediction)
    if on_picture:
        draw_label(canvas, f"{first.label} {100 * first.score:.0f} %" if first.known else NONE, first.known)
        return np.array(canvas)
    return draw_classification(canvas, first)


def draw_classification(canvas: Image.Image, result: Classification) -> Picture:
    """The picture above a panel with the three most probable classes as bars."""
    row = max(34, canvas.width // 16)
    shown = result.scores[:3]
    panel = Image.new("RGB", (canvas.width, row * len(shown) + row // 2), PAPER)
    pen = ImageDraw.Draw(panel)
    font = font_of(int(row * 0.55))
    left, right = int(canvas.width * 0.34), int(canvas.width * 0.84)
    for number, (label, score) in enumerate(shown):
        y = row // 4 + number * row
        certain = number == 0 and result.known
        ink = INK if certain else (120, 122, 126)
        pen.text((row * 0.4, y + row / 2), label, ink, font, anchor="lm")
        pen.rounded_rectangle((left, y + row * 0.28, right, y + row * 0.72), row * 0.12, (228, 228, 226))
        width = max((right - left) * score, row * 0.24)
        pen.rounded_rectangle(
            (left, y + row * 0.28, left + width, y + row * 0.72), row * 0.12, ACCENT if certain else (160, 176, 190)
        )
        pen.text((canvas.width - row * 0.4, y + row / 2), f"{100 * score:.0f} %", ink, font, anchor="rm")
    return np.concatenate([np.array(canvas), np.array(panel)])


def draw_label(canvas: Image.Image, text: str, certain: bool = True) -> None:
    """A class on the picture itself, in its lower left corner; grey where it is not certain."""
    height = max(26, canvas.height // 14)
    font = font_of(int(height * 0.6))
    pen = ImageDraw.Draw(canvas, "RGBA")
    width = pen.textlength(text, font) + height
    top = canvas.height - 1.4 * height
    box = (0.4 * height, top, 0.4 * height + width, top + height)
    pen.rounded_rectangle(box, height * 0.25, (*(ACCENT if certain else (120, 122, 126)), 225))
    pen.text((box[0] + width / 2, top + height / 2), text, (255, 255, 255), font, anchor="mm")


def predict_frames(request: Request, clip: Clip) -> Iterator[FrameResult]:
    """Frame by frame, probabilities smoothed; a class counts once enough frames in a row agree."""
    state = Agreement()
    scores: dict[str, float] | None = None
    for number, time_ms, picture, result in results_of_frames(request, clip):
        assert isinstance(result, Classification)
        scores = smooth(scores, dict(result.scores))
        # Stable: equal scores keep the order of the classes.
        ranked = tuple(sorted(scores.items(), key=lambda entry: -entry[1]))
        result = Classification(ranked, result.threshold)
        state, verdict = agree(state, result.label if result.known else None, clip.frames, clip.unconfirmed)
        yield FrameResult(number, time_ms, picture, (result,), verdict)


def draw_frame(frame: FrameResult) -> Picture:
    """The frame with its class; grey while unconfirmed: with a question mark, or as the last that was confirmed."""
    canvas, _ = enlarge(frame.picture)
    verdict = frame.verdict
    if verdict is not None and verdict.label is not None:
        text = {"marked": f"{verdict.label} ?", "suppressed": f"last: {verdict.label}"}.get(verdict.status)
        draw_label(canvas, text or verdict.label, verdict.status == "confirmed")
    return np.array(canvas)


VIEW = View(describe=describe, draw=draw, draw_frame=draw_frame, frames=predict_frames, caption=caption)
