"""From a registered model to verified bundles: the whole story, top to bottom."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.card import MODELS_DIR, Card, load_card
from reference.golden import Golden, load_golden, stride
from reference.spec import ModelSpec
from sdk_build import parity
from sdk_build.accuracy import load_evaluation
from sdk_build.analysis import error_histogram, write_analysis
from sdk_build.backends import RUNTIMES, TARGETS, Tensors, get_backend, missing_package, precisions_of
from sdk_build.bundle import clean_up, hash_files, place, seal, sha256_of, size_of, workspace
from sdk_build.card_page import card_page
from sdk_build.delegation import Delegation
from sdk_build.errors import AccuracyError, BadInput, LoweringError, OnParError, ParityError
from sdk_build.manifest import (
    FORMAT_VERSION,
    GoldenCase,
    GoldenTensor,
    Manifest,
    ModelFile,
    NamedText,
    NamedValue,
    QuantizationEntry,
    tensor_entry,
)
from sdk_build.metrics import METRICS
from sdk_build.parity import Check
from sdk_build.quantize.calibration import evaluation_digests, load_calibration
from sdk_build.quantize.measured import exceeded, load_measured, nearest_miss, smallest
from sdk_build.quantize.recipes import FLOAT_PRECISIONS, get_recipe
from sdk_build.quantize.tuning import PLAIN, Tuning
from sdk_build.quiet import quiet
from sdk_build.sandbox import run_artifact

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[str], None]
TOPOLOGY = "topology.safetensors"
PYTORCH_PACKAGES = ("torch", "numpy")


@dataclass(frozen=True)
class Artifact:
    """One proved artifact in a build folder.

    Attributes:
        checks: stage 3, all passed.
        executed_by: what ran it here.
        quantization: parts that stayed float, and what the ranges are from; None where nothing is quantised.
        accuracy: the task's metrics on validation data; empty where none was given or stored.
        errors: histogram of the golden outputs' errors (:func:`sdk_build.analysis.error_histogram`).
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


@dataclass(frozen=True)
class Reference:
    """A model with everything that its artifacts are compared to.

    Attributes:
        folder: the model's own, with weights, golden files and sounds.
    """

    spec: ModelSpec
    folder: Path
    card: Card
    golden: tuple[Golden, ...]
    lowered: nn.Module
    expected: tuple[Tensors, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Built:
    """A bundle that was written."""

    path: Path
    manifest: Manifest
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The entry of ``export --json``."""
        m = self.manifest
        return {
            "id": m.id,
            "path": str(self.path),
            "model": m.model,
            "target": m.target,
            "precision": m.precision,
            "passed": all(check.passed for check in m.parity),
            "size_bytes": m.size_bytes,
            "seconds": round(self.seconds, 2),
            "parity": [check.to_json() for check in m.parity],
        }


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

    def open(self, reference: Reference, models_dir: Path, progress: Progress) -> Tuning:
        """Read what is given and what is stored.

        Raises:
            BadInput: a folder is unusable, or both overlap.
        """
        spec = reference.spec
        calibration = evaluation = None
        if self.calibration is not None:
            progress(f"{spec.name}: calibration data")
            evaluated = evaluation_digests(self.data) if self.data else frozenset()
            calibration = load_calibration(spec, self.calibration, evaluated=evaluated)
        if self.data is not None:
            progress(f"{spec.name}: validation data")
            evaluation = load_evaluation(spec, reference.lowered, self.data)
        return Tuning(calibration, load_measured(spec.name, models_dir), evaluation, self.max_fallbacks)


def load_reference(spec: ModelSpec, models_dir: Path = MODELS_DIR) -> Reference:
    """Load weights, lower the network, and prove stages 1 and 2.

    Raises:
        WeightsError, BadInput: weights, card or golden files are missing or damaged.
        ParityError: the golden files or the lowering differ from the reference; or a check could not fail.
    """
    from reference.checkpoint import TRAINING_HEADS, load_weights
    from reference.registry import build_network
    from sdk_build.lowering import lower

    card = load_card(spec.name, models_dir)
    check_limits(spec, card)
    golden = tuple(load_golden(spec, models_dir))
    network = build_network(spec)
    # The image-type head of document I is a tool of training; it never ships.
    load_weights(network, models_dir / spec.name / "weights.safetensors", ignore=TRAINING_HEADS)
    # Lowered in float64: folding in float32 would round, and stage 2 could not tell that from a wrong rewrite.
    exact = lower(copy.deepcopy(network).double())
    checks = parity.check_reference(network, exact, spec, card, golden)
    parity.require(checks, spec.name)
    lowered = exact.float()
    expected = tuple(parity.run_lowered(lowered, spec, golden))
    return Reference(spec, models_dir / spec.name, card, golden, lowered, expected, tuple(checks))


def check_limits(spec: ModelSpec, card: Card) -> None:
    """Refuse a card whose limits would not be looked at: a typo must not switch a check off.

    Raises:
        BadInput: a stage or precision is missing, a metric is unknown, or a limit is no number.
    """
    missing = sorted({"golden", "lowered", *FLOAT_PRECISIONS} - set(card.parity))
    if missing:
        raise BadInput(
            f"card of {spec.name}: parity lacks {missing[0]!r}; give limits for golden, lowered, fp32 and fp16"
        )
    for stage, limits in card.parity.items():
        for metric, limit in limits.items():
            if metric not in METRICS:
                raise BadInput(f"card of {spec.name}: parity {stage} has {metric!r}; allowed: {', '.join(METRICS)}")
            if isinstance(limit, bool) or not isinstance(limit, (int, float)):
                raise BadInput(
                    f"card of {spec.name}: {metric} is {limit!r}; a number is needed (YAML reads 1e-4 as text)"
                )


def make_artifact(reference: Reference, runtime: str, precision: str, folder: Path, tuning: Tuning = PLAIN) -> Artifact:
    """Write one artifact and prove it (stage 3), in a child process.

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
    delegation = lower_artifact(reference, runtime, held, path, tuning)
    tuning.require_delegation(f"{spec.name} {runtime} {held}", delegation)
    inputs = [{spec.input.name: case.input} for case in reference.golden]
    actual = run_artifact(runtime, path, spec, inputs)
    executed_by = execution_name(runtime)
    quantized = get_recipe(held).quantized
    checks = parity.check_artifact(executed_by, spec, limits, actual, reference.expected, quantized)
    parity.require(checks, f"{spec.name} {held}")
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
    )


