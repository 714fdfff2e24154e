"""A face's texture: one map of 1,024 pixels from one photograph.

Only what the photograph shows is taken from it: a texel counts as far as it is not hidden (a z-buffer), as it looks at
the viewer, and as the face and nothing else is there; ears, neck and what lies near the mesh's outline don't count, for
there a photograph shows hair, collars and walls. What the other half of the face shows is mirrored, in the colours and
light of its new surroundings. What neither shows is filled smoothly from around it, and towards the skin's colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.geometry.face_topology import JAW, REGIONS, load_topology
from reference.geometry.mesh import Mesh, vertex_normals
from reference.geometry.raster import rasterize
from reference.pipelines.face_blendshapes import load_blendshapes
from reference.pipelines.face_sheet import AXIS_Z, Sheet, load_sheet
from reference.tasks.face_reconstruction import FaceMesh

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIZE = 1024
_DRAWN = 640  # pixels of the face's longer side in the z-buffer
_HIDDEN = 0.02  # of that side: what lies farther behind what is seen is hidden
_GRAZING, _FACING = 0.12, 0.38  # cosines between which a texel begins to count
_RIM = 0.025  # of the longer side: nearer to the outline nothing counts
_EAR_ANGLES = (1.12, 1.38)  # radians around the head between which the face ends
_JAW_HEIGHTS = (0.04, -0.05)  # decimetres above the jaw's line between which it ends
_HAIRLINE = (1.02, 1.18)
# Of the way that a lid's edge goes when the eye shuts: above the first pair and below the second a lid is too narrow to
# be taken while it is up, and shows where it is down.
_LID, _LASHES = (0.2, 0.4), (1.0, 0.88)
_COARSE = 128
_GAINS = (0.55, 1.8)
_INNER_MOUTH = np.array([84.0, 34.0, 34.0])
_LEAST_SEEN = 100  # texels of the mouth's inside
_SKIN_PULL = 0.5  # share of the skin's colour in what nothing shows


@dataclass(frozen=True, eq=False)
class _Atlas:
    """What every face's map has in common, for each of its texels (N,) that lies on the mesh.

    Attributes:
        rows, columns: of the texels.
        corners: (N, 3) vertex numbers; ``weights`` (N, 3) of them.
        zone: (N,) how far a photograph is trusted there at all.
        inside: (N,) the mouth's inside and behind the eyes.
        skin: (N,) cheeks, nose and chin, which show the skin's colour.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    corners: NDArray[np.int32]
    weights: Floats
    zone: Floats
    inside: NDArray[np.bool_]
    skin: NDArray[np.bool_]


@lru_cache(maxsize=1)
def _load_atlas() -> _Atlas:
    sheet, topology = load_sheet(), load_topology()
    mean = sheet.upright(topology.mean)
    outermost = np.hypot(mean[:, 0], mean[:, 2] - AXIS_Z)
    points = np.concatenate([sheet.places * SIZE, outermost[:, None]], axis=1)
    _, face, weights = rasterize(points, sheet.faces, SIZE, SIZE)
    rows, columns = np.nonzero(face >= 0)
    corners, shares = sheet.faces[face[rows, columns]], weights[rows, columns]
    labels = np.zeros(len(mean), np.uint8)
    labels[: len(topology.regions)] = topology.regions
    labels[len(topology.regions) : len(topology.regions) + len(sheet.copies)] = topology.regions[sheet.copies]
    of_skin = np.isin(labels, [REGIONS.index(name) for name in ("cheeks", "nose", "chin")])
    place = np.einsum("nc,ncx->nx", shares, mean[corners])
    inside = np.asarray(sheet.inside[corners].all(axis=1), bool)
    skin = np.asarray(of_skin[corners].all(axis=1) & ~inside, bool)
    lid = np.einsum("nc,nc->n", shares, _lid_share(sheet)[corners])
    zone = _zone(place, mean[:JAW]) * np.maximum(_between(lid, *_LID), _between(lid, *_LASHES))
    return _Atlas(rows, columns, corners, shares, zone.astype(np.float32), inside, skin)


