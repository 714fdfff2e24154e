"""``models/<name>/quantization.json``: what was measured for a model's stored weights, and what follows from it.

``python -m sdk_build.quantize NAME --data DIR`` writes it. It holds the calibrated ranges, so that whoever has no data
makes the same artifacts; the task's metrics of every artifact; and the parts that mixed precision keeps float. All of
it is about one set of weights: after a training it counts as missing until it is measured again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reference.card import MODELS_DIR
from reference.errors import BadInput
from reference.spec import from_json
from sdk_build.backends import RUNTIMES, TARGETS, precisions_of
from sdk_build.backends.quantizers.recipes import RECIPES, Ranges
from sdk_build.bundle.manifest import CalibrationEntry, NamedValue

FILE = "quantization.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class NamedRange:
    """Smallest and largest value of one tensor."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class RangeSet:
    """Calibrated ranges in the names of one toolchain (``Runtime.ranges``)."""

    toolchain: str
    ranges: tuple[NamedRange, ...]

    def as_mapping(self) -> Ranges:
        """By tensor name."""
        return {r.name: (r.low, r.high) for r in self.ranges}


@dataclass(frozen=True)
class MeasuredArtifact:
    """One artifact on the validation data.

    Attributes:
        precision: what the artifact holds.
        keep_float: parts that the search put back to float.
        samples: validation inputs.
        accuracy: the task's metrics.
        reference: the float network's metrics on the same inputs.
        sqnr_db: of the worst output on the golden inputs.
        fallbacks: operations outside the delegate.
        passed: parity limits and accuracy budget both hold.
        reason: why not; empty where it passed.
    """

    runtime: str
    precision: str
    bytes: int
    keep_float: tuple[str, ...]
    samples: int
    accuracy: tuple[NamedValue, ...]
    reference: tuple[NamedValue, ...]
    sqnr_db: float
    delegated: int
    total: int
    partitions: int
    fallbacks: tuple[str, ...]
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class Measured:
    """The content of the file.

    Attributes:
        weights_sha256: of the weights that all of it is about.
        operations: SQNR in dB of the outputs when this part alone has 8 bits, the worst first.
        data: name of the folder that accuracy was measured on.
    """

    weights_sha256: str
    calibration: CalibrationEntry | None
    ranges: tuple[RangeSet, ...]
    operations: tuple[NamedValue, ...]
    artifacts: tuple[MeasuredArtifact, ...]
    data: str
    schema_version: int = SCHEMA_VERSION

    def find(self, runtime: str, precision: str) -> MeasuredArtifact | None:
        """The record of one artifact."""
        return next((a for a in self.artifacts if (a.runtime, a.precision) == (runtime, precision)), None)

    def ranges_of(self, toolchain: str) -> Ranges | None:
        """Stored ranges."""
        return next((r.as_mapping() for r in self.ranges if r.toolchain == toolchain), None)


def load_measured(name: str, models_dir: Path = MODELS_DIR) -> Measured | None:
    """What is known about a model's present weights; None where nothing was measured for them.

    Raises:
        BadInput: the file is damaged, or from another version.
    """
    path = models_dir / name / FILE
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text())
        if document.get("schema_version") != SCHEMA_VERSION:
            raise BadInput(f"schema_version is {document.get('schema_version')!r}; allowed: {SCHEMA_VERSION}")
        measured = from_json(Measured, document)
    except (ValueError, AttributeError, BadInput) as error:
        raise BadInput(f"{path} can't be used ({error}); run python -m sdk_build.quantize {name} --data DIR") from error
    return measured if measured.weights_sha256 == weights_digest(name, models_dir) else None


def save_measured(name: str, measured: Measured, models_dir: Path = MODELS_DIR) -> Path:
    """Write the file, one entry a line where lists are long."""
    path = models_dir / name / FILE
    document = dataclasses.asdict(measured)
    path.write_text(json.dumps(document, indent=None, separators=(",", ": ")).replace('},{"', '},\n{"') + "\n")
    return path


