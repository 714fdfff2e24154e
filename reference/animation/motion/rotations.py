"""The few rotations that aligning skeletons needs, as matrices."""

from __future__ import annotations

import itertools

import numpy as np

from reference.animation.motion.skeleton import Array

TINY = 1e-9


def shortest_arc(a: Array, b: Array) -> Array:
    """The smallest rotation (3, 3) that turns direction ``a`` to ``b``; the identity if one of them has no length."""
    return shortest_arcs(a[None], b[None])[0]


def shortest_arcs(a: Array, b: Array) -> Array:
    """The same for (F, 3) directions each: (F, 3, 3)."""
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    known = np.minimum(*lengths) >= TINY
    # Directions without length count as equal.
    a = np.where(known[:, None], a / np.maximum(lengths[0], TINY)[:, None], [1.0, 0, 0])
    b = np.where(known[:, None], b / np.maximum(lengths[1], TINY)[:, None], [1.0, 0, 0])
    axis, cosine = np.cross(a, b), (a * b).sum(axis=1)
    skew = np.cross(axis[:, None], np.eye(3)[None]).swapaxes(1, 2)
    opposite = cosine < -1 + 1e-12
    turns = np.eye(3) + skew + skew @ skew / np.where(opposite, 1.0, 1 + cosine)[:, None, None]
    for i in np.flatnonzero(opposite):  # half a turn about any axis across a
        across = np.cross(a[i], np.eye(3)[np.argmin(np.abs(a[i]))])
        across /= np.linalg.norm(across)
        turns[i] = 2 * np.outer(across, across) - np.eye(3)
    return np.asarray(turns)


def best_rotation(a: Array, b: Array) -> Array:
    """The rotation (3, 3), without mirroring, that brings points ``a`` (N, 3) nearest to ``b`` (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(b.T @ a)
    return u @ np.diag([1, 1, np.linalg.det(u) * np.linalg.det(vt)]) @ vt


def about_y(degrees: float) -> Array:
    """Turn about the vertical axis; positive brings +z, the front, to +x."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def about_z(radians: float) -> Array:
    """Turn in the picture plane, counter-clockwise for the viewer."""
    c, s = np.cos(radians), np.sin(radians)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def principal_rotations(a: Array, b: Array) -> list[Array]:
    """Rotations that bring the principal axes of points ``a`` onto those of ``b``: 24, of which 4 keep the order.

    The 4 come first. The others serve point sets with two equal spreads.
    """
    frames = []
    for points in (a, b):
        _, _, vt = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
        axes = np.vstack([vt, np.zeros((3 - len(vt), 3))])
        u, _, w = np.linalg.svd(axes)  # completes a flat set's axes
        frames.append(axes if np.linalg.matrix_rank(axes) == 3 else u @ w)
    return [frames[1].T @ turn @ frames[0] * 1.0 for turn in _signed_permutations(frames)]


def _signed_permutations(frames: list[Array]) -> list[Array]:
    """Signed permutations that make the whole a rotation and no mirror image."""
    wanted = np.sign(np.linalg.det(frames[0]) * np.linalg.det(frames[1]))
    result = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turn = np.diag(signs) @ np.eye(3)[list(order)]
            if np.sign(np.linalg.det(turn)) == wanted:
                result.append(turn.astype(np.float64))
    return result
