"""Tiny data that several files of this folder need."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from reference.data.faces import MIRROR
from reference.networks import classifier


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors on a busy machine: threads that wait for each other take ten times as long as one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _write(path, color, seed):
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (np.array(color) * 0.7 + rng.integers(0, 70, (24, 20, 3))).astype(np.uint8)
    assert cv2.imwrite(str(path), pixels[..., ::-1])


@pytest.fixture
def picture_folder(tmp_path):
    """``<split>/<image type>/<class>/0.png``: each class has its colour, so that one look tells them apart."""
    folder = tmp_path / "pictures"
    for split in ("train", "val"):
        for t, kind in enumerate(classifier.IMAGE_TYPES):
            for c, label in enumerate(classifier.LABELS):
                _write(folder / split / kind / label / "0.png", (30 * c, 255 - 30 * c, 60 * t), 10 * t + c)
    return folder


# Rough places of the 68 landmarks on a head of radius 1 (x right, y up): the left half and the middle.
HALF = {
    **{i: (-0.85 + 0.1 * max(0, i - 2), 0.2 - 0.13 * i) for i in range(8)},
    **{17 + i: (-0.6 + 0.11 * i, 0.42 + 0.02 * i) for i in range(5)},
    31: (-0.15, -0.2), 32: (-0.08, -0.22),
    36: (-0.5, 0.22), 37: (-0.42, 0.27), 38: (-0.3, 0.27), 39: (-0.2, 0.21), 40: (-0.3, 0.18), 41: (-0.42, 0.18),
    48: (-0.3, -0.45), 49: (-0.2, -0.4), 50: (-0.08, -0.37), 58: (-0.1, -0.56), 59: (-0.2, -0.52),
    60: (-0.26, -0.45), 61: (-0.1, -0.43), 67: (-0.1, -0.49),
}  # fmt: skip
MIDDLE = {8: -0.84, 27: 0.2, 28: 0.1, 29: 0.0, 30: -0.1, 33: -0.23, 51: -0.39, 57: -0.58, 62: -0.43, 66: -0.49}


def rough_face():
    """(68, 2): a mirror-symmetric, upright face with the outer eyes 1 apart, y down."""
    places = {**{i: (0.0, y) for i, y in MIDDLE.items()}, **HALF}
    places |= {int(MIRROR[i]): (-x, y) for i, (x, y) in HALF.items()}
    return np.array([places[i] for i in range(68)]) * [1, -1]


@pytest.fixture(scope="session")
def face_shape():
    """(68, 2): :func:`rough_face`, centred."""
    points = rough_face()
    return points - points.mean(0)
