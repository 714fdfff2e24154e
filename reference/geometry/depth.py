"""Depth images as the voxel network reads them."""

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

# The farthest valid pixel keeps this value, so that it stays distinct from 0, which means "no measurement".
FARTHEST_VALUE = 1 / 16


def normalize_depth(depth_from_viewer: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Maps distances to the network's input: nearest 1, farthest 1/16, no measurement 0.

    Args:
        depth_from_viewer: (H, W) distances from the viewer, in any unit; larger is farther.
        valid: (H, W), False where the sensor saw nothing.

    Returns:
        (H, W) float32 in [0, 1]; all valid pixels are 1 if they have the same distance.

    Raises:
        BadInput: the two arrays differ in shape, or a valid distance is not finite.
    """
    if depth_from_viewer.shape != valid.shape:
        raise BadInput(
            f"depth has shape {depth_from_viewer.shape} and its mask {valid.shape}, allowed are equal shapes;"
            " crop both with the same box"
        )
    result = np.zeros(depth_from_viewer.shape, np.float32)
    distances = depth_from_viewer[valid].astype(np.float64)
    if distances.size == 0:
        return result
    if not np.isfinite(distances).all():
        raise BadInput("depth has NaN or infinity at valid pixels, allowed are finite numbers; mark them invalid")
    near, far = distances.min(), distances.max()
    extent = far - near if far > near else 1.0
    result[valid] = 1 - (distances - near) / extent * (1 - FARTHEST_VALUE)
    return result
