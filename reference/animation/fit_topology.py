"""``python -m reference.animation.fit_topology FOLDER...``: fits the weights of models/motions/topology.yaml.

Every FOLDER holds pictures and a ``truth.csv`` with the columns file and topology, as for
:mod:`reference.animation.measure`. Multinomial logistic regression with a squared penalty, once with the classifier's
evidence and once without, for where no classifier runs. With ``--folds 5`` nothing is written: every picture is judged
by weights that were fitted without its fifth, and the right ones are counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping as Lookup
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from reference.animation.animate import map_motion, rig_figure
from reference.animation.figure.mask import load_figure
from reference.animation.motion.skeleton import Array
from reference.animation.motion.source import TOPOLOGIES, Motion
from reference.animation.networks import class_scores, salient_region
from reference.animation.topology import WEIGHTS, WITH_CLASS, WITHOUT_CLASS, Weights, candidates, gather
from reference.animation.truth import read_truth
from reference.errors import BadInput, OnParError

PENALTY = 0.002
CLASS_WEIGHT = 6
# How often people bring what: an assumption, since the pictures to fit on are collected and not sampled.
PRIOR = {
    "two_feet": 0.26, "four_feet": 0.28, "winged": 0.215, "two_feet_tail": 0.015, "no_feet": 0.13, "many_feet": 0.1,
}  # fmt: skip
_ABOUT = """# How the evidence on a figure is weighed; written by `python -m reference.animation.fit_topology`.
# Rows of evidence: mean, scale, then a weight for each of
# {topologies}.
# {about}
"""


@dataclass(frozen=True)
class Example:
    """One picture that people judged.

    Attributes:
        folder, file: where it lies.
        topology: the true one.
        evidence: by name; None where no usable figure was found.
    """

    folder: str
    file: str
    topology: str
    evidence: dict[str, float] | None


def collect(folders: Sequence[Path], kept: Path | None = None) -> list[Example]:
    """Evidence and true topology of every picture.

    Args:
        kept: a file of JSON lines; what it holds isn't looked at again, and what is new is added to it.
    """
    known = {(e.folder, e.file): e for e in _read(kept)} if kept is not None else {}
    found, sources = [], candidates()
    for folder in folders:
        for row in read_truth(folder):
            example = known.get((folder.name, row.file.name))
            if example is None:
                example = Example(folder.name, row.file.name, row.topology, _evidence(row.file, sources))
                if kept is not None:
                    with kept.open("a", encoding="utf-8") as opened:
                        opened.write(json.dumps(asdict(example)) + "\n")
            found.append(example)
    return found


def _evidence(picture: Path, sources: Lookup[str, Motion]) -> dict[str, float] | None:
    try:
        rig = rig_figure(load_figure(picture, None, salient_region))
    except BadInput:
        return None
    fits = {name: map_motion(rig, motion).error for name, motion in sources.items()}
    return gather(rig, class_scores(rig.figure.picture), fits)


def _read(kept: Path) -> list[Example]:
    if not kept.exists():
        return []
    try:
        return [Example(**json.loads(line)) for line in kept.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"can't read {kept} ({error}); allowed: what --evidence wrote; give another file") from error


def cross_validate(examples: Sequence[Example], folds: int) -> str:
    """Markdown: how many pictures of each folder and topology are right by weights that were fitted without them."""
    fold = np.random.default_rng(0).permutation(len(examples)) % folds
    right: Counter[tuple[str, str, str]] = Counter()
    for number in range(folds):
        others = [(e.evidence, e.topology) for f, e in zip(fold, examples, strict=True) if f != number and e.evidence]
        both = fit_both(others)
        for example in (e for f, e in zip(fold, examples, strict=True) if f == number and e.evidence):
            for title, weights in both.items():
                chances = weights.probabilities(example.evidence or {})
                best = max(chances, key=lambda name: chances[name])
                right[example.folder, example.topology, title] += best == example.topology
    lines = ["| folder | moves on | pictures | right | right without a class |", "| --- | --- | --- | --- | --- |"]
    for (folder, moves), count in Counter((e.folder, e.topology) for e in examples).items():
        found = [right[folder, moves, title] for title in (WITH_CLASS, WITHOUT_CLASS)]
        lines.append(f"| {folder} | {moves} | {count} | {found[0]} | {found[1]} |")
    return "\n".join(lines)


def fit(found: Sequence[tuple[Lookup[str, float], str]], penalty: float = PENALTY) -> Weights:
    """The regression's weights; each topology counts as often as it is expected (PRIOR), however many pictures it has.

    Args:
        found: evidence, all with the same names, and topology.
    """
    names = list(found[0][0])
    values = np.array([[evidence[name] for name in names] for evidence, _ in found])
    scale = values.std(axis=0)
    used = [i for i, spread in enumerate(scale) if spread > 1e-6]  # a class that no picture had says nothing yet
    names, values, scale = [names[i] for i in used], values[:, used], scale[used]
    mean = values.mean(axis=0)
    rows = (values - mean) / scale
    # What a network saw is shrunk less than the many plain measures.
    rows = rows * [CLASS_WEIGHT if name.startswith("class_") else 1.0 for name in names]
    truth = np.array([TOPOLOGIES.index(topology) for _, topology in found])
    counts = np.bincount(truth, minlength=len(TOPOLOGIES))
    importance = np.array([PRIOR[topology] for topology in TOPOLOGIES])[truth] / counts[truth]
    matrix = _regress(rows, truth, importance, penalty)
    shrunk = scale / [CLASS_WEIGHT if name.startswith("class_") else 1.0 for name in names]
    return Weights(tuple(names), mean, shrunk, matrix[:, :-1], matrix[:, -1])


def _regress(rows: Array, truth: Array, importance: Array, penalty: float) -> Array:
    """(topologies, N + 1) weights, the bias last, that minimise the mean cross-entropy plus the penalty."""
    from scipy.optimize import minimize

    padded = np.hstack([rows, np.ones((len(rows), 1))])
    shape = (len(TOPOLOGIES), padded.shape[1])
    share = importance / importance.sum()
    wanted = np.eye(len(TOPOLOGIES))[truth]

    def loss(flat: Array) -> tuple[float, Array]:
        matrix = flat.reshape(shape)
        logits = padded @ matrix.T
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        inner = matrix * ([1.0] * (shape[1] - 1) + [0.0])
        gradient = ((np.exp(logits) - wanted) * share[:, None]).T @ padded + 2 * penalty * inner
        return float(-(share * (wanted * logits).sum(axis=1)).sum() + penalty * (inner**2).sum()), gradient.ravel()

    return np.asarray(minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B").x).reshape(shape)


def fit_both(found: Sequence[tuple[Lookup[str, float], str]], penalty: float = PENALTY) -> dict[str, Weights]:
    """The weights with and without the classifier's evidence, under the names that topology.yaml gives them."""
    plain = [({k: v for k, v in evidence.items() if not k.startswith("class_")}, t) for evidence, t in found]
    return {WITH_CLASS: fit(found, penalty), WITHOUT_CLASS: fit(plain, penalty)}


