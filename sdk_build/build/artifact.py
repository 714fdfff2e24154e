"""One artifact: made by its toolchain, run in a child process, proved against the reference, and measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from reference.errors import OnParError
from reference.spec import from_json
from sdk_build.backends import RUNTIMES, execution_name, get_backend, missing_package
from sdk_build.backends.blame import blame
from sdk_build.backends.delegation import Delegation
from sdk_build.backends.quantizers.recipes import get_recipe
from sdk_build.backends.signature import example_inputs
from sdk_build.build.agreement import name_operation
from sdk_build.build.cache import Cache
from sdk_build.build.keys import artifact_key
from sdk_build.build.measured import exceeded
from sdk_build.build.reference import Reference, limits_of
from sdk_build.build.tuning import PLAIN, Tuning
from sdk_build.bundle.analysis import error_histogram
from sdk_build.bundle.artifact import Artifact
from sdk_build.errors import AccuracyError, LoweringError, ParityError
from sdk_build.proof import parity
from sdk_build.proof.sandbox import run_artifact
from sdk_build.proof.witnesses import WITNESSES, witness_inputs
from sdk_build.quiet import quiet


@dataclass(frozen=True)
class Kept:
    """Where artifacts are kept that were made before.

    Attributes:
        program: digest of the lowered network (:func:`sdk_build.build.keys.program_digest`).
    """

    cache: Cache
    program: str


def make_artifact(
    reference: Reference,
    runtime: str,
    precision: str,
    folder: Path,
    tuning: Tuning = PLAIN,
    witness: bool = False,
    kept: Kept | None = None,
) -> Artifact:
    """Write one artifact and prove it (stage 3), in a child process.

    Args:
        witness: keep its answers, to hold another artifact's against them.
        kept: take it from there where it is there, and prove it all the same.

    Raises:
        LoweringError: the toolchain could not convert the network.
        ArtifactCrashed, ParityError: it does not run, or differs.
        DelegationError, AccuracyError: it leaves too much to the CPU, or loses more accuracy than the budget.
    """
    began = time.monotonic()
    spec = reference.spec
    held = RUNTIMES[runtime].precisions[precision]
    limits = limits_of(reference, held)
    path = folder / f"{runtime}-{held}" / RUNTIMES[runtime].file
    delegation = lower_artifact(reference, runtime, held, path, tuning, kept)
    tuning.require_delegation(f"{spec.name} {runtime} {held}", delegation)
    golden = [case.inputs for case in reference.golden]
    inputs = witness_inputs(golden) if witness else golden
    answers = run_artifact(runtime, path, spec, inputs)
    actual = answers[: len(golden)]
    executed_by = execution_name(runtime)
    quantized = get_recipe(held).quantized
    checks = parity.check_artifact(executed_by, spec, limits, actual, reference.expected, quantized)
    try:
        parity.require(checks, f"{spec.name} {held}")
    except ParityError as error:
        if runtime not in WITNESSES:
            look = f"python -m sdk_build.bisect {spec.called} --runtime {runtime} --precision {held}"
            raise ParityError(f"{error}; {look} names the operation") from error
        where = name_operation(reference, {runtime: held}, limits, folder, {runtime: path})
        raise ParityError(f"{error}; {where}") from error
    return Artifact(
        runtime,
        held,
        path,
        delegation,
        tuple(checks),
        executed_by,
        time.monotonic() - began,
        tuning.entry(reference.lowered, runtime, held),
        measure_accuracy(reference, runtime, held, path, tuning),
        error_histogram(actual, reference.expected),
        tuple(answers) if witness else (),
    )


def lower_artifact(
    reference: Reference, runtime: str, held: str, path: Path, tuning: Tuning, kept: Kept | None = None
) -> Delegation:
    """Quantise and write, with the toolchain's failures as one line.

    Raises:
        LoweringError: the toolchain could not convert the network.
        BadInput: calibration is needed.
    """
    spec = reference.spec
    backend = get_backend(runtime)
    try:
        with quiet():
            quantization = tuning.quantization(reference.lowered, spec, runtime, held)
            key = artifact_key(kept.program, spec, runtime, held, quantization) if kept else ""
            record = kept.cache.get(key, path.parent) if kept else None
            if record is not None:
                return from_json(Delegation, record)
            delegation = backend.lower(reference.lowered, spec, held, path, quantization)
            if kept is not None:
                kept.cache.put(key, path.parent, asdict(delegation))
            return delegation
    except (OnParError, OSError):
        raise
    except ImportError as error:
        raise missing_package(runtime, error) from error
    except Exception as error:  # toolchains raise anything; the user gets one line with the cause
        line = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
        remedy = "try another precision"
        if get_recipe(held).needs_ranges and tuning.calibration is None:
            remedy += (
                f", or measure the ranges of this graph anew: python -m sdk_build.quantize {spec.called} --data DIR"
            )
        where = blame(reference.lowered, example_inputs(spec), str(error))
        if where:
            line, remedy = f"{line}, in {where}", "write it in other operations"
        raise LoweringError(f"{runtime} can't convert {spec.name} in {held} ({line}); {remedy}") from error


def measure_accuracy(reference: Reference, runtime: str, held: str, path: Path, tuning: Tuning) -> Mapping[str, float]:
    """The task's metrics of an artifact: measured where there are data, else stored ones, else none.

    Raises:
        AccuracyError: a quantised artifact loses more than the card's budget.
    """
    if tuning.evaluation is None:
        return tuning.stored_accuracy(reference.lowered, runtime, held)
    accuracy = tuning.evaluation.of_artifact(runtime, path)
    reason = exceeded(reference.budget, accuracy, tuning.evaluation.reference)
    if reason:
        raise AccuracyError(f"{reference.spec.name} {runtime} {held}: {reason}; try another precision")
    return accuracy
