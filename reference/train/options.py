"""What the training command was told, for the recipes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Options of ``python -m reference.train``, by the names that its ``--help`` explains.

    Attributes:
        name: the model.
        folders: all data folders; ``data`` is the first.
        out: folder for log, checkpoint and weights.
    """

    name: str
    data: Path
    folders: tuple[Path, ...]
    out: Path
    epochs: int
    batch: int
    samples: int
    seed: int
    init: Path | None
    heads: Path | None
    rendered: int
    backgrounds: tuple[Path, ...]
    objects: Path | None
    object_share: float
    bust_share: float
    surface_weight: float
    cache: Path | None
    cached: int
    drawings: Path | None
    unlabelled: tuple[Path, ...]
    pretraining: float
    frozen: float
    unbalanced: bool
    no_copies: bool
    type_weight: float
    min_outline: float
    only_type: str | None
    width: float
