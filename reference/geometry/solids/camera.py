"""A pinhole camera, and where a network's cube lies before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

# Kinect, RealSense and phones have 0.6 to 0.95 of their longer side: 525 of 640 pixels is the first Kinect's.
DEFAULT_FOCAL_SHARE = 525 / 640
_SHORTEST, _LONGEST = 0.2, 20.0  # of the longer side: 136 and 3 degrees


@dataclass(frozen=True)
class Camera:
    """A pinhole without distortion, in pixels of a depth map.

    Attributes:
        focal_px: focal length.
        center_px: (x, y) of the principal point; the centre of the first pixel is (0, 0).
    """

    focal_px: float
    center_px: tuple[float, float]

    def to_points(
        self, x_px: NDArray[np.floating], y_px: NDArray[np.floating], distance_mm: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """(..., 3) float32 millimetres: x right, y up, z towards the viewer, the origin at the camera.

        Args:
            x_px: columns; ``y_px`` rows; any shape.
            distance_mm: along the optical axis, as depth maps hold it.
        """
        x = (x_px - self.center_px[0]) * distance_mm / self.focal_px
        y = (self.center_px[1] - y_px) * distance_mm / self.focal_px
        return np.stack([x, y, -distance_mm], axis=-1).astype(np.float32)

    def to_pixels(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 3) column, row and distance of (N, 3) points of :meth:`to_points`."""
        distance = np.maximum(-points[:, 2].astype(np.float64), 1e-6)
        x = self.center_px[0] + self.focal_px * points[:, 0] / distance
        y = self.center_px[1] - self.focal_px * points[:, 1] / distance
        return np.stack([x, y, distance], axis=1)


def make_camera(
    width: int, height: int, focal_px: float | None = None, center_px: tuple[float, float] | None = None
) -> Camera:
    """A camera for a depth map of width x height pixels; what is not given is assumed.

    Args:
        focal_px: None: ``DEFAULT_FOCAL_SHARE`` of the longer side.
        center_px: None: the middle.

    Raises:
        BadInput: a focal length that no camera has, or a principal point outside the map.
    """
    longer = max(width, height)
    focal = DEFAULT_FOCAL_SHARE * longer if focal_px is None else float(focal_px)
    if not _SHORTEST * longer <= focal <= _LONGEST * longer:
        raise BadInput(
            f"focal length is {focal:g} pixels for a depth map of {width}x{height};"
            f" allowed: {_SHORTEST * longer:g} to {_LONGEST * longer:g}, in pixels of the depth map and not in mm"
        )
    x, y = ((width - 1) / 2, (height - 1) / 2) if center_px is None else map(float, center_px)
    if not (0 <= x <= width and 0 <= y <= height):
        raise BadInput(
            f"principal point is {x:g},{y:g} for a depth map of {width}x{height}; allowed: inside it, in pixels"
        )
    return Camera(focal, (x, y))


@dataclass(frozen=True)
class Placement:
    """Where a network's cube lies before the camera.

    The network sees parallel rays; here they run along the middle ray of its crop, and the cube's sides are as long as
    the crop is wide at the distance of the object.

    Attributes:
        center_px: (x, y) of the crop's middle in the depth map, the centre of the first pixel at (0, 0).
        half_px: half the crop's (width, height) in pixels.
        reference_mm: the distance at which a pixel of the crop is as wide as a column of the cube.
        near_mm: distance of the cube's front side.
        half_mm: half the cube's depth.
    """

    center_px: tuple[float, float]
    half_px: tuple[float, float]
    reference_mm: float
    near_mm: float
    half_mm: float

    def to_cube(
        self, x_px: NDArray[np.floating], y_px: NDArray[np.floating], distance_mm: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """(..., 3) float32 places in the cube from -1 to 1, x right, y up, z towards the viewer."""
        widening = distance_mm / self.reference_mm
        x = (x_px - self.center_px[0]) / self.half_px[0] * widening
        y = (self.center_px[1] - y_px) / self.half_px[1] * widening
        z = 1 - (distance_mm - self.near_mm) / self.half_mm
        return np.stack([x, y, z], axis=-1).astype(np.float32)

    def from_cube(self, points: NDArray[np.floating]) -> tuple[NDArray[np.float64], ...]:
        """Columns, rows and distances of (N, 3) places in the cube."""
        x, y, z = points.T.astype(np.float64)
        distance = self.near_mm + (1 - z) * self.half_mm
        narrowing = self.reference_mm / distance
        x_px = self.center_px[0] + x * self.half_px[0] * narrowing
        return x_px, self.center_px[1] - y * self.half_px[1] * narrowing, distance
