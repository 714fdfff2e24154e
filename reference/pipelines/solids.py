"""From a network's voxels and the depth map that they were made from to a solid before the camera.

:func:`make_solid` joins the measured front with the network's solid (:mod:`reference.geometry.solids.fusion`), or
takes the network's alone. Both stand where they were seen: millimetres, x right, y up, z towards the viewer, the origin
at the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.mesh import Mesh
from reference.geometry.solids.camera import Camera, Placement
from reference.geometry.solids.front import Front, take_front
from reference.geometry.solids.fusion import fuse, place_solid
from reference.geometry.solids.surface import Solid, color_vertices, extract, to_cube
from reference.inputs.preprocess import Region
from reference.pipelines.depth import to_mesh
from reference.tasks.depth_to_voxels import VoxelGrid

MOST_PIXELS = 192  # a side of the front; larger ones are joined to blocks

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network saw of a depth map, and with which camera.

    Attributes:
        raw_mm: (H, W) the whole map, 0 in holes.
        object_mm: (H, W) the object alone, see :func:`reference.pipelines.depth.clean_depth`.
        region: the part that the network saw.
    """

    raw_mm: Floats
    object_mm: Floats
    region: Region
    camera: Camera


@dataclass(frozen=True, eq=False)
class PlacedSolid:
    """A solid before the camera, and where the network's cube lies.

    Attributes:
        solid: its mesh is in the camera's space.
        place: of the cube; :meth:`mesh` takes the solid there.
    """

    solid: Solid
    place: Placement

    def mesh(self, space: str) -> Mesh:
        """The mesh in millimetres before the ``camera``, or in the network's ``cube`` from -1 to 1."""
        return self.solid.mesh if space == "camera" else to_cube(self.solid, self.place)


def make_solid(
    grid: VoxelGrid, seen: Seen, fused: bool = True, picture: NDArray[np.uint8] | None = None
) -> PlacedSolid:
    """A solid before the camera, in colour if a picture is given.

    Args:
        grid: what the network made of ``seen``.
        fused: with the measured front; False: the network alone.
        picture: (H', W', 3) uint8 RGB of the same view.

    Raises:
        BadInput: nothing is left of both, or of the network alone.
    """
    front = front_of(seen)
    region = (seen.region.left, seen.region.top, seen.region.width, seen.region.height)
    place = place_solid(grid.occupancy, grid.threshold, front, region, seen.camera)
    if fused:
        solid = extract(fuse(grid.occupancy, grid.threshold, front, place), seen.camera)
    else:
        solid = _network_alone(to_mesh(grid), front, place, seen.camera)
    if picture is not None:
        height, width = seen.raw_mm.shape
        colors = color_vertices(solid, picture, (picture.shape[1] / width, picture.shape[0] / height))
        solid = replace(solid, mesh=replace(solid.mesh, colors=colors))
    return PlacedSolid(solid, place)


def front_of(seen: Seen) -> Front:
    """The measured front inside what the network saw.

    Raises:
        BadInput: no surface was measured there.
    """
    height, width = seen.raw_mm.shape
    region = seen.region
    left, top = max(0, int(np.floor(region.left))), max(0, int(np.floor(region.top)))
    right = min(width, int(np.ceil(region.left + region.width)))
    bottom = min(height, int(np.ceil(region.top + region.height)))
    front = take_front(seen.object_mm, seen.raw_mm, (left, top, right, bottom), 1 / seen.camera.focal_px, MOST_PIXELS)
    if not front.measured.any():
        raise BadInput(
            f"no surface was measured in the box {(left, top, right, bottom)}: only scattered pixels;"
            " choose another box"
        )
    return front


def _network_alone(mesh: Mesh, front: Front, place: Placement, camera: Camera) -> Solid:
    """The network's own mesh before the camera; it counts as measured where it is near the front."""
    points = place.from_cube(mesh.vertices)
    pixels = np.stack(points, axis=1)
    column = np.clip(((pixels[:, 0] - front.left) / front.step).astype(int), 0, front.distance_mm.shape[1] - 1)
    row = np.clip(((pixels[:, 1] - front.top) / front.step).astype(int), 0, front.distance_mm.shape[0] - 1)
    ahead = front.distance_mm[row, column]
    near = (ahead > 0) & (np.abs(pixels[:, 2] - ahead) < 0.1 * place.half_mm)
    return Solid(replace(mesh, vertices=camera.to_points(*points)), pixels, near, near)
