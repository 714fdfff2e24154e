"""How close a predicted solid is to the true one, and what a solid without any learning would reach."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reference.geometry.surface import voxels_to_mesh
from reference.geometry.voxelize import iou


def chamfer_percent(occupancy: NDArray[np.floating], target: NDArray[np.bool_], threshold: float = 0.5) -> float:
    """Mean distance between two surfaces in percent of the true solid's longest side.

    The surfaces are those of marching cubes on both grids. From every vertex of one the distance to the nearest
    vertex of the other is taken; the result is the mean of the two means, one per direction.

    Args:
        occupancy: (S, S, S), about 0 or 1.
        target: (S, S, S), with at least one voxel.
        threshold: at or above it a voxel is filled.

    Returns:
        0 for equal solids, 100 where nothing is predicted.
    """
    from scipy.spatial import cKDTree

    if not (occupancy >= threshold).any():
        return 100.0
    # Marching cubes needs values on both sides of the threshold; a voxel at the threshold itself counts as filled.
    soft = np.where(occupancy >= threshold, np.maximum(occupancy, threshold + 1e-3), occupancy)
    surfaces = [voxels_to_mesh(np.clip(grid, 0, 1), threshold).vertices for grid in (soft, target.astype(np.float32))]
    means = [cKDTree(b).query(a)[0].mean() for a, b in (surfaces, surfaces[::-1])]
    corners = np.argwhere(target)
    longest = float((corners.max(axis=0) - corners.min(axis=0) + 1).max()) * 2 / len(target)
    return float(100 * np.mean(means) / longest)


def extrude(target: NDArray[np.bool_], thickness: int) -> NDArray[np.bool_]:
    """The visible surface of a solid (S, S, S), drawn out to a depth of ``thickness`` voxels everywhere."""
    first = target.argmax(axis=0)
    depth = np.arange(len(target))[:, None, None]
    drawn: NDArray[np.bool_] = target.any(axis=0) & (depth >= first) & (depth < first + thickness)
    return drawn


def extrusion_iou(targets: Sequence[NDArray[np.bool_]]) -> float:
    """Mean IoU of extruded visible surfaces, of the one thickness that suits these solids best.

    The baseline of the voxel networks. It is flattered: it knows the visible surface exactly, and the best thickness.
    """
    size = len(targets[0])
    return max(
        float(np.mean([iou(extrude(target, thickness), target) for target in targets]))
        for thickness in range(max(1, size // 32), size + 1, max(1, size // 32))
    )
