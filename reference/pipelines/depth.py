"""From an RGB-D frame to a solid and a mesh (document V, rows V1, V4 and V6), without the network in between.

1. a face is found on the picture, or the caller gives a box of any object (:func:`face_box`, :func:`check_box`);
2. the box is brought to the depth map's pixels (:func:`to_depth_pixels`);
3. inside the box, grown by 20 % of its side on each side and clipped to the frame, the map is cleaned
   (:func:`clean_depth`): single stray distances and what lies far behind the object become holes, and small holes of
   the sensor are filled from around them;
4. :func:`reference.inputs.preprocess.preprocess_depth` cuts, scales and normalises what is left. With ``fit="crop"``
   (:func:`crop_input`) it is not scaled but cut or padded around its centre, which is row V4 to the letter;
5. the network's voxels become a mesh (:func:`to_mesh`).

Differs from the source: the document normalises the crop by its near and far distance and says nothing of a wall behind
the head, which would press the face into a few grey values. Step 3 is ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.depth import normalize_depth
from reference.geometry.mesh import Mesh
from reference.geometry.surface import smooth, voxels_to_mesh
from reference.geometry.voxelize import crop_or_pad
from reference.inputs.preprocess import Box, Region, choose_region
from reference.spec import PreprocessSpec
from reference.tasks.depth_to_voxels import VoxelGrid

if TYPE_CHECKING:
    from reference.pipelines.faces import FindFaces

# From the tip of the nose to the back of the neck, with room for hair; what is farther is not the head.
HEAD_REACH_MM = 300.0
# Of the square around a face (1.4 longer sides of the detector's box): side of the head's box, and how much higher.
HEAD_SIDE, HEAD_RISE = 1.2, 0.13
# Neighbouring pixels of one surface differ by less; a patch that touches nothing else and is this small is noise.
STEP_MM = 30.0
SMALLEST_PATCH = 0.002
LARGEST_FILLED_HOLE = 0.01
# The nearest hundredth of the distances may be flying pixels, so near is where the rest begins.
NEAR_PERCENTILE = 1.0
_FILL_REACH = 0.02  # of the crop's side; the largest hole that is filled is a tenth of it wide
_ASPECT_TOLERANCE = 0.02
_SMOOTHING = 12
_SMALLEST_PART = 0.02


def face_box(picture: NDArray[np.uint8], name: str = "the picture", find: FindFaces | None = None) -> Box:
    """The square around the largest face of a picture (H, W, 3) uint8 RGB, as (x0, y0, x1, y1) in pixels.

    Args:
        find: gives squares around faces, the largest first; None: OpenCV's frontal cascade.

    Raises:
        BadInput: no face was found.
    """
    from reference.pipelines.face_boxes import find_faces

    faces = (find or find_faces)(picture)
    if not faces:
        advice = "" if find else "; OpenCV's cascade misses many that our detector finds: give it with --detector"
        raise BadInput(f"no face found in {name}; give a box around the object, e.g. --box 120,80,420,460{advice}")
    return box_of_face(faces[0], picture)


def box_of_face(face: Region, picture: NDArray[np.uint8]) -> Box:
    """The box of a head from the square around its face: larger, and higher by the hair; cut at the picture's border.

    Grown by a fifth on each side, as the network's crop is, it reaches from above the hair to the neck.
    """
    height, width = picture.shape[:2]
    side = HEAD_SIDE * face.width
    left, top = face.left + (face.width - side) / 2, face.top + (face.height - side) / 2 - HEAD_RISE * face.height
    return max(left, 0.0), max(top, 0.0), min(left + side, width), min(top + side, height)


def check_box(box: Box, width: int, height: int) -> Box:
    """The box, if it reaches into a width x height picture.

    Raises:
        BadInput: it is empty or lies outside.
    """
    x0, y0, x1, y1 = box
    if not (x0 < x1 and y0 < y1 and x0 < width and y0 < height and x1 > 0 and y1 > 0):
        raise BadInput(f"box is {box}; allowed: x0 < x1, y0 < y1, inside the {width}x{height} picture")
    return box


def to_depth_pixels(box: Box, picture_size: tuple[int, int], depth_size: tuple[int, int]) -> Box:
    """A box on the picture in pixels of the depth map, which shows the same view at its own resolution.

    Args:
        box: (x0, y0, x1, y1) in pixels of the picture.
        picture_size: (width, height).
        depth_size: (width, height); another size of the same aspect ratio is scaled, as phones' sensors need.

    Raises:
        BadInput: the two have different aspect ratios, so that they can't show the same view.
    """
    (width, height), (depth_width, depth_height) = picture_size, depth_size
    if abs(width * depth_height / (height * depth_width) - 1) > _ASPECT_TOLERANCE:
        turned = abs(width * depth_width / (height * depth_height) - 1) <= _ASPECT_TOLERANCE
        advice = "the depth map lies on its side: give --depth-turn 90 or 270" if turned else "cut both to one view"
        raise BadInput(
            f"picture is {width}x{height} and depth {depth_width}x{depth_height}; allowed: the same aspect ratio;"
            f" {advice}"
        )
    across, down = depth_width / width, depth_height / height
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def clean_depth(depth_mm: NDArray[np.float32], region: Region, reach_mm: float | None = None) -> NDArray[np.float32]:
    """A depth map without what is not the object, and with small holes of the sensor filled.

    Args:
        depth_mm: (H, W), 0 in holes.
        region: the part that the network sees; the rest becomes 0.
        reach_mm: what lies farther than this behind the object's nearest point becomes a hole; None: nothing does.

    Returns:
        (H, W) float32 millimetres, 0 in holes and outside of the region.

    Raises:
        BadInput: nothing, or next to nothing, was measured inside the region.
    """
    top, bottom = max(0, int(np.floor(region.top))), int(np.ceil(region.top + region.height))
    left, right = max(0, int(np.floor(region.left))), int(np.ceil(region.left + region.width))
    cut = depth_mm[top:bottom, left:right]
    measured = cut > 0
    if not measured.any():
        raise BadInput(
            f"depth is 0 at all {cut.size} pixels of the box {(left, top, right, bottom)}: only holes;"
            " choose a box where distances were measured"
        )
    if (count := int(measured.sum())) < SMALLEST_PATCH * cut.size:
        raise BadInput(
            f"depth was measured at {count} of {cut.size} pixels of the box {(left, top, right, bottom)};"
            f" allowed: {SMALLEST_PATCH:.1%} and more, or there is no surface: choose another box"
        )
    kept = _without_patches(cut)
    if not kept.any():  # nothing but single pixels: better those than nothing
        kept = measured
    if reach_mm is not None:
        kept &= cut <= float(np.percentile(cut[kept], NEAR_PERCENTILE)) + reach_mm
    filled = _fill_holes(np.where(kept, cut, 0).astype(np.float32), ~measured)
    result = np.zeros_like(depth_mm)
    result[top:bottom, left:right] = filled
    return result


def _without_patches(cut: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(h, w) measured pixels that belong to a patch of some size; flying pixels at edges don't."""
    # Steps of a millimetre or more, so that every distance fits 16 bits.
    unit = max(1.0, float(cut.max()) / 32_000)
    steps = np.rint(cut / unit).astype(np.int16)
    smallest = max(2, round(SMALLEST_PATCH * cut.size))
    cv2.filterSpeckles(steps, 0, smallest, max(1, round(STEP_MM / unit)))
    kept: NDArray[np.bool_] = (steps > 0) & (cut > 0)
    return kept


