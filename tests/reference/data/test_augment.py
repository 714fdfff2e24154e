"""Random changes of pictures: the same generator state gives the same picture of the right form."""

import numpy as np
import pytest

from reference.data import augment

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
CHANGES = {
    "crop": lambda p, rng: augment.random_crop(p, 32, rng),
    "blur": augment.random_blur,
    "resolution": augment.random_resolution,
    "quarter turn": augment.random_quarter_turn,
    "color": augment.random_color,
    "occlusion": augment.random_occlusion,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_repeat_and_keep_the_original(change):
    before = PICTURE.copy()
    outs = [change(PICTURE, np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4)]
    np.testing.assert_array_equal(outs[0], outs[1])
    assert any(a.shape != outs[0].shape or (a != outs[0]).any() for a in outs[2:])
    np.testing.assert_array_equal(PICTURE, before)
    for out in outs:
        assert out.dtype == np.uint8
        assert out.ndim == 3
        assert out.flags.c_contiguous


@pytest.mark.parametrize("name", ["blur", "resolution", "color", "occlusion"])
@pytest.mark.parametrize("seed", range(4))
def test_these_keep_the_size(name, seed):
    assert CHANGES[name](PICTURE, np.random.default_rng(seed)).shape == PICTURE.shape


@pytest.mark.parametrize("shape", [(1, 1, 3), (200, 9, 3), (9, 200, 3), (160, 160, 3)])
def test_crops_are_square_whatever_the_picture(shape):
    picture = np.full(shape, 77, np.uint8)
    for seed in range(5):
        out = augment.random_crop(picture, 32, np.random.default_rng(seed))
        assert out.shape == (32, 32, 3)
        assert (out == 77).all()


def test_quarter_turns_are_exact_and_never_none():
    turns = {augment.random_quarter_turn(PICTURE, np.random.default_rng(seed)).tobytes() for seed in range(20)}
    assert turns == {np.ascontiguousarray(np.rot90(PICTURE, k)).tobytes() for k in (1, 2, 3)}


def test_occlusion_covers_one_rectangle_only():
    for seed in range(10):
        changed = (augment.random_occlusion(PICTURE, np.random.default_rng(seed)) != PICTURE).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        assert changed.any()
        assert np.ptp(rows) + 1 <= 0.45 * 40 + 1
        assert np.ptp(columns) + 1 <= 0.45 * 56 + 1


def test_color_keeps_a_grey_picture_grey():
    grey = np.repeat(PICTURE[..., :1], 3, axis=2)
    out = augment.random_color(grey, np.random.default_rng(0)).astype(int)
    assert np.ptp(out, axis=2).max() <= 1