def _lid_share(sheet: Sheet) -> Floats:
    """(V',) how far a vertex moves when its eye shuts, of the farthest."""
    shapes = load_blendshapes()
    moved = np.linalg.norm(shapes["eyeBlinkLeft"] + shapes["eyeBlinkRight"], axis=1).astype(np.float32)
    return np.concatenate([moved, moved[sheet.copies], np.zeros(len(sheet.rims), np.float32)]) / moved.max()


def _zone(place: NDArray[np.floating], jaw: Floats) -> Floats:
    """(N,) from 0 to 1: the face without ears, neck and scalp."""
    angle = np.arctan2(place[:, 0], place[:, 2] - AXIS_Z)
    of_jaw = np.arctan2(jaw[:, 0], jaw[:, 2] - AXIS_Z)
    order = np.argsort(of_jaw)
    height = place[:, 1] - np.interp(angle, of_jaw[order], jaw[order, 1])
    zone = _between(np.abs(angle), *_EAR_ANGLES) * _between(height, *_JAW_HEIGHTS) * _between(place[:, 1], *_HAIRLINE)
    return zone.astype(np.float32)


def _between(values: NDArray[np.floating], whole: float, none: float) -> NDArray[np.floating]:
    """1 on the side of ``whole``, 0 on the side of ``none``, smooth between."""
    share = np.clip((values - none) / (whole - none), 0, 1)
    return share * share * (3 - 2 * share)


def make_texture(face: FaceMesh, picture: Picture) -> Picture:
    """(1024, 1024, 3) uint8 RGB: the map of :class:`reference.pipelines.face_sheet.Sheet`.

    Args:
        picture: (H, W, 3) uint8 RGB, in whose pixels the face lies.
    """
    atlas, sheet = _load_atlas(), load_sheet()
    taken, trust = _take(face, picture, atlas, sheet)
    colors, weight = (np.zeros((SIZE, SIZE, *values.shape[1:]), np.float32) for values in (taken, trust))
    colors[atlas.rows, atlas.columns] = taken
    weight[atlas.rows, atlas.columns] = trust
    skin = _skin_color(taken, trust * atlas.skin)
    mirrored, other = np.ascontiguousarray(colors[:, ::-1]), np.ascontiguousarray(weight[:, ::-1])
    mirrored = np.clip(mirrored * _gain(colors, weight, mirrored, other), 0, 255)
    # Two halves never agree in every line: where the photograph shows a place well, it alone counts.
    other = other * _between(weight, 0.15, 0.6)
    known = weight + other
    joined = (colors * weight[..., None] + mirrored * other[..., None]) / np.maximum(known, 1e-6)[..., None]
    share = np.clip(known, 0, 1)[..., None]
    base = np.repeat(np.repeat(skin[None, None], SIZE, 0), SIZE, 1)
    around = (1 - _SKIN_PULL) * _spread(joined, np.clip(known, 0, 1), skin) + _SKIN_PULL * base
    # In the mouth and behind the eyes what nobody sees is dark.
    dark = np.zeros((SIZE, SIZE), bool)
    dark[atlas.rows[atlas.inside], atlas.columns[atlas.inside]] = True
    around[dark] = _mouth_color(taken[atlas.inside], trust[atlas.inside])
    return np.clip(share * joined + (1 - share) * around + 0.5, 0, 255).astype(np.uint8)


def _take(face: FaceMesh, picture: Picture, atlas: _Atlas, sheet: Sheet) -> tuple[Floats, Floats]:
    """(N, 3) the photograph's colours at the texels, and (N,) how far each is trusted."""
    upright = np.array([1, -1, 1], np.float32)
    out = face.rotation[:, 2] * upright
    vertices = sheet.close(face.vertices_px, out, 1 / face.scale_px)
    low, high = vertices[:, :2].min(axis=0), vertices[:, :2].max(axis=0)
    longest = float((high - low).max())
    scale = _DRAWN / max(longest, 1e-6)
    margin = 4
    drawn = (vertices - np.array([*low, 0], np.float32)) * np.float32(scale) + np.array([margin, margin, 0], np.float32)
    width, height = (int(v) for v in np.ceil((high - low) * scale) + 2 * margin)
    nearest, seen, _ = rasterize(drawn, sheet.faces, height, width)
    rim = cv2.distanceTransform((seen >= 0).astype(np.uint8), cv2.DIST_L2, 5) / _DRAWN
    normals = vertex_normals(Mesh(vertices * upright, sheet.faces))
    place, normal = (np.einsum("nc,ncx->nx", atlas.weights, values[atlas.corners]) for values in (drawn, normals))
    x, y = (np.clip(place[:, axis].astype(int), 0, side - 1) for axis, side in ((0, width), (1, height)))
    visible = place[:, 2] > nearest[y, x] - _HIDDEN * _DRAWN
    facing = normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-6)
    where = np.einsum("nc,ncx->nx", atlas.weights, vertices[atlas.corners])[:, :2].astype(np.float32)
    pictured = ((where >= 0) & (where <= [picture.shape[1] - 1, picture.shape[0] - 1])).all(axis=1)
    angle = np.where(atlas.inside, 1, _between(facing, _FACING, _GRAZING))
    trust = visible * pictured * angle * _between(rim[y, x], 2 * _RIM, _RIM)
    trust = trust * np.where(atlas.inside, 1, atlas.zone)
    return _sample(picture, where), trust.astype(np.float32)


