"""People with hair and shoulders before a depth camera, as the voxel network sees them (document V, row V3).

The people are MakeHuman's (CC0 1.0): body and targets of its base mesh and the hair styles of its assets, packed into
one file by ``python -m reference.data.solids.pack_busts``. Where a bare head fills the cube, here the cube is what
``predict`` would cut out around a detected face: shoulders are cut off at its border, hair hides ears and neck, and
pixels are seen in perspective from half a metre to a metre and a half.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.data.heads import DrawWeights, makehuman_weights
from reference.errors import BadInput
from reference.geometry.depth import normalize_depth
from reference.geometry.mesh import Mesh, rotation
from reference.geometry.raster import depth_image
from reference.geometry.voxelize import voxelize

FILE = "makehuman_busts.npz"
# The crop's side in sides of the face's square box, and how much higher its centre is: what predict cuts.
_CROP_SIDE, _CROP_RISE = 2.35, 0.18
_REACH = 3.0  # decimetres behind the nearest point; what is farther is no measurement
_DISTANCES = (5.0, 15.0)  # of the camera, in decimetres
_BALD = 0.15

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Hair:
    """A hair style: where its vertices hang on the body's, and its faces.

    Attributes:
        anchors: (H, 3) int32 vertices of the body.
        weights: (H, 3) float32 of the anchors.
        offsets: (H, 3) float32 in the style's unit.
        spans: (3, 2) int32, two vertices of the body an axis, whose distance along it is the unit ...
        units: (3,) float32 ... times this.
        faces: (F, 3) int32.
    """

    anchors: NDArray[np.int32]
    weights: Floats
    offsets: Floats
    spans: NDArray[np.int32]
    units: Floats
    faces: NDArray[np.int32]

    def on(self, body: Floats) -> Floats:
        """(H, 3) its vertices on a body (N, 3)."""
        scale = np.array([abs(body[i, a] - body[j, a]) for a, (i, j) in enumerate(self.spans)]) / self.units
        hung = (body[self.anchors] * self.weights[..., None]).sum(axis=1)
        return np.asarray(hung + self.offsets * scale, np.float32)


HAIR_PARTS = tuple(field.name for field in fields(Hair))


@dataclass(frozen=True, eq=False)
class Busts:
    """Random people; see :func:`load_busts`.

    Attributes:
        neutral: (N, 3) float32 decimetres, y up, looking along +z.
        faces: (M, 3) int32 of skin and eyes.
        offsets: per target the vertices that it moves and by how much.
        face68: (68,) the vertices of the face's landmarks.
        head_vertices: (N,) the same vertex in the head model of ``makehuman_heads.npz``, -1 where it has none.
    """

    neutral: Floats
    faces: NDArray[np.int32]
    offsets: tuple[tuple[NDArray[np.int32], Floats], ...]
    draw_weights: DrawWeights
    face68: NDArray[np.int64]
    head_vertices: NDArray[np.int64]
    hair: tuple[Hair, ...]

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Hair | None]:
        """A random person's body (N, 3) in decimetres, and the hair on it, if there is any."""
        body = self.neutral.copy()
        for weight, (moved, by) in zip(self.draw_weights(rng), self.offsets, strict=True):
            if weight:
                body[moved] += weight * by
        return body, None if rng.random() < _BALD else self.hair[int(rng.integers(len(self.hair)))]

    def mesh(self, body: Floats, hair: Hair | None) -> Mesh:
        """A body with its hair, whose vertices and faces follow the body's."""
        if hair is None:
            return Mesh(body, self.faces)
        faces = np.concatenate([self.faces, hair.faces + np.int32(len(body))])
        return Mesh(np.concatenate([body, hair.on(body)]), faces)

    def pair(self, rng: np.random.Generator, size: int) -> tuple[Floats, NDArray[np.bool_]]:
        """A random person in a random pose, as (S, S) normalised depth and (S, S, S) voxels of a head's crop."""
        body, hair = self.draw(rng)
        mesh, face = self.mesh(body, hair), body[self.face68]
        yaw, pitch, roll = (float(rng.normal(0, spread)) for spread in (20, 10, 7))
        turn = rotation(float(np.clip(yaw, -60, 60)), float(np.clip(pitch, -30, 30)), roll)[:3, :3]
        middle = face.mean(axis=0)
        vertices, face = (mesh.vertices - middle) @ turn.T, (face - middle) @ turn.T
        seen = _in_perspective(vertices, float(rng.uniform(*_DISTANCES)))
        low, high = face[:, :2].min(axis=0), face[:, :2].max(axis=0)
        longer = float((high - low).max())
        half = _CROP_SIDE * longer / 2 * float(rng.uniform(0.88, 1.2))
        x, y = (low + high) / 2 + rng.uniform(-0.12, 0.12, 2) * half + (0, _CROP_RISE * longer)
        return crop_pair(replace(mesh, vertices=seen), (float(x), float(y)), half, size)


def _in_perspective(vertices: Floats, distance: float) -> Floats:
    """Vertices whose x and y are those of the picture at the origin's distance from the camera."""
    seen = vertices.copy()
    seen[:, :2] *= (distance / np.maximum(distance - vertices[:, 2:], 0.2 * distance)).astype(np.float32)
    return seen


def crop_pair(mesh: Mesh, middle: tuple[float, float], half: float, size: int) -> tuple[Floats, NDArray[np.bool_]]:
    """What a square crop of a scene shows, and the solid behind it as far as the cube reaches.

    Args:
        mesh: in decimetres, z towards the viewer.
        middle: x and y of the crop.
        half: half its side.
    """
    x, y = middle
    within = np.abs(mesh.vertices[:, :2] - (x, y)).max(axis=1) < half
    if not within.any():
        raise BadInput(f"no vertex lies within {half} of {middle}; give a crop on the object")
    nearest = float(mesh.vertices[within, 2].max())
    reached = within & (mesh.vertices[:, 2] > nearest - _REACH)
    depth_middle = (nearest + float(mesh.vertices[reached, 2].min())) / 2
    vertices = ((mesh.vertices - (x, y, depth_middle)) / half).astype(np.float32)
    surface = depth_image(Mesh(vertices, mesh.faces), size)
    valid = ~np.isnan(surface)
    valid &= np.nan_to_num(surface, nan=-np.inf) > np.nanmax(surface) - _REACH / half
    # What lies beside the crop is pressed against its border, where it closes the shoulders that are cut off.
    vertices[:, :2] = vertices[:, :2].clip(-1, 1)
    return normalize_depth(np.where(valid, 1 - surface, 0), valid), voxelize(Mesh(vertices, mesh.faces), size)


def load_busts(path: Path) -> Busts:
    """Reads ``makehuman_busts.npz``.

    Raises:
        BadInput: the file can't be read, or is no such file.
    """
    from reference.data.heads import opened

    with opened(path, "is no file of busts", "make it with python -m reference.data.solids.pack_busts") as data:
        starts, moved, by = data["target_indptr"], data["target_indices"], data["target_deltas"].astype(np.float32)
        parts = [slice(a, b) for a, b in pairwise(starts)]
        styles = [Hair(*(data[f"hair_{name}_{part}"] for part in HAIR_PARTS)) for name in data["hair_names"]]
        return Busts(
            neutral=data["vertices"],
            faces=data["faces"],
            offsets=tuple((moved[part], by[part]) for part in parts),
            draw_weights=makehuman_weights(data["target_names"].tolist()),
            face68=data["face68"],
            head_vertices=data["head_vertices"],
            hair=tuple(styles),
        )
