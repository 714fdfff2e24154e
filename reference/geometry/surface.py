"""From voxels to a surface, and from a surface to a picture (document V, row V6)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.mesh import Mesh, rotation, transform, vertex_normals
from reference.geometry.raster import rasterize

CLAY = (214, 190, 172)
_SUPERSAMPLING = 2
# Directions towards the light (x right, y up, z to the viewer), and RGB strength.
_KEY_LIGHT = ((-0.45, 0.55, 0.70), (0.84, 0.77, 0.68))
_FILL_LIGHT = ((0.85, 0.05, 0.45), (0.16, 0.20, 0.27))
_SKY, _GROUND = (0.32, 0.34, 0.38), (0.17, 0.14, 0.13)
_LIGHT_BACKGROUND = ((250, 249, 247), (226, 225, 224))
_DARK_BACKGROUND = ((46, 48, 54), (24, 25, 29))


def voxels_to_mesh(occupancy: NDArray[np.floating], threshold: float = 0.5) -> Mesh:
    """The closed surface at which the occupancy crosses the threshold, in the canonical cube.

    Args:
        occupancy: (S, S, S) in [0, 1], [d, row, col].
        threshold: in (0, 1).

    Raises:
        BadInput: the grid isn't a cube, or nothing in it exceeds the threshold.
    """
    from skimage.measure import marching_cubes  # a heavy import that only this function needs

    if occupancy.ndim != 3 or len(set(occupancy.shape)) != 1:
        raise BadInput(f"occupancy has shape {occupancy.shape}, allowed is (S, S, S); use crop_or_pad")
    if not 0 < threshold < 1:
        raise BadInput(f"threshold is {threshold}, allowed is between 0 and 1; 0.5 suits most outputs")
    if not float(occupancy.max()) > threshold:
        raise BadInput(
            f"occupancy reaches {float(occupancy.max()):.3f}, allowed is above the threshold {threshold};"
            " lower the threshold or check the depth image"
        )
    size = len(occupancy)
    # A border of zeros closes the surface where the solid touches the grid's sides.
    padded = np.pad(occupancy.astype(np.float32), 1)
    points, faces, _, _ = marching_cubes(padded, threshold, allow_degenerate=False)
    d, row, col = ((points - 1 + 0.5) * (2 / size)).T  # voxel centres lie at (i + 0.5) * 2 / S
    vertices = np.stack([col - 1, 1 - row, 1 - d], axis=1)
    # Faces from skimage wind inwards in (d, row, col); the change of axes mirrors them to outwards.
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32))


def smooth(mesh: Mesh, iterations: int = 30) -> Mesh:
    """Evens out voxel steps, keeping the volume: vertices move to their neighbours and back (Taubin 1995)."""
    edges = np.concatenate([mesh.faces[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))])
    pairs = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    count = len(mesh.vertices)
    neighbours = np.maximum(np.bincount(pairs[:, 0], minlength=count), 1)[:, None]
    vertices = mesh.vertices.astype(np.float64)
    for factor in (0.5, -0.53) * iterations:
        moved = vertices[pairs[:, 1]]
        sums = np.stack([np.bincount(pairs[:, 0], moved[:, axis], count) for axis in range(3)], axis=1)
        vertices = vertices + factor * (sums / neighbours - vertices)
    return replace(mesh, vertices=vertices.astype(np.float32))


def shade(
    mesh: Mesh,
    size: int = 480,
    yaw: float = 0,
    pitch: float = 0,
    color: tuple[int, int, int] = CLAY,
    dark: bool = False,
) -> NDArray[np.uint8]:
    """A picture of the mesh as a clay model under a warm key light and a cool fill light.

    Args:
        mesh: drawn in its vertex colours if it has any.
        size: height and width in pixels.
        yaw: turn in degrees; positive shows a face looking to the picture's right.
        pitch: turn in degrees; positive shows more of the top.
        color: RGB of a mesh without colours.
        dark: background.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    turned = transform(mesh, rotation(yaw, pitch, 0))
    side = size * _SUPERSAMPLING
    # The frame holds the mesh at every yaw, so that a turntable doesn't change its scale.
    unit_px = side / 2 / _frame_half_width(mesh)
    x, y, z = turned.vertices.T
    points = np.stack([side / 2 + x * unit_px, side / 2 - y * unit_px, z * unit_px], axis=1)
    z_buffer, face, weights = rasterize(points, mesh.faces, side, side)
    seen = face >= 0
    picture = _background(side, dark)
    corners = mesh.faces[face[seen]]  # (P, 3)
    normals = np.einsum("pc,pcx->px", weights[seen], vertex_normals(turned)[corners])
    normals *= np.where(normals[:, 2:] < 0, -1, 1)  # the inside of an open surface is lit like its outside
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    base = _linear(np.asarray(color, np.float64))
    if mesh.colors is not None:
        base = np.einsum("pc,pcx->px", weights[seen], _linear(mesh.colors)[corners])
    light = _light(normals, _openness(z_buffer, seen, side // 24)[seen])
    picture[seen] = base * light
    smaller = picture.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING, 3).mean(axis=(1, 3))
    result: NDArray[np.uint8] = (np.clip(smaller, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
    return result


def turntable(mesh: Mesh, count: int, size: int = 480, dark: bool = False) -> list[NDArray[np.uint8]]:
    """``count`` pictures around the mesh at even angles, the first from the front."""
    return [shade(mesh, size, yaw=360 * i / count, dark=dark) for i in range(count)]


def _frame_half_width(mesh: Mesh) -> float:
    """Half the side, in mesh units, of a square frame around the mesh at every yaw."""
    x, y, z = np.abs(mesh.vertices.astype(np.float64)).T
    return 1.08 * max(float(np.hypot(x, z).max()), float(y.max()), 1e-9)


def _linear(srgb: NDArray[np.generic]) -> NDArray[np.float64]:
    """RGB of 0 to 255 as light in [0, 1]; lights add up in this space only."""
    return (np.asarray(srgb, np.float64) / 255) ** 2.2


def _background(side: int, dark: bool) -> NDArray[np.float64]:
    """(side, side, 3) linear RGB: a plain ground that gets slightly darker downwards."""
    top, bottom = (_linear(np.asarray(color)) for color in (_DARK_BACKGROUND if dark else _LIGHT_BACKGROUND))
    share = np.linspace(0, 1, side)[:, None, None]
    return np.broadcast_to(top * (1 - share) + bottom * share, (side, side, 3)).copy()


def _light(normals: NDArray[np.floating], openness: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 3) RGB strength for unit normals (P, 3); ``openness`` (P,) in [0, 1] dims what little sky sees."""
    up = (normals[:, 1:2] + 1) / 2
    total = (np.asarray(_SKY) * up + np.asarray(_GROUND) * (1 - up)) * openness[:, None]
    for direction, strength in (_KEY_LIGHT, _FILL_LIGHT):
        towards = np.asarray(direction) / np.linalg.norm(direction)
        facing = np.clip((normals @ towards + 0.12) / 1.12, 0, None)  # wraps a little around: soft as clay
        total = total + facing[:, None] * np.asarray(strength) * (0.45 + 0.55 * openness[:, None])
    # A broad, weak highlight halfway between key light and viewer tells form from colour.
    halfway = np.asarray(_KEY_LIGHT[0]) / np.linalg.norm(_KEY_LIGHT[0]) + np.array([0, 0, 1.0])
    shine = np.clip(normals @ (halfway / np.linalg.norm(halfway)), 0, None) ** 24
    lit: NDArray[np.float64] = total + 0.10 * shine[:, None]
    return lit


def _openness(z_px: NDArray[np.float32], seen: NDArray[np.bool_], radius: int) -> NDArray[np.float64]:
    """(H, W) in [0, 1]: below 1 where the surroundings stand nearer to the viewer, as in folds and corners.

    ``z_px`` (H, W) is in pixels; its values where nothing is ``seen`` don't count.
    """
    z = np.where(seen, z_px, 0).astype(np.float64)
    openness = np.ones(z.shape)
    for reach in (radius, max(1, radius // 4)):
        covered = np.maximum(_box_sum(seen.astype(np.float64), reach), 1)
        hollow = np.clip((_box_sum(z, reach) / covered - z) / reach, 0, 1)
        openness *= 1 - 0.6 * np.sqrt(hollow) * (hollow > 0)
    return openness


def _box_sum(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Sum over the square of ``2 * reach + 1`` pixels around each pixel (H, W), zeros beyond the border."""
    for axis in (0, 1):
        before = [(0, 0), (0, 0)]
        before[axis] = (reach + 1, reach)
        sums = np.cumsum(np.pad(values, before), axis=axis)
        window = 2 * reach + 1
        ahead, behind = [slice(None)] * 2, [slice(None)] * 2
        ahead[axis], behind[axis] = slice(window, None), slice(None, -window)
        values = sums[tuple(ahead)] - sums[tuple(behind)]
    return values
