"""``python -m reference.animation.measure``: how well drawings are rigged and animated, as docs/animation.md shows.

With ``--truth FOLDER``: how often topology and facing are right on pictures that people judged.

Else reads the characters of Animated Drawings (folders with texture.png, mask.png and char_cfg.yaml) and any pictures
on plain paper, carries every clip of the fitting topology over to each, and checks what must hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from reference.animation.animate import Character, Rig, animate, clearance_of, rig_figure
from reference.animation.figure.mask import load_figure
from reference.animation.judge import judge_all, judgement_table
from reference.animation.motion.library import load_motion, read_library
from reference.animation.motion.skeleton import Array, Skeleton, forward
from reference.animation.motion.source import Motion
from reference.animation.retarget.transfer import leg_length
from reference.errors import BadInput, OnParError

# Joints of Animated Drawings and the joints of the figure 'adventurer' that mean the same.
SAME_JOINTS = {
    "root": "Body", "hip": "Body", "torso": "Chest", "neck": "Head",
    "right_shoulder": "UpperArm.R", "right_elbow": "LowerArm.R", "right_hand": "Hand.R",
    "left_shoulder": "UpperArm.L", "left_elbow": "LowerArm.L", "left_hand": "Hand.L",
    "right_hip": "UpperLeg.R", "right_knee": "LowerLeg.R", "right_foot": "LowerLeg.R_end",
    "left_hip": "UpperLeg.L", "left_knee": "LowerLeg.L", "left_foot": "LowerLeg.L_end",
}  # fmt: skip
ANNOTATED = {"adventurer"}  # figures whose joints are those of SAME_JOINTS
STEPPING = {"walk"}  # clips whose feet stay where they are while they stand
DIFFERENT = {"char6": "four_feet"}  # characters whose annotation has other limbs than their drawing


@dataclass(frozen=True)
class Measurement:
    """What one picture gave.

    Attributes:
        joints: of the skeleton found in the picture.
        clips: number of clips carried over.
        finite: no NaN and no infinity in any.
        bone_error: largest relative deviation of a bone's length from rest, in figure sizes.
        foot_error: of the walks, how far the lowest foot's height is from the source's, relative to the leg length.
        joint_error: mean distance from the annotated joints in figure heights; None without annotation.
    """

    name: str
    topology: str
    joints: int
    clips: int
    finite: bool
    bone_error: float
    foot_error: float
    joint_error: float | None


def measure(name: str, image: Path, mask: Path | None, topology: str, annotation: Path | None = None) -> Measurement:
    """Animates one picture with every clip of a topology.

    Raises:
        BadInput: the picture has no usable figure.
    """
    rig = rig_figure(load_figure(image, mask))
    finite, bone, foot, clips = True, 0.0, 0.0, 0
    error = None
    for figure in read_library().values():
        if figure.topology != topology:
            continue
        motions = [load_motion(figure, clip) for clip in figure.clips]
        character = animate(rig, motions)
        for motion, clip in zip(motions, character.clips, strict=True):
            pose = forward(character.skeleton, clip)
            clips += 1
            finite &= bool(np.isfinite(pose.positions).all() and np.isfinite(pose.rotations).all())
            bone = max(bone, bone_error(character.skeleton, pose.positions))
            if clip.name in STEPPING:
                foot = max(foot, foot_error(character, motion, pose.positions))
        if annotation is not None and figure.name in ANNOTATED:
            error = joint_error(rig, character, annotation)
    return Measurement(name, topology, len(rig.skeleton), clips, finite, bone, foot, error)


def bone_error(skeleton: Skeleton, positions: Array) -> float:
    """Largest deviation of a bone's length from rest over (F, J, 3) positions, relative to the skeleton's size."""
    parents = skeleton.parents[1:]
    lengths = np.linalg.norm(positions[:, 1:] - positions[:, parents], axis=2)
    return float(np.abs(lengths - np.linalg.norm(skeleton.offsets[1:], axis=1)).max(initial=0) / skeleton.size)


def foot_error(character: Character, motion: Motion, positions: Array) -> float:
    """How much the lowest foot's height varies around contact, relative to the leg length (row I14, feet on ground).

    Contact is where the source's lowest foot is within 2 % of its figure's height from the ground.
    """
    names = [set(group) for group in character.partners]
    feet = [j for j, group in enumerate(names) if group & {motion.skeleton.names[f] for f in motion.feet}]
    if not feet:
        return float("nan")
    heights = positions[:, feet, 1].min(axis=1)
    contact = clearance_of(motion) <= 0.02 * np.ptp(motion.skeleton.positions[:, 1])
    return float(np.ptp(heights[contact]) / max(leg_length(character.skeleton, feet), 1e-9))


def joint_error(rig: Rig, character: Character, annotation: Path) -> float:
    """Mean distance of the joints from those of a char_cfg.yaml, in heights of the figure's mask.

    An annotated joint is compared with the joint that the same source node drives; where that node was skipped,
    with its nearest ancestor.
    """
    import yaml

    document = yaml.safe_load(annotation.read_text(encoding="utf-8"))
    places = rig.body.to_pixels(character.skeleton.positions)
    found = {name: places[joint] for joint, names in enumerate(character.partners) for name in names}
    source = character.source.skeleton
    distances = []
    for joint in document["skeleton"]:
        if joint["name"] not in SAME_JOINTS:
            raise BadInput(f"{annotation} has the joint '{joint['name']}'; allowed: {', '.join(SAME_JOINTS)}")
        path = source.path_to_root(source.names.index(SAME_JOINTS[joint["name"]]))
        name = next(source.names[j] for j in path if source.names[j] in found)
        distances.append(np.linalg.norm(found[name] - np.array(joint["loc"], np.float64)))
    rows = np.flatnonzero(rig.figure.mask.any(axis=1))
    return float(np.mean(distances) / (rows[-1] - rows[0] + 1))


def _characters(folder: Path) -> Iterable[Measurement]:
    for config in sorted(folder.glob("*/char_cfg.yaml")):
        import yaml

        names = {joint["name"] for joint in yaml.safe_load(config.read_text(encoding="utf-8"))["skeleton"]}
        known = names <= set(SAME_JOINTS)
        topology = "two_feet" if known or "left_foot" in names else "four_feet"
        topology = DIFFERENT.get(config.parent.name, topology)
        yield measure(
            config.parent.name, config.with_name("texture.png"), config.with_name("mask.png"), topology,
            config if known and topology == "two_feet" else None,
        )  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a table; 1 if something that must hold doesn't."""
    parser = argparse.ArgumentParser(prog="python -m reference.animation.measure", description=__doc__.splitlines()[0])
    parser.add_argument("--characters", type=Path, help="folder with the characters of Animated Drawings")
    parser.add_argument("--two-feet", type=Path, nargs="*", default=[], metavar="IMAGE", help="persons on plain paper")
    parser.add_argument("--four-feet", type=Path, nargs="*", default=[], metavar="IMAGE", help="animals on plain paper")
    parser.add_argument("--truth", type=Path, nargs="+", default=[], metavar="FOLDER", help="folders with truth.csv: "
                        "count right topologies and facings")  # fmt: skip
    parser.add_argument("--without-networks", action="store_true", help="judge by outline and mapping alone")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    try:
        if a.truth:
            judged = judge_all(a.truth, not a.without_networks)
            print(json.dumps([asdict(j) for j in judged]) if a.json else judgement_table(judged))
            return 0
        results = list(_characters(a.characters)) if a.characters else []
        for topology, images in (("two_feet", a.two_feet), ("four_feet", a.four_feet)):
            results += [measure("/".join(image.parts[-2:]), image, None, topology) for image in images]
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps([asdict(r) for r in results]) if a.json else table(results))
    return 0 if all(holds(result) for result in results) else 1


def holds(result: Measurement) -> bool:
    """Whether a picture passes: finite, rigid bones, feet on the ground, joints near the annotated ones."""
    near = result.joint_error is None or result.joint_error <= 0.12
    return result.finite and result.bone_error <= 1e-6 and result.foot_error < 0.05 and near


def table(results: list[Measurement]) -> str:
    """Markdown."""
    lines = [
        "| picture | walks on | joints | clips | finite | bone length | foot height | annotated joints |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in results:
        near = "-" if r.joint_error is None else f"{100 * r.joint_error:.1f} %"
        lines.append(
            f"| {r.name} | {r.topology} | {r.joints} | {r.clips} | {'yes' if r.finite else 'NO'} | {r.bone_error:.0e} "
            f"| {100 * r.foot_error:.1f} % | {near} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
