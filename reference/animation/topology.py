"""What a figure moves on (document I, row I10: the predicted topology) and which source suits it.

Three kinds of evidence are weighed together by multinomial logistic regression: the outline and skeleton
(:mod:`reference.animation.figure.evidence`), how well the sources of each topology map onto the figure (row I11), and
the class that the classifier saw, if it ran. Any of its labels that models/motions/labels.yaml gives a figure counts
for that figure's topology; a label that is a topology's name counts for that topology.

The weights are numbers in models/motions/topology.yaml, fitted by :mod:`reference.animation.fit_topology`.
"""

from __future__ import annotations

from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from reference.animation.animate import Rig, map_motion
from reference.animation.figure.evidence import shape_evidence
from reference.animation.motion.library import (
    MOTIONS_DIR,
    Figure,
    Labels,
    load_motion,
    read_labels,
    read_library,
)
from reference.animation.motion.skeleton import Array
from reference.animation.motion.source import TOPOLOGIES, Motion
from reference.errors import BadInput

WEIGHTS = MOTIONS_DIR / "topology.yaml"
WITH_CLASS, WITHOUT_CLASS = "with_class", "without_class"
LEAST_SCORE = 0.02  # of a class: what a network surely rules out isn't ruled out for good
LONG = 7  # so many of its thickest discs fill a figure that is long
UNSURE = 0.5  # below this confidence the user is told


@dataclass(frozen=True)
class Weights:
    """A fitted regression.

    Attributes:
        names: of the evidence that it weighs.
        mean, scale: (N,) to standardise the evidence; evidence that is missing counts as its mean.
        matrix: (topologies, N) and bias: (topologies,), in the order of TOPOLOGIES.
    """

    names: tuple[str, ...]
    mean: Array
    scale: Array
    matrix: Array
    bias: Array

    def probabilities(self, evidence: Lookup[str, float]) -> dict[str, float]:
        """Topology to probability."""
        values = np.array([evidence.get(name, mean) for name, mean in zip(self.names, self.mean, strict=True)])
        logits = self.matrix @ ((values - self.mean) / self.scale) + self.bias
        powers = np.exp(logits - logits.max())
        return dict(zip(TOPOLOGIES, (powers / powers.sum()).tolist(), strict=True))


@dataclass(frozen=True)
class Choice:
    """What a figure is taken for.

    Attributes:
        topology: one of TOPOLOGIES.
        confidence: its probability, 1 where the user said it.
        figure: name of the source in the library.
        notes: what a user should know.
    """

    topology: str
    confidence: float
    figure: str
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def read_weights(path: Path = WEIGHTS) -> dict[str, Weights]:
    """The fitted weights, for evidence with and without a classifier's.

    Raises:
        BadInput: missing or malformed.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {title: _weights(document[title]) for title in (WITH_CLASS, WITHOUT_CLASS)}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BadInput(f"can't read {path} ({reason}); run python -m reference.animation.fit_topology") from error


def _weights(section: dict[str, Any]) -> Weights:
    rows = section["evidence"]
    numbers = np.array([rows[name] for name in rows], np.float64)
    bias = np.array([section["bias"][topology] for topology in TOPOLOGIES], np.float64)
    if numbers.shape != (len(rows), 2 + len(TOPOLOGIES)):
        raise ValueError(f"rows of {numbers.shape[1:]} numbers")
    return Weights(tuple(rows), numbers[:, 0], numbers[:, 1], numbers[:, 2:].T, bias)


def candidates() -> dict[str, Motion]:
    """Figure to its first clip, of every figure that stands for a topology in labels.yaml."""
    library = read_library()
    names = dict.fromkeys(name for names in read_labels().topology.values() for name in names)
    return {name: load_motion(library[name], next(iter(library[name].clips))) for name in names}


def gather(rig: Rig, scores: Lookup[str, float] | None, fits: Lookup[str, float]) -> dict[str, float]:
    """All evidence on a figure by name.

    Args:
        scores: class to probability, or None where no classifier ran.
        fits: figure to the mapping's error.
    """
    evidence = shape_evidence(rig.contours.grid, rig.medial, rig.skeleton)
    evidence |= {f"fit_{name}": min(error, 1.0) for name, error in fits.items()}
    return evidence if scores is None else evidence | class_evidence(scores, read_labels(), read_library())


def class_evidence(scores: Lookup[str, float], labels: Labels, library: Lookup[str, Figure]) -> dict[str, float]:
    """Logarithms of the probabilities that the classes give each topology, and that they give none."""
    totals = dict.fromkeys((*TOPOLOGIES, "none"), 0.0)
    for label, score in scores.items():
        totals[topology_of(label, labels, library) or "none"] += score
    return {f"class_{name}": float(np.log(LEAST_SCORE + total)) for name, total in totals.items()}


def topology_of(label: str, labels: Labels, library: Lookup[str, Figure]) -> str | None:
    """The topology that a class or a topology's own name stands for; None for any other class."""
    if label in TOPOLOGIES:
        return label
    return library[labels.dataset[label]].topology if label in labels.dataset else None


def choose(
    rig: Rig,
    scores: Lookup[str, float] | None = None,
    label: str | None = None,
    topology: str | None = None,
    labels: Labels | None = None,
) -> Choice:
    """What the figure is taken for, and the source that drives it.

    Args:
        scores: class to probability as a classifier saw the picture.
        label: the class that the user named; it decides, where a map has it.
        topology: one of TOPOLOGIES that the user named; it decides before everything but the label.
        labels: label maps; models/motions/labels.yaml by default.
    """
    labels, library = labels or read_labels(), read_library()
    notes = []
    if label is not None:
        known = topology_of(label, labels, library)
        if known is not None:
            figure = labels.dataset.get(label) or _best(rig, labels.topology[known], _fits(rig))
            return Choice(known, 1.0, figure)
        notes.append(f"no map has the label '{label}'; the figure's topology chooses its source")
    fits = _fits(rig)
    confidence = 1.0
    if topology is None:
        weights = read_weights()[WITHOUT_CLASS if scores is None else WITH_CLASS]
        probabilities = weights.probabilities(gather(rig, scores, fits))
        topology = max(probabilities, key=lambda name: probabilities[name])
        confidence = probabilities[topology]
        if confidence < UNSURE:
            second = sorted(probabilities, key=lambda name: -probabilities[name])[1]
            notes.append(f"unsure whether it moves on {topology} or {second}; give --topology if it is wrong")
    seen = max(scores, key=lambda name: scores[name]) if scores else None
    if seen in labels.dataset and library[labels.dataset[seen]].topology == topology:
        return Choice(topology, confidence, labels.dataset[seen], tuple(notes))
    return Choice(topology, confidence, _best(rig, labels.topology[topology], fits), tuple(notes))


def _fits(rig: Rig) -> dict[str, float]:
    return {name: map_motion(rig, motion).error for name, motion in candidates().items()}


def _best(rig: Rig, figures: tuple[str, ...], fits: Lookup[str, float]) -> str:
    """The best fitting of a topology's figures; those that were not tried come last.

    A chain without limbs, a snake, stands for long figures and for no others.
    """
    area, thickest = float(rig.contours.grid.sum()), float(rig.medial.radii.max())
    is_long = area > LONG * np.pi * thickest**2
    sources = candidates()
    suited = [name for name in figures if name in sources and (len(sources[name].skeleton.leaves) <= 2) == is_long]
    return min(suited or figures, key=lambda name: fits.get(name, float("inf")))
