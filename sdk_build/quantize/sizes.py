"""``--sizes``: bytes and delegation of measured artifacts anew, without data.

For a change in how artifacts are packed, which leaves what they compute as it is: an artifact of 8 bits or fewer keeps
its accuracy if it gives the golden outputs with the stored SQNR, one in float if it keeps its limits there (what it is
off by is the order of sums, which is another one with other threads).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from reference.errors import BadInput, OnParError
from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, execution_name
from sdk_build.backends.quantizers.recipes import get_recipe
from sdk_build.build.artifact import lower_artifact
from sdk_build.build.measured import Measured, MeasuredArtifact, load_measured, save_measured
from sdk_build.build.reference import Reference, limits_of, load_reference
from sdk_build.build.tuning import Tuning
from sdk_build.bundle.files import size_of
from sdk_build.proof import parity
from sdk_build.proof.sandbox import run_artifact

TOLERANCE_DB = 0.1  # rounding to 8 bits rarely tips the other way


def refresh(
    spec: ModelSpec,
    folder: Path,
    models_dir: Path,
    runtimes: Sequence[str] | None,
    precisions: Sequence[str] | None,
    say: Callable[[str], None],
) -> tuple[Measured, list[str]]:
    """Make measured artifacts again and store what they weigh.

    Args:
        folder: where artifacts are made.
        runtimes, precisions: only these.

    Returns:
        What is stored now, and a line for each artifact that computes something else than when it was measured; its
        record stays as it was.

    Raises:
        BadInput: nothing was measured for the present weights.
    """
    measured = load_measured(spec.name, models_dir)
    if measured is None:
        raise BadInput(f"{spec.name} was not measured with its present weights; give --data without --sizes")
    reference = load_reference(spec, models_dir)
    artifacts, changed = [], []
    for number, known in enumerate(measured.artifacts, 1):
        chosen = known.runtime in (runtimes or [known.runtime]) and known.precision in (precisions or [known.precision])
        if chosen and known.bytes:  # none where it could not be made
            say(f"{spec.name}: {number}/{len(measured.artifacts)} {known.runtime} {known.precision}")
            try:
                artifacts.append(_remade(reference, known, folder, Tuning(measured=measured)))
                continue
            except OnParError as error:
                changed.append(f"{spec.name} {known.runtime} {known.precision}: {error}")
        artifacts.append(known)
    measured = replace(measured, artifacts=tuple(artifacts))
    save_measured(spec.name, measured, models_dir)
    say("")
    return measured, changed


def _remade(reference: Reference, known: MeasuredArtifact, folder: Path, tuning: Tuning) -> MeasuredArtifact:
    spec, runtime, held = reference.spec, known.runtime, known.precision
    path = folder / f"{runtime}-{held}" / RUNTIMES[runtime].file
    delegation = lower_artifact(reference, runtime, held, path, tuning)
    actual = run_artifact(runtime, path, spec, [case.inputs for case in reference.golden])
    limits, quantized = limits_of(reference, held), get_recipe(held).quantized
    checks = parity.check_artifact(execution_name(runtime), spec, limits, actual, reference.expected, quantized)
    sqnr = round(min(c.value for c in checks if c.metric == "sqnr_db"), 2)
    if abs(sqnr - known.sqnr_db) > TOLERANCE_DB if quantized else not all(check.passed for check in checks):
        raise BadInput(f"SQNR is {sqnr:g} dB, {known.sqnr_db:g} when it was measured; measure it again with --data")
    return replace(
        known,
        bytes=size_of(path),
        delegated=delegation.delegated,
        total=delegation.total,
        partitions=delegation.partitions,
        fallbacks=delegation.fallbacks,
    )
