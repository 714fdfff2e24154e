"""Random heads, and pairs of depth image and voxels for the voxel network (document V, row V3).

Two published head models are read: ICT-FaceKit (MIT licence) and the heads of MakeHuman (CC0 1.0), both as
repacked in the project's data pack. A head is a neutral mesh plus a weighted sum of shape offsets; the models
differ only in how plausible weights are drawn.

Differs from the source:
- Scaling, rotation and translation are applied once, to the mesh before both the depth image and the voxels
  are made, instead of to each of them: the result is the same viewpoint without resampling errors.
- The head is moved within the picture only, not along the viewing direction: normalised depth has no absolute
  distance, so that the network could not know of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.depth import normalize_depth
from reference.geometry.mesh import (
    Mesh,
    corners,
    fit_to_cube,
    fitting,
    rotation,
    scaling,
    select_vertices,
    transform,
    triangulate,
)
from reference.geometry.raster import depth_image
from reference.geometry.voxelize import voxelize

DrawWeights = Callable[[np.random.Generator], NDArray[np.float32]]

# Face, head and neck, mouth socket, eye sockets, eyeballs; the rest is teeth and shading helpers.
_ICT_PARTS = (0, 1, 2, 3, 4, 7, 8)
_ICT_EYES = (7, 8)
_ICT_MAX_IDENTITY = 2.5
_ICT_MAX_EXPRESSIONS = 3
_MAKEHUMAN_GROUPS = ("body", "l-eye", "r-eye")
# The file's vertices next to the 68 landmarks of an ICT head that was fitted to an average MakeHuman head by closest
# points (1 mm apart on average); checked by eye from the front and from the side.
_MAKEHUMAN_VERTICES = 5071
MAKEHUMAN_LANDMARKS = (
    1652, 1651, 1507, 898, 737, 1359, 1709, 1582, 1640, 3699, 3819, 3482, 2887, 3032, 3626, 3764, 2995,
    262, 232, 222, 223, 228, 2431, 2427, 2426, 2435, 2461, 133, 131, 201, 294, 360, 314, 343,
    2507, 2551, 1051, 2192, 2193, 72, 1427, 1424, 2286, 4294, 4293, 3175, 3546, 3549, 425, 410, 456,
    455, 2645, 2600, 2612, 2663, 2675, 492, 490, 478, 445, 471, 474, 2657, 2635, 2666, 523, 481,
)  # fmt: skip
_MAKEHUMAN_DETAILS = ("nose", "mouth", "eyes", "cheek", "chin", "head")
_MAKEHUMAN_DETAIL_CHANCE = 0.3
_MAKEHUMAN_DETAIL_SPREAD = 0.4


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A family of heads with common topology.

    Attributes:
        neutral: (N, 3) float32 vertices at zero weights, in the source's unit.
        faces: (M, 3) int32.
        offsets: (K, N, 3) float32 vertex offsets at weight 1.
        draw_weights: gives (K,) float32 weights of a plausible head.
        landmarks68: (68,) vertex numbers of the 300-W landmarks, or None if the source has none.
        eyes: (N,) bool, the vertices of the eyeballs, or None if the source does not tell.
        identities: the first so many offsets change who it is, the others the expression; 0: not told apart.
    """

    neutral: NDArray[np.float32]
    faces: NDArray[np.int32]
    offsets: NDArray[np.float32]
    draw_weights: DrawWeights
    landmarks68: NDArray[np.int64] | None = None
    eyes: NDArray[np.bool_] | None = None
    identities: int = 0

    def __post_init__(self) -> None:
        # Selecting vertices leaves another memory order, with which each sample would copy all offsets.
        object.__setattr__(self, "offsets", np.ascontiguousarray(self.offsets, np.float32))

    def sample(self, rng: np.random.Generator) -> Mesh:
        """A random head, fitted into the canonical cube, looking at the viewer."""
        weights = self.draw_weights(rng)
        vertices = self.neutral + (weights @ self.offsets.reshape(len(weights), -1)).reshape(-1, 3)
        return fit_to_cube(Mesh(vertices, self.faces))

    def landmark_positions(self, mesh: Mesh) -> NDArray[np.float32]:
        """(68, 3) float32 landmark positions on a mesh that this model sampled, transformed or not."""
        if self.landmarks68 is None:
            raise BadInput("head model without landmarks, allowed is one that has them; use load_ict")
        return mesh.vertices[self.landmarks68]


