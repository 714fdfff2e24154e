"""Calibration samples: training inputs by seed and hash, never what accuracy is measured on.

What the task generates from a folder comes first (heads for networks that take depth), then what a cascade's first
network would show its second one, then raw files (:mod:`reference.data.raw_files`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.data.raw_files import SUFFIXES, RawFile, find_evaluated, find_raw
from reference.errors import BadInput
from reference.golden import read_input
from reference.spec import ModelSpec
from reference.tasks import get_task

COUNT = 128


@dataclass(frozen=True)
class Calibration:
    """What was calibrated with.

    Attributes:
        source: name of the folder, not its place.
        sha256: digest over the samples' own digests, in order.
        samples: network inputs, each with a batch of 1.
    """

    source: str
    seed: int
    sha256: str
    samples: tuple[NDArray[np.float32], ...]


def load_calibration(
    spec: ModelSpec, folder: Path, count: int = COUNT, seed: int = 0, evaluated: frozenset[str] = frozenset()
) -> Calibration:
    """Draw calibration samples from a folder.

    Args:
        evaluated: digests of the files that accuracy is measured on (:func:`evaluation_digests`).

    Raises:
        BadInput: the folder is missing, holds nothing of the model's kind, or shares files with the evaluation.
    """
    if not folder.is_dir():
        raise BadInput(f"no folder {folder}; --calibration names a folder with training pictures or depth maps")
    samples = get_task(spec).generate_inputs(spec, folder, count, seed)
    if samples is not None:
        return Calibration(folder.name, seed, _digest_all([_digest(s.tobytes()) for s in samples]), samples)
    raws = find_inputs(spec, folder)
    if not raws:
        raise BadInput(
            f"no picture in {folder}; --calibration needs {', '.join(sorted(SUFFIXES))} files of the training data"
        )
    chosen = [raws[i] for i in sorted(np.random.default_rng(seed).permutation(len(raws))[:count])]
    digests = [_digest(_content(raw.path)) for raw in chosen]
    _refuse_overlap(folder, raws, evaluated)
    samples = tuple(read_input(raw.path, spec, raw.box)[0] for raw in chosen)
    return Calibration(folder.name, seed, _digest_all(digests), samples)


def evaluation_digests(folder: Path) -> frozenset[str]:
    """Digests of the files that accuracy is measured on (:func:`reference.data.raw_files.find_evaluated`)."""
    return frozenset(_digest(_content(raw.path)) for raw in find_evaluated(folder))


def find_inputs(spec: ModelSpec, folder: Path) -> list[RawFile]:
    """The training inputs in a folder; for the second network of a cascade, in the way of the first one's task."""
    from reference.registry import get_spec

    first = get_task(get_spec(spec.refines)).cascade if spec.refines else None
    found = first.find_inputs(folder) if first else None
    return find_raw(folder, "train") if found is None else found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"can't read {path} ({error.strerror}), which its folder's table names; mend the table"
        ) from error


def _refuse_overlap(folder: Path, raws: Sequence[RawFile], evaluated: frozenset[str]) -> None:
    shared = [raw.path for raw in raws if evaluated and _digest(_content(raw.path)) in evaluated]
    if shared:
        raise BadInput(
            f"{len(shared)} of {len(raws)} files in {folder} are evaluation data, the first {shared[0].name}; "
            "ranges fitted to them would flatter the accuracy: give training data only"
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_all(digests: Sequence[str]) -> str:
    return _digest("\n".join(digests).encode())
