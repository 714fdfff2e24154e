"""What the joints of a user's file are: by the names of well-known rigs, by their places where names say nothing."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from reference.animation.motion.skeleton import Array, Skeleton
from reference.animation.motion.source import lowest_leaves

# What animators add to steer a skeleton, and what no drawing has: controls of Blender and Rigify, helpers of 3ds Max
# and Unreal, fingers, eyes and jaws.
HELPERS = (
    "*IK*", "*Pole*", "PT.*", "*Target*", "*Ctrl*", "*_twist*", "*_ctrl*", "*control*", "MCH-*", "WGT-*", "VIS_*",
    "ik_*",
    "*Nub*", "*Dummy*", "*Prop*", "*Twist*", "*Site.*", "*Thumb*", "*thumb*", "*Index*", "*index_*", "*Middle*",
    "*middle_*",
    "*Ring*", "*ring_*", "*Pinky*", "*pinky_*", "*Finger*", "*finger*", "*f_index*", "*f_middle*", "*f_ring*",
    "*f_pinky*",
    "*palm*", "*metacarpal*", "*Eye*", "*eye*", "*Jaw*", "*jaw*", "*Tongue*", "*teeth*", "*breast*", "*heel.*",
)  # fmt: skip
_FEET = re.compile(r"foot|ankle|paw|hoof|toe|(?:^|_)ball_|pastern|fetlock", re.IGNORECASE)
_HEAD = re.compile(r"head|skull", re.IGNORECASE)
_TAIL = re.compile(r"tail", re.IGNORECASE)
_WING = re.compile(r"wing", re.IGNORECASE)
_HINDER = re.compile(
    r"hind|back_?leg|rear_|front_?leg|fore_?leg|frontleg|backleg|front_foot|f_leg|b_leg", re.IGNORECASE
)
# Sides as they are written: Left..., ...Left, .L, _l, l..., -L
_LEFT = re.compile(r"left|(?:^|[^a-zA-Z])[lL](?:[^a-zA-Z]|$)|(?:^|[:_.])l(?=[A-Z])")
_RIGHT = re.compile(r"right|(?:^|[^a-zA-Z])[rR](?:[^a-zA-Z]|$)|(?:^|[:_.])r(?=[A-Z])")


def find_feet(skeleton: Skeleton) -> tuple[int, ...]:
    """Ends that touch the ground: below a joint that is named so, else the lowest."""
    low = float(np.quantile(skeleton.positions[:, 1], 0.4))
    named = tuple(
        leaf for leaf in skeleton.leaves
        if any(_FEET.search(skeleton.names[j]) for j in skeleton.path_to_root(leaf)[:3])
        and skeleton.positions[leaf, 1] <= low
    )  # fmt: skip
    return named or lowest_leaves(skeleton)


def find_up(skeleton: Skeleton, positions: Array) -> str:
    """The axis along which legs hang, y or z, in (J, 3) places of a pose; y where no foot is named."""
    legs = []
    for leaf in skeleton.leaves:
        path = skeleton.path_to_root(leaf)
        if any(_FEET.search(skeleton.names[j]) for j in path[:3]) and len(path) > 3:
            legs.append(positions[path[min(4, len(path) - 1)]] - positions[leaf])
    if not legs:
        return "y"
    up = np.mean(legs, axis=0)
    return "z" if up[2] > 1.2 * abs(up[1]) else "y"


def find_ends(skeleton: Skeleton, what: str) -> tuple[int, ...]:
    """Ends of the head or of the tail, by name; none where no joint is named so."""
    pattern = {"head": _HEAD, "tail": _TAIL}[what]
    names = skeleton.names
    return tuple(
        leaf for leaf in skeleton.leaves if any(pattern.search(names[j]) for j in skeleton.path_to_root(leaf)[:3])
    )


def find_topology(skeleton: Skeleton, feet: tuple[int, ...]) -> str:
    """What a source moves on: wings by name, else the number of feet and whether the body lies or stands."""
    if any(_WING.search(name) for name in skeleton.names):
        return "winged"
    size = np.ptp(skeleton.positions, axis=0)
    long = float(max(size[0], size[2]))
    standing = [leaf for leaf in feet if skeleton.positions[leaf, 1] < skeleton.positions[:, 1].min() + 0.25 * size[1]]
    legs = {_top_of_limb(skeleton, leaf) for leaf in standing}
    if any(_HINDER.search(name) for name in skeleton.names) or (3 <= len(legs) <= 4 and long > 0.6 * size[1]):
        return "four_feet"
    if len(legs) > 4:
        return "many_feet"
    if size[1] < 0.35 * long:
        return "no_feet"
    has_tail = any(_TAIL.search(name) for name in skeleton.names)
    return "two_feet_tail" if has_tail and long > 0.8 * size[1] else "two_feet"


def _top_of_limb(skeleton: Skeleton, leaf: int) -> int:
    """The topmost joint of a leaf's limb: the joint below which nothing branches into two long limbs."""
    path = skeleton.path_to_root(leaf)
    for below, above in pairwise(path):
        if len(skeleton.children[above]) > 1 and above != path[0] and skeleton.lengths_from_root[leaf] > 0:
            rest = skeleton.lengths_from_root[leaf] - skeleton.lengths_from_root[above]
            if rest > 0.15 * skeleton.size:
                return below
    return path[-2] if len(path) > 1 else leaf


def heading(skeleton: Skeleton, topology: str) -> float:
    """Degrees about y from +z to where the figure looks at rest, to quarters of a turn.

    From left to right limbs where names tell the sides; else along the body towards the higher end.
    """
    sides = [[j for j, n in enumerate(skeleton.names) if pattern.search(n)] for pattern in (_LEFT, _RIGHT)]
    if all(sides):
        across = skeleton.positions[sides[0]].mean(axis=0) - skeleton.positions[sides[1]].mean(axis=0)
        across[1] = 0
        if np.linalg.norm(across) > 0.02 * skeleton.size:
            ahead = np.cross(across, [0.0, 1.0, 0.0])  # left is +x where the front is +z
            return _degrees(ahead)
    if topology in ("two_feet", "many_feet"):
        return 0.0
    flat = skeleton.positions[:, [0, 2]]
    axis = int(np.ptp(flat, axis=0).argmax())
    along = flat[:, axis] - flat[:, axis].mean()
    high = skeleton.positions[:, 1] - skeleton.positions[:, 1].mean()
    ahead = np.zeros(3)
    ahead[[0, 2][axis]] = 1.0 if float((along * high).sum()) >= 0 else -1.0
    return _degrees(ahead)


def _degrees(ahead: Array) -> float:
    return float(np.degrees(np.arctan2(ahead[0], ahead[2])))


def is_degenerate(skeleton: Skeleton) -> bool:
    """Whether a rest pose is none: all bones along one line, as exporters that store local axes write them."""
    bones = skeleton.offsets[1:]
    lengths = np.linalg.norm(bones, axis=1)
    bones, lengths = bones[lengths > 1e-9], lengths[lengths > 1e-9]
    if len(bones) < 3:
        return False
    total = np.abs(bones.sum(axis=0))  # bones of a real figure point in opposite directions, too
    return bool(total.max() > 0.9 * lengths.sum())
