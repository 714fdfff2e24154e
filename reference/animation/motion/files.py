"""A motion from a user's own file: what the file doesn't say is found from its joints' names and places, or given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reference.animation.motion.rigs import (
    HELPERS,
    find_ends,
    find_feet,
    find_topology,
    find_up,
    heading,
    is_degenerate,
)
from reference.animation.motion.rotations import about_y, best_rotation
from reference.animation.motion.skeleton import Array, Pose, Skeleton, clip_of, forward
from reference.animation.motion.source import (
    FRAME_RATE,
    FROM_Z,
    TOPOLOGIES,
    Motion,
    facing_front,
    matches,
    part_of,
    read_motion,
    rested,
    turned,
    upright,
)
from reference.errors import BadInput

RESTS = ("auto", "file", "first")
HEADINGS = ("auto", "file")
UPRIGHT = 0.5  # cosine of the angle by which a figure may lean and still stand in the same world


@dataclass(frozen=True)
class FileOptions:
    """What a user may say about a motion file; the defaults find it out.

    Attributes:
        clip: its name in a .glb; the first by default.
        up: upwards axis, y or z; ``auto`` takes the one along which legs hang.
        angles: unit of a .bvh file's rotations, degrees or radians.
        rest: the pose that is the figure at rest: ``file`` (its own), ``first`` or the number of a frame; ``auto``
            takes the first frame where the file's own pose is all on one line.
        root: the joint that becomes the root; what is not below it is left out.
        drop: joints to leave out besides helpers, fingers, eyes, as shell patterns.
        feet: joints that touch the ground, as shell patterns.
        heading: where the figure looks at the start: ``auto``, ``file`` (towards +z), or degrees from +z towards +x.
        topology: one of TOPOLOGIES.
        scale: factor on the root's way, for files that measure it in another unit than the bones.
    """

    clip: str | None = None
    up: str = "auto"
    angles: str = "degrees"
    rest: str = "auto"
    root: str | None = None
    drop: tuple[str, ...] = ()
    feet: tuple[str, ...] = ()
    heading: str = "auto"
    topology: str | None = None
    scale: float = 1.0


def load_file(path: Path, options: FileOptions = FileOptions()) -> Motion:
    """A motion from a .bvh or .glb file.

    Raises:
        BadInput: unusable file, unknown clip, joint or frame, or several roots.
    """
    _check(options)
    skeleton, pose = read_motion(path, options.clip or "", options.angles)
    skeleton, pose = _stood_up(skeleton, pose) if options.up == "auto" else upright(skeleton, pose, options.up)
    part, moved = part_of(path.name, skeleton, pose, options.root, (*HELPERS, *options.drop))
    motion = Motion(path.stem, part, clip_of(part, moved, path.stem, FRAME_RATE), options.topology, ())
    motion = _at_rest(path.name, motion, options.rest)
    motion = _described(path.name, motion, options)
    motion = _headed(motion, options.heading)
    clip = motion.clip
    return replace(motion, clip=replace(clip, translations=clip.translations * options.scale))


def _stood_up(skeleton: Skeleton, pose: Pose) -> tuple[Skeleton, Pose]:
    """With y upwards: some programs write the rest pose in one world and the motion in another."""
    middle = pose.positions[len(pose.positions) // 2]
    moving = find_up(skeleton, middle)
    resting = moving if is_degenerate(skeleton) else find_up(skeleton, skeleton.positions)
    if moving != resting and _keeps_up(skeleton.positions, middle):
        moving = resting  # only the legs are laid back, as a flying bird's
    if moving == resting:
        return upright(skeleton, pose, moving)
    if resting == "z":  # the same rotations from a rest pose that was turned
        places = Skeleton(skeleton.names, skeleton.parents, skeleton.positions @ FROM_Z.T)
        return places, Pose(pose.rotations @ FROM_Z.T, pose.positions)
    return skeleton, Pose(FROM_Z @ pose.rotations, pose.positions @ FROM_Z.T)


def _keeps_up(resting: Array, moving: Array) -> bool:
    """Whether a figure as a whole stands in a frame, (J, 3), as it does at rest."""
    turn = best_rotation(resting - resting.mean(axis=0), moving - moving.mean(axis=0))
    return bool(turn[1, 1] > UPRIGHT)


def _check(options: FileOptions) -> None:
    if options.rest not in RESTS and not options.rest.isdecimal():
        raise BadInput(f"--rest is '{options.rest}'; allowed: {', '.join(RESTS)}, or the number of a frame")
    if options.topology is not None and options.topology not in TOPOLOGIES:
        raise BadInput(f"topology is '{options.topology}'; allowed: {', '.join(TOPOLOGIES)}")
    if not (np.isfinite(options.scale) and options.scale > 0):
        raise BadInput(f"--scale is {options.scale}; allowed: above 0")
    if options.heading not in HEADINGS and not _is_number(options.heading):
        raise BadInput(f"--heading is '{options.heading}'; allowed: {', '.join(HEADINGS)}, or degrees")


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _at_rest(file: str, motion: Motion, rest: str) -> Motion:
    if rest == "file" or (rest == "auto" and not is_degenerate(motion.skeleton)):
        return motion
    frame = int(rest) if rest.isdecimal() else 0
    if frame >= len(motion.clip):
        last = len(motion.clip) - 1
        raise BadInput(f"--rest is {frame}; {file} has the frames 0 to {last} at {FRAME_RATE:g} a second")
    pose = forward(motion.skeleton, motion.clip)
    notes = (f"{file} has no rest pose (all bones on one line); its first frame is taken",) if rest == "auto" else ()
    return replace(rested(motion, pose, frame), notes=(*motion.notes, *notes))


def _described(file: str, motion: Motion, options: FileOptions) -> Motion:
    """Feet, head, tail and topology, as given or by names and places."""
    names = motion.skeleton.names
    feet = tuple(j for j, name in enumerate(names) if matches(name, options.feet))
    if options.feet and not feet:
        raise BadInput(f"{file} has no joint like {', '.join(options.feet)}; it has: {', '.join(names[:12])}, ...")
    feet = feet or find_feet(motion.skeleton)
    topology = options.topology or find_topology(motion.skeleton, feet)
    if topology == "no_feet":
        feet = ()
    heads, tails = (find_ends(motion.skeleton, what) for what in ("head", "tail"))
    return replace(motion, topology=topology, feet=feet, thick=heads, thin=tails)


def _headed(motion: Motion, wanted: str) -> Motion:
    """Turns the figure at rest to look towards +z, and the clip to begin so."""
    if wanted == "file":
        return motion
    automatic = wanted == "auto"
    degrees = heading(motion.skeleton, motion.topology or "") if automatic else float(wanted)
    skeleton, pose = turned(motion.skeleton, forward(motion.skeleton, motion.clip), about_y(-degrees))
    clip = clip_of(skeleton, pose, motion.clip.name, motion.clip.frame_rate)
    motion = replace(motion, skeleton=skeleton, clip=clip)
    return facing_front(motion) if automatic else motion
