"""Make and measure every precision of one model on every runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from reference.errors import BadInput, OnParError
from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, execution_name, lacking
from sdk_build.backends.quantizers.pt2e import observe
from sdk_build.backends.quantizers.recipes import get_recipe
from sdk_build.build.artifact import lower_artifact
from sdk_build.build.calibration import COUNT, evaluation_digests, load_calibration
from sdk_build.build.measured import (
    Measured,
    MeasuredArtifact,
    budget_used,
    exceeded,
    load_measured,
    range_set,
    save_measured,
    values_of,
    weights_digest,
)
from sdk_build.build.reference import Reference, limits_of, load_reference
from sdk_build.build.tuning import Tuning, always_float
from sdk_build.bundle.files import size_of
from sdk_build.bundle.manifest import NamedValue
from sdk_build.proof import parity
from sdk_build.proof.accuracy import Evaluation, load_evaluation
from sdk_build.proof.sandbox import run_artifact
from sdk_build.quantize.search import Trial, search
from sdk_build.quantize.sensitivity import measure_parts
from sdk_build.quiet import quiet

SENSITIVITY_SAMPLES = 8
LARGE = 1 << 18  # outputs of more values count as volumes: fewer calibration samples, for time
Say = Callable[[str], None]


def measure(
    spec: ModelSpec,
    data: Path,
    calibration: Path,
    folder: Path,
    models_dir: Path,
    samples: int | None,
    seed: int,
    runtimes: Sequence[str] | None,
    precisions: Sequence[str] | None,
    say: Say,
) -> Measured:
    """Measure a model and store the result.

    Args:
        folder: where artifacts are made.
        runtimes, precisions: measure only these again; the rest keeps what is stored. Precisions are those that an
            artifact holds, which may be another than the one asked for.

    Raises:
        OnParError: data or the model itself can't be used. An artifact that fails is part of the result.
    """
    every = [(name, held) for name in RUNTIMES for held in held_by(name)]
    asked = runtimes or _installed(spec, say)
    work = [(name, held) for name, held in every if name in asked and held in (precisions or [held])]
    if not work:
        raise BadInput(f"none of {', '.join(asked)} holds {', '.join(precisions or [])}; give a pair that exists")
    say(f"{spec.name}: reference and data")
    reference = load_reference(spec, models_dir)
    count = samples or (16 if spec.outputs[0].size > LARGE else COUNT)
    drawn = load_calibration(spec, calibration, count, seed, evaluation_digests(data))
    evaluation = _evaluation(reference, data)
    tuning, began = Tuning(calibration=drawn, evaluation=evaluation), time.monotonic()
    say(f"{spec.name}: sensitivity of every part")
    with quiet():
        tuning.observed["pytorch"] = observe(reference.lowered, spec, drawn.samples)
        parts = measure_parts(reference.lowered, spec, drawn.samples[:SENSITIVITY_SAMPLES], tuning.observed["pytorch"])
    old = load_measured(spec.name, models_dir)
    partly = old is not None and bool(runtimes or precisions)
    if old and partly and old.calibration != tuning.calibration_entry():
        raise BadInput(
            f"{spec.name} was calibrated with other samples before; leave out --runtime and --precision to measure all"
        )
    artifacts = [a for a in old.artifacts if (a.runtime, a.precision) not in work] if old and partly else []
    for number, (runtime, held) in enumerate(work, 1):
        say(f"{spec.name}: {number}/{len(work)} {runtime} {held}{_left(began, number - 1, len(work))}")
        artifacts.append(measure_artifact(reference, runtime, held, folder, tuning, [part for part, _ in parts], say))
    artifacts.sort(key=lambda a: every.index((a.runtime, a.precision)))
    kept = [r for r in old.ranges if r.toolchain not in tuning.observed] if old and partly else []
    measured = Measured(
        weights_digest(spec.name, models_dir),
        tuning.calibration_entry(),
        (*kept, *(range_set(name, ranges) for name, ranges in tuning.observed.items())),
        tuple(NamedValue(part, round(value, 2)) for part, value in parts),
        tuple(artifacts),
        data.name,
    )
    save_measured(spec.name, measured, models_dir)
    say("")
    return measured


def _evaluation(reference: Reference, data: Path) -> Evaluation:
    """The float network's metrics, with a budget for what fewer bits may cost.

    Raises:
        BadInput: nobody said it, and it can't be known which way a metric of the user's own is better.
    """
    evaluation = load_evaluation(reference.spec, reference.lowered, data)
    if not reference.budget:
        raise BadInput(
            f"{reference.spec.name}: how much may fewer bits cost? evaluate() gives {', '.join(evaluation.reference)}; "
            f"write into {reference.folder / 'card.yaml'} by how much a metric may change at most, with its sign, as "
            f"in 'budget: {{{next(iter(evaluation.reference))}: -0.01}}'"
        )
    return evaluation


def _installed(spec: ModelSpec, say: Say) -> list[str]:
    """The runtimes whose packages are there; says which are not."""
    absent = {name: missing for name in RUNTIMES if (missing := lacking(name))}
    for name, missing in absent.items():
        say(f"{spec.name}: without {name}: {missing[0]} is not installed; pip install 'onpar[{RUNTIMES[name].extra}]'")
    return [name for name in RUNTIMES if name not in absent]


def held_by(runtime: str) -> list[str]:
    """What a runtime's artifacts can hold, each once."""
    return list(dict.fromkeys(RUNTIMES[runtime].precisions.values()))


