"""The region term of document R (row R4): predicted pictures of the face's parts against the real ones.

The mesh is drawn with a z-buffer, without gradients: which triangle is seen at a pixel is a step function. The colour
there, however, is the mean of the triangle's three vertex colours by barycentric weights, which depend smoothly on the
vertices' places; through them, and through the colours, the loss reaches the network. Borders of the mesh get no
gradient; the keypoints hold them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reference.geometry.face_topology import REGIONS, Topology
from reference.geometry.raster import rasterize

SIZE = 56


def region_loss(vertices: Tensor, colors: Tensor, images: Tensor, topology: Topology) -> Tensor:
    """Mean over faces and regions of the absolute colour difference.

    Args:
        vertices: (B, 3, V) in fractions of the crop, z towards the viewer.
        colors: (B, 3, V) RGB of the lit vertices.
        images: (B, 3, S, S) RGB in [0, 1], S a multiple of 56.
    """
    targets = nn.functional.avg_pool2d(images, images.shape[2] // SIZE)
    losses = []
    for place, color, target in zip(vertices, colors, targets, strict=True):
        pixels, triangles, regions = visible(place.detach().numpy(), topology)
        if not len(pixels):
            continue
        corners = torch.from_numpy(topology.faces[triangles].astype(np.int64))  # (P, 3)
        weights = barycentric(place[:2].T[corners] * SIZE, torch.from_numpy(pixels))
        drawn = (color.T[corners] * weights[..., None]).sum(1)  # (P, 3)
        rows, columns = torch.from_numpy(pixels.T.copy())[[1, 0]].long()
        difference = (drawn - target[:, rows, columns].T).abs().mean(1)
        # Each part counts alike: eyes are small and say more than cheeks.
        labels = torch.from_numpy(regions.astype(np.int64))
        sums = torch.zeros(len(REGIONS)).index_add(0, labels, difference)
        counts = torch.bincount(labels, minlength=len(REGIONS))
        losses.append((sums / counts.clamp(min=1)).sum() / (counts > 0).sum())
    return torch.stack(losses).mean() if losses else vertices.sum() * 0


def visible(
    vertices: NDArray[np.float32], topology: Topology
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.uint8]]:
    """Pixels (P, 2), column and row, of the regions, with the triangle (P,) and the region (P,) seen at each.

    Args:
        vertices: (3, V) in fractions of the crop.
    """
    _, seen, weights = rasterize(vertices.T * np.float32(SIZE), topology.faces, SIZE, SIZE)
    rows, columns = np.nonzero(seen >= 0)
    triangles = seen[rows, columns]
    nearest = topology.faces[triangles, weights[rows, columns].argmax(1)]
    regions = topology.regions[nearest]
    inside = regions > 0
    pixels = np.stack([columns, rows], axis=1).astype(np.float32)
    return pixels[inside], triangles[inside], regions[inside]


def barycentric(corners: Tensor, pixels: Tensor) -> Tensor:
    """(P, 3) weights of the corners (P, 3, 2) at the centres of the pixels (P, 2), differentiable in the corners."""
    offset = corners - (pixels + 0.5)[:, None]
    x, y = offset[..., 0], offset[..., 1]
    areas = torch.stack([x[:, i] * y[:, j] - x[:, j] * y[:, i] for i, j in ((1, 2), (2, 0), (0, 1))], dim=1)
    total = areas.sum(1, keepdim=True)
    # A triangle seen edge-on has hardly any area: its weights would swing without bound.
    safe = torch.where(total.abs() < 1e-3, torch.full_like(total, 1e-3), total)
    return (areas / safe).clamp(-1, 2)


def normals_of(shape: Tensor, faces: Tensor) -> Tensor:
    """(B, 3, V) unit vertex normals of (B, 3, V) vertices and (F, 3) triangles, without gradients.

    Light must not bend the shape: at 56 pixels a shadow and a fold look alike.
    """
    points = shape.detach().transpose(1, 2)
    a, b, c = (points[:, faces[:, i]] for i in range(3))
    per_face = torch.linalg.cross(b - a, c - a)
    sums = torch.zeros_like(points)
    for i in range(3):
        sums.index_add_(1, faces[:, i], per_face)
    return nn.functional.normalize(sums, dim=2).transpose(1, 2)
