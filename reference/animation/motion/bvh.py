"""Reads Biovision hierarchy files (BVH): a skeleton and one clip.

The format has no version and few rules: rotations are in degrees, channels are applied in the order in which they are
listed, and End Sites have no channels. Frames follow as one line of numbers each.

Programs write it in many ways. All of these are read: UTF-8 with or without a byte-order mark, UTF-16, any ends of
lines; keywords in any case; braces, offsets and channels anywhere on a line; a frame's numbers over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reference.animation.motion.skeleton import Array, Clip, Skeleton
from reference.errors import BadInput

ANGLES = ("degrees", "radians")
_CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
_KEYWORDS = {"ROOT", "JOINT", "END", "OFFSET", "CHANNELS", "{", "}"}
# Frames: and Frame Time:, on two lines or on one.
_HEAD = re.compile(r"\s*frames\s*:\s*(\S+)\s+frame\s+time\s*:\s*(\S+)", re.IGNORECASE)
_Token = tuple[int, str]  # the number of its line, and the word
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
    text = _decode(path.read_bytes())
    start = re.search(r"^[ \t]*motion[ \t]*$", text, re.IGNORECASE | re.MULTILINE)
    if text[:10].upper().split() != ["HIERARCHY"] or start is None:
        raise BadInput(f"{path.name} has no HIERARCHY and MOTION; allowed: a BVH file; check the file's type")
    joints = _hierarchy(path.name, text[: start.start()])
    first_line = text.count("\n", 0, start.end()) + 1
    width = sum(len(joint.channels) for joint in joints)
    frames, frame_time = _motion(path.name, text[start.end() :], first_line, width)
    unit = 1.0 if angles == "radians" else np.pi / 180
    _check_unit(path.name, joints, frames, angles)
    skeleton = _skeleton(joints)
    rotations = np.stack([_rotations(joint, frames, unit) for joint in joints], axis=1)
    moves = np.stack([_channel(joints[0], frames, f"{axis}position") for axis in "XYZ"], axis=1)
    # A root with position channels stands where they say; its OFFSET is only the rest pose.
    if any(name.endswith("position") for name in joints[0].channels):
        moves = moves - skeleton.positions[0]
    return skeleton, Clip(path.stem, 1 / frame_time, rotations, moves)


def _decode(data: bytes) -> str:
    """The text of a file, lines ended by a line feed alone; UTF-16 shows by its mark or by its zero bytes."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif b"\0" in data[:2]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    # Names in another encoding are only names: their odd letters are replaced.
    text = data.decode(encoding, errors="replace").lstrip()
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _tokens(text: str) -> list[_Token]:
    """The words of the hierarchy, braces apart even where they touch a name."""
    lines = enumerate(text.split("\n"), 1)
    return [(number, word) for number, line in lines for word in re.findall(r"[{}]|[^\s{}]+", line)]


def _hierarchy(name: str, text: str) -> list[_Joint]:
    tokens = _tokens(text)[1:]
    joints: list[_Joint] = []
    open_joints: list[int] = []
    width, at = 0, 0
    while at < len(tokens):
        number, word = tokens[at]
        kind = word.upper()
        end = _statement_end(tokens, at)
        words = [word for _, word in tokens[at + 1 : end]]
        if kind in ("ROOT", "JOINT", "END"):
            if kind == "ROOT" and joints:
                raise BadInput(f"{name} line {number} begins a second ROOT; allowed: one; save each figure on its own")
            is_end = kind == "END"
            title = f"{joints[open_joints[-1]].name}_end" if is_end and open_joints else " ".join(words)
            joints.append(_Joint(title, open_joints[-1] if open_joints else -1, is_end=is_end))
        elif kind == "{":
            open_joints.append(len(joints) - 1)
        elif kind == "}" and open_joints:
            open_joints.pop()
        elif kind == "OFFSET" and joints:
            joints[-1].offset = _numbers(f"{name} line {number}", words, 3)
        elif kind == "CHANNELS" and joints:
            joints[-1].channels, joints[-1].first = _channels(name, number, words), width
            width += len(joints[-1].channels)
        else:
            line = text.split("\n")[number - 1].strip()
            raise BadInput(f"{name} line {number} is '{line[:60]}'; allowed: ROOT, JOINT, End Site, OFFSET, CHANNELS")
        at = end
    _check_joints(name, joints, open_joints)
    return joints


def _statement_end(tokens: list[_Token], at: int) -> int:
    """Where the statement at a token ends: a name, which may hold any word, with its line; numbers at a keyword."""
    number, word = tokens[at]
    end = at + 1
    if word in ("{", "}"):
        return end
    if word.upper() in ("ROOT", "JOINT", "END"):
        while end < len(tokens) and tokens[end][0] == number and tokens[end][1] not in ("{", "}"):
            end += 1
        return end
    while end < len(tokens) and tokens[end][1].upper() not in _KEYWORDS:
        end += 1
    return end


def _channels(name: str, number: int, words: list[str]) -> list[str]:
    channels = [word.capitalize() for word in words[1:]]
    if words[:1] != [str(len(channels))] or not set(channels) <= _CHANNELS:
        raise BadInput(
            f"{name} line {number} is 'CHANNELS {' '.join(words)[:80]}'; allowed: CHANNELS, their number, and as many "
            f"of {', '.join(sorted(_CHANNELS))}"
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


def _numbers(where: str, words: list[str], count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in words)
    except ValueError as error:
        raise BadInput(f"{where} holds '{' '.join(words)[:60]}'; allowed: numbers; repair it") from error
    if len(values) != count:
        raise BadInput(f"{where} has {len(values)} numbers, its channels need {count}; repair it")
    if not np.isfinite(values).all():
        raise BadInput(f"{where} holds NaN or infinity; allowed: finite numbers; repair it")
    return values


def _motion(name: str, text: str, first_line: int, width: int) -> tuple[Array, float]:
    """The frames (F, width) and the seconds between them, of the text that follows MOTION on line ``first_line``."""
    head = _HEAD.match(text)
    try:
        if head is None:
            raise ValueError("other words")
        count, frame_time = int(head[1]), float(head[2])
    except ValueError as error:
        found = " / ".join(text.strip().split("\n")[:2])
        raise BadInput(f"{name} has '{found[:80]}' below MOTION; allowed: Frames: and Frame Time:") from error
    if count < 1 or not 0 < frame_time < 60:
        raise BadInput(f"{name} has {count} frames of {frame_time} s; allowed: at least one, longer than 0 s")
    first_line += text.count("\n", 0, head.end())
    lines = ((number, line.split()) for number, line in enumerate(text[head.end() :].split("\n"), first_line))
    frames = [_numbers(f"{name} {where}", words, width) for where, words in _whole_frames(lines, width)]
    if len(frames) < count:
        raise BadInput(f"{name} has {len(frames)} lines of motion, its header says {count}; the file is cut short")
    if len(frames) > count:
        raise BadInput(
            f"{name} has {len(frames)} frames of motion, its header says Frames: {count}; write the true number there,"
            " or delete what is too much"
        )
    return np.array(frames), frame_time


def _whole_frames(lines: Iterable[tuple[int, list[str]]], width: int) -> Iterator[tuple[str, list[str]]]:
    """The numbers of each frame and where it stands; a frame begins on a line of its own and may go on below."""
    words: list[str] = []
    first = last = 0
    for number, more in lines:
        if not more:
            continue
        first, last = (first if words else number), number
        words += more
        if len(words) >= width:
            yield _where(first, last), words
            words = []
    if words:
        yield _where(first, last), words


def _where(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first} to {last}"


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
