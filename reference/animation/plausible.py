"""Whether a motion suits a figure: what comes out folded or tiny was seen from a wrong side or read wrongly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.animation.animate import Character
from reference.animation.motion.skeleton import Array, forward

SHORTEST_BONE = 0.3  # of its length at rest, as seen, on average over a clip
SMALLEST_FIGURE = 0.25  # of its size at rest, as seen
FLAT_BONE, FLAT_FIGURE = 0.65, 0.25  # of length, of the box's area: pressed flat, though as wide as before


def doubts(character: Character) -> list[str]:
    """A line for each clip in which bones are seen shorter than 30 %, or the figure smaller than 25 %, of the drawn.

    The figure is seen from the front, as it was drawn. Bones keep their length in space: seen short, they point to the
    viewer.
    """
    if not character.rig.has_limbs:
        return []
    return [line for clip in character.clips if (line := _doubt(character, clip.name))]


def _doubt(character: Character, name: str) -> str:
    clip = next(clip for clip in character.clips if clip.name == name)
    rest, seen = character.skeleton.positions[None, :, :2], forward(character.skeleton, clip).positions[..., :2]
    parents = character.skeleton.parents
    drawn = _bones(rest, parents)[0]
    bones = float(_bones(seen, parents).mean() / max(drawn.mean(), 1e-9)) if len(drawn) else 1.0
    size = float(np.median(_sizes(seen)) / max(float(_sizes(rest)[0]), 1e-9))
    area = float(np.median(np.ptp(seen, axis=1).prod(axis=1)) / max(float(np.ptp(rest[0], axis=0).prod()), 1e-12))
    flat = bones < FLAT_BONE and area < FLAT_FIGURE
    if bones >= SHORTEST_BONE and size >= SMALLEST_FIGURE and not flat:
        return ""
    return (
        f"'{name}' doesn't suit the figure: bones are seen at {100 * bones:.0f} % of their length, the figure at "
        f"{100 * size:.0f} % of its size; try another --topology, --facing, --heading or --rest"
    )


def _bones(places: Array, parents: NDArray[np.int32]) -> Array:
    """(F, J - 1) lengths of bones as seen."""
    return np.asarray(np.linalg.norm(places[:, 1:] - places[:, parents[1:]], axis=2))


def _sizes(places: Array) -> Array:
    return np.asarray(np.linalg.norm(np.ptp(places, axis=1), axis=1))
