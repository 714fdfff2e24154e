"""Known answers: each value was worked out by hand."""

import math

import numpy as np
import pytest

from reference.tasks import TASKS
from reference.tasks.base import iou
from reference.tasks.face_detection import face_agreement
from reference.tasks.face_keypoints import nme_percent
from reference.tasks.image_classification import top1_agreement
from sdk_build.proof.metrics import CAP_DB, cosine, known_metrics, max_abs_of_range, psnr_db, sqnr_db

METRICS = known_metrics()
# What is right or wrong does not see a little noise.
DAMAGES = {
    "exact_share": lambda values, share: np.where(np.arange(values.size).reshape(values.shape) < share * 8, -1, values),
    "pixel_agreement": lambda values, share: np.where(
        np.arange(values.size).reshape(values.shape) < share * 8, -1, values
    ),
    "finite_share": lambda values, share: np.where(
        np.arange(values.size).reshape(values.shape) < share * 8, np.nan, values
    ),
}

WORST = {
    "max_abs_of_range": math.inf,
    "sqnr_db": -CAP_DB,
    "psnr_db": -CAP_DB,
    "cosine": -1.0,
    "top1_agreement": 0.0,
    "nme_percent": math.inf,
}


def points(seed=0):
    return np.random.default_rng(seed).random((3, 68, 2))


def array(*values):
    return np.array(values, np.float32)


def test_max_abs_is_a_share_of_the_expected_range():
    assert max_abs_of_range(array(0, 3, 10), array(0, 2, 10)) == pytest.approx(0.1)
    assert max_abs_of_range(array(0, 20, 10), array(0, 2, 10)) == pytest.approx(1.8)  # not of the actual range


def test_max_abs_of_a_constant_is_a_share_of_its_size():
    assert max_abs_of_range(array(4, 5), array(4, 4)) == pytest.approx(0.25)
    assert max_abs_of_range(array(-5, -4), array(-4, -4)) == pytest.approx(0.25)
    assert max_abs_of_range(array(0, 0.5), array(0, 0)) == pytest.approx(0.5)


@pytest.mark.parametrize(("share", "decibel"), [(0.1, 20.0), (0.01, 40.0), (1.0, 0.0), (10.0, -20.0)])
def test_sqnr_of_noise_by_its_share_of_the_rms(share, decibel):
    expected = np.random.default_rng(0).normal(2, 5, 1000)
    rms = math.sqrt(np.square(expected).mean())
    noise = share * rms * np.where(np.arange(1000) % 2, 1.0, -1.0)
    assert sqnr_db(expected + noise, expected) == pytest.approx(decibel)


def test_psnr_takes_the_range_not_the_power():
    assert psnr_db(array(100.1, 108.1), array(100, 108)) == pytest.approx(20 * math.log10(80), abs=1e-3)
    # A constant has no range: any difference is infinitely bad.
    assert psnr_db(array(1, 2), array(1, 1)) == -CAP_DB


def test_cosine_of_known_angles():
    assert cosine(array(1, 0), array(0, 2)) == 0
    assert cosine(array(1, 1), array(5, 0)) == pytest.approx(math.sqrt(0.5))
    assert cosine(array(1, 2), array(-2, -4)) == pytest.approx(-1)
    assert cosine(array(0, 0), array(1, 2)) == 0
    assert cosine(np.ones((2, 3)), np.ones((2, 3))) == pytest.approx(1)  # one vector, whatever the shape


def test_top1_counts_rows():
    expected = np.eye(4)
    actual = expected.copy()
    actual[3] = (9, 0, 0, 1)
    assert top1_agreement(actual, expected) == 0.75
    assert top1_agreement(expected[:1] * 0.01, expected[:1]) == 1.0


def test_nme_is_in_percent_of_the_outer_eye_distance():
    expected = points()
    expected[:, 36], expected[:, 45] = (0.2, 0.5), (0.7, 0.5)
    moved = expected + np.array([0.003, 0.004])  # every point by 0.005, eyes 0.5 apart
    assert nme_percent(moved, expected) == pytest.approx(1.0)
    only_one = expected.copy()
    only_one[:, 5, 0] += 0.68
    assert nme_percent(only_one, expected) == pytest.approx(2.0)


