"""The whole way from a figure to its moving character (document I, rows I9 to I14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reference.animation.figure.evidence import lean, symmetry
from reference.animation.figure.mask import Figure
from reference.animation.figure.medial import Medial, find_skeleton
from reference.animation.figure.shape import Body, Contours, find_contours, inflate
from reference.animation.figure.skinning import skin_weights
from reference.animation.layers import in_layers
from reference.animation.motion.library import Figure as Source
from reference.animation.motion.rotations import TINY, about_y
from reference.animation.motion.skeleton import Array, Clip, Pose, Skeleton, forward, reroot
from reference.animation.motion.source import Motion
from reference.animation.retarget.alignment import align_topology
from reference.animation.retarget.mapping import Mapping, map_nodes
from reference.animation.retarget.transfer import align_nodes, from_here, in_place, leg_length, lowest, stand, transfer

# How the source is looked at: a drawn person faces us, a drawn animal shows its side, facing left or right; a bird with
# spread wings and what has many legs are drawn from the front or from above.
_SIDES = (90.0, -90.0)
VIEWS: dict[str | None, tuple[float, ...]] = {
    "two_feet": (0.0,), "four_feet": _SIDES, "winged": (*_SIDES, 0.0), "two_feet_tail": _SIDES, "no_feet": _SIDES,
    "many_feet": (0.0,), None: (0.0, *_SIDES),
}  # fmt: skip
FACING = {"front": (0.0,), "right": (90.0,), "left": (-90.0,)}
# Share of the drawn pose that stays; see transfer.align_nodes.
KEEP = {"two_feet": 0.4}  # 0.5 for all others
SYMMETRIC = 0.65  # overlap of a bird with its mirror image from which on it may be seen from the front
LIFTED, LIFTED_COST = 0.45, 2.0  # share of the figure's height from which on an end is no foot: a muzzle, an ear
THICKNESS_COST = 0.5  # against squared distances in a figure of size 1
# Of looking away from the side that the figure is high on (evidence.lean): a head is held up, also on a thin neck.
HEADS_UP = ("four_feet", "winged", "two_feet_tail")
LEAN_COST = 0.7


@dataclass(frozen=True, eq=False)
class Rig:
    """A figure with its mesh and the skeleton found in it.

    Attributes:
        skeleton: joints in the plane z = 0 of the body's frame.
    """

    figure: Figure
    contours: Contours
    body: Body
    medial: Medial
    skeleton: Skeleton

    @property
    def has_limbs(self) -> bool:
        return self.medial.has_limbs


@dataclass(frozen=True, eq=False)
class Character:
    """A rigged figure that moves.

    Attributes:
        skeleton: the target after topology alignment.
        vertices: (V, 3) float64, the body's at rest with limbs before the body moved before it.
        joints: (V, 4) uint8 joints that each vertex follows.
        weights: (V, 4) float64; they sum to 1.
        clips: motions of ``skeleton``.
        mapping: which source node drives which of the rig's joints.
        partners: per joint of ``skeleton`` the names of the source nodes behind it.
        source: the motion that the first clip came from.
    """

    rig: Rig
    skeleton: Skeleton
    vertices: Array
    joints: NDArray[np.uint8]
    weights: Array
    clips: tuple[Clip, ...]
    mapping: Mapping
    partners: tuple[tuple[str, ...], ...]
    source: Motion


def rig_figure(figure: Figure) -> Rig:
    """Contour, mesh and skeleton of a figure (row I9)."""
    contours = find_contours(figure.mask)
    body = inflate(contours)
    medial = find_skeleton(contours)
    places = body.to_frame(contours.to_picture(medial.points))
    names = tuple("root" if i == 0 else f"joint_{i}" for i in range(len(places)))
    return Rig(figure, contours, body, medial, Skeleton(names, medial.parents, places))


def map_motion(rig: Rig, motion: Motion, method: str = "error", facing: str | None = None) -> Mapping:
    """The mapping between a figure and a source, seen from the sides that suit its topology (row I11).

    Args:
        facing: a key of FACING if it is known where the figure looks; else the best fit decides.
    """
    angles = VIEWS[motion.topology] if facing is None else FACING[facing]
    if facing is None and motion.topology == "winged" and symmetry(rig.contours.grid) < SYMMETRIC:
        angles = _SIDES
    views = [about_y(angle) for angle in angles]
    up = lean(rig.contours.grid) if motion.topology in HEADS_UP else 0.0
    against = [LEAN_COST * max(0.0, -up * np.sign(angle)) for angle in angles]
    return map_nodes(motion.skeleton, rig.skeleton, views, method, _thickness_costs(rig, motion), against)


def _thickness_costs(rig: Rig, motion: Motion) -> Array:
    """(S, T) what it costs to take a thin limb for a head, a thick one for a tail, or what is up for a foot."""
    thickness = limb_thickness(rig)
    costs = np.zeros((len(motion.skeleton), len(rig.skeleton)))
    costs[list(motion.thick)] += THICKNESS_COST * (1 - thickness)
    costs[list(motion.thin)] += THICKNESS_COST * thickness
    heights = rig.skeleton.positions[:, 1] / max(float(rig.skeleton.positions[:, 1].max()), TINY)
    costs[list(motion.feet)] += LIFTED_COST * np.maximum(heights - LIFTED, 0)
    return costs


def limb_thickness(rig: Rig) -> Array:
    """(J,) greatest radius in each limb's outer half, relative to the figure's thickest; 0 for joints that end nothing.

    Small things at the end of a limb (a giraffe's horns) count as a part of that limb.
    """
    # Seen from the thickest joint that ends nothing: the root may lie among the horns, and a head may be thicker.
    skeleton = reroot(rig.skeleton, int(np.where(rig.skeleton.degrees > 1, rig.medial.radii, 0).argmax()))
    numbers = [rig.skeleton.names.index(name) for name in skeleton.names]
    radii, ways, result = rig.medial.radii[numbers], skeleton.lengths_from_root, np.zeros(len(skeleton))
    for leaf in skeleton.leaves:
        path = skeleton.path_to_root(leaf)
        forks = [i for i, j in enumerate(path) if i and len(skeleton.children[j]) > 1] or [len(path) - 1]
        end = forks[0]
        if len(forks) > 1 and _is_small_end(skeleton, path[forks[0]], path[forks[1]]):
            end = forks[1]
        # Near the fork is the body: a short tail would be as thick as the rump that it hangs on.
        outer = [j for j in path[: max(1, end)] if ways[leaf] - ways[j] <= (ways[leaf] - ways[path[end]]) / 2]
        result[numbers[leaf]] = radii[outer].max()
    return result / max(float(result.max()), 1e-12)


def _is_small_end(skeleton: Skeleton, fork: int, before: int) -> bool:
    """Whether everything beyond a fork is short against the way from the fork before it."""
    ways = skeleton.lengths_from_root
    beyond = max(ways[leaf] for leaf in skeleton.leaves if fork in skeleton.path_to_root(leaf)) - ways[fork]
    return bool(beyond < 0.6 * (ways[fork] - ways[before]))


def facing_of(mapping: Mapping) -> str:
    """Where the source looks in the mapping's view: front, left or right."""
    ahead = mapping.view[:, 2]
    if abs(ahead[0]) < 0.5:
        return "front"
    return "right" if ahead[0] > 0 else "left"


def animate(
    rig: Rig,
    motions: Sequence[Motion],
    method: str = "error",
    keep: float | None = None,
    travel: bool = False,
    facing: str | None = None,
) -> Character:
    """Maps, aligns and carries over the clips of one source skeleton (rows I11 to I14).

    Args:
        motions: clips of the same source skeleton.
        method: of mapping, see ``mapping.METHODS``.
        keep: share of the drawn pose that stays; by default what suits the topology.
        travel: keep the way that the source walks; else it walks on the spot.
        facing: where the figure looks, see :func:`map_motion`.
    """
    first = motions[0]
    mapping = map_motion(rig, first, method, facing)
    aligned = [align_topology(m.skeleton, m.clip, mapping.target, mapping.pairs) for m in motions]
    share = KEEP.get(first.topology or "", 0.5) if keep is None else keep
    clips = []
    for motion, pair in zip(motions, aligned, strict=True):
        offsets = align_nodes(pair.source, pair.target, mapping.view, share)
        clip = transfer(pair.source, pair.clip, pair.target, offsets, twist=False)
        clip = from_here(clip) if travel else in_place(clip)
        feet = feet_of(pair.source_nodes, motion)
        if feet:
            ratio = leg_length(pair.target, feet) / max(leg_length(pair.source, feet), TINY)
            clip = stand(clip, pair.target, feet, clearance_of(motion) * ratio)
        clips.append(clip)
    # Viewers and apps see what a joint is by the name of what drives it.
    target = replace(aligned[0].target, names=aligned[0].source.names)
    joints, weights = skin_weights(rig.body, target)
    nodes = aligned[0].source_nodes
    vertices = in_layers(rig.body.vertices, joints, weights, first.skeleton, mapping.view, nodes)
    partners = tuple(tuple(first.skeleton.names[n] for n in group) for group in nodes)
    return Character(rig, target, vertices, joints, weights, tuple(clips), mapping, partners, first)


def feet_of(source_nodes: Sequence[tuple[int, ...]], motion: Motion) -> list[int]:
    """Joints of an aligned skeleton that stand for the source's feet."""
    return [joint for joint, nodes in enumerate(source_nodes) if set(nodes) & set(motion.feet)]


def clearance_of(motion: Motion) -> Array:
    """(F,) height of the source's lowest foot above the lowest place that it reaches in the clip."""
    heights = lowest(motion.skeleton, forward(motion.skeleton, motion.clip), list(motion.feet))
    return heights - heights.min()


def pose_of(character: Character, clip: Clip) -> Pose:
    """World pose of the character's joints over a clip."""
    return forward(character.skeleton, clip)


__all__ = ["Character", "Rig", "Source", "animate", "facing_of", "map_motion", "pose_of", "rig_figure"]
