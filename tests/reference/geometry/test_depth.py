"""Normalisation of depth images."""

import numpy as np
import pytest

from reference.errors import BadInput
from reference.geometry.depth import normalize_depth


def test_nearest_is_1_farthest_is_a_sixteenth_invalid_is_0():
    depth = np.array([[700.0, 1000.0], [850.0, np.nan]])
    result = normalize_depth(depth, ~np.isnan(depth))
    assert result.dtype == np.float32
    assert result.tolist() == [[1.0, 1 / 16], [1 - 15 / 32, 0.0]]


def test_unit_and_origin_do_not_matter():
    depth = np.random.default_rng(0).uniform(1, 2, (8, 8))
    valid = depth < 1.8
    assert normalize_depth(depth * 1000 + 5, valid) == pytest.approx(normalize_depth(depth, valid), abs=1e-6)


def test_plane_is_1_and_nothing_valid_is_0():
    plane = np.full((3, 3), 2.5)
    assert (normalize_depth(plane, plane > 0) == 1).all()
    assert (normalize_depth(plane, plane < 0) == 0).all()


def test_whole_numbers_of_millimetres():
    assert normalize_depth(np.array([[500, 700]], np.uint16), np.ones((1, 2), bool)).tolist() == [[1, 1 / 16]]


@pytest.mark.parametrize(
    ("depth", "valid", "message"),
    [
        (
            np.zeros((2, 2)),
            np.ones((2, 3), bool),
            r"shape \(2, 2\) and its mask \(2, 3\), allowed are equal shapes",
        ),
        (
            np.full((2, 2), np.nan),
            np.ones((2, 2), bool),
            "NaN or infinity at valid pixels, allowed are finite",
        ),
    ],
)
def test_bad_depth(depth, valid, message):
    with pytest.raises(BadInput, match=message):
        normalize_depth(depth, valid)
