"""Source figures and gaits that are authored in code, where no free recording was found: ``python -m ...gait FOLDER``.

Every joint swings as a sum of sines about one axis, as in textbooks on animal gaits and on undulatory swimming: legs in
opposite phase with the knee bent while the leg swings forward, spines and tails as a wave that runs to the tip. These
are models and no recordings; models/motions/README.md says so.

Drawings are flat: what swims or crawls sideways in nature waves in the picture plane here, since a wave towards the
viewer would show nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

FRAME_RATE = 30
# Degrees about one axis at phase t of the cycle in [0, 1).
Swing = Callable[[float], float]


@dataclass(frozen=True)
class Bone:
    """A joint of an authored figure: its parent, its place at rest (x left, y up, z forward), and its swing."""

    name: str
    parent: str
    place: tuple[float, float, float]
    axis: str = "X"
    swing: Swing = field(default=lambda t: 0.0)


@dataclass(frozen=True)
class Gait:
    """A clip: seconds per cycle, cycles, forward speed in lengths per second, rise and fall of the root."""

    bones: tuple[Bone, ...]
    period_s: float
    cycles: int = 2
    speed: float = 0.0
    bounce: float = 0.0


def wave(degrees: float, phase: float = 0.0, centre: float = 0.0) -> Swing:
    """A sine of ``degrees`` about ``centre``; ``phase`` in cycles."""
    return lambda t: centre + degrees * float(np.sin(2 * np.pi * (t + phase)))


def knee(degrees: float, phase: float) -> Swing:
    """Bends while the leg swings forward, stays straight while it carries."""
    return lambda t: degrees * max(0.0, float(np.cos(2 * np.pi * (t + phase))))


def _leg(side: str, x: float, phase: float, reach: float, points: tuple[tuple[float, float], ...]) -> list[Bone]:
    """Hip, knee, ankle and toe at (y, z); the ankle keeps the foot level."""
    (hip, knee_at, ankle, toe) = [(x, y, z) for y, z in points]
    return [
        Bone(f"UpperLeg.{side}", "Hips", hip, "X", wave(-reach, phase)),
        Bone(f"LowerLeg.{side}", f"UpperLeg.{side}", knee_at, "X", knee(1.4 * reach, phase)),
        Bone(f"Foot.{side}", f"LowerLeg.{side}", ankle, "X", lambda t: 0.5 * (wave(reach, phase)(t))),
        Bone(f"Toe.{side}", f"Foot.{side}", toe),
    ]


def dinosaur(reach: float, period_s: float, speed: float, bounce: float) -> Gait:
    """A biped with a horizontal back and a long tail, as a tyrannosaur."""
    bones = [Bone("Hips", "", (0, 1.0, 0))]
    bones += [Bone("Chest", "Hips", (0, 1.12, 0.45), "X", wave(bounce * 60, 0.25))]
    bones += [
        Bone("Neck", "Chest", (0, 1.32, 0.68), "X", wave(bounce * 60, 0.35)),
        Bone("Head", "Neck", (0, 1.5, 0.8), "X", wave(-bounce * 120, 0.3)),
        Bone("Muzzle", "Head", (0, 1.48, 1.2)),
    ]
    tail = [(1.0, -0.4), (0.93, -0.8), (0.85, -1.2), (0.8, -1.6)]
    for number, (y, z) in enumerate(tail, 1):
        above = "Hips" if number == 1 else f"Tail{number - 1}"
        bones.append(Bone(f"Tail{number}", above, (0, y, z), "X", wave(8 + reach / 5, -0.12 * number)))
    leg = ((0.92, 0.0), (0.55, 0.18), (0.22, -0.1), (0.02, 0.16))
    for side, x, phase in (("L", 0.18, 0.0), ("R", -0.18, 0.5)):
        bones += _leg(side, x, phase, reach, leg)
        bones += [
            Bone(f"UpperArm.{side}", "Chest", (x, 1.05, 0.55), "X", wave(0.4 * reach, phase)),
            Bone(f"LowerArm.{side}", f"UpperArm.{side}", (x, 0.88, 0.68), "X", wave(0.3 * reach, phase)),
            Bone(f"Hand.{side}", f"LowerArm.{side}", (x, 0.82, 0.82)),
        ]
    return Gait(tuple(bones), period_s, 2, speed, bounce)


def fowl(reach: float, period_s: float, speed: float, bounce: float) -> Gait:
    """A bird that walks, its wings folded: the head thrusts once per step as a pigeon's."""
    bones = [Bone("Hips", "", (0, 0.8, 0))]
    bones += [
        Bone("Chest", "Hips", (0, 0.88, 0.3), "X", wave(bounce * 50, 0.25)),
        Bone("Neck", "Chest", (0, 1.1, 0.42), "X", lambda t: wave(reach / 3)(2 * t)),
        Bone("Head", "Neck", (0, 1.32, 0.5), "X", lambda t: wave(-reach / 3)(2 * t)),
        Bone("Beak", "Head", (0, 1.3, 0.72)),
        Bone("Tail", "Hips", (0, 0.84, -0.4), "X", lambda t: wave(8)(2 * t + 0.1)),
        Bone("Tail_end", "Tail", (0, 0.86, -0.75)),
    ]
    leg = ((0.68, 0.02), (0.42, 0.12), (0.14, -0.06), (0.02, 0.14))
    for side, x, phase in (("L", 0.12, 0.0), ("R", -0.12, 0.5)):
        bones += _leg(side, x, phase, reach, leg)
        bones += [
            Bone(f"Wing.{side}", "Chest", (1.6 * x, 0.98, 0.2), "X", lambda t: wave(6)(2 * t)),
            Bone(f"WingTip.{side}", f"Wing.{side}", (1.8 * x, 0.86, -0.3)),
        ]
    return Gait(tuple(bones), period_s, 2, speed, bounce)


