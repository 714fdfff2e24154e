"""One proved artifact, as a bundle takes it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdk_build.backends import Tensors
from sdk_build.backends.delegation import Delegation
from sdk_build.bundle.manifest import QuantizationEntry
from sdk_build.proof.parity import Check


@dataclass(frozen=True)
class Artifact:
    """One proved artifact in a build folder.

    Attributes:
        checks: stage 3, all passed.
        executed_by: what ran it here.
        quantization: parts that stayed float, and what the ranges are from; None where nothing is quantised.
        accuracy: the task's metrics on validation data; empty where none was given or stored.
        answers: outputs for the inputs on which two witnesses are compared; empty where there is only one.
        errors: histogram of the golden outputs' errors (:func:`sdk_build.bundle.analysis.error_histogram`).
    """

    runtime: str
    precision: str
    path: Path
    delegation: Delegation
    checks: tuple[Check, ...]
    executed_by: str
    seconds: float
    quantization: QuantizationEntry | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[Tensors, ...] = ()
