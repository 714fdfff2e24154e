"""Node alignment and transfer (document I, rows I13 and I14): the source's clip drives the target.

Both roots move to the origin. From root to leaf every source node gets an offset to its target node: a rotation that
turns its bone to the target's bone, and the target bone's length. Products of the offsets along the ancestors give
the pose transform A of each node; with the source's world rotation R from its rest pose, the target's is

    Q = A_root R A_node^-1

so that every target bone points where its source bone points, seen from the root's frame, and keeps its length.

With ``keep`` above 0 a part of the target's own pose remains: the offsets of the nodes are shortened by that share,
and at 1 the target only repeats the source's deviations from its rest pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from reference.animation.motion.rotations import TINY, about_z, best_rotation, shortest_arc, shortest_arcs
from reference.animation.motion.skeleton import Array, Clip, Pose, Skeleton, clip_of, forward
from reference.errors import BadInput


@dataclass(frozen=True, eq=False)
class Offsets:
    """How the source's rest pose becomes the target's.

    Attributes:
        root: (3, 3) rotation of the whole.
        rotations: (J, 3, 3) world rotation that turns each source node's bone to its target's: the products of the
            single offsets along the ancestors, row I13.
        scale: target lengths per source length.
    """

    root: Array
    rotations: Array
    scale: float


def align_nodes(source: Skeleton, target: Skeleton, view: Array | None = None, keep: float = 0.0) -> Offsets:
    """Offsets of all nodes, root to leaf.

    Args:
        source: one-to-one with ``target``: the same parents.
        view: rotation that the source is seen in. Given, the target is a picture: bones are turned in the picture
            plane only, since a picture doesn't say how far a limb points to the viewer. Without it the rotation
            between both rest poses is found, and bones are turned in space.
        keep: share of the target's own pose that is kept, 0 to 1.

    Raises:
        BadInput: different parents, or ``keep`` out of range.
    """
    if not np.array_equal(source.parents, target.parents):
        raise BadInput("source and target have different topologies; allowed: the same parents; use align_topology")
    if not 0 <= keep <= 1:
        raise BadInput(f"keep is {keep}; allowed: 0 (the source's pose) to 1 (the target's pose)")
    a, b = (s.positions - s.positions[0] for s in (source, target))
    root = best_rotation(a, b) if view is None else view
    rotations = np.empty((len(source), 3, 3))
    turned = a @ root.T
    for joint, below in enumerate(source.children):
        parent = source.parents[joint]
        rotations[joint] = root if parent < 0 else rotations[parent]
        if len(below) == 1:  # where branches meet, the body is not bent to fit them
            before = rotations[joint] @ (a[below[0]] - a[joint])
            after = b[below[0]] - b[joint]
            if view is None:
                turn = _shortened(shortest_arc(before, after), keep)
            else:
                seen = turned[below[0]] - turned[joint]
                turn = _in_plane(seen, after, rotations[joint] @ root.T, keep)
            rotations[joint] = turn @ rotations[joint]
    return Offsets(root, rotations, _scale(source, target))


def _scale(source: Skeleton, target: Skeleton) -> float:
    """Ratio of the bones' total lengths; of a single joint 1."""
    lengths = [float(np.linalg.norm(s.offsets[1:], axis=1).sum()) for s in (source, target)]
    return lengths[1] / lengths[0] if min(lengths) > TINY else 1.0


def _shortened(turn: Array, keep: float) -> Array:
    return turn if keep == 0 else Rotation.from_rotvec(Rotation.from_matrix(turn).as_rotvec() * (1 - keep)).as_matrix()


def _in_plane(seen: Array, after: Array, so_far: Array, keep: float) -> Array:
    """The turn about the viewing axis that brings a bone as seen to its target, on top of the turns so far."""
    shares = [np.linalg.norm(bone[:2]) / max(float(np.linalg.norm(bone)), TINY) for bone in (seen, after)]
    if min(shares) < 0.5:  # a bone that points to the viewer has no direction in the picture
        return np.eye(3)
    before = so_far @ seen
    angle = np.arctan2(after[1], after[0]) - np.arctan2(before[1], before[0])
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    return about_z(angle * (1 - keep))


def transfer(source: Skeleton, clip: Clip, target: Skeleton, offsets: Offsets, twist: bool = True) -> Clip:
    """Carries a clip over to the target (row I14); bone lengths stay the target's own.

    Args:
        source: one-to-one with ``target``.
        twist: whether limbs also turn about themselves as the source's do. A drawing has nothing to show there but
            its outline; without twist every joint is where it was.
    """
    pose = forward(source, clip)
    inverse = np.swapaxes(offsets.rotations, 1, 2)
    rotations = offsets.root @ pose.rotations @ inverse
    if not twist:
        rotations = _without_twist(target, rotations)
    # At rest the source gives A_root A_node^-1: without the last factor the target's root would start turned.
    moves = (pose.positions[:, :1] - source.positions[0]) @ offsets.root.T * offsets.scale
    return clip_of(target, Pose(rotations, target.positions[0] + moves), clip.name, clip.frame_rate)


def _without_twist(skeleton: Skeleton, rotations: Array) -> Array:
    """World rotations (F, J, 3, 3) of the same bone directions, limbs turned from their parents on the shortest arc."""
    result = rotations.copy()
    for joint, below in enumerate(skeleton.children):
        parent = skeleton.parents[joint]
        if parent < 0 or len(below) > 1:  # the body turns as a whole
            continue
        above = result[:, parent]
        if not below:
            result[:, joint] = above
            continue
        bone = skeleton.offsets[below[0]]
        result[:, joint] = shortest_arcs(above @ bone, rotations[:, joint] @ bone) @ above
    return result


def from_here(clip: Clip) -> Clip:
    """Begins above the place at rest: recordings begin anywhere on the floor."""
    return Clip(clip.name, clip.frame_rate, clip.rotations, clip.translations - clip.translations[0] * [1, 0, 1])


def in_place(clip: Clip) -> Clip:
    """Begins at rest and removes the way that the root travels to the last frame; its swaying stays."""
    start = from_here(clip)
    steps = np.linspace(0, 1, len(clip))[:, None] * start.translations[-1] * [1, 0, 1]
    return Clip(clip.name, clip.frame_rate, clip.rotations, start.translations - steps)


def lowest(skeleton: Skeleton, pose: Pose, feet: list[int]) -> Array:
    """(F,) height of the lowest foot in every frame."""
    return np.asarray(pose.positions[:, feet, 1].min(axis=1))


def leg_length(skeleton: Skeleton, feet: list[int]) -> float:
    """Mean distance from the feet to where their legs leave the body."""
    lengths = []
    for foot in feet:
        path = skeleton.path_to_root(foot)
        top = next((j for j in path[1:] if len(skeleton.children[j]) > 1), path[-1])
        lengths.append(np.linalg.norm(skeleton.positions[foot] - skeleton.positions[top]))
    return float(np.mean(lengths))


def stand(clip: Clip, target: Skeleton, feet: list[int], clearance: Array) -> Clip:
    """Lifts or lowers every frame so that the lowest foot is ``clearance`` above its place at rest.

    Limbs of other proportions than the source's would else walk in the air or in the ground.

    Args:
        feet: joints of the target that touch the ground.
        clearance: (F,) in the target's units; 0 where a foot is on the ground.
    """
    heights = lowest(target, forward(target, clip), feet)
    ground = target.positions[feet, 1].min()
    moves = clip.translations.copy()
    moves[:, 1] += ground + clearance - heights
    return Clip(clip.name, clip.frame_rate, clip.rotations, moves)
