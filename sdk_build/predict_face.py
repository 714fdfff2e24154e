"""Face meshes from pictures (document R, row R5): ``predict`` for models that reconstruct faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reference.errors import BadInput
from reference.preprocess import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference.postprocess import Result
    from reference.spec import ModelSpec
    from sdk_build.predict import Prediction

MESH_SUFFIXES = (".glb", ".obj")


def predict_face_meshes(
    spec: ModelSpec, runtime: str, artifact: Path, files: Sequence[Path], box: Box | None
) -> list[tuple[tuple[Result, ...], NDArray[np.uint8]]]:
    """Find faces, reconstruct, cut again around the landmarks found, reconstruct again; largest face first.

    Raises:
        BadInput: a file or the box can't be used, or there is no face and no box.
    """
    from reference.face_boxes import find_faces, from_points
    from reference.postprocess import FaceMesh
    from reference.preprocess import choose_region, load_picture, sample_picture
    from sdk_build.predict import run_inputs

    pictures = [load_picture(file) for file in files]
    regions = [
        [choose_region(p.shape[1], p.shape[0], spec.preprocess, box)] if box else find_faces(p) for p in pictures
    ]
    for file, found in zip(files, regions, strict=True):
        if not found:
            raise BadInput(f"no face found in {file}; give a picture with a larger, upright face, or --box around it")
    results: list[list[Result]] = []
    for _ in range(2):
        flat = [(i, region) for i, several in enumerate(regions) for region in several]
        inputs = [(sample_picture(pictures[i], region, spec.preprocess.size), region) for i, region in flat]
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
    from reference.face_reconstructor import save_mesh
    from reference.postprocess import FaceMesh

    face = prediction.results[0] if prediction.results else None
    if not isinstance(face, FaceMesh):
        raise BadInput(f"--save is {target}; this model gives no face mesh: give an ending such as .png")
    save_mesh(face, prediction.picture, target)
    return target
