"""Depth images as the voxel network reads them, and changes of viewpoint that a depth image can follow."""

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


def transform_depth(surface_z: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """The depth image that a scaled, rotated and moved object gives (document V, row V3's first augmentation).

    The same matrix moves the mesh (:func:`reference.geometry.mesh.transform`), so that both keep one viewpoint; what
    remains between the two is this image's resampling, less than a pixel.

    Args:
        surface_z: (S, S) float32 z in [-1, 1] of the visible surface, NaN where there is none, as ``depth_image``
            gives it.
        matrix: 4x4; scaling, rotation within the picture and translation. A turn to the side would need what the
            image does not show: :func:`reproject_depth` follows one as far as can be seen.

    Returns:
        (S, S) float32, of the nearest pixel each.

    Raises:
        BadInput: the image isn't square, or the matrix turns the object out of the picture plane.
    """
    if surface_z.ndim != 2 or surface_z.shape[0] != surface_z.shape[1]:
        raise BadInput(f"depth image has shape {surface_z.shape}, allowed is (S, S); use crop_or_pad")
    linear, offset = matrix[:3, :3], matrix[:3, 3]
    if not np.allclose([*linear[:2, 2], *linear[2, :2]], 0, atol=1e-9) or abs(linear[2, 2]) < 1e-9:
        raise BadInput(
            "matrix turns the object out of the picture plane, allowed are scaling, roll and translation;"
            " render the transformed mesh instead"
        )
    size = len(surface_z)
    places = _pixel_places(size)[..., :2] - offset[:2]  # x and y of the new pixels
    x, y = np.moveaxis(places @ np.linalg.inv(linear[:2, :2]).T, -1, 0)
    column, row = np.floor((x + 1) * size / 2), np.floor((1 - y) * size / 2)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    taken = surface_z[np.where(inside, row, 0).astype(np.int64), np.where(inside, column, 0).astype(np.int64)]
    moved: NDArray[np.float32] = (linear[2, 2] * taken + offset[2]).astype(np.float32)
    return np.where(inside, moved, np.float32(np.nan))


def reproject_depth(surface_z: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 3) places in the canonical cube to which a 4x4 matrix moves the pixels of a depth image (S, S)."""
    places = _pixel_places(len(surface_z))
    places[..., 2] = surface_z
    seen = places[~np.isnan(surface_z)]
    moved: NDArray[np.float64] = seen @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def _pixel_places(size: int) -> NDArray[np.float64]:
    """(S, S, 3) x, y and 0 of the pixels' centres in the canonical cube."""
    centre = (np.arange(size) + 0.5) * 2 / size - 1
    x, y = np.meshgrid(centre, -centre)
    return np.stack([x, y, np.zeros_like(x)], axis=-1)
