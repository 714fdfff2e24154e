"""Data that an export is given, and what is stored, as what its artifacts are tuned with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sdk_build.build.calibration import evaluation_digests, load_calibration
from sdk_build.build.reference import Reference
from sdk_build.build.tuning import Tuning
from sdk_build.proof.accuracy import load_evaluation


@dataclass(frozen=True)
class Sources:
    """Data that an export is given.

    Attributes:
        calibration: folder with training inputs, for recipes that need ranges.
        data: folder with validation data, to measure the task's metrics of every artifact.
        max_fallbacks: operations that an artifact may leave outside its delegate; None: any number.
    """

    calibration: Path | None = None
    data: Path | None = None
    max_fallbacks: int | None = None


NOTHING = Sources()


def open_sources(sources: Sources, reference: Reference, progress: Callable[[str], None]) -> Tuning:
    """Read what is given, beside what is stored.

    Raises:
        BadInput: a folder is unusable, or both overlap.
    """
    spec = reference.spec
    calibration = evaluation = None
    if sources.calibration is not None:
        progress(f"{spec.name}: calibration data")
        evaluated = evaluation_digests(sources.data) if sources.data else frozenset()
        calibration = load_calibration(spec, sources.calibration, evaluated=evaluated)
    if sources.data is not None:
        progress(f"{spec.name}: validation data")
        evaluation = load_evaluation(spec, reference.lowered, sources.data)
    return Tuning(calibration, reference.measured, evaluation, sources.max_fallbacks)
