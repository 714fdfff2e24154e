"""A model's card: what it was trained on, how good it is, and how close an artifact must stay to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference.errors import BadInput

MODELS_DIR = Path(__file__).resolve().parents[1] / "models"


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
            may fall by 1, ``nme_percent: 0.2`` may rise by 0.2. Without a budget ``--precision default`` stays float.
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


def load_card(name: str, models_dir: Path = MODELS_DIR) -> Card:
    """Read a model's card.

    Raises:
        BadInput: the file is missing, no YAML, or has other keys than :class:`Card`.
    """
    import yaml

    path = models_dir / name / "card.yaml"
    try:
        document: Any = yaml.safe_load(path.read_text())
        document["trained_on"] = tuple(document["trained_on"])
        document["limitations"] = tuple(document["limitations"])
        document["comparison"] = tuple(document.get("comparison", ()))
        return Card(**document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())  # YAML's errors have several lines
        raise BadInput(f"card {path} can't be used ({reason}); its keys are those of reference.card.Card") from error
