"""Skeletons and clips: the two types that every step of the animation shares, and forward kinematics.

A joint's rotation is stored in the axes of the world at rest. All matrices are then the identity in the rest pose, and
skeletons from BVH, glTF and pictures can be compared without knowing how their authors oriented the joints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A rooted tree of joints at rest.

    Attributes:
        names: J different names.
        parents: (J,) int32; -1 for the root, which is joint 0; a parent comes before its children.
        positions: (J, 3) float64, in the world at rest.

    What follows from these is computed once: leave the lists and arrays as they are.
    """

    names: tuple[str, ...]
    parents: NDArray[np.int32]
    positions: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "parents", np.ascontiguousarray(self.parents, np.int32))
        object.__setattr__(self, "positions", np.ascontiguousarray(self.positions, np.float64))
        _check(self)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def children(self) -> list[list[int]]:
        """The children of every joint, in order."""
        result: list[list[int]] = [[] for _ in self.names]
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                result[parent].append(joint)
        return result

    @cached_property
    def leaves(self) -> list[int]:
        """Joints without children; the root of a one-joint skeleton is none."""
        return [joint for joint, below in enumerate(self.children) if not below and joint > 0]

    @cached_property
    def offsets(self) -> Array:
        """(J, 3) from the parent to the joint at rest; the root's is its position."""
        result = self.positions.copy()
        result[1:] -= self.positions[self.parents[1:]]
        return result

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """(J,) number of branches that meet at each joint (document I, row I11)."""
        return np.array([len(below) for below in self.children]) + (self.parents >= 0)

    @cached_property
    def size(self) -> float:
        """Diagonal of the joints' box, the length that tolerances are relative to."""
        return float(np.linalg.norm(np.ptp(self.positions, axis=0)))

    @cached_property
    def lengths_from_root(self) -> Array:
        """(J,) length of the way along the bones from the root."""
        result = np.zeros(len(self))
        for joint in range(1, len(self)):
            result[joint] = result[self.parents[joint]] + np.linalg.norm(self.offsets[joint])
        return result

    def path_to_root(self, joint: int) -> list[int]:
        """The joint, its parent, and so on up to the root."""
        path = [joint]
        while self.parents[path[-1]] >= 0:
            path.append(int(self.parents[path[-1]]))
        return path


@dataclass(frozen=True, eq=False)
class Clip:
    """A motion of one skeleton.

    Attributes:
        frame_rate: frames per second.
        rotations: (F, J, 3, 3) float64, of each joint relative to its parent, in the axes of the rest pose.
        translations: (F, 3) float64, of the root from its place at rest.
    """

    name: str
    frame_rate: float
    rotations: Array
    translations: Array

    def __post_init__(self) -> None:
        frames, joints = self.rotations.shape[:2]
        if self.rotations.shape != (frames, joints, 3, 3) or self.translations.shape != (frames, 3) or not frames:
            raise BadInput(
                f"clip '{self.name}' has rotations {self.rotations.shape} and translations {self.translations.shape}; "
                "allowed: (F, J, 3, 3) and (F, 3) with F of at least 1"
            )
        if not self.frame_rate > 0 or not np.isfinite(self.frame_rate):
            raise BadInput(f"clip '{self.name}' runs at {self.frame_rate} frames per second; allowed: above 0")
        if not (np.isfinite(self.rotations).all() and np.isfinite(self.translations).all()):
            raise BadInput(f"clip '{self.name}' holds NaN or infinity; allowed: finite numbers; export it again")

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last frame."""
        return (len(self) - 1) / self.frame_rate


@dataclass(frozen=True, eq=False)
class Pose:
    """Every joint of every frame in the world.

    Attributes:
        rotations: (F, J, 3, 3) float64, from the rest pose.
        positions: (F, J, 3) float64.
    """

    rotations: Array
    positions: Array


def _check(skeleton: Skeleton) -> None:
    names, parents, positions = skeleton.names, skeleton.parents, skeleton.positions
    if not names or parents.shape != (len(names),) or positions.shape != (len(names), 3):
        raise BadInput(
            f"skeleton with {len(names)} names, parents {parents.shape} and positions {positions.shape}; "
            "allowed: J names, (J,) and (J, 3), J at least 1"
        )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"skeleton names joint '{twice}' twice; allowed: different names; rename one")
    roots = int((parents < 0).sum())
    if roots != 1:
        raise BadInput(f"skeleton has {roots} roots; allowed: one; join them or choose one part")
    if (parents >= np.arange(len(names))).any() or parents[0] >= 0:
        raise BadInput("skeleton lists a joint before its parent; allowed: the root first, parents before children")
    if not np.isfinite(positions).all():
        raise BadInput("skeleton has joints at NaN or infinity; allowed: finite positions; export it again")


def forward(skeleton: Skeleton, clip: Clip) -> Pose:
    """Places every joint of every frame in the world: products along the ancestors, root first."""
    if clip.rotations.shape[1] != len(skeleton):
        raise BadInput(
            f"clip '{clip.name}' moves {clip.rotations.shape[1]} joints, the skeleton has {len(skeleton)}; "
            "use the skeleton that the clip was made for"
        )
    rotations, positions = clip.rotations.copy(), np.empty((len(clip), len(skeleton), 3))
    offsets = skeleton.offsets
    positions[:, 0] = offsets[0] + clip.translations
    for joint in range(1, len(skeleton)):
        parent = skeleton.parents[joint]
        rotations[:, joint] = rotations[:, parent] @ clip.rotations[:, joint]
        positions[:, joint] = positions[:, parent] + rotations[:, parent] @ offsets[joint]
    return Pose(rotations, positions)


def clip_of(skeleton: Skeleton, pose: Pose, name: str, frame_rate: float) -> Clip:
    """The clip with a pose's rotations and root; the inverse of :func:`forward` where bone lengths are constant."""
    local = pose.rotations.copy()
    for joint in range(1, len(skeleton)):
        local[:, joint] = np.swapaxes(pose.rotations[:, skeleton.parents[joint]], 1, 2) @ pose.rotations[:, joint]
    return Clip(name, frame_rate, local, pose.positions[:, 0] - skeleton.positions[0])


