"""The whole way from a figure to its moving character (document I, rows I9 to I14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.animation.alignment import align_topology
from reference.animation.library import Figure as Source
from reference.animation.library import Motion
from reference.animation.mapping import Mapping, map_nodes
from reference.animation.mask import Figure
from reference.animation.medial import Medial, find_skeleton
from reference.animation.rotations import about_y
from reference.animation.shape import Body, Contours, find_contours, inflate
from reference.animation.skeleton import Array, Clip, Pose, Skeleton, forward
from reference.animation.skinning import skin_weights
from reference.animation.transfer import align_nodes, in_place, lowest, stand, transfer

# How the source is looked at: a drawn person faces us, a drawn animal shows its side, facing left or right.
VIEWS = {"two_feet": (0.0,), "four_feet": (90.0, -90.0), None: (0.0, 90.0, -90.0)}
# Share of the drawn pose that stays; see transfer.align_nodes.
KEEP = {"two_feet": 0.4, "four_feet": 0.5, None: 0.5}
THICKNESS_COST = 0.2  # against squared distances in a figure of size 1


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
        joints: (V, 4) uint8 joints that each vertex of the body follows.
        weights: (V, 4) float64; they sum to 1.
        clips: motions of ``skeleton``.
        mapping: which source node drives which of the rig's joints.
        partners: per joint of ``skeleton`` the names of the source nodes behind it.
        source: the motion that the first clip came from.
    """

    rig: Rig
    skeleton: Skeleton
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


def map_motion(rig: Rig, motion: Motion, method: str = "error") -> Mapping:
    """The mapping between a figure and a source, seen from the sides that suit its topology (row I11)."""
    views = [about_y(angle) for angle in VIEWS[motion.topology]]
    return map_nodes(motion.skeleton, rig.skeleton, views, method, _thickness_costs(rig, motion))


def _thickness_costs(rig: Rig, motion: Motion) -> Array:
    """(S, T) what it costs to take a thin limb for a head or a thick one for a tail."""
    thickness = limb_thickness(rig)
    costs = np.zeros((len(motion.skeleton), len(rig.skeleton)))
    costs[list(motion.thick)] += THICKNESS_COST * (1 - thickness)
    costs[list(motion.thin)] += THICKNESS_COST * thickness
    return costs


def limb_thickness(rig: Rig) -> Array:
    """(J,) greatest radius near each end, relative to the figure's thickest limb; 0 for joints that end nothing."""
    skeleton, radii = rig.skeleton, rig.medial.radii
    result = np.zeros(len(skeleton))
    for leaf in skeleton.leaves:
        path = skeleton.path_to_root(leaf)
        fork = next((i for i, j in enumerate(path) if i and len(skeleton.children[j]) > 1), len(path) - 1)
        result[leaf] = radii[path[: max(1, fork)]].max()
    return result / max(float(result.max()), 1e-12)


def choose_topology(rig: Rig, candidates: dict[str, Motion]) -> str:
    """The topology class whose source fits with the least mapping error; ``candidates`` has one motion for each."""
    return min(candidates, key=lambda name: map_motion(rig, candidates[name]).error)


def animate(
    rig: Rig, motions: Sequence[Motion], method: str = "error", keep: float | None = None, travel: bool = False
) -> Character:
    """Maps, aligns and carries over the clips of one source skeleton (rows I11 to I14).

    Args:
        motions: clips of the same source skeleton.
        method: of mapping, see ``mapping.METHODS``.
        keep: share of the drawn pose that stays; by default what suits the topology.
        travel: keep the way that the source walks; else it walks on the spot.
    """
    first = motions[0]
    mapping = map_motion(rig, first, method)
    aligned = [align_topology(m.skeleton, m.clip, mapping.target, mapping.pairs) for m in motions]
    share = KEEP[first.topology] if keep is None else keep
    clips = []
    for motion, pair in zip(motions, aligned, strict=True):
        offsets = align_nodes(pair.source, pair.target, mapping.view, share)
        clip = transfer(pair.source, pair.clip, pair.target, offsets)
        clip = clip if travel else in_place(clip)
        feet = [j for j, nodes in enumerate(pair.source_nodes) if set(nodes) & set(motion.feet)]
        if feet:
            heights = lowest(motion.skeleton, forward(motion.skeleton, motion.clip), list(motion.feet))
            clip = stand(clip, pair.target, feet, (heights - heights.min()) * offsets.scale)
        clips.append(clip)
    target = aligned[0].target
    joints, weights = skin_weights(rig.body, target)
    partners = tuple(tuple(first.skeleton.names[n] for n in nodes) for nodes in aligned[0].source_nodes)
    return Character(rig, target, joints, weights, tuple(clips), mapping, partners, first)


def pose_of(character: Character, clip: Clip) -> Pose:
    """World pose of the character's joints over a clip."""
    return forward(character.skeleton, clip)


__all__ = ["Character", "Rig", "Source", "animate", "choose_topology", "map_motion", "pose_of", "rig_figure"]
