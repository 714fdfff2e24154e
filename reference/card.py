"""A model's card: what it was trained on, how good it is, and how close an artifact must stay to it.

A model in a folder of its own may do without a card, or say in it only what differs from :data:`NOTHING_SAID`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference.errors import BadInput

_PACKAGE = Path(__file__).resolve().parent
# A wheel holds the models inside this package; in a checkout they lie beside it.
MODELS_DIR = next((d for d in (_PACKAGE / "models", _PACKAGE.parent / "models") if d.is_dir()), _PACKAGE / "models")
# Where models of the user's own are made: never among the files of an installed package.
OWN_MODELS_DIR = Path() if MODELS_DIR.parent == _PACKAGE else MODELS_DIR


@dataclass(frozen=True)
class Card:
    """The content of ``models/<name>/card.yaml``.

    Attributes:
        weights_license: what the weights may be used for.
        trained_on: data sets with their restrictions.
        training: command, duration and place of the log.
        accuracy: metric to value, measured on the stored weights.
        accuracy_data: what ``accuracy`` was measured on.
        parity: limits by stage or precision: ``golden``, ``lowered``, ``fp32``, ``fp16``, and the quantised precisions
            that the model may have; each metric to limit.
        limitations: what a user should not expect.
        comparison: how other ways of training did with the same budget; each row a name and metrics.
        sounds: class to sound file within the model's folder (row I8).
        budget: largest change of an accuracy metric that quantisation may cause, with its sign: ``top1_mean: -1``
            may fall by 1, ``nme_percent: 0.2`` may rise by 0.2. Without one, what the task
            assumes (:func:`reference.tasks.budget_of`).
        assumed: stages and precisions whose limits nobody wrote into the card.
    """

    summary: str
    weights_license: str
    trained_on: tuple[str, ...]
    training: Mapping[str, str]
    accuracy: Mapping[str, float]
    accuracy_data: str
    parity: Mapping[str, Mapping[str, float]]
    limitations: tuple[str, ...]
    comparison: tuple[Mapping[str, str | float], ...] = ()
    sounds: Mapping[str, str] = field(default_factory=dict)
    budget: Mapping[str, float] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


# What a float network's conversion measures is rounding (60 dB and more in single precision, 40 and more in half); the
# limits of 8 bits and fewer are where built-in networks still keep their accuracy. exact_share is for outputs of whole
# numbers: a class of a map's cells may flip where two are equally likely.
ASSUMED_LIMITS: dict[str, dict[str, float]] = {
    "golden": {"max_abs_of_range": 2e-5, "exact_share": 0.999},
    "lowered": {"max_abs_of_range": 1e-9, "exact_share": 0.999},
    "fp32": {"sqnr_db": 60.0, "exact_share": 0.999},
    "fp16": {"sqnr_db": 40.0, "exact_share": 0.99},
    "w8": {"sqnr_db": 25.0, "exact_share": 0.95},
    "dynamic_w8": {"sqnr_db": 20.0, "exact_share": 0.95},
    "w8a8": {"sqnr_db": 15.0, "exact_share": 0.9},
    "w4": {"sqnr_db": 15.0, "exact_share": 0.9},
    "p6": {"sqnr_db": 15.0, "exact_share": 0.9},
}
NOTHING_SAID: dict[str, Any] = {
    "summary": "A network without a card.",
    "weights_license": "Not stated. Ask whoever trained the weights before you ship them.",
    "trained_on": (),
    "training": {},
    "accuracy": {},
    "accuracy_data": "not measured",
    "limitations": (),
}


def load_card(name: str, models_dir: Path = MODELS_DIR) -> Card:
    """Read a model's card.

    Raises:
        BadInput: the file is missing, no YAML, or has other keys than :class:`Card`.
    """
    import yaml

    folder = models_dir / name
    path = folder / "card.yaml"
    own = (folder / "model.py").is_file()
    if own and not path.exists():
        return complete({})
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        if own:
            return complete(document or {})
        document["trained_on"] = tuple(document["trained_on"])
        document["limitations"] = tuple(document["limitations"])
        document["comparison"] = tuple(document.get("comparison", ()))
        return Card(**document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())  # YAML's errors have several lines
        raise BadInput(f"card {path} can't be used ({reason}); its keys are those of reference.card.Card") from error


def complete(document: Mapping[str, Any]) -> Card:
    """A card that says everything, of one that says part of it."""
    given = dict(document)
    parity = given.pop("parity", {})
    if "assumed" in given:
        raise TypeError("'assumed' is no key of a card")
    tuples = {key: tuple(given.get(key, ())) for key in ("trained_on", "limitations", "comparison")}
    limits = {stage: parity.get(stage, assumed) for stage, assumed in ASSUMED_LIMITS.items()}
    limits |= {stage: given for stage, given in parity.items() if stage not in limits}
    assumed = tuple(stage for stage in ASSUMED_LIMITS if stage not in parity)
    return Card(**(NOTHING_SAID | given | tuples), parity=limits, assumed=assumed)
