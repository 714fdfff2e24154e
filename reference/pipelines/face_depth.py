"""Documents V and R together: a reconstructed face fitted to the depth map of the same view.

The network's mesh knows where on a face each vertex is, the sensor knows where that place is in the room. The mesh is
placed before the camera at the distance that was measured, and each vertex moves along its ray by an offset that is
smooth over the mesh: as measured where the sensor saw the face, elsewhere as the parts around it, and far from those
not at all. What it gives is the person's own shape in its true size, with the mesh's parts, texture places and
movements.

1. a vertex counts as measured if it is the mesh's front there, looks towards the camera, and the map has a distance
   near its own, away from steps (hair, glasses, the border of the head);
2. offsets are the least squares of the measured differences and of the offsets' bending (the Laplacian, squared);
3. three times, at last with what lies within eight millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.face_topology import EYE_CORNERS, load_topology
from reference.geometry.mesh import Mesh, vertex_normals
from reference.geometry.raster import rasterize
from reference.geometry.solids.camera import Camera
from reference.tasks.face_reconstruction import FaceMesh

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

GATES_MM = (25.0, 12.0, 8.0)  # of one round each: how far from the mesh a measurement may lie
_HAIR_SHARE = 0.4  # of a gate above the brows, where hair may stand before the skin
_ABOVE_BROWS = 0.1  # decimetres
FEWEST = 150  # measured vertices of 2,500; a face from the side still has 700
_EYES_MM = (55.0, 135.0)  # between the outer corners: children to adults, and what an assumed focal length may err
_LEAST_RELIEF = 0.4  # of the mesh's
_FACING = 0.35  # cosine between a vertex' normal and its ray
_STEP_MM = 15.0  # neighbours that differ by more don't belong together
_BENDING = 60.0  # of an offset's bend against a measurement's difference
_STAYING = 0.02  # how much a vertex far from all that was measured wants to stay
_DRAWN = 512  # pixels of the face's longer side in the z-buffer


@dataclass(frozen=True)
class MeasuredFace(FaceMesh):
    """A face in its true size before a camera.

    Attributes:
        points_mm: (V, 3) float32 millimetres, x right, y up, z towards the viewer, the origin at the camera.
        measured: (V,) bool: the sensor saw the vertex.
        moved_mm: median distance by which measured vertices had been off; ``left_mm`` by which they are now.
        focal_px: of the camera in pixels of the depth map; ``assumed``: nobody told it.
    """

    points_mm: Floats
    measured: Mask
    moved_mm: float
    left_mm: float
    focal_px: float
    assumed: bool = False

    @property
    def shape(self) -> Floats:
        """(V, 3) float32 decimetres, upright, with the expression and the measured shape, in true size."""
        middle = self.points_mm[:68].mean(axis=0)
        return np.asarray((self.points_mm - middle) / 100 @ self.rotation, np.float32)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        distance = float(-np.median(self.points_mm[self.measured, 2]))
        depth = {
            "distance_mm": round(distance, 1),
            "measured_vertices": int(self.measured.sum()),
            "off_before_mm": round(self.moved_mm, 2),
            "off_mm": round(self.left_mm, 2),
            "camera": {"focal_px": round(self.focal_px, 3), "assumed": self.assumed},
        }
        return {**super().to_json(), "depth": depth}


def fit_to_depth(face: FaceMesh, depth_mm: Floats, camera: Camera, picture_size: tuple[int, int]) -> MeasuredFace:
    """A face moved to the measured surface.

    Args:
        face: as the network gives it, in pixels of the picture.
        depth_mm: (H, W) of the same view, 0 in holes.
        camera: of the depth map.
        picture_size: (width, height) of the picture.

    Raises:
        BadInput: the sensor measured too little of the face.
    """
    height, width = depth_mm.shape
    across = np.array([width / picture_size[0], height / picture_size[1]])
    place = (face.vertices_px[:, :2].astype(np.float64) + 0.5) * across - 0.5
    front = front_vertices(face)
    sampled, sure = _sample(depth_mm, place)
    distance = _first_distances(face, sampled, sure & front, float(across[0]), camera)
    bending, skin = _laplacian(), _sureness()
    _check_sense(face, sampled, distance, front & sure, float(across[0]) / camera.focal_px)
    before = left = float("nan")
    seen = np.zeros(len(place), bool)
    for number, gate in enumerate(GATES_MM):
        difference = sampled - distance
        seen = front & sure & (np.abs(difference) < gate * skin)
        if (count := int(seen.sum())) < FEWEST:
            raise BadInput(
                f"{count} of {len(seen)} vertices of the face were measured within {gate:g} mm of it; needed: {FEWEST};"
                " the depth map shows something else there, is of another time, or has another unit (--depth-scale)"
            )
        if number == 0:
            before = float(np.median(np.abs(difference[seen])))
        distance = distance + smooth_offsets(np.where(seen, difference, 0), seen, bending)
        left = float(np.median(np.abs(sampled - distance)[seen]))
    points = camera.to_points(place[:, 0], place[:, 1], distance)
    own = {field.name: getattr(face, field.name) for field in fields(FaceMesh)}
    return MeasuredFace(**own, points_mm=points, measured=seen, moved_mm=before, left_mm=left, focal_px=camera.focal_px)


def front_vertices(face: FaceMesh) -> Mask:
    """(V,) vertices that the viewer sees: the mesh's own front, and not at its rim."""
    faces = load_topology().faces
    low = face.vertices_px[:, :2].min(axis=0)
    scale = _DRAWN / float(np.ptp(face.vertices_px[:, :2], axis=0).max())
    drawn = np.concatenate([(face.vertices_px[:, :2] - low) * scale, face.vertices_px[:, 2:] * scale], axis=1)
    size = _DRAWN + 2
    buffer, _, _ = rasterize(drawn, faces, size, size)
    column, row = (np.clip(drawn[:, k].astype(int), 0, size - 1) for k in (0, 1))
    shown = buffer[row, column] - drawn[:, 2] < 0.02 * _DRAWN
    upright = Mesh((face.vertices_px * [1, -1, 1]).astype(np.float32), faces)
    front: Mask = shown & (vertex_normals(upright)[:, 2] > _FACING)
    return front