@dataclass(frozen=True, eq=False)
class _IctWeights:
    """Identity weights from N(0, 1) and a few expressions, alike on both sides of the face."""

    identities: int
    expression_pairs: tuple[tuple[int, ...], ...]
    total: int

    def __call__(self, rng: np.random.Generator) -> NDArray[np.float32]:
        weights = np.zeros(self.total, np.float32)
        weights[: self.identities] = rng.standard_normal(self.identities).clip(-_ICT_MAX_IDENTITY, _ICT_MAX_IDENTITY)
        count = int(rng.integers(0, _ICT_MAX_EXPRESSIONS + 1))
        for pair in rng.choice(len(self.expression_pairs), count, replace=False):
            weights[list(self.expression_pairs[pair])] = rng.uniform(0, 0.8)
        return weights


@dataclass(frozen=True, eq=False)
class _MakeHumanWeights:
    """A blend of origin, sex, age and build, and a few changed details.

    Attributes:
        index: number of each macro target in the model's offsets, by its name.
        details: per control of a detail, per direction of it, the numbers of the targets (left and right).
    """

    index: dict[str, int]
    details: tuple[tuple[tuple[int, ...], ...], ...]
    total: int

    def __call__(self, rng: np.random.Generator) -> NDArray[np.float32]:
        weights = np.zeros(self.total, np.float32)
        self._blend_macrodetails(weights, rng)
        for control in self.details:
            if rng.random() < _MAKEHUMAN_DETAIL_CHANCE:
                direction = control[int(rng.integers(len(control)))]
                weights[list(direction)] = min(1.0, abs(rng.normal(0, _MAKEHUMAN_DETAIL_SPREAD)))
        return weights

    def _blend_macrodetails(self, weights: NDArray[np.float32], rng: np.random.Generator) -> None:
        origins = dict(zip(("african", "asian", "caucasian"), rng.dirichlet([0.7] * 3), strict=True))
        sexes = _blend("female", "male", rng.beta(0.5, 0.5))
        ages = _blend("child", "young", rng.random()) if rng.random() < 0.2 else _blend("young", "old", rng.random())
        muscles, masses = (_around_average(rng.normal(0, 0.4)) for _ in range(2))
        for (sex, p), (age, q) in product(sexes.items(), ages.items()):
            for origin, share in origins.items():
                weights[self.index[f"{origin}-{sex}-{age}"]] = p * q * share
            for (muscle, m), (mass, w) in product(muscles.items(), masses.items()):
                weights[self.index[f"universal-{sex}-{age}-{muscle}muscle-{mass}weight"]] = p * q * m * w


def _blend(first: str, second: str, share: float) -> dict[str, float]:
    return {first: 1 - share, second: share}


def _around_average(amount: float) -> dict[str, float]:
    """Weights of min, average and max for an amount that is cut to [-1, 1]; 0 is average."""
    distance = min(1.0, abs(amount))
    return {"average": 1 - distance, "max" if amount > 0 else "min": distance}


def load_ict(path: Path) -> HeadModel:
    """Reads ``ict_facekit.npz`` of the data pack (outer surface: face, head, neck, eyes).

    Raises:
        BadInput: the file can't be read, or is no such head model.
    """
    with opened(path) as data:
        keep = _in_ranges(data["part_vertex_ranges"][list(_ICT_PARTS)], len(data["neutral"]))
        offsets = np.concatenate([data["identity"][:, keep], data["expression"][:, keep]]).astype(np.float32)
        identities = len(data["identity"])
        pairs: dict[str, list[int]] = {}
        for number, name in enumerate(data["expr_names"].tolist()):
            pairs.setdefault(name.removesuffix("_L").removesuffix("_R"), []).append(identities + number)
        return HeadModel(
            neutral=data["neutral"][keep],
            faces=select_vertices(triangulate(data["quads"], data["tris"]), keep),
            offsets=offsets,
            draw_weights=_IctWeights(identities, tuple(tuple(pair) for pair in pairs.values()), len(offsets)),
            landmarks68=(np.cumsum(keep) - 1)[data["landmarks68"]],
            eyes=_in_ranges(data["part_vertex_ranges"][list(_ICT_EYES)], len(keep))[keep],
            identities=identities,
        )


