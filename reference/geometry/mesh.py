"""Triangle meshes: the type, its checks, and the transformations that keep it a mesh."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh; faces run counter-clockwise seen from outside.

    Attributes:
        vertices: (N, 3) float32, x right, y up, z towards the viewer.
        faces: (M, 3) int32 vertex numbers.
        colors: (N, 3) uint8 RGB per vertex, or None.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colors: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # what float32 can't hold becomes infinity, which is refused below
            vertices = np.ascontiguousarray(self.vertices, np.float32)
        faces = np.ascontiguousarray(self.faces, np.int32)
        _check_geometry(vertices, faces)
        # Frozen dataclasses only take the converted arrays this way.
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        if self.colors is not None:
            colors = np.ascontiguousarray(self.colors, np.uint8)
            if colors.shape != vertices.shape:
                raise BadInput(
                    f"mesh colors have shape {colors.shape}, allowed is {vertices.shape}; give one RGB per vertex"
                )
            object.__setattr__(self, "colors", colors)


def _check_geometry(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
    """Raises BadInput unless the arrays form a mesh."""
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise BadInput(f"mesh vertices have shape {vertices.shape}, allowed is (N, 3); give x, y, z per vertex")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise BadInput(f"mesh faces have shape {faces.shape}, allowed is (M, 3); call triangulate() on polygons first")
    if len(vertices) == 0 or len(faces) == 0:
        raise BadInput(
            f"mesh with {len(vertices)} vertices and {len(faces)} faces, allowed is at least one of each;"
            " check that the file or the threshold yields a surface"
        )
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices).all(axis=1)).sum())
        raise BadInput(f"mesh has {bad} vertices with NaN or infinity, allowed are finite numbers; remove them")
    low, high = int(faces.min()), int(faces.max())
    if low < 0 or high >= len(vertices):
        raise BadInput(
            f"mesh faces name vertices {low} to {high}, allowed are 0 to {len(vertices) - 1};"
            " check that numbering starts at 0"
        )


def triangulate(quads: NDArray[np.int32], tris: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """Splits each quad (Q, 4) along its first diagonal and appends ``tris`` (T, 3): (2Q + T, 3) int32."""
    parts = [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    if tris is not None:
        parts.append(tris)
    return np.concatenate(parts).astype(np.int32)


def select_vertices(faces: NDArray[np.int32], keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Faces (M', 3) whose three corners are all kept, renumbered for ``vertices[keep]``; ``keep`` is (N,)."""
    new_number = np.cumsum(keep, dtype=np.int32) - 1
    return new_number[faces[keep[faces].all(axis=1)]].astype(np.int32)


def transform(mesh: Mesh, matrix: NDArray[np.float64]) -> Mesh:
    """Applies a 4x4 affine matrix (column vectors: p' = matrix @ p) to every vertex."""
    # In float64: a mesh far from the origin would lose its shape in float32.
    moved = mesh.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    return replace(mesh, vertices=moved.astype(np.float32))


def scaling(factor: float, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> NDArray[np.float64]:
    """4x4 matrix that scales about the origin and then moves by ``offset``."""
    matrix = np.diag([factor, factor, factor, 1.0])
    matrix[:3, 3] = offset
    return matrix


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """4x4 rotation by angles in degrees: yaw first, then pitch, then roll, each about a fixed axis.

    A face that looks at the viewer turns towards +x (the picture's right) with positive yaw, downwards with
    positive pitch, and counter-clockwise in the picture with positive roll.
    """
    (sy, sp, sr), (cy, cp, cr) = (f(np.radians([yaw, pitch, roll])) for f in (np.sin, np.cos))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_z @ about_x @ about_y
    return matrix


def fit_to_cube(mesh: Mesh, margin: float = 0.05) -> Mesh:
    """Centres the bounding box and scales evenly so that its longest side spans [-1 + margin, 1 - margin].

    Raises:
        BadInput: see :func:`fitting`.
    """
    return transform(mesh, fitting(mesh, margin))


def fitting(mesh: Mesh, margin: float = 0.05) -> NDArray[np.float64]:
    """The 4x4 matrix of :func:`fit_to_cube`; vertices that belong to no face don't count.

    Raises:
        BadInput: all corners of faces lie in one point.
    """
    used = corners(mesh).astype(np.float64)
    low, high = used.min(axis=0), used.max(axis=0)
    longest = float((high - low).max())
    if longest == 0:
        raise BadInput("mesh has all vertices in one point, allowed is a surface with an extent; check the input")
    factor = 2 * (1 - margin) / longest
    x, y, z = (float(v) for v in -factor * (low + high) / 2)
    return scaling(factor, (x, y, z))


def corners(mesh: Mesh) -> NDArray[np.float32]:
    """(K, 3) the vertices that belong to a face."""
    in_use = np.zeros(len(mesh.vertices), bool)
    in_use[mesh.faces] = True
    return mesh.vertices[in_use]


def face_normals(mesh: Mesh) -> NDArray[np.float32]:
    """(M, 3) float32 normals, outward, of length twice the triangle's area."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a).astype(np.float32)


def vertex_normals(mesh: Mesh) -> NDArray[np.float32]:
    """(N, 3) float32 unit normals, averaged over the touching faces by area; zero without a face."""
    weighted = face_normals(mesh)
    corners = mesh.faces.ravel()
    summed = np.stack(
        [np.bincount(corners, np.repeat(weighted[:, i], 3), len(mesh.vertices)) for i in range(3)], axis=1
    )
    lengths = np.linalg.norm(summed, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (summed / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit
