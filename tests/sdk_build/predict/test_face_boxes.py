"""Faces of a detector: said in a line, drawn on pictures and frames."""

from pathlib import Path

import numpy as np
import pytest

from reference.tasks.face_detection import FaceBoxes
from sdk_build.predict.base import FrameResult, Prediction
from sdk_build.predict.canvas import LINE, POINT
from sdk_build.predict.face_detection import describe, draw, draw_frame


def faces(*rows):
    table = np.array(rows, np.float32).reshape(-1, 5)
    middle = (table[:, None, :2] + table[:, None, 2:4]) / 2
    return FaceBoxes(table[:, :4], table[:, 4], np.repeat(middle, 5, 1))


PICTURE = np.full((480, 640, 3), 90, np.uint8)


def prediction_of(found):
    return Prediction(Path("p.png"), (found,), PICTURE, "litert")


ONE, CUT = (100, 120, 200, 230, 0.93), (-40, 300, 80, 420, 0.5)


@pytest.mark.parametrize(
    ("found", "line"),
    [(faces(), "no face found"), (faces(ONE), "1 face (93 %)"), (faces(ONE, CUT), "2 faces (93 %, 50 %)")],
)
def test_a_line_for_people(found, line):
    assert describe(prediction_of(found)) == line


def shows(drawn, color, x, y, reach=3):
    near = drawn[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].astype(int)
    return bool((np.abs(near - color).max(-1) <= 12).any())


def test_boxes_and_points_are_drawn_where_they_are():
    drawn = draw(prediction_of(faces(ONE, CUT)), False)
    assert drawn.shape == PICTURE.shape
    for x, y in ((100, 175), (200, 175), (150, 230), (80, 360)):
        assert shows(drawn, LINE, x, y)
    assert shows(drawn, POINT, 150, 175)
    assert not shows(drawn, LINE, 400, 300, 60)


def test_without_a_face_the_picture_says_so():
    drawn = draw(prediction_of(faces()), False)
    assert drawn.shape == PICTURE.shape and (drawn[-10:] > 200).any() and (drawn[:300] == 90).all()


def test_frames_of_a_video_show_their_faces():
    frame = FrameResult(3, 120.0, PICTURE, (faces(ONE),), None)
    assert shows(draw_frame(frame), LINE, 100, 175)
    assert frame.to_json()["frame"] == 3 and len(frame.to_json()["faces"]) == 1