def measure_artifact(
    reference: Reference,
    runtime: str,
    held: str,
    folder: Path,
    tuning: Tuning,
    order: Sequence[str],
    say: Say,
) -> MeasuredArtifact:
    """One precision on one runtime; a static one that misses its limits is searched for mixed precision."""
    always = always_float(reference.lowered, runtime)

    def attempt(keep_float: tuple[str, ...]) -> Trial[MeasuredArtifact]:
        if len(keep_float) > len(always):
            say(f"{reference.spec.name}: {runtime} {held} with {len(keep_float)} parts in float")
        result = _attempt(reference, runtime, held, folder, replace(tuning, keep_float=keep_float))
        used = budget_used(reference.budget, values_of(result.accuracy), values_of(result.reference))
        return Trial(keep_float, result, result.reason, used)

    if get_recipe(held).activations != "static":
        return attempt(()).result
    return search(order, always, attempt).result


def _attempt(reference: Reference, runtime: str, held: str, folder: Path, tuning: Tuning) -> MeasuredArtifact:
    spec, evaluation = reference.spec, tuning.evaluation
    assert evaluation is not None
    path = folder / f"{runtime}-{held}" / RUNTIMES[runtime].file
    failed = MeasuredArtifact(
        runtime,
        held,
        0,
        tuning.parts_kept_float(reference.lowered, runtime, held),
        0,
        (),
        (),
        0.0,
        0,
        0,
        0,
        (),
        False,
        "",
    )
    try:
        limits = limits_of(reference, held)
        delegation = lower_artifact(reference, runtime, held, path, tuning)
        actual = run_artifact(runtime, path, spec, [case.inputs for case in reference.golden])
        checks = parity.check_artifact(
            execution_name(runtime), spec, limits, actual, reference.expected, get_recipe(held).quantized
        )
        accuracy = evaluation.of_artifact(runtime, path)
    except OnParError as error:
        return replace(failed, reason=" ".join(str(error).split()))
    broken = [check.describe() for check in checks if not check.passed]
    reason = exceeded(reference.budget, accuracy, evaluation.reference)
    return replace(
        failed,
        bytes=size_of(path),
        samples=evaluation.samples,
        accuracy=_named(accuracy),
        reference=_named(evaluation.reference),
        sqnr_db=round(min(c.value for c in checks if c.metric == "sqnr_db"), 2),
        delegated=delegation.delegated,
        total=delegation.total,
        partitions=delegation.partitions,
        fallbacks=delegation.fallbacks,
        passed=not broken and not reason,
        reason="; ".join([*broken[:1], *([reason] if reason else [])]),
    )


def _named(metrics: dict[str, float]) -> tuple[NamedValue, ...]:
    return tuple(NamedValue(name, float(f"{value:.6g}")) for name, value in metrics.items())


def _left(started: float, done: int, count: int) -> str:
    """How long the rest will take if it goes on like this; nothing before the first is done."""
    seconds = (time.monotonic() - started) / max(done, 1) * (count - done)
    return f", about {seconds / 60:.0f} min left" if done else ""
