"""The library of source skeletons and clips, and the maps from a label to one of them (document I, row I10)."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from reference.animation.motion.bvh import read_bvh
from reference.animation.motion.gltf import clip_names, read_skeleton
from reference.animation.motion.rotations import about_y
from reference.animation.motion.skeleton import Clip, Pose, Skeleton, clip_of, forward, keep_joints, resample
from reference.errors import BadInput
from reference.geometry.glb import Glb, read_glb

MOTIONS_DIR = Path(__file__).resolve().parents[3] / "models" / "motions"
TOPOLOGIES = ("two_feet", "four_feet")
FRAME_RATE = 30.0
# What animators add to steer a skeleton and what no drawing has; used for files that are in no library.
HELPERS = ("*IK*", "*Pole*", "PT.*", "*Target*", "*Ctrl*", "*_twist*")
_KEYS = {"topology", "root", "drop", "feet", "up", "rest", "heading", "thick", "thin", "clips"}


@dataclass(frozen=True, eq=False)
class Motion:
    """A source skeleton with one clip.

    Attributes:
        source: name of the figure in the library, or of the file.
        topology: one of TOPOLOGIES, or None where nobody said it.
        feet: joints that touch the ground.
        thick: ends that are thick in a drawing: the head.
        thin: ends that are thin: the tail.
    """

    source: str
    skeleton: Skeleton
    clip: Clip
    topology: str | None
    feet: tuple[int, ...]
    thick: tuple[int, ...] = ()
    thin: tuple[int, ...] = ()


@dataclass(frozen=True)
class Figure:
    """An entry of the library; see models/motions/library.yaml for the meaning of its fields."""

    name: str
    topology: str
    root: str
    drop: tuple[str, ...]
    feet: tuple[str, ...]
    up: str
    rest: tuple[str, int] | None
    heading: str
    thick: tuple[str, ...]
    thin: tuple[str, ...]
    clips: dict[str, tuple[Path, str]]


@dataclass(frozen=True)
class Labels:
    """Both label maps: label to figure."""

    topology: dict[str, str]
    dataset: dict[str, str]


def read_library(folder: Path = MOTIONS_DIR) -> dict[str, Figure]:
    """The figures of ``folder/library.yaml``.

    Raises:
        BadInput: missing or malformed.
    """
    document = _read_yaml(folder / "library.yaml")
    figures = {}
    for name, entry in document.items():
        if not isinstance(entry, dict) or not set(entry) <= _KEYS or not {"topology", "root", "clips"} <= set(entry):
            raise BadInput(
                f"figure '{name}' of library.yaml has {sorted(entry) if isinstance(entry, dict) else entry}; allowed: "
                f"{', '.join(sorted(_KEYS))}, of which topology, root and clips must be there"
            )
        if entry["topology"] not in TOPOLOGIES:
            raise BadInput(f"figure '{name}' walks on '{entry['topology']}'; allowed: {', '.join(TOPOLOGIES)}")
        rest = entry.get("rest")
        if rest is not None and (not isinstance(rest, dict) or set(rest) != {"clip", "frame"}):
            raise BadInput(f"figure '{name}' rests at {rest}; allowed: {{clip: NAME, frame: NUMBER}}")
        clips = {str(c): (folder / e["file"], str(e.get("clip", ""))) for c, e in entry["clips"].items()}
        figures[name] = Figure(
            name, entry["topology"], str(entry["root"]), tuple(entry.get("drop", ())), tuple(entry.get("feet", ())),
            str(entry.get("up", "y")), (str(rest["clip"]), int(rest["frame"])) if rest else None,
            str(entry.get("heading", "front")), tuple(entry.get("thick", ())), tuple(entry.get("thin", ())), clips,
        )  # fmt: skip
    return figures


def read_labels(path: Path = MOTIONS_DIR / "labels.yaml") -> Labels:
    """Both label maps.

    Raises:
        BadInput: missing, malformed, or naming figures that the library lacks.
    """
    document = _read_yaml(path)
    if set(document) != {"topology", "dataset"} or not all(isinstance(m, dict) for m in document.values()):
        raise BadInput(f"{path.name} has {sorted(document)}; allowed: the maps topology and dataset, label: figure")
    known = read_library()
    for kind, entries in document.items():
        for label, figure in entries.items():
            if figure not in known:
                raise BadInput(f"{path.name} maps {kind} '{label}' to '{figure}'; allowed: {', '.join(known)}")
    if set(document["topology"]) != set(TOPOLOGIES):
        raise BadInput(f"{path.name} maps the topologies {sorted(document['topology'])}; allowed: {TOPOLOGIES}")
    return Labels(dict(document["topology"]), dict(document["dataset"]))


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BadInput(f"can't read {path} ({reason}); allowed: a YAML file like models/motions/labels.yaml") from error
    if not isinstance(document, dict):
        raise BadInput(f"{path.name} holds no map; allowed: a YAML file like models/motions/labels.yaml")
    return document


def figure_for(label: str, labels: Labels) -> str:
    """The figure for a data set's class or a topology class.

    Raises:
        BadInput: no map has the label.
    """
    for entries in (labels.dataset, labels.topology):
        if label in entries:
            return entries[label]
    known = ", ".join([*labels.topology, *labels.dataset])
    raise BadInput(f"label is '{label}'; allowed: {known}; add it to a copy of labels.yaml and pass --labels")


def load_motion(figure: Figure, clip: str) -> Motion:
    """A figure's skeleton, without helpers, with one of its clips at FRAME_RATE.

    Raises:
        BadInput: the figure has no such clip, or a file is unusable.
    """
    if clip not in figure.clips:
        raise BadInput(f"'{figure.name}' has no motion '{clip}'; it has: {', '.join(figure.clips)}")
    motion = _load_clip(figure, clip)
    if figure.rest is None:
        return motion
    name, frame = figure.rest
    resting = _load_clip(figure, name)
    return replace(motion, **_rested(motion, forward(resting.skeleton, resting.clip), frame))


def _load_clip(figure: Figure, clip: str) -> Motion:
    path, name = figure.clips[clip]
    motion = _load(path, name, clip, figure.name, figure.topology, figure.root, figure.drop, figure.feet, figure.up)
    names = motion.skeleton.names
    thick, thin = (tuple(j for j, n in enumerate(names) if _matches(n, p)) for p in (figure.thick, figure.thin))
    motion = replace(motion, thick=thick, thin=thin)
    return _facing_front(motion) if figure.heading == "free" else motion


def _facing_front(motion: Motion) -> Motion:
    """Turns a recording, whose actor may face anywhere, so that it begins facing the front."""
    pose = forward(motion.skeleton, motion.clip)
    x, _, z = pose.rotations[:10, 0, :, 2].mean(axis=0)
    turn = about_y(-float(np.degrees(np.arctan2(x, z))))
    turned = Pose(turn @ pose.rotations, pose.positions @ turn.T)
    return replace(motion, clip=clip_of(motion.skeleton, turned, motion.clip.name, motion.clip.frame_rate))


def _rested(motion: Motion, resting: Pose, frame: int) -> dict[str, Any]:
    """The same motion of a skeleton whose rest pose is a frame of a clip: animators' T-poses are like no drawing."""
    skeleton = Skeleton(motion.skeleton.names, motion.skeleton.parents, resting.positions[frame])
    pose = forward(motion.skeleton, motion.clip)
    turned = Pose(pose.rotations @ np.swapaxes(resting.rotations[frame], 1, 2), pose.positions)
    return {"skeleton": skeleton, "clip": clip_of(skeleton, turned, motion.clip.name, motion.clip.frame_rate)}


