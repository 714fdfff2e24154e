"""``analysis.json`` in a bundle: how the errors of an artifact are spread, for people and reports; apps ignore it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdk_build.backends import Tensors
from sdk_build.bundle.artifact import Artifact
from sdk_build.bundle.manifest import NamedValue

FILE = "analysis.json"
BINS = 41


def error_histogram(actual: Sequence[Tensors], expected: Sequence[Tensors]) -> dict[str, Any]:
    """Counts of the first output's errors over all golden inputs.

    Returns:
        ``low`` and ``high``, the outer edges in units of the output, symmetric about 0, and ``counts`` of equal bins.
    """
    name = next(iter(expected[0]))
    errors = np.concatenate([(a[name] - e[name]).ravel() for a, e in zip(actual, expected, strict=True)])
    edge = float(np.abs(errors).max()) or 1e-12
    counts, _ = np.histogram(errors, BINS, (-edge, edge))
    return {"output": name, "low": -edge, "high": edge, "counts": counts.tolist()}


def write_analysis(folder: Path, artifacts: Sequence[Artifact], operations: Sequence[NamedValue]) -> None:
    """Write the file into a bundle's folder.

    Args:
        operations: what 8 bits cost in each part of the network, in dB; empty where it was not measured.
    """
    document = {
        "errors": {artifact.path.name: artifact.errors for artifact in artifacts},
        "operations": [[v.name, v.value] for v in operations],
    }
    (folder / FILE).write_text(json.dumps(document) + "\n")