def test_voxel_iou_at_the_threshold():
    assert iou(array(1, 1, 0, 0), array(1, 0, 1, 0)) == pytest.approx(1 / 3)
    assert iou(array(0.5, 0.49), array(0.6, 0.1)) == 1.0
    assert iou(array(0, 0), array(0, 0)) == 1.0
    assert iou(array(0.2, 0.4), array(0.4, 0.4), threshold=0.3) == 0.5


def faces(*rows):
    """(1, 3, 15) output of a detector; rows are x0, y0, x1, y1, score; what is left over has a score of 0."""
    rows += ((0.0,) * 5,) * (3 - len(rows))
    return np.array([[(*row, *[0.5] * 10) for row in rows]], np.float32)


ONE, OTHER = (0.1, 0.1, 0.3, 0.3, 0.9), (0.6, 0.6, 0.8, 1.0, 0.5)


def test_faces_agree_by_their_overlap():
    both = faces(ONE, OTHER)
    assert face_agreement(both, both) == pytest.approx(1.0)
    assert face_agreement(faces(OTHER, ONE), both) == pytest.approx(1.0)  # in whatever order
    half = faces((0.1, 0.1, 0.2, 0.3, 0.9), OTHER)
    assert face_agreement(half, both) == pytest.approx(0.75)


def test_a_face_that_one_side_lacks_counts_nothing():
    assert face_agreement(faces(ONE), faces(ONE, OTHER)) == pytest.approx(0.5)
    assert face_agreement(faces(ONE, OTHER), faces(ONE)) == pytest.approx(0.5)
    assert face_agreement(faces(ONE), faces(OTHER)) == 0
    unsure = faces(ONE, (*OTHER[:4], 0.2))
    assert face_agreement(unsure, faces(ONE)) == pytest.approx(1.0)  # below the threshold nobody finds it
    assert face_agreement(faces((*ONE[:4], 0.1)), faces((*OTHER[:4], 0.1))) == 1.0
    assert face_agreement(faces((*ONE[:4], math.nan)), faces(ONE)) == 0


@pytest.mark.parametrize("name", METRICS)
def test_exact_agreement_is_the_best_value(name):
    best = {"sqnr_db": CAP_DB, "psnr_db": CAP_DB, "max_abs_of_range": 0.0, "nme_percent": 0.0, "angle_degrees": 0.0}
    values = faces(ONE, OTHER) if name == "face_agreement" else points()
    assert METRICS[name].function(values, values.copy()) == pytest.approx(best.get(name, 1.0))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", WORST)
def test_one_value_that_is_not_finite_gives_the_worst_value(name, bad):
    actual = points()
    actual[1, 7, 1] = bad
    value = METRICS[name].function(actual, points())
    assert value == WORST[name]
    assert not METRICS[name].passes(value, METRICS[name].function(points(), points()))


def test_a_voxel_that_is_nan_is_empty():
    assert iou(array(math.nan, 1), array(1, 1)) == 0.5


@pytest.mark.parametrize("name", METRICS)
def test_other_shapes_are_refused_not_broadcast(name):
    with pytest.raises(ValueError, match=r"shapes are \(1, 68, 2\) and \(3, 68, 2\); both must be equal"):
        METRICS[name].function(points()[:1], points())


@pytest.mark.parametrize("name", METRICS)
def test_the_limit_lies_on_the_right_side(name):
    metric = METRICS[name]
    assert metric.passes(1.0, 1.0)
    assert metric.passes(2.0, 1.0) is metric.larger_is_better
    assert metric.passes(0.5, 1.0) is not metric.larger_is_better
    assert not metric.passes(math.nan, 1.0)
    # More noise is never better, so a metric whose direction is wrong shows here.
    rng = np.random.default_rng(1)
    values = faces(ONE, OTHER) if name == "face_agreement" else points()
    damage = DAMAGES.get(name, lambda values, share: values + share * rng.normal(size=values.shape))
    slight, strong = (metric.function(damage(values, share), values) for share in (0.001, 0.5))
    assert metric.passes(slight, strong)
    assert not metric.passes(strong, slight)


def test_float32_differences_are_not_lost_in_float32():
    expected = np.full(1 << 16, 1000, np.float32)
    actual = expected.copy()
    actual[0] = np.nextafter(np.float32(1000), np.float32(2000))
    assert 100 < sqnr_db(actual, expected) < CAP_DB


def test_every_task_metric_exists():
    assert {task.agreement.name for task in TASKS.values()} <= set(METRICS)
