"""Solids from depth maps and RGB-D frames (document V, rows V1 and V6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from reference.errors import BadInput
from reference.inputs.preprocess import Box, Region
from reference.spec import PreprocessSpec
from reference.tasks.depth_to_voxels import VoxelGrid
from sdk_build.backends import execution_name
from sdk_build.predict.base import Prediction, Request, View
from sdk_build.predict.canvas import PAPER, POINT, Picture, captioned
from sdk_build.predict.depth_options import DepthOptions
from sdk_build.predict.faces import FINDERS, open_detectors, open_finder

if TYPE_CHECKING:
    from reference.geometry.mesh import Mesh
    from reference.geometry.solids.camera import Camera
    from reference.pipelines.faces import FindFaces

TURNTABLE_FRAMES = 36
TURNTABLE_SIDE = 320
FRAME_MS = 70


@dataclass(frozen=True)
class Solid(VoxelGrid):
    """A network's voxels with the surface that was made of them.

    Attributes:
        mesh: in the space that was asked for.
        space: ``camera`` (millimetres) or ``cube``.
        fused: the front is the measured surface.
        camera: the pinhole that it was placed with; ``assumed``: nobody told its focal length.
    """

    mesh: Mesh
    space: str
    fused: bool
    camera: Camera
    assumed: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        camera = {
            "focal_px": round(self.camera.focal_px, 3),
            "principal_px": [round(value, 3) for value in self.camera.center_px],
            "assumed": self.assumed,
        }
        size = np.ptp(self.mesh.vertices, axis=0).astype(float).round(3).tolist()
        mesh = {"vertices": len(self.mesh.vertices), "faces": len(self.mesh.faces), "size": size}
        return {**super().to_json(), "fused": self.fused, "space": self.space, "camera": camera, "mesh": mesh}


def _first(prediction: Prediction) -> VoxelGrid:
    first = prediction.results[0]
    assert isinstance(first, VoxelGrid)
    return first


def describe(prediction: Prediction) -> str:
    """How much of the grid is filled, how large the solid is, and with which camera."""
    first = _first(prediction)
    filled = f"{int(first.filled.sum())} of {len(first.occupancy) ** 3} voxels filled"
    if not isinstance(first, Solid):
        return filled
    unit = {"camera": " mm", "cube": ""}[first.space]
    width, height, depth = (f"{value:.3g}" for value in np.ptp(first.mesh.vertices, axis=0))
    focal = f"{first.camera.focal_px:g} px{' (assumed; give --focal)' if first.assumed else ''}"
    return f"{filled}; {width} x {height} x {depth}{unit}; focal length {focal}"


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """See :func:`draw_voxels`."""
    return draw_voxels(prediction.picture, _first(prediction), photo=prediction.photo)


def draw_voxels(
    depth: NDArray[np.float32], result: VoxelGrid, side: int = 400, photo: tuple[Picture, Box] | None = None
) -> Picture:
    """The depth map and the solid from the front, three quarters and the side."""
    from reference.geometry.surface import shade
    from reference.pipelines.depth import to_mesh

    tiles = [] if photo is None else [("picture", _photo_tile(*photo, side))]
    tiles.append(("depth", _depth_tile(depth, side)))
    if isinstance(result, Solid) or result.filled.any():
        mesh = _centred(result.mesh if isinstance(result, Solid) else to_mesh(result))
        # Shading and smoothing cost by the face; the view from the network's own side comes first.
        tiles += [(name, shade(mesh, side, yaw)) for name, yaw in (("front", 0), ("three quarters", 40), ("side", 80))]
    else:
        tiles.append(("no voxel filled", np.full((side, side, 3), PAPER, np.uint8)))
    return np.concatenate([captioned(tile, f"{name}") for name, tile in tiles], axis=1)


def _centred(mesh: Mesh) -> Mesh:
    """The mesh about the origin, around which it is turned."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return replace(mesh, vertices=mesh.vertices - (low + high) / 2)


