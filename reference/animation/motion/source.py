"""A source skeleton with a clip, read from a .bvh or .glb file: helpers left out, upright, at one frame rate."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from reference.animation.motion.bvh import read_bvh
from reference.animation.motion.gltf import clip_names, read_skeleton
from reference.animation.motion.rotations import about_y
from reference.animation.motion.skeleton import Array, Clip, Pose, Skeleton, clip_of, forward, keep_joints, resample
from reference.errors import BadInput
from reference.geometry.glb import Glb, read_glb

TOPOLOGIES = ("two_feet", "four_feet", "winged", "two_feet_tail", "no_feet", "many_feet")
FRAME_RATE = 30.0
FROM_Z = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # turns a world with z up so that y is up


@dataclass(frozen=True, eq=False)
class Motion:
    """A source skeleton with one clip.

    Attributes:
        source: name of the figure in the library, or of the file.
        topology: one of TOPOLOGIES, or None where nobody said it.
        feet: joints that touch the ground.
        thick: ends that are thick in a drawing: the head.
        thin: ends that are thin: the tail.
        notes: what was assumed about a user's file.
    """

    source: str
    skeleton: Skeleton
    clip: Clip
    topology: str | None
    feet: tuple[int, ...]
    thick: tuple[int, ...] = ()
    thin: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def read_motion(path: Path, clip: str, angles: str = "degrees") -> tuple[Skeleton, Pose]:
    """All joints of a file with one of its clips at FRAME_RATE.

    Args:
        clip: its name in a .glb; the first by default.

    Raises:
        BadInput: another type of file, or an unusable one.
    """
    if path.suffix.lower() == ".bvh":
        skeleton, motion = read_bvh(path, angles)
        return skeleton, forward(skeleton, resample(motion, FRAME_RATE))
    if path.suffix.lower() not in (".glb", ".gltf"):
        raise BadInput(f"motion is {path}; allowed: a name of the library, or a .bvh or .glb file")
    glb = _open(path)
    if not clip:
        names = clip_names(glb)
        if not names:
            raise BadInput(f"{path.name} has no animation; allowed: a file with at least one clip")
        clip = names[0]
    skeleton, poses = read_skeleton(glb, [clip], FRAME_RATE)
    return skeleton, poses[0][0]


@lru_cache(maxsize=4)
def _open(path: Path) -> Glb:
    return read_glb(path)


def upright(skeleton: Skeleton, pose: Pose, up: str) -> tuple[Skeleton, Pose]:
    """Turns a world with z up so that y is up."""
    if up == "y":
        return skeleton, pose
    if up != "z":
        raise BadInput(f"up is '{up}'; allowed: y, z")
    return turned(skeleton, pose, FROM_Z)


def turned(skeleton: Skeleton, pose: Pose, turn: Array) -> tuple[Skeleton, Pose]:
    """The same figure and motion in a world turned by (3, 3)."""
    places = Skeleton(skeleton.names, skeleton.parents, skeleton.positions @ turn.T)
    return places, Pose(turn @ pose.rotations @ turn.T, pose.positions @ turn.T)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a joint's name is one of some shell patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def part_of(
    file: str, skeleton: Skeleton, pose: Pose, root: str | None, drop: tuple[str, ...]
) -> tuple[Skeleton, Pose]:
    """The joints from the root down, without those to drop.

    Raises:
        BadInput: no such root, several trees, or a single joint.
    """
    first = _find_root(file, skeleton, root, drop)
    keep = [first] + [
        j for j in range(len(skeleton))
        if j != first and first in skeleton.path_to_root(j) and not matches(skeleton.names[j], drop)
    ]  # fmt: skip
    part, moved = keep_joints(skeleton, pose, keep)
    if len(part) < 2:
        raise BadInput(f"{file} has one joint below '{part.names[0]}'; allowed: a skeleton with bones")
    return part, moved


def _find_root(file: str, skeleton: Skeleton, root: str | None, drop: tuple[str, ...]) -> int:
    """The named root, or the joint where the branches of the one real tree begin."""
    if root is not None:
        if root not in skeleton.names:
            raise BadInput(f"{file} has no joint '{root}'; it has: {', '.join(skeleton.names[:12])}, ...")
        return skeleton.names.index(root)
    below = [sum(j in skeleton.path_to_root(k) for k in range(len(skeleton))) for j in range(len(skeleton))]
    start = 0
    if skeleton.names[0] == "scene":
        trees = [j for j in skeleton.children[0] if below[j] > 2 and not matches(skeleton.names[j], drop)]
        if len(trees) != 1:
            named = ", ".join(skeleton.names[j] for j in trees)
            raise BadInput(
                f"{file} has {len(trees)} roots ({named}); allowed: one skeleton; name one with --root, or save each "
                "on its own"
            )
        start = trees[0]
    # Files often put a joint or two on the ground, above the hips, with only helpers beside the body.
    while True:
        real = [j for j in skeleton.children[start] if not matches(skeleton.names[j], drop) and below[j] > 3]
        if len(real) != 1 or below[start] > 4 * below[real[0]]:
            return start
        start = real[0]


def lowest_leaves(skeleton: Skeleton) -> tuple[int, ...]:
    """Leaves in the lowest eighth of the figure at rest."""
    heights = skeleton.positions[:, 1]
    limit = heights.min() + np.ptp(heights) / 8
    return tuple(j for j in skeleton.leaves if heights[j] <= limit) or (int(heights.argmin()),)


def facing_front(motion: Motion) -> Motion:
    """Turns a recording, whose actor may face anywhere, so that it begins facing the front."""
    pose = forward(motion.skeleton, motion.clip)
    x, _, z = pose.rotations[:10, 0, :, 2].mean(axis=0)
    turn = about_y(-float(np.degrees(np.arctan2(x, z))))
    moved = Pose(turn @ pose.rotations, pose.positions @ turn.T)
    return replace(motion, clip=clip_of(motion.skeleton, moved, motion.clip.name, motion.clip.frame_rate))


def rested(motion: Motion, resting: Pose, frame: int) -> Motion:
    """The same motion of a skeleton whose rest pose is a frame of a clip: animators' T-poses are like no drawing."""
    skeleton = Skeleton(motion.skeleton.names, motion.skeleton.parents, resting.positions[frame])
    pose = forward(motion.skeleton, motion.clip)
    moved = Pose(pose.rotations @ np.swapaxes(resting.rotations[frame], 1, 2), pose.positions)
    clip = clip_of(skeleton, moved, motion.clip.name, motion.clip.frame_rate)
    return replace(motion, skeleton=skeleton, clip=clip)
