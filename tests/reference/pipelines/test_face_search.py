"""Looking again for faces: quarter turns lead back to the picture, tiles find what the whole is too coarse for."""

import numpy as np
import pytest

from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.inputs.square import Square
from reference.pipelines.face_search import UPRIGHT, at_any_roll, in_tiles, turned_back
from reference.tasks.face_detection import FaceBoxes

NONE = FaceBoxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


def boxes_of(*found):
    """Faces from (x0, y0, x1, y1, score, roll in degrees): eyes beside the middle, turned about it."""
    boxes, scores, points = [], [], []
    for x0, y0, x1, y1, score, roll in found:
        across = np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))]) * (x1 - x0) / 4
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) - 0.5
        boxes.append([x0, y0, x1, y1])
        scores.append(score)
        points.append([middle - across, middle + across, middle, middle - across, middle + across])
    arrays = (np.array(a, np.float32) for a in (boxes, scores, points))
    return FaceBoxes(*arrays) if found else NONE


@pytest.mark.parametrize("quarters", range(4))
def test_a_point_of_a_turned_picture_is_that_point_of_the_picture(quarters):
    picture = np.arange(6 * 9).reshape(6, 9)
    turned = np.rot90(picture, quarters)
    rows, columns = np.mgrid[: turned.shape[0], : turned.shape[1]]
    places = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float32)
    x, y = turned_back(places, quarters, picture.shape).astype(int).T
    np.testing.assert_array_equal(picture[y, x], turned.ravel())


@pytest.mark.parametrize(("quarters", "angle"), [(1, -90), (2, 180), (3, 90)])
def test_a_lying_face_gets_a_square_that_stands_it_up(quarters, angle):
    """The detector sees a mark only where the picture, turned, has it in the upper left quarter."""
    picture = np.zeros((60, 100, 3), np.uint8)
    np.rot90(picture, quarters)[10:20, 4:14] = 255  # a view: the mark is in the picture

    def look(seen):
        return boxes_of((4, 10, 14, 20, 0.9, 0)) if seen[10:20, 4:14].min() == 255 else NONE

    (square,) = at_any_roll(look)(picture)
    assert isinstance(square, Square)
    assert (square.angle - angle) % 360 == pytest.approx(0, abs=1e-4)
    assert square.side == pytest.approx(14)
    ys, xs = np.nonzero(picture[..., 0])
    assert (square.x, square.y) == (pytest.approx(xs.mean()), pytest.approx(ys.mean()))
    seen = square.sample(picture, 14)[0, 0]
    assert seen[3:11, 3:11].min() == 1  # the mark fills the middle


def test_an_upright_face_is_cut_as_ever_and_an_aslant_one_turned():
    picture = np.zeros((60, 100, 3), np.uint8)
    for roll in (0, UPRIGHT - 1, -UPRIGHT + 1):
        (region,) = at_any_roll(lambda _, roll=roll: boxes_of((20, 10, 40, 30, 0.9, roll)))(picture)
        assert region == Region(16, 6, 28, 28)
    (square,) = at_any_roll(lambda _: boxes_of((20, 10, 40, 30, 0.9, UPRIGHT + 10)))(picture)
    assert square == Square(29.5, 19.5, 28, pytest.approx(-UPRIGHT - 10, abs=1e-3))
    assert at_any_roll(lambda _: NONE)(picture) == []


def test_the_turn_with_the_surest_face_counts():
    """Upside down the detector is half sure of a face, and upright surer."""
    picture = np.zeros((60, 100, 3), np.uint8)
    picture[0, 0] = 255  # tells the turns apart

    def look(seen):
        upright, upside_down = seen[0, -1, 0] == 255, seen[-1, 0, 0] == 255
        return boxes_of((10, 10, 20, 20, 0.9 if upright else 0.6, 0)) if upright or upside_down else NONE

    (square,) = at_any_roll(look)(picture)
    assert square.angle == pytest.approx(90, abs=1e-4)


def test_tiles_find_faces_that_the_whole_is_too_coarse_for():
    """A detector that sees bright squares of at least a tenth of what it looks at."""
    picture = np.zeros((200, 200, 3), np.uint8)
    places = [(20, 30), (150, 160), (92, 94)]  # the last lies across the border of halves, within the overlap
    for x, y in places:
        picture[y : y + 12, x : x + 12] = 255

    def look(seen):
        found = []
        for y, x in np.argwhere(seen[..., 0] == 255):
            before = (seen[y - 1, x, 0] if y else 0) or (seen[y, x - 1, 0] if x else 0)
            if not before and 12 * 10 >= max(seen.shape):
                run = seen[y:, x:, 0] == 255
                width, height = int(run[0].argmin() or run.shape[1]), int(run[:, 0].argmin() or run.shape[0])
                found.append((x, y, x + width, y + height, 0.9, 0))
        return boxes_of(*found)

    assert len(in_tiles(look, 1)(picture).scores) == 0
    found = in_tiles(look, 2)(picture)
    assert sorted(found.boxes_px[:, :2].astype(int).tolist()) == sorted(map(list, places))
    np.testing.assert_allclose(found.boxes_px[:, 2:] - found.boxes_px[:, :2], 12)
    np.testing.assert_allclose(found.points_px[:, 2], found.boxes_px[:, :2] + 5.5)


def test_the_surest_box_of_a_face_stays():
    whole, part = boxes_of((10, 10, 30, 30, 0.6, 0)), boxes_of((11, 10, 31, 30, 0.9, 0))
    look = in_tiles(lambda seen: whole if seen.shape[0] == 100 else part if seen[0, 0, 0] else NONE, 2)
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[0, 0] = 1
    found = look(picture)
    assert found.scores.tolist() == [pytest.approx(0.9)]


@pytest.mark.parametrize("count", [0, -1, 9])
def test_a_wrong_number_of_tiles_is_refused(refused, count):
    with refused(BadInput, count, "1 to 8"):
        in_tiles(lambda _: NONE, count)
