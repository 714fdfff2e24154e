"""Rigid alignment with scale between shapes whose vertices correspond.

Source: Umeyama, *Least-squares estimation of transformation parameters between two point patterns*, PAMI 1991.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def align_shapes(shapes: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Scale (N,), rotation (N, 3, 3) and shift (N, 3) that bring (N, V, 3) shapes nearest to the targets.

    ``scale * rotation @ v + shift`` of a shape's vertex lies at the target's; ``targets`` is (N, V, 3) or (V, 3).
    """
    shapes = np.asarray(shapes, np.float64)
    targets = np.broadcast_to(np.asarray(targets, np.float64), shapes.shape)
    middle, goal = shapes.mean(1, keepdims=True), targets.mean(1, keepdims=True)
    centred, wanted = shapes - middle, targets - goal
    across = np.einsum("nvi,nvj->nij", wanted, centred)
    u, s, vt = np.linalg.svd(across)
    mirror = np.ones((len(shapes), 3))
    mirror[:, 2] = np.sign(np.linalg.det(u @ vt))
    turn = (u * mirror[:, None]) @ vt
    scale = (s * mirror).sum(1) / np.square(centred).sum((1, 2))
    shift = goal[:, 0] - scale[:, None] * np.einsum("nij,nj->ni", turn, middle[:, 0])
    return scale, turn, shift


def similarity_errors(shapes: Array, targets: Array) -> Array:
    """(N,) mean vertex distance of (N, V, 3) shapes to their targets after the best similarity, in their unit."""
    scale, turn, shift = align_shapes(shapes, targets)
    moved = np.einsum("nij,nvj->nvi", turn, np.asarray(shapes, np.float64)) * scale[:, None, None] + shift[:, None]
    distance: Array = np.linalg.norm(moved - targets, axis=2).mean(1)
    return distance