def load_file(path: Path, clip: str | None = None, up: str = "y", angles: str = "degrees") -> Motion:
    """A motion from a user's own .bvh or .glb file: helpers are recognised by their names.

    Args:
        clip: its name in a .glb; the first by default.

    Raises:
        BadInput: unusable file, unknown clip, or several roots.
    """
    return _load(path, clip or "", path.stem, path.stem, None, None, HELPERS, (), up, angles)


def _load(
    path: Path, clip: str, title: str, source: str, topology: str | None, root: str | None,
    drop: tuple[str, ...], feet: tuple[str, ...], up: str, angles: str = "degrees",
) -> Motion:  # fmt: skip
    skeleton, pose = _read(path, clip, angles)
    skeleton, pose = _upright(skeleton, pose, up)
    first = _find_root(path.name, skeleton, root, drop)
    keep = [first] + [
        j for j in range(len(skeleton))
        if j != first and first in skeleton.path_to_root(j) and not _matches(skeleton.names[j], drop)
    ]  # fmt: skip
    part, moved = keep_joints(skeleton, pose, keep)
    if len(part) < 2:
        raise BadInput(f"{path.name} has one joint below '{part.names[0]}'; allowed: a skeleton with bones")
    chosen = tuple(j for j in range(len(part)) if _matches(part.names[j], feet)) or _lowest_leaves(part)
    return Motion(source, part, clip_of(part, moved, title, FRAME_RATE), topology, chosen)