def _sample(picture: Picture, places: Floats) -> Floats:
    """(N, 3) colours of a picture at (N, 2) places, bilinear."""
    parts = []
    for first in range(0, len(places), 30000):  # OpenCV samples no more places at a time
        x, y = places[None, first : first + 30000, 0], places[None, first : first + 30000, 1]
        parts.append(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0])
    return np.concatenate(parts).astype(np.float32)


def _skin_color(colors: Floats, weight: Floats) -> Floats:
    """(3,) the median colour of what is trusted."""
    chosen = colors[weight > 0.5]
    if len(chosen) == 0:
        chosen = colors[weight > 0] if (weight > 0).any() else colors
    return np.median(chosen, axis=0).astype(np.float32)


def _mouth_color(colors: Floats, weight: Floats) -> Floats:
    """(3,) what the mouth's inside looks like where nobody sees it: dark, and like what is seen of it."""
    seen = colors[weight > 0.5]
    if len(seen) < _LEAST_SEEN:
        return _INNER_MOUTH.astype(np.float32)
    return (0.5 * _INNER_MOUTH + 0.5 * np.median(seen, axis=0)).astype(np.float32)


def _gain(colors: Floats, weight: Floats, mirrored: Floats, other: Floats) -> Floats:
    """(S, S, 3) what the mirrored half is multiplied by to have the colours and light of its surroundings."""
    both = weight * other
    small = [cv2.resize(v, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for v in (
        colors * both[..., None], mirrored * both[..., None], both)]  # fmt: skip
    total = [cv2.GaussianBlur(np.asarray(v, np.float32), (0, 0), _COARSE / 16) for v in small]
    # Far from what both halves show, the gain of all of it.
    whole = [v.reshape(_COARSE * _COARSE, -1).mean(axis=0) for v in small]
    faint = np.float32(1e-3)
    here, there = (total[k] + faint * whole[k] for k in (0, 1))
    gain = np.clip((here + 1e-6) / (there + 1e-6), *_GAINS).astype(np.float32)
    return np.asarray(cv2.resize(gain, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def _spread(colors: Floats, known: Floats, middle: Floats) -> Floats:
    """(S, S, 3) the nearest known colours everywhere, smooth: means over ever larger parts, the smallest first."""
    levels = [(colors * known[..., None], known)]
    while len(levels[-1][1]) > 2:
        half = len(levels[-1][1]) // 2
        levels.append(
            (
                np.asarray(cv2.resize(levels[-1][0], (half, half), interpolation=cv2.INTER_AREA), np.float32),
                np.asarray(cv2.resize(levels[-1][1], (half, half), interpolation=cv2.INTER_AREA), np.float32),
            )
        )
    result = np.repeat(np.repeat(middle[None, None], 2, 0), 2, 1).astype(np.float32)
    for total, weight in reversed(levels):
        side = len(weight)
        wide = cv2.GaussianBlur(cv2.resize(result, (side, side), interpolation=cv2.INTER_LINEAR), (0, 0), 1.0)
        share = np.clip(4 * weight, 0, 1)[..., None]
        result = share * (total / np.maximum(weight, 1e-6)[..., None]) + (1 - share) * wide
    return np.asarray(result, np.float32)
