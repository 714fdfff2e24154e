"""The library of source skeletons and clips, and the maps from a label to one of them (document I, row I10)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference.animation.motion.skeleton import clip_of, forward
from reference.animation.motion.source import (
    FRAME_RATE,
    TOPOLOGIES,
    Motion,
    facing_front,
    lowest_leaves,
    matches,
    part_of,
    read_motion,
    rested,
    upright,
)
from reference.card import MODELS_DIR
from reference.errors import BadInput

MOTIONS_DIR = MODELS_DIR / "motions"
_KEYS = {"topology", "root", "drop", "feet", "up", "rest", "heading", "thick", "thin", "clips"}


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
    """Both label maps: topology to the figures that stand for it, and a data set's class to its figure."""

    topology: dict[str, tuple[str, ...]]
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
    unknown = sorted(set(document["topology"]) - set(TOPOLOGIES))
    if unknown:
        raise BadInput(f"{path.name} maps the topologies {', '.join(unknown)}; allowed: {', '.join(TOPOLOGIES)}")
    default = _read_yaml(MOTIONS_DIR / "labels.yaml")["topology"]
    topology = {
        name: tuple(map(str, f)) if isinstance(f, list) else (str(f),)
        for name, f in {**default, **document["topology"]}.items()
    }
    known = read_library()
    named = [*topology.items(), *((label, (figure,)) for label, figure in document["dataset"].items())]
    for label, figures in named:
        for figure in figures:
            if figure not in known:
                raise BadInput(f"{path.name} maps '{label}' to '{figure}'; allowed: {', '.join(known)}")
    return Labels(topology, dict(document["dataset"]))


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
    return rested(motion, forward(resting.skeleton, resting.clip), frame)


def _load_clip(figure: Figure, clip: str) -> Motion:
    path, name = figure.clips[clip]
    skeleton, pose = upright(*read_motion(path, name), figure.up)
    part, moved = part_of(path.name, skeleton, pose, figure.root, figure.drop)
    feet, thick, thin = (
        tuple(j for j, n in enumerate(part.names) if matches(n, p)) for p in (figure.feet, figure.thick, figure.thin)
    )
    if not feet and figure.topology != "no_feet":
        feet = lowest_leaves(part)
    found = Motion(figure.name, part, clip_of(part, moved, clip, FRAME_RATE), figure.topology, feet, thick, thin)
    return facing_front(found) if figure.heading == "free" else found


def with_motion(
    library: dict[str, Figure], name: str, motions: tuple[str, ...]
) -> tuple[Figure, tuple[str, ...], list[str]]:
    """The named figure, or one of the same topology that has all the motions, with their names and notes.

    Args:
        motions: names of clips; ``("all",)`` for every one, none for the figure's first.

    Raises:
        BadInput: no figure of the whole library has such a motion.
    """
    figure = library[name]
    first = next(iter(figure.clips))
    if not motions:
        return figure, (first,), []
    if motions == ("all",):
        return figure, tuple(figure.clips), []
    known = sorted({clip for other in library.values() for clip in other.clips})
    for motion in motions:
        if motion not in known:
            raise BadInput(f"motion is '{motion}'; allowed: {', '.join(known)}, all, or a .bvh or .glb file")
    alike = [other for other in library.values() if other.topology == figure.topology]
    for other in [figure, *alike]:
        if set(motions) <= set(other.clips):
            return other, motions, []
    has = sorted({clip for other in alike for clip in other.clips})
    note = f"no source on {figure.topology} has {', '.join(motions)} (there are {', '.join(has)}); took {first}"
    return figure, (first,), [note]
