"""Tiny data that several files of this folder need."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from reference import classifier
from reference.data.faces import MIRROR


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


@pytest.fixture
def face_shape():
    """(68, 2): a mirror-symmetric, upright, centred shape with the outer eyes 1 apart. A face only to the code."""
    points = np.random.default_rng(3).normal(0, 0.4, (68, 2))
    points[36], points[45] = (-0.5, -0.2), (0.5, -0.2)
    points = (points + (points * [-1, 1])[MIRROR]) / 2
    return points - points.mean(0)