def _photo_tile(picture: Picture, box: Box, side: int) -> Picture:
    """A picture in a square, with the box on it."""
    scale = side / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    x0, y0, x1, y1 = (value * scale for value in box)
    ImageDraw.Draw(small).rectangle((x0, y0, x1 - 1, y1 - 1), outline=POINT, width=max(2, side // 160))
    square = Image.new("RGB", (side, side), PAPER)
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.array(square)


def _depth_tile(depth: NDArray[np.float32], side: int) -> Picture:
    """Near is bright; holes are dark blue."""
    import cv2

    measured = depth > 0
    tile = np.full((*depth.shape, 3), (24, 28, 44), np.uint8)
    if measured.any():
        near, far = depth[measured].min(), depth[measured].max()
        level = 255 - (depth - near) / max(far - near, 1e-6) * 200
        colored = cv2.applyColorMap(np.clip(level, 0, 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
        tile[measured] = colored[measured]
    scale = side / max(depth.shape)
    size = (max(1, round(depth.shape[1] * scale)), max(1, round(depth.shape[0] * scale)))
    square = np.full((side, side, 3), (24, 28, 44), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = cv2.resize(tile, size, interpolation=cv2.INTER_NEAREST)
    return square


def predict(request: Request) -> list[Prediction]:
    """Solids of depth maps, or of the one picture that belongs to ``request.depth.file``.

    Without a box, the largest face of the picture, or all that a depth map shows.

    Raises:
        BadInput: a file or the box can't be used, or no face was found.
        ArtifactCrashed: the runtime died.
    """
    options = request.depth
    with open_finder(request.helpers, request.runtime) as find:
        frames = [_read_frame(file, request.box, options, find) for file in request.files]
    spec = request.spec.sampling
    seen = [_prepare(depth, where, spec, reach, options.crop) for depth, where, reach, _ in frames]
    results = request.run([(tensor, region) for tensor, region, _ in seen])
    name = execution_name(request.runtime)
    predictions = []
    for file, result, frame, (_, region, cleaned) in zip(request.files, results, frames, seen, strict=True):
        assert isinstance(result, VoxelGrid)
        solid = _solid(result, frame, cleaned, region, options)
        predictions.append(Prediction(file, (solid,), cleaned, name, frame[3]))
    return predictions


Frame = tuple[NDArray[np.float32], Box | None, float | None, tuple[NDArray[np.uint8], Box] | None]


def _solid(
    grid: VoxelGrid, frame: Frame, cleaned: NDArray[np.float32], region: Region, options: DepthOptions
) -> VoxelGrid:
    """The grid with its surface; a network that filled nothing is left as it is where nothing is fused."""
    from reference.geometry.solids.camera import make_camera
    from reference.pipelines.solids import Seen, make_solid

    depth, _, _, photo = frame
    height, width = depth.shape
    told = None if options.camera is None else options.camera.scaled_to(width, height)
    camera = make_camera(width, height, *((told.focal_px, told.center_px) if told else (None, None)))
    if not (options.fuse or grid.filled.any()):
        return grid
    picture = None if photo is None else photo[0]
    made = make_solid(grid, Seen(depth, cleaned, region, camera), options.fuse, picture)
    space = options.chosen_space
    mesh = made.mesh(space)
    return Solid(grid.occupancy, grid.threshold, mesh, space, options.fuse, camera, told is None)


def _read_frame(file: Path, box: Box | None, options: DepthOptions, find: FindFaces | None) -> Frame:
    """Depth in millimetres, the object's box on it, how far the object reaches, and the picture with its box."""
    from reference.inputs.depth_files import read_depth
    from reference.inputs.preprocess import load_picture
    from reference.pipelines.depth import HEAD_REACH_MM, check_box, face_box, to_depth_pixels

    if options.file is None:
        depth = read_depth(file, options.form)
        where = None if box is None else check_box(box, depth.shape[1], depth.shape[0])
        return depth, where, options.reach_mm, None
    picture = load_picture(file)
    depth = read_depth(options.file, options.form)
    size = (picture.shape[1], picture.shape[0])
    found = face_box(picture, str(file), find) if box is None else check_box(box, *size)
    reach = options.reach_mm or (HEAD_REACH_MM if box is None else None)
    return depth, to_depth_pixels(found, size, (depth.shape[1], depth.shape[0])), reach, (picture, found)


def _prepare(
    depth: NDArray[np.float32], box: Box | None, spec: PreprocessSpec, reach_mm: float | None, crop: bool
) -> tuple[NDArray[np.float32], Region, NDArray[np.float32]]:
    """Input tensor, the region it shows, and the depth map as the network saw it."""
    from reference.inputs.preprocess import Region, choose_region, preprocess_depth
    from reference.pipelines.depth import clean_depth, crop_input

    height, width = depth.shape
    whole = Region(0, 0, width, height)
    cleaned = clean_depth(depth, whole if box is None else choose_region(width, height, spec, box), reach_mm)
    if crop:
        return *crop_input(cleaned, spec, box or (0.0, 0.0, float(width), float(height))), cleaned
    return *preprocess_depth(cleaned, spec, box), cleaned


def save_solid(prediction: Prediction, target: Path) -> Path:
    """Write a solid's surface as a mesh file, or as a turntable.

    Raises:
        BadInput: no voxel is filled, or the file can't be written.
    """
    from PIL import Image

    from reference.geometry.mesh_io import write_mesh
    from reference.geometry.surface import turntable
    from reference.pipelines.depth import to_mesh

    grid = _first(prediction)
    mesh = grid.mesh if isinstance(grid, Solid) else to_mesh(grid)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix.lower() != ".gif":
            write_mesh(mesh, target)
            return target
        frames = [Image.fromarray(frame) for frame in turntable(_centred(mesh), TURNTABLE_FRAMES, TURNTABLE_SIDE)]
        options: dict[str, Any] = {"duration": FRAME_MS, "loop": 0, "optimize": True}
        frames[0].save(target, save_all=True, append_images=frames[1:], **options)
    except OSError as error:
        raise BadInput(f"can't write {target} ({error}); give a path in a writable folder") from error
    return target


VIEW = View(
    describe=describe,
    draw=draw,
    predict=predict,
    frames=None,
    helpers=FINDERS,
    open_helpers=lambda given, box: open_detectors(given),
    writers=dict.fromkeys((".glb", ".obj", ".ply", ".stl", ".off", ".gif"), save_solid),
)
