"""The One Euro filter: rest, motion, and what it refuses."""

import numpy as np
import pytest

from reference.errors import BadInput
from reference.pipelines.steady import steady

FRAME = 1000 / 30


def run(frames, size=100.0):
    state, out = None, []
    for number, points in enumerate(frames):
        state = steady(state, points.astype(np.float32), number * FRAME, size)
        out.append(state.points_px)
    return np.stack(out)


def test_the_first_frame_and_a_still_face_stay_as_they_are():
    points = np.random.default_rng(0).uniform(0, 100, (68, 2))
    out = run([points] * 5)
    np.testing.assert_allclose(out, np.broadcast_to(points, out.shape), atol=1e-4)


def test_noise_is_smoothed_to_a_third():
    rng = np.random.default_rng(1)
    frames = 50 + 0.6 * rng.standard_normal((200, 68, 2))
    out = run(frames)
    assert out[30:].std(0).mean() < 0.33 * frames[30:].std(0).mean()


def test_motion_is_followed_within_a_frame():
    """A face that moves by its eyes' distance in a second lags by less than a frame's way."""
    way = 100 / 30
    frames = np.arange(60)[:, None, None] * np.array([way, 0]) + np.zeros((60, 68, 2))
    lag = (frames - run(frames))[30:, :, 0].mean() / way
    assert 0 < lag < 1


def test_size_makes_speed_relative():
    frames = np.random.default_rng(2).uniform(0, 3, (20, 4, 2))
    np.testing.assert_allclose(run(frames * 4, 400), 4 * run(frames, 100), rtol=1e-4)


def test_one_step_of_known_numbers():
    """The face moves by 10 pixels, one of its four points by 50 beside it: cutoff and share by hand."""
    start = np.zeros((4, 2), np.float32)
    moved = np.array([[60, 0], [0, 0], [0, 0], [-20, 0]], np.float32)  # mean 10
    second = steady(steady(None, start, 0, 100), moved, 100, 100)
    share = 2 * np.pi * 2 * 0.1 / (1 + 2 * np.pi * 2 * 0.1)
    speed = share * 10 * moved[:, 0] / 100  # sizes a second
    assert second.speed[:, 0] == pytest.approx(100 * speed, rel=1e-5)
    own = np.maximum(0, np.abs(speed - speed.mean()) - 0.4)
    ratio = 2 * np.pi * (0.5 + 60 * (speed.mean() - 0.2 + own)) * 0.1
    assert second.points_px[:, 0] == pytest.approx(moved[:, 0] * ratio / (1 + ratio), rel=1e-5)
    assert not second.points_px[:, 1].any()


def test_a_blink_is_seen():
    """Eyelids that fall by 8 % of the size within two frames, on a still face, come most of the way."""
    frames = np.zeros((40, 68, 2))
    frames[20:24, 40:44, 1] = [[4], [8], [8], [4]]
    assert run(frames)[20:26, 40:44, 1].max() > 5


def test_time_that_stands_still_and_other_points_are_refused(refused):
    state = steady(None, np.zeros((3, 2), np.float32), 5, 10)
    with refused(BadInput, "5 ms", "in order"):
        steady(state, np.zeros((3, 2), np.float32), 5, 10)
    with refused(BadInput, "4 points after 3"):
        steady(state, np.zeros((4, 2), np.float32), 6, 10)
