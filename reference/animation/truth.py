"""What people saw in the pictures of a folder: ``truth.csv`` with the columns file, topology and facing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from reference.animation.motion.source import TOPOLOGIES
from reference.errors import BadInput

FACINGS = ("front", "left", "right")


@dataclass(frozen=True)
class Truth:
    """One picture: what its figure moves on, and where it looks; an empty facing wasn't judged."""

    file: Path
    topology: str
    facing: str


def read_truth(folder: Path) -> list[Truth]:
    """The rows of ``folder/truth.csv``.

    Raises:
        BadInput: missing or malformed, or a picture that doesn't exist.
    """
    path = folder / "truth.csv"
    try:
        with path.open(encoding="utf-8", newline="") as opened:
            rows = [
                Truth(folder / row["file"], row["topology"], row.get("facing") or "") for row in csv.DictReader(opened)
            ]
    except (OSError, KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"can't read {path} ({error!r}); allowed: a CSV file with file, topology and facing") from error
    for row in rows:
        if row.topology not in TOPOLOGIES or row.facing not in ("", *FACINGS):
            raise BadInput(
                f"{path} has '{row.topology}', '{row.facing}' for {row.file.name}; allowed: {', '.join(TOPOLOGIES)}, "
                f"and {', '.join(FACINGS)} or nothing"
            )
        if not row.file.is_file():
            raise BadInput(f"{path} names {row.file.name}, which isn't there")
    if not rows:
        raise BadInput(f"{path} has no rows; allowed: at least one picture")
    return rows
