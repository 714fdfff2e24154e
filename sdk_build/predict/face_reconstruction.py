"""Face meshes from pictures (document R, row R5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import Box
from reference.spec import ModelSpec
from reference.tasks.base import Result
from reference.tasks.face_reconstruction import FaceMesh
from sdk_build.predict.base import FrameResult, Prediction, Request, View
from sdk_build.predict.canvas import Picture, enlarge
from sdk_build.predict.depth_options import DepthOptions
from sdk_build.predict.faces import FINDERS, open_detectors, open_finder

if TYPE_CHECKING:
    from reference.pipelines.faces import FindFaces


def describe(prediction: Prediction) -> str:
    """How many faces, and how the largest is turned."""
    if not prediction.results:
        return "no face found"
    first, count = prediction.results[0], len(prediction.results)
    assert isinstance(first, FaceMesh)
    pose = ", ".join(f"{name} {round(value)}" for name, value in first.pose_degrees.items())
    line = f"{count} face{'s' if count > 1 else ''}; the largest: {pose} degrees"
    if (depth := first.to_json().get("depth")) is not None:
        line += f"; {depth['distance_mm']:.0f} mm away, {depth['off_mm']} mm off the measured surface"
        line += "; focal length assumed, give --focal" * depth["camera"]["assumed"]
    return line


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """See :func:`draw_face_meshes`."""
    return draw_face_meshes(prediction.picture, [f for f in prediction.results if isinstance(f, FaceMesh)])


def draw_frame(frame: FrameResult) -> Picture:
    """See :func:`draw_face_meshes`."""
    return draw_face_meshes(frame.picture, [f for f in frame.results if isinstance(f, FaceMesh)])


def draw_face_meshes(picture: Picture, faces: Sequence[FaceMesh]) -> Picture:
    """The picture, the meshes over it, and the largest face in its own colours from three sides."""
    from reference.pipelines.reconstruction import draw_faces, draw_views

    canvas, _ = enlarge(picture)
    over, _ = enlarge(draw_faces(picture, list(faces)))
    side = canvas.height // 3
    views = [np.asarray(view) for view in draw_views(faces[0], picture, side)]
    views[-1] = np.pad(views[-1], ((0, canvas.height - 3 * side), (0, 0), (0, 0)), constant_values=245)
    return np.concatenate([np.array(canvas), np.array(over), np.concatenate(views)], axis=1)


def predict(request: Request) -> list[Prediction]:
    """See :func:`predict_face_meshes`."""
    with open_finder(request.helpers, request.runtime) as find:
        found = predict_face_meshes(request.spec, request.runtime, request.artifact, request.files, request.box, find)
    if request.depth.file is not None:
        [(faces, picture)] = found
        found = [((_measured(faces[0], picture, request.depth), *faces[1:]), picture)]
    return request.answer(found)


def _measured(face: Result, picture: NDArray[np.uint8], options: DepthOptions) -> Result:
    """The largest face in the shape and size that the depth map shows."""
    from reference.geometry.solids.camera import make_camera
    from reference.inputs.depth_files import read_depth
    from reference.pipelines.depth import to_depth_pixels
    from reference.pipelines.face_depth import fit_to_depth

    assert isinstance(face, FaceMesh) and options.file is not None
    depth = read_depth(options.file, options.form)
    height, width = depth.shape
    size = (picture.shape[1], picture.shape[0])
    to_depth_pixels((0.0, 0.0, *size), size, (width, height))  # the same view, or refused
    told = None if options.camera is None else options.camera.scaled_to(width, height)
    camera = make_camera(width, height, *((told.focal_px, told.center_px) if told else (None, None)))
    return replace(fit_to_depth(face, depth, camera, size), assumed=told is None)


def predict_face_meshes(
    spec: ModelSpec, runtime: str, artifact: Path, files: Sequence[Path], box: Box | None, find: FindFaces | None = None
) -> list[tuple[tuple[Result, ...], NDArray[np.uint8]]]:
    """Find faces, reconstruct, cut again around the landmarks found, reconstruct again; largest face first.

    Args:
        find: squares around faces, the largest first; None: OpenCV's frontal cascade.

    Raises:
        BadInput: a file or the box can't be used, or there is no face and no box.
    """
    from reference.inputs.preprocess import choose_region, load_picture, sample_picture
    from reference.pipelines.face_boxes import find_faces, from_points
    from reference.tasks.face_reconstruction import FaceMesh
    from sdk_build.predict.base import run_inputs

    pictures = [load_picture(file) for file in files]
    regions = [
        [choose_region(p.shape[1], p.shape[0], spec.sampling, box)] if box else list((find or find_faces)(p))
        for p in pictures
    ]
    for file, found in zip(files, regions, strict=True):
        if not found:
            raise BadInput(f"no face found in {file}; give a picture with a larger, upright face, or --box around it")
    results: list[list[Result]] = []
    for _ in range(2):
        flat = [(i, region) for i, several in enumerate(regions) for region in several]
        inputs = [(sample_picture(pictures[i], region, spec.sampling.size), region) for i, region in flat]
        results = [[] for _ in files]
        for (i, _), result in zip(flat, run_inputs(spec, runtime, artifact, inputs), strict=True):
            results[i].append(result)
        regions = [[from_points(r.landmarks_px) for r in several if isinstance(r, FaceMesh)] for several in results]
    return [(tuple(several), picture) for several, picture in zip(results, pictures, strict=True)]


def save_mesh_file(prediction: Prediction, target: Path) -> Path:
    """Write the largest face of a prediction as .glb or .obj.

    Raises:
        BadInput: the result is no face mesh, or the file can't be written.
    """
    from reference.pipelines.reconstruction import save_mesh
    from reference.tasks.face_reconstruction import FaceMesh

    face = prediction.results[0] if prediction.results else None
    if not isinstance(face, FaceMesh):
        raise BadInput(f"--save is {target}; this model gives no face mesh: give an ending such as .png")
    save_mesh(face, prediction.picture, target)
    return target


VIEW = View(
    describe=describe,
    draw=draw,
    draw_frame=draw_frame,
    predict=predict,
    helpers=FINDERS,
    open_helpers=lambda given, box: open_detectors(given),
    depth_options=(
        *(f"depth{name}" for name in ("", "_size", "_type", "_unit", "_scale", "_turn")),
        *("focal", "principal", "camera"),
    ),
    writers=dict.fromkeys((".glb", ".obj"), save_mesh_file),
)