def limits_of(reference: Reference, held: str) -> Mapping[str, float]:
    """The card's parity limits of a precision.

    Raises:
        BadInput: there are none, so nothing could be proved.
    """
    if held not in reference.card.parity:
        raise BadInput(
            f"card of {reference.spec.name}: parity lacks {held!r}; it has {', '.join(reference.card.parity)}: "
            "add limits, or choose one of them"
        )
    return reference.card.parity[held]


def lower_artifact(reference: Reference, runtime: str, held: str, path: Path, tuning: Tuning) -> Delegation:
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
            return backend.lower(reference.lowered, spec, held, path, quantization)
    except (OnParError, OSError):
        raise
    except ImportError as error:
        raise missing_package(runtime, error) from error
    except Exception as error:  # toolchains raise anything; the user gets one line with the cause
        line = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
        remedy = "try another precision"
        if get_recipe(held).needs_ranges and tuning.calibration is None:
            remedy += f", or measure the ranges of this graph anew: python -m sdk_build.quantize {spec.name} --data DIR"
        raise LoweringError(f"{runtime} can't convert {spec.name} in {held} ({line}); {remedy}") from error


def measure_accuracy(reference: Reference, runtime: str, held: str, path: Path, tuning: Tuning) -> Mapping[str, float]:
    """The task's metrics of an artifact: measured where there are data, else stored ones, else none.

    Raises:
        AccuracyError: a quantised artifact loses more than the card's budget.
    """
    if tuning.evaluation is None:
        return tuning.stored_accuracy(reference.lowered, runtime, held)
    accuracy = tuning.evaluation.of_artifact(runtime, path)
    reason = exceeded(reference.card.budget, accuracy, tuning.evaluation.reference)
    if reason:
        raise AccuracyError(f"{reference.spec.name} {runtime} {held}: {reason}; try another precision")
    return accuracy


def execution_name(runtime: str) -> str:
    """What runs an artifact on this machine; an emulation says so."""
    if runtime in ("coreml", "executorch_coreml") and sys.platform != "darwin":
        return f"{runtime} (emulated)"
    return runtime