def _sample(depth_mm: Floats, place: Doubles) -> tuple[Doubles, Mask]:
    """Distances (V,) at places (V, 2) of a map, and where they can be had: all four pixels around on one surface."""
    height, width = depth_mm.shape
    kernel = np.ones((3, 3), np.uint8)
    calm = cv2.dilate(depth_mm, kernel) - cv2.erode(depth_mm, kernel) < _STEP_MM
    column, row = (np.rint(place[:, k]).astype(int) for k in (0, 1))
    inside = (column >= 1) & (row >= 1) & (column < width - 1) & (row < height - 1)
    column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
    sure = inside & (depth_mm[row, column] > 0) & calm[row, column]
    x, y = place.astype(np.float32).T[:, None]
    taken = cv2.remap(depth_mm, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    return taken.astype(np.float64), np.asarray(sure, bool)


def _first_distances(face: FaceMesh, sampled: Doubles, seen: Mask, across: float, camera: Camera) -> Doubles:
    """(V,) the network's face at the measured distance: its depth is as wide as its pixels are there."""
    if not seen.any():
        raise BadInput("no distance was measured on the face; give the depth map of the same view (--depth)")
    away = float(np.median(sampled[seen]))
    for _ in range(3):  # a pixel is as wide as the distance is far
        nearer = face.vertices_px[:, 2].astype(np.float64) * across * away / camera.focal_px
        away = float(np.median(sampled[seen] + nearer[seen]))
    return np.asarray(away - nearer, np.float64)


def _check_sense(face: FaceMesh, sampled: Doubles, distance: Doubles, seen: Mask, pixel_share: float) -> None:
    """Refuse a map that shows something else where the face is, such as a wall, or has another unit.

    Raises:
        BadInput: the face would be of a size that none has, or what was measured has not its relief.
    """
    corners = face.vertices_px[list(EYE_CORNERS), :2]
    apart = float(np.linalg.norm(corners[0] - corners[1])) * pixel_share * float(np.median(distance[seen]))
    turned = max(abs(float(face.rotation[0, 0])), 0.5)  # seen from the side eyes are nearer to each other
    if not _EYES_MM[0] < apart / turned < _EYES_MM[1]:
        raise BadInput(
            f"at the measured {float(np.median(sampled[seen])):.0f} mm the eyes would be {apart / turned:.0f} mm apart;"
            f" faces have {_EYES_MM[0]:g} to {_EYES_MM[1]:g}: give the depth map of the same view, its unit"
            " (--depth-scale) and the focal length (--focal)"
        )
    own = distance[seen] - np.median(distance[seen])
    # Flying pixels and hair apart.
    found = np.clip(sampled[seen] - np.median(sampled[seen]), *np.percentile(own, (0, 100)) * 1.5)
    gain = float(own @ found / max(float(own @ own), 1e-9))
    if gain < _LEAST_RELIEF:
        raise BadInput(
            f"what was measured where the face is has {max(gain, 0):.0%} of its relief; needed: {_LEAST_RELIEF:.0%};"
            " the depth map shows something else there, or is of another time"
        )


def smooth_offsets(difference: Doubles, seen: Mask, laplacian: Any) -> Doubles:
    """(V,) offsets near the differences where those were seen, and bent as little as can be elsewhere."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import spsolve

    weight = seen.astype(np.float64)
    system = diags(weight + _STAYING) + _BENDING * (laplacian.T @ laplacian)
    return np.asarray(spsolve(system.tocsc(), weight * difference), np.float64)


def _sureness() -> Doubles:
    """(V,) how much of a gate counts: less where hair may hang before the face."""
    mean = load_topology().mean
    brows = float(mean[17:27, 1].max())
    return np.where(mean[:, 1] > brows + _ABOVE_BROWS, _HAIR_SHARE, 1.0)


def _laplacian() -> Any:
    """(V, V) each vertex less the mean of its neighbours."""
    from scipy.sparse import coo_matrix, diags, identity

    faces = load_topology().faces
    count = len(load_topology().mean)
    a, b = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    link = coo_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(count, count)).tocsr()
    link.data[:] = 1  # an edge of two triangles counts once
    degree = np.maximum(np.asarray(link.sum(axis=1)).ravel(), 1)
    return (identity(count) - diags(1 / degree) @ link).tocsr()