def _fill_holes(cut: NDArray[np.float32], unmeasured: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fills small holes that the object surrounds; what was measured behind the object stays a hole."""
    empty = (cut == 0).astype(np.uint8)
    count, patches, stats, _ = cv2.connectedComponentsWithStats(empty, connectivity=4)
    height, width = cut.shape
    mask = np.zeros_like(empty)
    for patch in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[patch])
        enclosed = x > 0 and y > 0 and x + w < width and y + h < height
        inside = patches == patch
        if enclosed and area <= LARGEST_FILLED_HOLE * cut.size and unmeasured[inside].all():
            mask[inside] = 1
    # A weighted mean of what was measured around: unlike OpenCV's inpainting it can't leave the range of distances.
    sigma = max(1.0, _FILL_REACH * max(cut.shape))
    weight = cv2.GaussianBlur((cut > 0).astype(np.float32), (0, 0), sigma)
    around = cv2.GaussianBlur(cut, (0, 0), sigma) / np.maximum(weight, 1e-6)
    return np.where((mask > 0) & (weight > 1e-4), around, cut).astype(np.float32)


def crop_input(depth_mm: NDArray[np.float32], spec: PreprocessSpec, box: Box) -> tuple[NDArray[np.float32], Region]:
    """Row V4 to the letter: the grown box is not scaled, but cut or padded with zeros around its centre.

    Returns:
        The input tensor (1, 1, S, S) float32 in [0, 1], and the region it shows: S x S pixels of the depth map.

    Raises:
        BadInput: the box is outside, or nothing was measured in what is left.
    """
    height, width = depth_mm.shape
    # Stretched to nothing, the region is the grown and clipped box itself.
    grown = choose_region(width, height, replace(spec, resize="stretch"), box)
    left, top = int(np.floor(grown.left)), int(np.floor(grown.top))
    right, bottom = int(np.ceil(grown.left + grown.width)), int(np.ceil(grown.top + grown.height))
    cut = depth_mm[top:bottom, left:right]
    size = spec.size[0]
    fitted = crop_or_pad(cut, size)
    if not fitted.any():
        raise BadInput(f"depth is 0 in the {size}x{size} pixels at the centre of box {box}; choose another box")
    spare_x, spare_y = cut.shape[1] - size, cut.shape[0] - size
    start = Region(left + _before(spare_x), top + _before(spare_y), size, size)
    return normalize_depth(fitted, fitted > 0)[None, None], start


def _before(spare: int) -> int:
    """Pixels that crop_or_pad cuts off (or, negative, adds) before the first kept one."""
    return spare // 2 if spare > 0 else -(-spare // 2)


def to_mesh(grid: VoxelGrid) -> Mesh:
    """The solid's surface in the canonical cube, smoothed, without crumbs beside it.

    Raises:
        BadInput: no voxel is filled.
    """
    from scipy import ndimage

    if not grid.filled.any():
        raise BadInput(
            f"no voxel is filled: occupancy reaches {float(grid.occupancy.max()):.3f} of {grid.threshold};"
            " choose a box that holds the whole object"
        )
    parts, _ = ndimage.label(grid.filled)
    sizes = np.bincount(parts.ravel())[1:]
    crumbs = 1 + np.flatnonzero(sizes < _SMALLEST_PART * sizes.max())
    occupancy = np.clip(grid.occupancy, 0, 1)
    if len(crumbs):
        occupancy = np.where(np.isin(parts, crumbs), 0, occupancy)
    # Marching cubes looks for values above the threshold, while a voxel at the threshold is filled.
    occupancy = np.where(grid.filled & (occupancy > 0), np.maximum(occupancy, grid.threshold + 1e-3), occupancy)
    return smooth(voxels_to_mesh(occupancy, grid.threshold), _SMOOTHING)