def resample(clip: Clip, frame_rate: float) -> Clip:
    """The same motion at another frame rate: rotations on the shortest arc, translations on straight lines."""
    from scipy.spatial.transform import Rotation, Slerp

    if frame_rate == clip.frame_rate or len(clip) == 1:
        return replace(clip, frame_rate=frame_rate)
    times = np.arange(len(clip)) / clip.frame_rate
    # Whole steps of the new rate; the last frame is the last one that the clip still covers. Files round their rate:
    # 0.0333333 s are 30 frames a second.
    wanted = np.arange(int(np.floor(clip.duration_s * frame_rate + 1e-3)) + 1) / frame_rate
    wanted = np.minimum(wanted, times[-1])
    rotations = np.empty((len(wanted), *clip.rotations.shape[1:]))
    for joint in range(clip.rotations.shape[1]):
        rotations[:, joint] = Slerp(times, Rotation.from_matrix(clip.rotations[:, joint]))(wanted).as_matrix()
    translations = np.stack([np.interp(wanted, times, axis) for axis in clip.translations.T], axis=1)
    return Clip(clip.name, frame_rate, rotations, translations)


def reroot(skeleton: Skeleton, root: int) -> Skeleton:
    """The same joints and bones hung up at another joint."""
    neighbours: list[list[int]] = [list(below) for below in skeleton.children]
    for joint in range(1, len(skeleton)):
        neighbours[joint].append(int(skeleton.parents[joint]))
    order, parent_of = [root], {root: -1}
    for joint in order:  # grows while it is read: breadth first
        for other in neighbours[joint]:
            if other not in parent_of:
                parent_of[other] = joint
                order.append(other)
    return reorder(skeleton, order, parent_of)


def reorder(skeleton: Skeleton, order: list[int], parent_of: dict[int, int]) -> Skeleton:
    """A skeleton of the joints in ``order``, hung up as ``parent_of`` says (both in old numbers)."""
    number = {joint: i for i, joint in enumerate(order)}
    parents = [number.get(parent_of[joint], -1) for joint in order]
    names = tuple(skeleton.names[joint] for joint in order)
    return Skeleton(names, np.array(parents, np.int32), skeleton.positions[order])


def keep_joints(skeleton: Skeleton, pose: Pose, keep: list[int]) -> tuple[Skeleton, Pose]:
    """A part of a skeleton with its motion: the others vanish, their children hang at the next kept ancestor.

    Args:
        keep: joint numbers; the first must be an ancestor of all others.
    """
    kept = set(keep)
    order = [keep[0], *(joint for joint in range(len(skeleton)) if joint in kept and joint != keep[0])]
    parent_of = {keep[0]: -1}
    for joint in order[1:]:
        above = [other for other in skeleton.path_to_root(joint)[1:] if other in kept]
        if not above:
            raise BadInput(f"joint '{skeleton.names[joint]}' is not below '{skeleton.names[keep[0]]}'; leave it out")
        parent_of[joint] = above[0]
    return reorder(skeleton, order, parent_of), Pose(pose.rotations[:, order], pose.positions[:, order])