def to_yaml(both: Lookup[str, Weights], about: str) -> str:
    """The text of topology.yaml."""
    lines = [_ABOUT.format(topologies=", ".join(TOPOLOGIES), about=about)]
    for title, weights in both.items():
        bias = ", ".join(f"{t}: {b:.4f}" for t, b in zip(TOPOLOGIES, weights.bias, strict=True))
        lines.append(f"{title}:\n  bias: {{{bias}}}\n  evidence:\n")
        for i, name in enumerate(weights.names):
            numbers = [weights.mean[i], weights.scale[i], *weights.matrix[:, i]]
            lines.append(f"    {name}: {json.dumps([round(float(n), 4) for n in numbers])}\n")
    return "".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, fit, write; returns the exit code."""
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m reference.animation.fit_topology", description=about)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--about", default="", help="what the pictures are and their licences, for the file's head")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--folds", type=int, metavar="N", help="judge in N parts and write nothing")
    parser.add_argument("--evidence", type=Path, metavar="FILE", help="JSON lines that keep what was collected")
    a = parser.parse_args(arguments)
    try:
        if a.folds is not None and a.folds < 2:
            raise BadInput(f"--folds is {a.folds}; allowed: 2 or more, such as 5")
        examples = collect(a.folders, a.evidence)
        found = [(e.evidence, e.topology) for e in examples if e.evidence]
        if {topology for _, topology in found} != set(TOPOLOGIES):
            raise BadInput(f"the pictures show {len({t for _, t in found})} topologies; allowed: pictures of all six")
        if a.folds is not None:
            print(cross_validate(examples, a.folds))
            return 0
        both = fit_both(found)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    a.out.write_text(to_yaml(both, a.about), encoding="utf-8")
    print(f"{len(found)} pictures, {len(both[WITH_CLASS].names)} kinds of evidence -> {a.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
