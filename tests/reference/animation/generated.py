"""Skeletons and motions made by Hypothesis, and the pictures that the tests of this folder draw themselves."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from reference.animation.motion.skeleton import Clip, Skeleton


@st.composite
def skeletons(draw, least=2, most=18):
    """Random trees with random places; names j0, j1, ..."""
    count = draw(st.integers(least, most))
    parents = [-1] + [draw(st.integers(max(0, i - 4), i - 1)) for i in range(1, count)]
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    positions = random.normal(size=(count, 3))
    for joint in range(1, count):
        positions[joint] += positions[parents[joint]]
    return Skeleton(tuple(f"j{i}" for i in range(count)), np.array(parents), positions)


def random_clip(skeleton, seed, frames=4, frame_rate=30.0):
    count = len(skeleton)
    rotations = Rotation.random(frames * count, random_state=seed).as_matrix().reshape(frames, count, 3, 3)
    return Clip("random", frame_rate, rotations, np.random.default_rng(seed).normal(size=(frames, 3)))


def person(size=256):
    """Mask of a gingerbread person with spread limbs."""
    mask = np.zeros((size, size), np.uint8)
    s = size / 256
    lines = {
        "trunk": ((128, 90), (128, 160), 44), "neck": ((128, 80), (128, 60), 18),
        "left arm": ((128, 95), (215, 120), 22), "right arm": ((128, 95), (41, 120), 22),
        "left leg": ((138, 160), (165, 235), 26), "right leg": ((118, 160), (91, 235), 26),
    }  # fmt: skip
    for (x0, y0), (x1, y1), width in lines.values():
        cv2.line(mask, (round(x0 * s), round(y0 * s)), (round(x1 * s), round(y1 * s)), 1, max(1, round(width * s)))
    cv2.circle(mask, (round(128 * s), round(42 * s)), round(26 * s), 1, -1)
    return mask.astype(bool)


def animal(size=256):
    """Mask of a four-legged animal that looks to the right."""
    mask = np.zeros((size, size), np.uint8)
    s = size / 256
    lines = [((70, 120), (175, 120), 50), ((175, 115), (215, 65), 26), ((60, 110), (25, 150), 9)]
    lines += [((x, 130), (x + dx, 225), 15) for x, dx in ((60, -12), (82, 8), (160, -8), (182, 12))]
    for (x0, y0), (x1, y1), width in lines:
        cv2.line(mask, (round(x0 * s), round(y0 * s)), (round(x1 * s), round(y1 * s)), 1, max(1, round(width * s)))
    cv2.ellipse(mask, (round(222 * s), round(60 * s)), (round(24 * s), round(17 * s)), 20, 0, 360, 1, -1)
    return mask.astype(bool)


def picture_of(mask):
    """A drawing on paper with this silhouette: a dark outline, coloured inside."""
    picture = np.full((*mask.shape, 3), (246, 244, 238), np.uint8)
    picture[mask] = (236, 190, 120)
    outline = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((5, 5))).astype(bool)
    picture[outline] = (60, 40, 30)
    return picture