def _read(path: Path, clip: str, angles: str) -> tuple[Skeleton, Pose]:
    if path.suffix.lower() == ".bvh":
        skeleton, motion = read_bvh(path, angles)
        return skeleton, forward(skeleton, resample(motion, FRAME_RATE))
    if path.suffix.lower() not in (".glb", ".gltf"):
        raise BadInput(f"motion is {path}; allowed: a name of the library, or a .bvh or .glb file")
    glb = _open(path)
    if not clip:
        names = clip_names(glb)
        if not names:
            raise BadInput(f"{path.name} has no animation; allowed: a file with at least one clip")
        clip = names[0]
    skeleton, poses = read_skeleton(glb, [clip], FRAME_RATE)
    return skeleton, poses[0][0]


@lru_cache(maxsize=4)
def _open(path: Path) -> Glb:
    return read_glb(path)


def _upright(skeleton: Skeleton, pose: Pose, up: str) -> tuple[Skeleton, Pose]:
    """Turns a world with z up so that y is up."""
    if up == "y":
        return skeleton, pose
    if up != "z":
        raise BadInput(f"up is '{up}'; allowed: y, z")
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    turned = Skeleton(skeleton.names, skeleton.parents, skeleton.positions @ turn.T)
    return turned, Pose(turn @ pose.rotations @ turn.T, pose.positions @ turn.T)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _find_root(file: str, skeleton: Skeleton, root: str | None, drop: tuple[str, ...]) -> int:
    """The named root, or the joint where the branches of the one real tree begin."""
    if root is not None:
        if root not in skeleton.names:
            raise BadInput(f"{file} has no joint '{root}'; it has: {', '.join(skeleton.names[:12])}, ...")
        return skeleton.names.index(root)
    below = [sum(j in skeleton.path_to_root(k) for k in range(len(skeleton))) for j in range(len(skeleton))]
    start = 0
    if skeleton.names[0] == "scene":
        trees = [j for j in skeleton.children[0] if below[j] > 2 and not _matches(skeleton.names[j], drop)]
        if len(trees) != 1:
            named = ", ".join(skeleton.names[j] for j in trees)
            raise BadInput(f"{file} has {len(trees)} roots ({named}); allowed: one skeleton; save each on its own")
        start = trees[0]
    # Files often put a joint or two on the ground, above the hips, with only helpers beside the body.
    while True:
        real = [j for j in skeleton.children[start] if not _matches(skeleton.names[j], drop) and below[j] > 3]
        if len(real) != 1 or below[start] > 4 * below[real[0]]:
            return start
        start = real[0]


def _lowest_leaves(skeleton: Skeleton) -> tuple[int, ...]:
    """Leaves in the lowest eighth of the figure at rest."""
    heights = skeleton.positions[:, 1]
    limit = heights.min() + np.ptp(heights) / 8
    return tuple(j for j in skeleton.leaves if heights[j] <= limit) or (int(heights.argmin()),)


def with_motion(library: dict[str, Figure], name: str, motions: tuple[str, ...]) -> Figure:
    """The named figure, or one of the same topology that has all the motions.

    Raises:
        BadInput: no figure of that topology has them.
    """
    figure = library[name]
    alike = [other for other in library.values() if other.topology == figure.topology]
    for other in [figure, *alike]:
        if motions == ("all",) or set(motions) <= set(other.clips):
            return other
    has = "; ".join(f"{other.name}: {', '.join(other.clips)}" for other in alike)
    raise BadInput(f"no figure on {figure.topology} has the motions {', '.join(motions)}; there are {has}")