def fish(degrees: float, period_s: float) -> Gait:
    """A fish that swims: the wave grows towards the tail (carangiform)."""
    bones = [Bone("Body", "", (0, 0.5, 0), "X", wave(-degrees / 4))]
    bones += [Bone("Head", "Body", (0, 0.5, 0.35), "X", wave(degrees / 4, 0.1)), Bone("Mouth", "Head", (0, 0.5, 0.7))]
    for number, z in enumerate((-0.3, -0.55, -0.75), 1):
        above = "Body" if number == 1 else f"Tail{number - 1}"
        swing = wave(degrees * (0.4 + 0.2 * number), -0.15 * number)
        bones.append(Bone(f"Tail{number}", above, (0, 0.5, z), "X", swing))
    bones += [
        Bone("Fluke.U", "Tail3", (0, 0.72, -1.05)), Bone("Fluke.D", "Tail3", (0, 0.28, -1.05)),
        Bone("Fin.U", "Body", (0, 0.95, -0.1), "X", wave(degrees / 3, 0.2)),
        Bone("Fin.D", "Body", (0, 0.08, 0.05), "X", wave(degrees / 3, 0.45)),
    ]  # fmt: skip
    return Gait(tuple(bones), period_s, 2, 0.8, 0.02)


def snake(degrees: float, period_s: float, joints: int = 12) -> Gait:
    """A snake: one wave of equal height runs from head to tail (serpentine)."""
    # Not quite straight and not quite even: a straight line of equal bones has no up and no front.
    share = np.linspace(0, 1, joints + 1)
    x, y, z = 0.04 * np.cos(np.pi * share), 0.3 + 0.06 * np.sin(2 * np.pi * share), 1.2 - 2.6 * share + 0.2 * share**2
    places = [(float(a), float(b), float(c)) for a, b, c in zip(x, y, z, strict=True)]
    middle = joints // 2
    bones = [Bone(f"Spine{middle}", "", places[middle], "X", wave(degrees / 2))]
    for number in [*range(middle - 1, -1, -1), *range(middle + 1, joints + 1)]:
        inner = number + 1 if number < middle else number - 1
        sign = -1 if number < middle else 1
        name = "Head" if number == 0 else f"Spine{number}"
        bones.append(Bone(name, f"Spine{inner}", places[number], "X", wave(sign * degrees, -number / joints)))
    return Gait(tuple(bones), period_s, 2, 0.5)


