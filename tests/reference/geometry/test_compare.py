"""Chamfer distance and the baseline that extrudes what is visible."""

import numpy as np
import pytest
from shapes import ellipsoid

from reference.geometry.compare import chamfer_percent, extrude, extrusion_iou
from reference.geometry.voxelize import iou, voxelize


@pytest.fixture(scope="module")
def ball():
    return voxelize(ellipsoid((0.5, 0.5, 0.5), 24), 32)


def test_equal_solids_have_no_distance(ball):
    assert chamfer_percent(ball.astype(np.float32), ball) == pytest.approx(0, abs=0.1)


def test_a_larger_ball_lies_its_difference_away(ball):
    larger = voxelize(ellipsoid((0.625, 0.625, 0.625), 24), 32)
    # 2 voxels of a ball whose longest side has 18 voxels (surface voxels included)
    assert chamfer_percent(larger.astype(np.float32), ball) == pytest.approx(100 * 2 / 18, rel=0.12)


def test_the_unit_is_the_true_solids_longest_side():
    near, far = np.zeros((2, 24, 24, 24), bool)
    near[6:18, 6:18, 6:18] = True
    far[9:21, 6:18, 6:18] = True
    moved = chamfer_percent(far.astype(np.float32), near)
    assert moved == chamfer_percent(near.astype(np.float32), far)
    assert moved == pytest.approx(100 * 1.2 / 12, rel=0.25)  # two of six sides lie 3 voxels off, four nearly none


def test_nothing_predicted_is_as_far_as_can_be(ball):
    assert chamfer_percent(np.zeros(ball.shape, np.float32), ball) == 100


def test_what_reaches_just_the_threshold_counts(ball):
    soft = np.where(ball, np.float32(0.5), np.float32(0))
    assert chamfer_percent(soft, ball, 0.5) < 4


def test_extrusion_starts_at_the_visible_surface(ball):
    drawn = extrude(ball, 5)
    assert (drawn.argmax(axis=0) == ball.argmax(axis=0)).all()
    assert set(drawn.sum(axis=0).ravel()) == {0, 5}


def test_the_baseline_takes_the_best_thickness(ball):
    block = np.zeros((32, 32, 32), bool)
    block[4:20, 8:24, 8:24] = True
    assert extrusion_iou([block]) == 1
    best = extrusion_iou([ball])
    assert best == max(iou(extrude(ball, t), ball) for t in range(1, 33))
    assert 0.6 < best < 0.9