@contextmanager
def opened(path: Path, kind: str = "is no head model", advice: str = "take it from the data pack") -> Iterator[Any]:
    """A file's arrays; whatever is wrong with them is the file's fault."""
    try:
        with np.load(path) as data:
            yield data
    except (OSError, EOFError, KeyError, ValueError, IndexError, TypeError, AttributeError, BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path} {kind} ({reason}); {advice}") from error


def _in_ranges(ranges: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """(count,) bool: whether a number lies in one of the ranges [first, end)."""
    inside = np.zeros(count, bool)
    for first, end in ranges:
        inside[first:end] = True
    return inside


def load_makehuman(path: Path) -> HeadModel:
    """Reads ``makehuman_heads.npz`` of the data pack (skin and eyes); raises as :func:`load_ict`."""
    with opened(path) as data:
        quads, eyes = (data["quads"][_of_groups(data, names)] for names in (_MAKEHUMAN_GROUPS, _MAKEHUMAN_GROUPS[1:]))
        keep = makehuman_skin(data)
        names = {name: number for number, name in enumerate(data["target_names"].tolist()) if is_used(name)}
        offsets = _dense_offsets(data, list(names.values()))[:, keep]
        return HeadModel(
            neutral=data["vertices"][keep],
            faces=select_vertices(triangulate(quads), keep),
            offsets=offsets,
            draw_weights=makehuman_weights(list(names)),
            # Another cut of the base mesh has other numbers.
            landmarks68=(np.cumsum(keep) - 1)[list(MAKEHUMAN_LANDMARKS)] if len(keep) == _MAKEHUMAN_VERTICES else None,
            eyes=np.isin(np.arange(len(keep)), eyes)[keep],
        )


def makehuman_skin(data: Any) -> NDArray[np.bool_]:
    """The vertices of the opened ``makehuman_heads.npz`` that its head model has: skin and eyeballs."""
    keep = np.zeros(len(data["vertices"]), bool)
    keep[data["quads"][_of_groups(data, _MAKEHUMAN_GROUPS)]] = True
    return keep


def _of_groups(data: Any, names: tuple[str, ...]) -> NDArray[np.bool_]:
    groups = data["group_names"].tolist()
    return np.isin(data["quad_group"], [groups.index(name) for name in names])


HEAD_LOADERS = {"ict_facekit.npz": load_ict, "makehuman_heads.npz": load_makehuman}


def load_head_models(data: Path) -> list[HeadModel]:
    """The morphable heads in a folder: ``ict_facekit.npz`` and ``makehuman_heads.npz``, one of them is enough.

    Raises:
        BadInput: there is neither.
    """
    models = find_head_models(data)
    if not models:
        raise BadInput(f"no head model in {data}; needed: {' or '.join(HEAD_LOADERS)}")
    return models


def find_head_models(data: Path) -> list[HeadModel]:
    """The morphable heads in a folder, which may hold none."""
    return [load(data / name) for name, load in HEAD_LOADERS.items() if (data / name).is_file()]


def makehuman_weights(targets: list[str]) -> DrawWeights:
    """How weights of a plausible person are drawn, in the order of MakeHuman's ``targets``."""
    index = {name.removeprefix("macrodetails/"): k for k, name in enumerate(targets)}
    return _MakeHumanWeights(index, _detail_controls(index), len(targets))


def is_used(target: str) -> bool:
    """Whether heads are drawn with this target of MakeHuman: faces of the macrodetails, and details of the face."""
    kind, _, rest = target.partition("/")
    return kind in _MAKEHUMAN_DETAILS or (kind == "macrodetails" and "/" not in rest)


def _dense_offsets(data: "np.lib.npyio.NpzFile", targets: list[int]) -> NDArray[np.float32]:
    """(K, N, 3) float32 offsets of the numbered targets, without translation: heads are centred later."""
    starts, indices, deltas = data["target_indptr"], data["target_indices"], data["target_deltas"]
    offsets = np.zeros((len(targets), len(data["vertices"]), 3), np.float32)
    for k, target in enumerate(targets):
        entries = slice(starts[target], starts[target + 1])
        offsets[k, indices[entries]] = deltas[entries]
    return offsets


def _detail_controls(index: dict[str, int]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Groups detail targets by control, then by direction; the left and right half of a face go together."""
    controls: dict[str, dict[str, list[int]]] = {}
    for name, number in index.items():
        if "/" not in name:
            continue
        control, _, direction = name.replace("/l-", "/").replace("/r-", "/").rpartition("-")
        controls.setdefault(control, {}).setdefault(direction, []).append(number)
    return tuple(tuple(tuple(numbers) for numbers in control.values()) for control in controls.values())


def voxel_sample(
    head: HeadModel, rng: np.random.Generator, size: int, augment: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A random head in a random pose, as the network's input and target: see :func:`sample_of`."""
    return sample_of(head.sample(rng), rng, size, augment)


def sample_of(
    mesh: Mesh, rng: np.random.Generator, size: int, augment: bool, any_yaw: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A mesh in a random pose, as the network's input and target.

    Args:
        mesh: in any place and size; it is fitted into the cube.
        rng: source of all randomness; the same state gives the same sample.
        size: pixels and voxels per side.
        augment: larger angles, changes of scale and place, and disturbed depth, as for training.
        any_yaw: seen from any side, as for objects that have no front.

    Returns:
        (size, size) float32 depth as normalize_depth gives it; (size, size, size) bool [d, row, col].
    """
    depth, voxels = posed_pair(mesh, rng, size, augment, any_yaw)
    return (disturb_depth(depth, rng) if augment else depth), voxels


def posed_pair(
    mesh: Mesh, rng: np.random.Generator, size: int, augment: bool, any_yaw: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """As :func:`sample_of`, the depth as it is, without disturbances."""
    return depth_and_voxels(transform(mesh, random_viewpoint(mesh, rng, augment, any_yaw)), size)


def depth_and_voxels(mesh: Mesh, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(size, size) normalised depth and (size, size, size) bool voxels of a mesh in the canonical cube."""
    surface_z = depth_image(mesh, size)
    return normalize_depth(1 - surface_z, ~np.isnan(surface_z)), voxelize(mesh, size)


def random_viewpoint(mesh: Mesh, rng: np.random.Generator, augment: bool, any_yaw: bool = False) -> NDArray[np.float64]:
    """V3's scaling, rotation and translation: a 4x4 matrix that turns a mesh and fits it into the cube.

    With ``augment`` it is turned further, and shrunk and moved within the cube.
    """
    limits = (35, 20, 15) if augment else (20, 10, 5)
    yaw, pitch, roll = (float(rng.uniform(-limit, limit)) for limit in limits)
    if any_yaw:
        yaw *= 180 / limits[0]
    turn = rotation(yaw, pitch, roll)
    fit = fitting(transform(mesh, turn))
    if not augment:
        return fit @ turn
    factor = float(rng.uniform(0.75, 1))
    room = 1 - factor * np.abs(corners(transform(mesh, fit @ turn))).max(axis=0)
    x, y = (float(rng.uniform(-room[axis], room[axis])) for axis in (0, 1))
    return scaling(factor, (x, y, 0)) @ fit @ turn


def disturb_depth(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """V3's first augmentation of a normalised depth image (H, W): sensor noise and sensor holes.

    Each disturbance happens or not, in random order.
    """
    disturbances = [_add_noise, _set_region]
    for number in rng.permutation(len(disturbances)):
        if rng.random() < 0.5:
            depth = disturbances[number](depth, rng)
    return depth


def _add_noise(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Gaussian noise on the measured pixels."""
    noise = rng.normal(0, rng.uniform(0.002, 0.03), depth.shape)
    return np.where(depth > 0, np.clip(depth + noise, 0, 1), 0).astype(np.float32)


def _set_region(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Sets a random rectangle or ellipse to zero or to the maximum."""
    height, width = depth.shape
    centre_row, centre_col = rng.uniform(0, height), rng.uniform(0, width)
    half_height, half_width = rng.uniform(0.03, 0.15) * height, rng.uniform(0.03, 0.15) * width
    dy = (np.arange(height)[:, None] + 0.5 - centre_row) / half_height
    dx = (np.arange(width)[None, :] + 0.5 - centre_col) / half_width
    region = np.hypot(dx, dy) < 1 if rng.random() < 0.5 else np.maximum(abs(dx), abs(dy)) < 1
    return np.where(region, np.float32(rng.integers(0, 2)), depth)