def weights_digest(name: str, models_dir: Path = MODELS_DIR) -> str:
    """sha256 of the stored weights; empty if there are none."""
    path = models_dir / name / "weights.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def range_set(toolchain: str, ranges: Ranges) -> RangeSet:
    """Ranges in their stored form: nine digits give a float32 back exactly, and so the very same artifact."""
    digits = [NamedRange(name, float(f"{low:.9g}"), float(f"{high:.9g}")) for name, (low, high) in ranges.items()]
    return RangeSet(toolchain, tuple(digits))


def exceeded(budget: Mapping[str, float], accuracy: Mapping[str, float], reference: Mapping[str, float]) -> str:
    """Which part of an accuracy budget is exceeded, as one line; empty if none is.

    Args:
        budget: largest allowed change by metric, with its sign (``Card.budget``).

    Raises:
        BadInput: the budget names a metric that the evaluation does not give.
    """
    for metric, allowed in budget.items():
        if metric not in accuracy:
            raise BadInput(f"the card's budget names {metric!r}; the evaluation gives {', '.join(accuracy)}")
        change = _change(accuracy, reference, metric)
        if (change < allowed) if allowed < 0 else (change > allowed):
            return (
                f"{metric} {accuracy[metric]:.4g} is {change:+.3g} from {reference[metric]:.4g}, allowed {allowed:+g}"
            )
    return ""


def budget_used(budget: Mapping[str, float], accuracy: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """Largest share of an accuracy budget that is used: above 1 it is exceeded; infinite where nothing was measured."""
    if not accuracy:
        return math.inf
    changes = {metric: _change(accuracy, reference, metric) for metric in budget}
    # Nothing allowed: any change for the worse is endlessly too much. Which way that is, zero does not say.
    shares = (changes[m] / allowed if allowed else (math.inf if changes[m] else 0.0) for m, allowed in budget.items())
    return max(shares, default=0.0)


def _change(accuracy: Mapping[str, float], reference: Mapping[str, float], metric: str) -> float:
    """To nine digits: shares of pictures in percent have rounding errors, and a whole budget may be used."""
    return round(accuracy[metric] - reference[metric], 9)


def nearest_miss(measured: Measured, target: str, budget: Mapping[str, float]) -> str:
    """The best that a target's failed 8 bits reached, as one line; empty where nothing failed by its accuracy."""
    failed = [a for a in measured.artifacts if a.runtime in TARGETS[target] and not a.passed and a.accuracy]
    if not failed:
        return ""
    best = min(failed, key=lambda a: budget_used(budget, values_of(a.accuracy), values_of(a.reference)))
    return f"{best.runtime} {best.precision}: {best.reason}"


def values_of(named: Sequence[NamedValue]) -> dict[str, float]:
    """Values by name."""
    return {entry.name: entry.value for entry in named}


def smallest(measured: Measured, target: str) -> tuple[str, int] | None:
    """The precision with the smallest bundle for a target of which every artifact passed, and its bytes."""
    sizes = {precision: passing(measured, target, precision) for precision in precisions_of(target)}
    found = [(precision, size) for precision, size in sizes.items() if size is not None]
    return min(found, key=lambda item: item[1]) if found else None


def passing(measured: Measured, target: str, precision: str) -> int | None:
    """Bytes of a target's artifacts in a precision if all of them passed, else None.

    An artifact that leaves operations to the CPU which its float form does not leave there does not pass; one whose
    ranges are not stored can't be made again without data, and does not pass either.
    """
    total = 0
    for name in TARGETS[target]:
        held = RUNTIMES[name].precisions[precision]
        artifact = measured.find(name, held)
        if RECIPES[held].needs_ranges and measured.ranges_of(RUNTIMES[name].ranges) is None:
            return None
        floating = measured.find(name, "fp32")
        allowed = set(floating.fallbacks) if floating else set()
        if artifact is None or not artifact.passed or not set(artifact.fallbacks) <= allowed:
            return None
        total += artifact.bytes
    return total