def build(
    spec: ModelSpec,
    targets: Iterable[str],
    precision: str,
    output_dir: Path,
    signing_key: Path | None = None,
    models_dir: Path = MODELS_DIR,
    progress: Progress = lambda line: None,
    artifact_done: Callable[[Artifact], None] = lambda artifact: None,
    sources: Sources = Sources(),
) -> list[Built]:
    """Reference, lowering, artifacts, proof, bundles.

    Args:
        precision: one that every target can have (:func:`sdk_build.backends.precisions_of`).
        sources: data for calibration and accuracy.
        progress: told what starts.
        artifact_done: told about each proved artifact.

    Raises:
        OnParError: the first thing that failed; bundles of this call that were already written stay.
    """
    began = time.monotonic()
    clean_up(output_dir)
    targets = list(targets)
    check_precision(targets, precision)
    runtimes = list(dict.fromkeys(runtime for target in targets for runtime in TARGETS[target]))
    built = []
    with workspace(output_dir, spec.name) as folder:  # first, as it fails at once where nothing can be written
        progress(f"{spec.name}: reference")
        reference = load_reference(spec, models_dir)
        tuning = sources.open(reference, models_dir, progress)
        artifacts = {}
        for runtime in runtimes:
            progress(f"{spec.name}: {runtime}")
            artifacts[runtime] = make_artifact(reference, runtime, precision, folder, tuning)
            artifact_done(artifacts[runtime])
        for target in targets:
            mine = [artifacts[runtime] for runtime in TARGETS[target]]
            built.append(write_bundle(reference, target, precision, mine, output_dir, signing_key, began, models_dir))
            began = time.monotonic()  # a later target pays only for what it adds
    return built


def write_bundle(
    reference: Reference,
    target: str,
    precision: str,
    artifacts: list[Artifact],
    output_dir: Path,
    signing_key: Path | None,
    began: float,
    models_dir: Path = MODELS_DIR,
) -> Built:
    """Copy proved artifacts, golden files and card into a bundle and put it in place."""
    spec, card = reference.spec, reference.card
    name = bundle_name(spec, target, precision)
    checks = reference.checks + tuple(check for artifact in artifacts for check in artifact.checks)
    with workspace(output_dir, name) as folder:
        for artifact in artifacts:
            copy = shutil.copytree if artifact.path.is_dir() else shutil.copy2
            copy(artifact.path, folder / artifact.path.name)
        golden = write_golden_files(reference, folder)
        write_analysis(folder, artifacts, load_measured(spec.name, models_dir))
        if spec.labels:
            (folder / "labels.txt").write_text("\n".join(spec.labels) + "\n")
        topology = models_dir / spec.name / TOPOLOGY
        if topology.is_file():  # a mesh's triangles, which are the same for every result
            shutil.copy2(topology, folder / TOPOLOGY)
        sounds = copy_sounds(reference, folder)
        (folder / "card.md").write_text(card_page(spec, card, name, artifacts, checks))
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            id=name,
            model=spec.name,
            task=spec.task,
            target=target,
            precision=precision,
            document=spec.document,
            description=spec.description,
            labels=spec.labels,
            preprocess=spec.preprocess,
            postprocess=spec.postprocess,
            model_files=tuple(model_file(spec, artifact) for artifact in artifacts),
            golden=golden,
            parity=checks,
            accuracy=tuple(NamedValue(key, float(value)) for key, value in card.accuracy.items()),
            accuracy_data=card.accuracy_data,
            tool_versions=tool_versions(artifact.runtime for artifact in artifacts),
            git_commit=git_commit(),
            code_license="Apache-2.0",
            weights_license=card.weights_license,
            spec=spec,
            files=tuple(hash_files(folder)),
            sounds=sounds,
        )
        seal(folder, manifest, signing_key)
        path = place(folder, output_dir, name)
    return Built(path, manifest, time.monotonic() - began)


def bundle_name(spec: ModelSpec, target: str, precision: str) -> str:
    """Name of a bundle's folder."""
    return f"{spec.name}-{target}-{precision}"


def write_golden_files(reference: Reference, folder: Path) -> tuple[GoldenCase, ...]:
    """Raw inputs, tensors as .bin, and all tensors together as safetensors."""
    from safetensors.numpy import save

    (folder / "golden").mkdir()
    together: Tensors = {}
    cases = []
    for number, case in enumerate(reference.golden):
        raw = f"golden/{case.raw.name}"
        shutil.copy2(case.raw, folder / raw)
        tensors = []
        whole = {t.name: t for t in (*reference.spec.inputs, *reference.spec.outputs)}
        # The input stays whole, however large: whoever verifies a bundle runs the artifact on it.
        for name, values in {reference.spec.input.name: case.input, **case.outputs}.items():
            file = f"golden/{name}_{number}.bin"
            np.ascontiguousarray(values, "<f4").tofile(folder / file)
            step = stride(whole[name].size) if name in case.outputs else 1
            tensors.append(GoldenTensor(file, number, name, whole[name].shape, step))
            together[f"{name}_{number}"] = values
        together[f"intermediate_{number}"] = case.intermediate
        cases.append(GoldenCase(raw, tuple(tensors)))
    (folder / "golden" / "tensors.safetensors").write_bytes(save(together))  # save_file hides a full disk's OSError
    return tuple(cases)


