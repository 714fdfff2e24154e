"""Reads Biovision hierarchy files (BVH): a skeleton and one clip.

The format has no version and few rules: rotations are in degrees, channels are applied in the order in which they are
listed, and End Sites have no channels. Frames follow as one line of numbers each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reference.animation.motion.skeleton import Array, Clip, Skeleton
from reference.errors import BadInput

ANGLES = ("degrees", "radians")
_CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
LARGEST_BYTES = 200_000_000


@dataclass
class _Joint:
    name: str
    parent: int
    offset: tuple[float, ...] = ()
    channels: list[str] = field(default_factory=list)
    first: int = 0  # its first number in a frame's line
    is_end: bool = False


def read_bvh(path: Path, angles: str = "degrees") -> tuple[Skeleton, Clip]:
    """Reads a skeleton with its motion; position channels of other joints than the root are ignored.

    Args:
        angles: the unit of the rotations: the format says degrees, some programs write radians.

    Raises:
        BadInput: no BVH file, two roots, a joint without channels, unknown channels, lines with too few or too many
            numbers, or angles that can't be degrees.
    """
    if angles not in ANGLES:
        raise BadInput(f"angles are '{angles}'; allowed: {', '.join(ANGLES)}")
    if not path.is_file():
        raise BadInput(f"no motion {path}; give a .bvh or .glb file")
    if path.stat().st_size > LARGEST_BYTES:
        raise BadInput(f"{path.name} has {path.stat().st_size} bytes; allowed: up to {LARGEST_BYTES}; cut it")
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    if lines[:1] != ["HIERARCHY"] or "MOTION" not in lines:
        raise BadInput(f"{path.name} has no HIERARCHY and MOTION; allowed: a BVH file; check the file's type")
    start = lines.index("MOTION")
    joints = _hierarchy(path.name, lines[1:start])
    frames, frame_time = _motion(path.name, lines, start, sum(len(j.channels) for j in joints))
    unit = 1.0 if angles == "radians" else np.pi / 180
    _check_unit(path.name, joints, frames, angles)
    skeleton = _skeleton(joints)
    rotations = np.stack([_rotations(joint, frames, unit) for joint in joints], axis=1)
    moves = np.stack([_channel(joints[0], frames, f"{axis}position") for axis in "XYZ"], axis=1)
    # A root with position channels stands where they say; its OFFSET is only the rest pose.
    if any(name.endswith("position") for name in joints[0].channels):
        moves = moves - skeleton.positions[0]
    return skeleton, Clip(path.stem, 1 / frame_time, rotations, moves)


def _hierarchy(name: str, lines: list[str]) -> list[_Joint]:
    joints: list[_Joint] = []
    open_joints: list[int] = []
    width = 0
    for number, line in enumerate(lines, 2):
        words = line.split()
        kind = words[0] if words else ""
        if kind in ("ROOT", "JOINT", "End"):
            if kind == "ROOT" and joints:
                raise BadInput(f"{name} line {number} begins a second ROOT; allowed: one; save each figure on its own")
            end = kind == "End"
            title = f"{joints[open_joints[-1]].name}_end" if end and open_joints else " ".join(words[1:])
            joints.append(_Joint(title, open_joints[-1] if open_joints else -1, is_end=end))
        elif kind == "{":
            open_joints.append(len(joints) - 1)
        elif kind == "}" and open_joints:
            open_joints.pop()
        elif kind == "OFFSET" and joints:
            joints[-1].offset = _numbers(name, number, words[1:], 3)
        elif kind == "CHANNELS" and joints:
            joints[-1].channels, joints[-1].first = _channels(name, number, words), width
            width += len(joints[-1].channels)
        elif kind:
            raise BadInput(f"{name} line {number} is '{line[:60]}'; allowed: ROOT, JOINT, End Site, OFFSET, CHANNELS")
    _check_joints(name, joints, open_joints)
    return joints


def _channels(name: str, number: int, words: list[str]) -> list[str]:
    channels = words[2:]
    unknown = [channel for channel in channels if channel not in _CHANNELS]
    if unknown or len(words) < 2 or words[1] != str(len(channels)):
        raise BadInput(
            f"{name} line {number} is '{' '.join(words)[:80]}'; allowed: CHANNELS, their number, and as many of "
            f"{', '.join(sorted(_CHANNELS))}"
        )
    return channels


def _check_joints(name: str, joints: list[_Joint], open_joints: list[int]) -> None:
    if not joints:
        raise BadInput(f"{name} has no ROOT; allowed: one; export it again")
    if open_joints:
        raise BadInput(f"{name} doesn't close {len(open_joints)} braces; the file is cut short: export it again")
    for joint in joints:
        if len(joint.offset) != 3:
            raise BadInput(f"{name}: joint '{joint.name}' has no OFFSET; allowed: x, y and z; export it again")
        if not joint.is_end and not joint.channels:
            raise BadInput(
                f"{name}: joint '{joint.name}' has no CHANNELS; allowed: at least its rotations; export it again"
            )


def _numbers(name: str, number: int, words: list[str], count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in words)
    except ValueError as error:
        raise BadInput(f"{name} line {number} holds '{' '.join(words)[:60]}'; allowed: numbers; repair it") from error
    if len(values) != count:
        raise BadInput(f"{name} line {number} has {len(values)} numbers, its channels need {count}; repair it")
    if not np.isfinite(values).all():
        raise BadInput(f"{name} line {number} holds NaN or infinity; allowed: finite numbers; repair it")
    return values


def _motion(name: str, lines: list[str], start: int, width: int) -> tuple[Array, float]:
    head = lines[start + 1 : start + 3]
    try:
        count = int(head[0].removeprefix("Frames:"))
        frame_time = float(head[1].removeprefix("Frame Time:"))
    except (IndexError, ValueError) as error:
        raise BadInput(f"{name} has '{' / '.join(head)}' below MOTION; allowed: Frames: and Frame Time:") from error
    if count < 1 or not 0 < frame_time < 60:
        raise BadInput(f"{name} has {count} frames of {frame_time} s; allowed: at least one, longer than 0 s")
    rows = [(i, line) for i, line in enumerate(lines[start + 3 :], start + 4) if line]
    if len(rows) < count:
        raise BadInput(f"{name} has {len(rows)} lines of motion, its header says {count}; the file is cut short")
    return np.array([_numbers(name, i, line.split(), width) for i, line in rows[:count]]), frame_time


def _check_unit(name: str, joints: list[_Joint], frames: Array, angles: str) -> None:
    """Radians show: no joint of a moving figure turns by more than 6.29, and none by a fraction of it in degrees."""
    columns = [j.first + i for j in joints for i, c in enumerate(j.channels) if c.endswith("rotation")]
    reach = float(np.abs(frames[:, columns]).max()) if columns else 0.0
    if angles == "degrees" and len(frames) > 1 and 0.5 < reach <= 2 * np.pi:
        raise BadInput(
            f"{name}: no rotation exceeds {reach:.2f}, which looks like radians; BVH holds degrees: "
            "pass --angles radians, or --angles degrees to take them as they are"
        )
    if angles == "radians" and reach > 20 * np.pi:
        raise BadInput(f"{name}: rotations reach {reach:.0f}, which can't be radians; pass --angles degrees")


def _skeleton(joints: list[_Joint]) -> Skeleton:
    names: list[str] = []
    for joint in joints:
        title, count = joint.name, 2
        while title in names:  # some programs number nothing: two joints 'Site'
            title, count = f"{joint.name}.{count}", count + 1
        names.append(title)
    parents = [joint.parent for joint in joints]
    positions = np.array([joint.offset for joint in joints], np.float64)
    for i, parent in enumerate(parents):
        if parent >= 0:
            positions[i] += positions[parent]
    return Skeleton(tuple(names), np.array(parents, np.int32), positions)


def _channel(joint: _Joint, frames: Array, channel: str) -> Array:
    if channel not in joint.channels:
        return np.zeros(len(frames))
    return frames[:, joint.first + joint.channels.index(channel)]


def _rotations(joint: _Joint, frames: Array, unit: float) -> Array:
    """(F, 3, 3): the listed rotations, the first outermost; an axis that isn't listed doesn't turn."""
    from scipy.spatial.transform import Rotation

    result = np.broadcast_to(np.eye(3), (len(frames), 3, 3)).copy()
    for channel in joint.channels:
        if channel.endswith("rotation"):
            angle = _channel(joint, frames, channel) * unit
            result = result @ Rotation.from_euler(channel[0].lower(), angle[:, None]).as_matrix()
    return result
