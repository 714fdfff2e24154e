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

from reference.data.raw_files import SUFFIXES, RawFile, find_evaluated, find_raw
from reference.errors import BadInput
from reference.golden import TENSOR_FILE, Tensors, read_input, read_inputs
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
    samples: tuple[Tensors, ...]


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
    generated = get_task(spec).generate_inputs(spec, folder, count, seed)
    if generated is not None:
        digests = [_digest(s.tobytes()) for s in generated]
        return Calibration(folder.name, seed, _digest_all(digests), tuple({spec.input.name: s} for s in generated))
    if takes_tensors(spec):
        return _load_tensors(spec, folder, count, seed, evaluated)
    raws = find_inputs(spec, folder)
    if not raws:
        raise BadInput(
            f"no picture in {folder}; --calibration needs {', '.join(sorted(SUFFIXES))} files of the training data"
        )
    chosen = [raws[i] for i in sorted(np.random.default_rng(seed).permutation(len(raws))[:count])]
    digests = [_digest(_content(raw.path)) for raw in chosen]
    _refuse_overlap(folder, raws, evaluated)
    samples = tuple({spec.input.name: read_input(raw.path, spec, raw.box)[0]} for raw in chosen)
    return Calibration(folder.name, seed, _digest_all(digests), samples)


def takes_tensors(spec: ModelSpec) -> bool:
    """True if a sample is more than a picture or a depth map."""
    return spec.preprocess is None or len(spec.inputs) > 1


def _load_tensors(spec: ModelSpec, folder: Path, count: int, seed: int, evaluated: frozenset[str]) -> Calibration:
    """Samples of several inputs: ``DIR/<input>/<case>.npy`` (or a picture for the first), cases by the same stem."""
    files = {t.name: _by_stem(folder if len(spec.inputs) == 1 else folder / t.name) for t in spec.inputs}
    common = sorted(set.intersection(*(set(found) for found in files.values())))
    if not common:
        wanted = ", ".join(f"{folder.name}/{t.name}/0.npy" for t in spec.inputs)
        raise BadInput(
            f"no case in {folder} has a file for every input of {spec.name}; --calibration needs {wanted} and more, "
            "or a .npy file per case where there is one input"
        )
    chosen = [common[i] for i in sorted(np.random.default_rng(seed).permutation(len(common))[:count])]
    cases = [{name: found[stem] for name, found in files.items()} for stem in chosen]
    digests = [_digest(_content(path)) for case in cases for path in case.values()]
    if evaluated & set(digests):
        raise BadInput(f"{folder} shares files with the evaluation data; give training data only")
    return Calibration(folder.name, seed, _digest_all(digests), tuple(read_inputs(case, spec) for case in cases))


def _by_stem(folder: Path) -> dict[str, Path]:
    paths = sorted(folder.glob("*")) if folder.is_dir() else []
    return {path.stem: path for path in paths if path.suffix.lower() in (*SUFFIXES, TENSOR_FILE)}


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
