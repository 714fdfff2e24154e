"""Pictures of meshes in a photograph's pixels: shaded over the photograph, or wearing its colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.geometry.mesh import Mesh, vertex_normals
from reference.geometry.raster import rasterize

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

_LIGHT = np.array([-0.35, 0.45, 0.82])
_PAPER = 245


def draw_over(picture: Picture, vertices_px: Floats, faces: NDArray[np.int32], opacity: float = 0.75) -> Picture:
    """The picture with a clay-coloured mesh over it.

    Args:
        picture: (H, W, 3) uint8 RGB.
        vertices_px: (V, 3) x right and y down, the centre of the first pixel at (0, 0), z towards the viewer.
        faces: (F, 3).
    """
    height, width = picture.shape[:2]
    _, seen, weights = rasterize(vertices_px + np.array([0.5, 0.5, 0], np.float32), faces, height, width)
    covered = seen >= 0
    upright = Mesh(vertices_px * np.array([1, -1, 1], np.float32), faces)
    normals = np.einsum("pc,pcx->px", weights[covered], vertex_normals(upright)[faces[seen[covered]]])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    facing = np.clip(np.abs(normals @ (_LIGHT / np.linalg.norm(_LIGHT))), 0, 1)
    clay = (0.25 + 0.75 * facing[:, None]) * np.array([224, 206, 190])
    result = picture.astype(np.float32)
    result[covered] = (1 - opacity) * result[covered] + opacity * clay
    return np.clip(result, 0, 255).astype(np.uint8)


def draw_textured(
    vertices: Floats, faces: NDArray[np.int32], places_px: Floats, texture: Picture, side: int
) -> Picture:
    """A (side, side, 3) picture of a mesh in the colours of a photograph.

    Args:
        vertices: (V, 3) x right, y up, z towards the viewer; what is drawn fills most of the picture.
        places_px: (V, 2) where each vertex takes its colour from, x and y in the texture's pixels.
        texture: (H, W, 3) uint8 RGB.
    """
    low, high = vertices.min(0), vertices.max(0)
    scale = 0.9 * side / float(max(high[0] - low[0], high[1] - low[1], 1e-9))
    middle = (low + high) / 2
    pixels = (vertices - middle) * np.array([scale, -scale, scale]) + np.array([side / 2, side / 2, 0])
    _, seen, weights = rasterize(pixels, faces, side, side)
    covered = seen >= 0
    places = np.einsum("pc,pcx->px", weights[covered], places_px[faces[seen[covered]]]).astype(np.float32)
    result = np.full((side, side, 3), _PAPER, np.uint8)
    if len(places):
        x, y = places[None, :, 0], places[None, :, 1]
        # OpenCV can't sample more than 32,767 places in a row.
        parts = [
            cv2.remap(texture, x[:, i : i + 30000], y[:, i : i + 30000], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
            for i in range(0, x.shape[1], 30000)
        ]
        result[covered] = np.concatenate(parts, axis=1)[0]
    return result
