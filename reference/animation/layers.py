"""Which limbs are drawn before others: those that the source has nearer to the viewer.

All limbs of a drawing lie in one plane, where legs that cross would cut through each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reference.animation.motion.skeleton import Array, Skeleton

LAYER = 0.06  # of the figure's height: distance of the nearest and the farthest limb from the middle
FLAT_SOURCE = 0.03  # of its size: a source with less depth has no limbs before others


def in_layers(
    vertices: Array,
    joints: NDArray[np.uint8],
    weights: Array,
    source: Skeleton,
    view: Array,
    source_nodes: Sequence[Sequence[int]],
) -> Array:
    """Vertices (V, 3) at rest, moved towards the viewer or away from him with the joints that they follow.

    Args:
        joints: (V, 4) and weights: (V, 4), as of the skin.
        view: (3, 3) turn that the source is seen in.
        source_nodes: per joint of the aligned skeleton the source's joints behind it.
    """
    depth = (source.positions @ view.T)[:, 2]
    size = max(float(np.ptp(source.positions, axis=0).max()), 1e-9)
    toward = np.array([depth[nodes[-1]] - depth[0] for nodes in source_nodes]) / size
    most = float(np.abs(toward).max())
    if most < FLAT_SOURCE:
        return vertices
    shares = (toward[joints] * weights).sum(axis=1) * LAYER / most
    return vertices + np.stack([np.zeros_like(shares), np.zeros_like(shares), shares], axis=1)
