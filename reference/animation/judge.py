"""How often the topology and the facing are right on pictures that people judged, as docs/animation.md shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reference.animation.animate import facing_of, map_motion, rig_figure
from reference.animation.figure.mask import load_figure
from reference.animation.motion.library import load_motion, read_library
from reference.animation.networks import class_scores, salient_region
from reference.animation.topology import choose
from reference.animation.truth import Truth, read_truth
from reference.errors import BadInput


@dataclass(frozen=True)
class Judgement:
    """One picture: the truth, and what the command takes it for; an empty topology where it found no figure."""

    file: str
    topology: str
    facing: str
    found_topology: str
    found_facing: str
    confidence: float


def judge(row: Truth, networks: bool = True, method: str = "error") -> Judgement:
    """What ``reference.animate`` takes a picture for without any option.

    Args:
        networks: whether the classifier and the saliency network may help.
        method: of mapping.
    """
    try:
        figure = load_figure(row.file, None, salient_region if networks else None)
        rig = rig_figure(figure)
    except BadInput:
        return Judgement(row.file.name, row.topology, row.facing, "", "", 0.0)
    choice = choose(rig, class_scores(figure.picture) if networks else None)
    source = read_library()[choice.figure]
    mapping = map_motion(rig, load_motion(source, next(iter(source.clips))), method)
    return Judgement(
        row.file.name, row.topology, row.facing, choice.topology, facing_of(mapping), round(choice.confidence, 3)
    )


def judge_all(folders: Sequence[Path], networks: bool = True, method: str = "error") -> list[Judgement]:
    """Every picture of folders with a truth.csv."""
    return [judge(row, networks, method) for folder in folders for row in read_truth(folder)]


def judgement_table(results: Sequence[Judgement]) -> str:
    """Markdown: right topologies and facings by topology, then the wrong ones by name."""
    lines = [
        "| moves on | pictures | topology right | facing judged | facing right |",
        "| --- | --- | --- | --- | --- |",
    ]
    for topology in dict.fromkeys(result.topology for result in results):
        rows = [result for result in results if result.topology == topology]
        faced = [result for result in rows if result.facing]
        right = sum(result.found_topology == topology for result in rows)
        looks = sum(result.found_facing == result.facing for result in faced)
        lines.append(f"| {topology} | {len(rows)} | {right} | {len(faced)} | {looks if faced else '-'} |")
    lines.append("")
    for result in results:
        if result.found_topology != result.topology:
            taken = result.found_topology or "no figure"
            lines.append(f"{result.file}: {taken} ({100 * result.confidence:.0f} %), is {result.topology}")
        elif result.facing and result.found_facing != result.facing:
            lines.append(f"{result.file}: faces {result.found_facing}, is {result.facing}")
    return "\n".join(lines).rstrip()
