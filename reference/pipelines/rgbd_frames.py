"""How good solids of RGB-D frames are: a folder of pictures with depth maps, measured as a user would use it.

``NAME_rgb.png`` with ``NAME_depth.png`` (16-bit millimetres) and one ``camera.json`` (see
:mod:`reference.inputs.pinhole`). A face is found on each picture by the detector's two networks, its surroundings
become a solid, and the solid is held to what was measured:

- ``surface_distance_percent``: mean distance of the measured points from the mesh, in percent of the measured height;
- ``silhouette_iou``: of the solid drawn by the camera and of the object's pixels, where anything was measured;
- ``relief_gain``, ``relief_correlation``: of the depth beyond a quadric inside the face's outline, which is the ellipse
  in the detector's box (:func:`reference.geometry.solids.compare.relief`);
- ``refused``: frames without a solid, for example because no face was found.

Medians would hide failures: all are means over the frames that gave a solid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.solids.camera import make_camera
from reference.geometry.solids.compare import draw_distance, ellipse_in, relief, silhouette_iou, surface_distances
from reference.inputs.depth_files import read_depth
from reference.inputs.pinhole import read_intrinsics
from reference.inputs.preprocess import Box, choose_region, load_picture, preprocess_depth
from reference.inputs.square import square_of_box
from reference.pipelines.depth import HEAD_REACH_MM, box_of_face, clean_depth, to_depth_pixels
from reference.pipelines.solids import PlacedSolid, Seen, make_solid
from reference.spec import ModelSpec
from reference.tasks import decode
from reference.tasks import measure as measure_task
from reference.tasks.base import Metrics, Network, Tensors
from reference.tasks.depth_to_voxels import VoxelGrid

if TYPE_CHECKING:
    from reference.tasks.face_detection import FaceBoxes

PICTURE, DEPTH, CAMERA = "_rgb.png", "_depth.png", "camera.json"
FIGURES = ("surface_distance_percent", "silhouette_iou", "relief_gain", "relief_correlation")
DETECTORS = ("face_detector", "face_detector_refined")

Picture = NDArray[np.uint8]
FindBoxes = Callable[[Picture], "FaceBoxes"]


def measure(spec: ModelSpec, network: Network, data: Path, held_out: bool = False) -> Metrics:
    """A folder of RGB-D frames by :func:`measure_frames`, if the model takes depth; any other as its task measures it.

    Raises:
        BadInput: the folder can't be used.
    """
    if spec.sampling.color == "DEPTH" and holds_frames(data):
        return measure_frames(spec, network, data)
    return measure_task(spec, network, data, held_out)


def holds_frames(folder: Path) -> bool:
    """Whether a folder is one of RGB-D frames."""
    return folder.is_dir() and any(folder.glob(f"*{PICTURE}"))


@dataclass(frozen=True)
class Frame:
    """A picture with its depth map."""

    name: str
    picture: Path
    depth: Path


def list_frames(folder: Path) -> list[Frame]:
    """The frames of a folder by their names.

    Raises:
        BadInput: a picture has no depth map, or there is no camera file.
    """
    frames = []
    for picture in sorted(folder.glob(f"*{PICTURE}")):
        name = picture.name.removesuffix(PICTURE)
        depth = folder / f"{name}{DEPTH}"
        if not depth.is_file():
            raise BadInput(f"{picture} has no {depth.name} beside it; a frame is NAME{PICTURE} and NAME{DEPTH}")
        frames.append(Frame(name, picture, depth))
    if not (folder / CAMERA).is_file():
        raise BadInput(f"{folder} has no {CAMERA}; write one with the focal length: " + '{"focal_px": 525}')
    return frames


def measure_frames(spec: ModelSpec, network: Network, folder: Path) -> Metrics:
    """The figures of fused solids, and under ``network_alone`` those of the network without the measured front.

    Raises:
        BadInput: the folder is incomplete, a file can't be read, or no frame gave a solid.
    """
    frames, find = list_frames(folder), stored_detector()
    rows: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    refused = 0
    for frame in frames:
        try:
            measured = measure_frame(spec, network, frame, folder / CAMERA, find)
        except BadInput:
            refused += 1
            continue
        for fused, row in measured.items():
            rows[fused].append(row)
    if not rows[True]:
        raise BadInput(
            f"no solid of {len(frames)} frames in {folder}: all were refused; try one with sdk_build.predict"
        )
    result: Metrics = _means(rows[True])
    return {**result, "refused": float(refused), "frames": float(len(frames)), "network_alone": _means(rows[False])}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    means = {}
    for name in FIGURES:
        values = [row[name] for row in rows if name in row]
        if values:
            means[name] = float(np.mean(values))
    return means


def measure_frame(
    spec: ModelSpec, network: Network, frame: Frame, camera_file: Path, find: FindBoxes
) -> dict[bool, dict[str, float]]:
    """The figures of one frame's solid, fused (True) and of the network alone (False).

    Raises:
        BadInput: a file can't be read, no face was found, or nothing was measured there.
    """
    import torch

    picture, raw = load_picture(frame.picture), read_depth(frame.depth)
    size = (raw.shape[1], raw.shape[0])
    known = read_intrinsics(camera_file).scaled_to(*size)
    camera = make_camera(*size, known.focal_px, known.center_px)
    face = largest_face(find(picture), frame.picture.name)
    box = to_depth_pixels(box_of_face(square_of_box(*face), picture), (picture.shape[1], picture.shape[0]), size)
    outline = to_depth_pixels(face, (picture.shape[1], picture.shape[0]), size)
    cleaned = clean_depth(raw, choose_region(*size, spec.sampling, box), HEAD_REACH_MM)
    tensor, region = preprocess_depth(cleaned, spec.sampling, box)
    with torch.no_grad():
        outputs: Tensors = {spec.outputs[0].name: network(torch.from_numpy(tensor)).numpy()}
    grid = decode(outputs, spec, region)
    assert isinstance(grid, VoxelGrid)
    seen = Seen(raw, cleaned, region, camera)
    return {fused: compare(make_solid(grid, seen, fused), seen, outline) for fused in (True, False)}


def compare(made: PlacedSolid, seen: Seen, face: Box) -> dict[str, float]:
    """The figures of a solid against what was measured.

    Args:
        face: box of the face in pixels of the depth map.
    """
    height, width = seen.raw_mm.shape
    inside = _inside(seen)
    measured = (seen.object_mm > 0) & (seen.raw_mm > 0) & inside
    rows, columns = np.nonzero(measured)
    points = seen.camera.to_points(columns.astype(np.float64), rows.astype(np.float64), seen.raw_mm[measured])
    drawn = draw_distance(made.solid.mesh, seen.camera, height, width)
    farthest = float(seen.object_mm.max())
    known = inside & (measured | (seen.raw_mm > farthest))
    result = {
        "surface_distance_percent": float(
            100 * surface_distances(points, made.solid.mesh).mean() / max(float(np.ptp(points[:, 1])), 1e-6)
        ),
        "silhouette_iou": silhouette_iou(drawn > 0, measured, known),
    }
    of_face = relief(drawn, np.where(measured, seen.raw_mm, 0), ellipse_in(face, height, width))
    if of_face is not None:
        result |= {"relief_gain": of_face[0], "relief_correlation": of_face[1]}
    return result


def _inside(seen: Seen) -> NDArray[np.bool_]:
    """(H, W) the pixels that the network saw."""
    height, width = seen.raw_mm.shape
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width)[None] + 0.5
    region = seen.region
    down = (rows >= region.top) & (rows <= region.top + region.height)
    across = (columns >= region.left) & (columns <= region.left + region.width)
    inside: NDArray[np.bool_] = down & across
    return inside


def largest_face(found: FaceBoxes, name: str) -> Box:
    """The largest box x0, y0, x1, y1 that a detector found.

    Raises:
        BadInput: it found none.
    """
    if len(found.boxes_px) == 0:
        raise BadInput(f"no face found in {name}; give a box around the object, e.g. --box 120,80,420,460")
    sides = np.ptp(found.boxes_px.reshape(-1, 2, 2), axis=1).max(axis=1)
    x0, y0, x1, y1 = (float(v) for v in found.boxes_px[int(sides.argmax())])
    return x0, y0, x1, y1


@lru_cache(maxsize=1)
def stored_detector() -> FindBoxes:
    """The face detector with its second network, of the stored weights."""
    from reference.card import MODELS_DIR
    from reference.registry import get_spec, load_network
    from reference.tasks.base import threshold_of
    from reference.tasks.face_detection import as_judge, detect, refine

    specs = [get_spec(name) for name in DETECTORS]
    first, second = (
        load_network(s, MODELS_DIR / n / "weights.safetensors") for n, s in zip(DETECTORS, specs, strict=True)
    )
    threshold, side = threshold_of(specs[1]), specs[1].sampling.size[0]

    def find(picture: Picture) -> FaceBoxes:
        found = detect(specs[0], first, picture, threshold**2)
        return refine(found, picture, as_judge(second), side, threshold)

    return find
