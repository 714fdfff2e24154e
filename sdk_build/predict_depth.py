"""Solids from depth maps and RGB-D frames (document V, rows V1 and V6): ``predict`` for models that take depth."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput
from reference.preprocess import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference.depth_files import DepthFormat
    from reference.preprocess import Region
    from reference.spec import PreprocessSpec
    from sdk_build.bundle import Bundle
    from sdk_build.predict import Prediction

TURNTABLE_FRAMES = 36
TURNTABLE_SIDE = 320
FRAME_MS = 70


@dataclass(frozen=True)
class DepthOptions:
    """What ``predict`` was told about depth maps.

    Attributes:
        file: the depth map that belongs to a picture; None: the given files are depth maps themselves.
        reach_mm: see :func:`reference.depth_voxelizer.clean_depth`; None: a head's reach around a face that was
            found, and no limit around a box that was given.
        crop: cut or pad instead of scaling (row V4).
    """

    file: Path | None
    form: DepthFormat
    reach_mm: float | None = None
    crop: bool = False

    @classmethod
    def of(cls, a: argparse.Namespace) -> DepthOptions:
        """From the command line.

        Raises:
            BadInput: an option has a value that makes no sense.
        """
        from reference.depth_files import DepthFormat

        if a.depth_turn not in (0, 90, 180, 270):
            raise BadInput(f"--depth-turn is {a.depth_turn}; allowed: 90, 180 or 270 degrees counter-clockwise")
        if a.depth_reach is not None and not 0 < a.depth_reach < float("inf"):
            raise BadInput(f"--depth-reach is {a.depth_reach}; allowed: a distance above 0 in millimetres")
        if a.depth is not None and len(a.files) > 1:
            raise BadInput(f"--depth is one depth map for {len(a.files)} pictures; give one picture with it")
        form = DepthFormat(a.depth_unit, parse_size(a.depth_size), a.depth_type, a.depth_turn // 90)
        return cls(a.depth, form, a.depth_reach, a.depth_fit == "crop")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``WxH`` as (width, height).

    Raises:
        BadInput: not two whole numbers above 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if match is None:
        raise BadInput(f"--depth-size is {text!r}; allowed: WIDTHxHEIGHT, e.g. 640x480")
    return int(match[1]), int(match[2])


def predict_depth(
    bundle: Bundle, files: Sequence[Path], runtime: str | None, box: Box | None, options: DepthOptions
) -> list[Prediction]:
    """Solids of depth maps, or of one RGB-D frame; the artifact runs in a child process.

    Args:
        files: depth maps, or the one picture that belongs to ``options.file``.
        box: the object, in pixels of the given files; without one, the largest face of the picture, or all that a
            depth map shows.

    Raises:
        BadInput: a file or the box can't be used, or no face was found.
        ArtifactCrashed: the runtime died.
    """
    from sdk_build.build import execution_name
    from sdk_build.predict import Prediction, choose_runtime, run_inputs

    spec = bundle.manifest.spec
    chosen, artifact = choose_runtime(bundle, runtime)
    frames = [_read_frame(file, box, options) for file in files]
    seen = [_prepare(depth, where, spec.preprocess, reach, options.crop) for depth, where, reach, _ in frames]
    results = run_inputs(spec, chosen, artifact, [(tensor, region) for tensor, region, _ in seen])
    name = execution_name(chosen)
    return [
        Prediction(file, (result,), cleaned, name, photo)
        for file, result, (_, _, cleaned), (_, _, _, photo) in zip(files, results, seen, frames, strict=True)
    ]


def _read_frame(
    file: Path, box: Box | None, options: DepthOptions
) -> tuple[NDArray[np.float32], Box | None, float | None, tuple[NDArray[np.uint8], Box] | None]:
    """Depth in millimetres, the object's box on it, how far the object reaches, and the picture with its box."""
    from reference.depth_files import read_depth
    from reference.depth_voxelizer import HEAD_REACH_MM, check_box, face_box, to_depth_pixels
    from reference.preprocess import load_picture

    if options.file is None:
        depth = read_depth(file, options.form)
        where = None if box is None else check_box(box, depth.shape[1], depth.shape[0])
        return depth, where, options.reach_mm, None
    picture = load_picture(file)
    depth = read_depth(options.file, options.form)
    size = (picture.shape[1], picture.shape[0])
    found = face_box(picture, str(file)) if box is None else check_box(box, *size)
    reach = options.reach_mm or (HEAD_REACH_MM if box is None else None)
    return depth, to_depth_pixels(found, size, (depth.shape[1], depth.shape[0])), reach, (picture, found)


def _prepare(
    depth: NDArray[np.float32], box: Box | None, spec: PreprocessSpec, reach_mm: float | None, crop: bool
) -> tuple[NDArray[np.float32], Region, NDArray[np.float32]]:
    """Input tensor, the region it shows, and the depth map as the network saw it."""
    from reference.depth_voxelizer import clean_depth, crop_input
    from reference.preprocess import Region, choose_region, preprocess_depth

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

    from reference.depth_voxelizer import to_mesh
    from reference.geometry.mesh_io import write_mesh
    from reference.geometry.surface import turntable
    from reference.postprocess import VoxelGrid

    (grid,) = prediction.results
    assert isinstance(grid, VoxelGrid)
    mesh = to_mesh(grid)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix.lower() != ".gif":
            write_mesh(mesh, target)
            return target
        frames = [Image.fromarray(frame) for frame in turntable(mesh, TURNTABLE_FRAMES, TURNTABLE_SIDE)]
        options: dict[str, Any] = {"duration": FRAME_MS, "loop": 0, "optimize": True}
        frames[0].save(target, save_all=True, append_images=frames[1:], **options)
    except OSError as error:
        raise BadInput(f"can't write {target} ({error}); give a path in a writable folder") from error
    return target