def spider(degrees: float, period_s: float, speed: float, bounce: float) -> Gait:
    """Eight legs around a body seen from above or the front: each leg in opposite phase to its neighbours."""
    bones = [Bone("Body", "", (0, 0.6, 0)), Bone("Head", "Body", (0, 0.98, 0), "Z", wave(degrees / 6))]
    for side, sign in (("L", 1.0), ("R", -1.0)):
        for number, lift in enumerate((48.0, 16.0, -16.0, -48.0), 1):
            c, s = np.cos(np.radians(lift)), np.sin(np.radians(lift))
            phase = 0.5 * ((number + (sign < 0)) % 2) + 0.04 * number
            # Upper legs reach forward: left and right could else be exchanged by turning the figure.
            places = [(sign * r * c, 0.6 + r * s, 0.3 * r * s) for r in (0.2, 0.55, 1.0)]
            swing, bend = wave(degrees, phase), wave(1.2 * degrees, phase + 0.25)
            bones += [
                Bone(f"Leg{number}.{side}", "Body", places[0], "Z", swing),
                Bone(f"Shin{number}.{side}", f"Leg{number}.{side}", places[1], "Z", bend),
                Bone(f"Tip{number}.{side}", f"Shin{number}.{side}", places[2]),
            ]
    return Gait(tuple(bones), period_s, 2, speed, bounce)


# File name to gait: what models/motions holds.
GAITS: dict[str, Gait] = {
    "dinosaur_walk": dinosaur(26, 1.1, 0.9, 0.03),
    "dinosaur_run": dinosaur(42, 0.6, 2.6, 0.07),
    "dinosaur_idle": dinosaur(2, 2.4, 0.0, 0.02),
    "fowl_walk": fowl(26, 0.9, 0.7, 0.03),
    "fowl_run": fowl(42, 0.5, 2.0, 0.06),
    "fowl_idle": fowl(2, 2.0, 0.0, 0.01),
    "fish_swim": fish(18, 0.9),
    "fish_idle": fish(7, 1.6),
    "snake_crawl": snake(24, 1.2),
    "snake_idle": snake(8, 2.4),
    "spider_walk": spider(16, 0.7, 0.6, 0.02),
    "spider_run": spider(24, 0.4, 1.4, 0.03),
    "spider_idle": spider(6, 2.0, 0.0, 0.01),
}


def to_bvh(gait: Gait) -> str:
    """The text of a BVH file: rotations in degrees, one axis per joint, and the root's place."""
    by_parent: dict[str, list[Bone]] = {}
    for bone in gait.bones:
        by_parent.setdefault(bone.parent, []).append(bone)
    places = {"": (0.0, 0.0, 0.0), **{bone.name: bone.place for bone in gait.bones}}
    order: list[Bone] = []
    lines = ["HIERARCHY"]

    def write(bone: Bone, depth: int) -> None:
        pad = "  " * depth
        order.append(bone)
        offset = " ".join(f"{a - b:.4g}" for a, b in zip(bone.place, places[bone.parent], strict=True))
        moves = "4 Xposition Yposition Zposition" if not bone.parent else "1"
        lines.extend([f"{pad}{'JOINT' if bone.parent else 'ROOT'} {bone.name}", f"{pad}{{", f"{pad}  OFFSET {offset}"])
        lines.append(f"{pad}  CHANNELS {moves} {bone.axis}rotation")
        for child in by_parent.get(bone.name, []):
            write(child, depth + 1)
        lines.append(f"{pad}}}")

    write(by_parent[""][0], 0)
    frames = round(gait.period_s * FRAME_RATE) * gait.cycles
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / FRAME_RATE:.7f}"]
    root = order[0]
    for frame in range(frames):
        phase = frame * gait.cycles / frames
        x, y, z = root.place
        place = [x, y + gait.bounce * np.cos(4 * np.pi * phase), z + gait.speed * frame / FRAME_RATE]
        lines.append(" ".join(f"{value:.4g}" for value in [*place, *(bone.swing(phase % 1) for bone in order)]))
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Writes every gait as a BVH file into a folder; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m reference.animation.motion.gait", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="as models/motions")
    folder = parser.parse_args(arguments).folder
    for name, gait in GAITS.items():
        (folder / f"{name}.bvh").write_text(to_bvh(gait), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
