"""Alignment with scale."""

import numpy as np
import pytest

from reference.geometry.mesh import rotation
from reference.geometry.similarity import align_shapes, similarity_errors


def moved(shape, scale, angles, shift):
    return scale * shape @ rotation(*angles)[:3, :3].T + shift


@pytest.fixture
def shape():
    return np.random.default_rng(0).normal(0, 1, (40, 3))


def test_a_known_similarity_is_found(shape):
    target = moved(shape, 1.7, (30, -20, 10), [1, 2, 3])
    scale, turn, shift = align_shapes(shape[None], target)
    assert scale[0] == pytest.approx(1.7)
    np.testing.assert_allclose(turn[0], rotation(30, -20, 10)[:3, :3], atol=1e-9)
    np.testing.assert_allclose(shift[0], [1, 2, 3], atol=1e-9)


def test_errors_are_what_no_similarity_takes_away(shape):
    other = shape.copy()
    other[0] += [0.5, 0, 0]
    several = np.stack([shape, moved(shape, 0.3, (80, 5, -60), [5, 5, 5]), other])
    errors = similarity_errors(several, shape)
    assert errors[:2] == pytest.approx([0, 0], abs=1e-9)
    assert 0.01 < errors[2] < 0.5 / 40 + 0.03


def test_a_mirror_image_is_no_rotation(shape):
    turn = align_shapes(shape[None] * [-1, 1, 1], shape)[1]
    assert np.linalg.det(turn[0]) == pytest.approx(1)
    assert similarity_errors(shape[None] * [-1, 1, 1], shape)[0] > 0.3