def copy_sounds(reference: Reference, folder: Path) -> tuple[NamedText, ...]:
    """The sounds that the card names for the classes, copied into the bundle.

    Raises:
        BadInput: a sound is missing or belongs to no class.
    """
    sounds = []
    for label, file in reference.card.sounds.items():
        source = reference.folder / file
        if label not in reference.spec.labels or not source.is_file():
            raise BadInput(
                f"the card of {reference.spec.name} names the sound {file} for {label!r}; allowed: a file in "
                f"{reference.folder} for one of {', '.join(reference.spec.labels) or 'no classes'}"
            )
        (folder / "sounds").mkdir(exist_ok=True)
        target = f"sounds/{source.name}"
        shutil.copy2(source, folder / target)
        sounds.append(NamedText(label, target))
    return tuple(sounds)


def model_file(spec: ModelSpec, artifact: Artifact) -> ModelFile:
    """The manifest's entry of an artifact."""
    return ModelFile(
        file=artifact.path.name,
        runtime=artifact.runtime,
        precision=artifact.precision,
        sha256=sha256_of(artifact.path),
        bytes=size_of(artifact.path),
        minimum_runtime=RUNTIMES[artifact.runtime].minimum_for(artifact.precision),
        executed_here_by=artifact.executed_by,
        inputs=tuple(tensor_entry(t) for t in spec.inputs),
        outputs=tuple(tensor_entry(t) for t in spec.outputs),
        delegation=artifact.delegation,
        quantization=artifact.quantization,
        accuracy=tuple(NamedValue(key, float(value)) for key, value in artifact.accuracy.items()),
    )


def tool_versions(runtimes: Iterable[str]) -> tuple[NamedText, ...]:
    """Installed versions of everything that took part."""
    names = {*PYTORCH_PACKAGES, *(package for runtime in runtimes for package in RUNTIMES[runtime].packages)}
    return tuple(NamedText(name, metadata.version(name)) for name in sorted(names))


def git_commit() -> str:
    """Commit of the working tree, with ``-modified`` if it has changes; ``unknown`` outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("-modified" if status.strip() else "")


def check_precision(targets: Iterable[str], precision: str) -> None:
    """Refuse a precision that a target can't have.

    Raises:
        BadInput: names the target and what it can have.
    """
    for target in targets:
        if precision not in precisions_of(target):
            raise BadInput(
                f"{precision} is not possible for target {target}; allowed: {', '.join(precisions_of(target))}"
            )


def build_default(
    spec: ModelSpec, progress: Progress, notice: Progress, targets: Iterable[str], **arguments: Any
) -> list[Built]:
    """``--precision default``: per target the smallest precision that was measured to keep the card's budget.

    Without a measurement for the present weights: fp16 if it is proved on every runtime, else fp32, and says so.

    Args:
        notice: told what was not measured, and when it is fp32, and why.
    """
    models_dir = arguments.get("models_dir", MODELS_DIR)
    measured = load_measured(spec.name, models_dir)
    chosen = {target: smallest(measured, target) if measured else None for target in targets}
    unknown = [target for target, choice in chosen.items() if choice is None]
    if unknown:
        notice(
            f"{spec.name}: no quantisation is measured within its budget for {', '.join(unknown)} with these weights; "
            f"fp16 instead (python -m sdk_build.quantize {spec.name} --data DIR measures)"
        )
        budget = load_card(spec.name, models_dir).budget if measured else {}
        for missed in filter(None, (nearest_miss(measured, target, budget) for target in unknown if measured)):
            notice(f"{spec.name}: nearest to it came {missed}")
    by_precision: dict[str, list[str]] = {}
    for target, choice in chosen.items():
        by_precision.setdefault(choice[0] if choice else "fp16", []).append(target)
    built = []
    for precision, group in by_precision.items():
        try:
            built += build(spec, group, precision, progress=progress, **arguments)
        except ParityError as error:
            if precision != "fp16":
                raise
            notice(f"{spec.name}: fp16 is not close enough ({' '.join(str(error).split())}); fp32 instead")
            built += build(spec, group, "fp32", progress=progress, **arguments)
    return built
