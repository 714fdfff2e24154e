"""From a registered model to proved bundles: the whole story is :func:`build`, top to bottom."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference.card import MODELS_DIR
from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.backends import precisions_of, runtimes_of
from sdk_build.build.agreement import check_agreement
from sdk_build.build.artifact import Kept
from sdk_build.build.cache import Cache
from sdk_build.build.keys import bundle_key, program_digest
from sdk_build.build.reference import Reference, load_reference
from sdk_build.build.side_by_side import make_artifacts
from sdk_build.build.sources import NOTHING, Sources, open_sources
from sdk_build.build.unchanged import keep_bundle, unchanged
from sdk_build.build.workers import Workers
from sdk_build.bundle.analysis import write_analysis
from sdk_build.bundle.artifact import Artifact
from sdk_build.bundle.card_page import card_page
from sdk_build.bundle.contents import (
    bundle_name,
    copy_sounds,
    git_commit,
    model_file,
    tool_versions,
    write_golden_files,
)
from sdk_build.bundle.files import clean_up, hash_files, place, seal, workspace
from sdk_build.bundle.manifest import FORMAT_VERSION, GoldenCase, Manifest, NamedText, NamedValue
from sdk_build.proof.parity import Check

Progress = Callable[[str], None]
TOPOLOGY = "topology.safetensors"


@dataclass(frozen=True)
class Built:
    """A bundle that was written.

    Attributes:
        cached: nothing that it is made from has changed, so it is the one that was proved before.
    """

    path: Path
    manifest: Manifest
    seconds: float
    cached: bool = False

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
            "cached": self.cached,
            "parity": [check.to_json() for check in m.parity],
        }


def build(
    spec: ModelSpec,
    targets: Iterable[str],
    precision: str,
    output_dir: Path,
    signing_key: Path | None = None,
    models_dir: Path = MODELS_DIR,
    progress: Progress = lambda line: None,
    artifact_done: Callable[[Artifact], None] = lambda artifact: None,
    sources: Sources = NOTHING,
    extra: Collection[str] = (),
    cache: Cache | None = None,
    workers: Workers | None = None,
) -> list[Built]:
    """Reference, lowering, artifacts, proof, bundles.

    Args:
        precision: one that every target can have (:func:`sdk_build.backends.precisions_of`).
        sources: data for calibration and accuracy.
        progress: told what starts.
        artifact_done: told about each proved artifact.
        extra: runtimes beside a target's own (:data:`sdk_build.backends.ON_REQUEST`).
        cache: what was made before and did not change is taken from there; not bundles with data.
        workers: make artifacts side by side; None: one after the other, in this process.

    Raises:
        OnParError: the first thing that failed; bundles of this call that were already written stay.
    """
    began = time.monotonic()
    targets = list(targets)
    clean_up(output_dir)
    check_precision(targets, precision, extra)
    keys = _keys(spec, models_dir, targets, precision, extra, sources, signing_key) if cache is not None else {}
    with workspace(output_dir, spec.name) as folder:  # first, as it fails at once where nothing can be written
        built = _unchanged(spec, keys, precision, output_dir, cache, folder)
        done = {bundle.manifest.target for bundle in built}
        targets = [target for target in targets if target not in done]
        if not targets:
            return built
        if workers is not None:
            workers.start()  # imports while the reference is loaded
        progress(f"{spec.name}: reference")
        reference = load_reference(spec, models_dir)
        tuning = open_sources(sources, reference, progress)
        runtimes = list(dict.fromkeys(runtime for target in targets for runtime in runtimes_of(target, extra)))
        kept = Kept(cache, program_digest(reference.lowered, spec)) if cache is not None else None
        making = (tuning, kept, workers, progress, artifact_done)
        artifacts = make_artifacts(reference, runtimes, precision, folder, *making)
        for target in targets:
            mine = [artifacts[runtime] for runtime in runtimes_of(target, extra)]
            agreed = check_agreement(reference, mine, folder)
            written = write_bundle(reference, target, precision, mine, output_dir, signing_key, began, agreed)
            if cache is not None and target in keys:
                keep_bundle(cache, keys[target], written.path)
            built.append(written)
            began = time.monotonic()  # a later target pays only for what it adds
    return built


def _keys(
    spec: ModelSpec,
    models_dir: Path,
    targets: Iterable[str],
    precision: str,
    extra: Collection[str],
    sources: Sources,
    signing_key: Path | None,
) -> dict[str, str]:
    """Keys of the targets' bundles; none where something takes part that no key could hold.

    Code outside the project, as that of a model of one's own, is known only by the program that it gives.
    """
    if spec.folder or sources.calibration is not None or sources.data is not None:
        return {}
    shared = spec, models_dir, precision, sources.max_fallbacks, signing_key
    return {target: bundle_key(target, runtimes_of(target, extra), *shared) for target in targets}


def _unchanged(
    spec: ModelSpec, keys: Mapping[str, str], precision: str, output_dir: Path, cache: Cache | None, folder: Path
) -> list[Built]:
    """Bundles of which nothing changed, by target."""
    built: list[Built] = []
    if cache is None:
        return built
    for target, key in keys.items():
        began = time.monotonic()
        found = unchanged(cache, key, output_dir, bundle_name(spec, target, precision), folder)
        if found is not None:
            built.append(Built(*found, time.monotonic() - began, cached=True))
    return built


def write_bundle(
    reference: Reference,
    target: str,
    precision: str,
    artifacts: list[Artifact],
    output_dir: Path,
    signing_key: Path | None,
    began: float,
    agreed: tuple[Check, ...] = (),
) -> Built:
    """Copy proved artifacts, golden files and card into a bundle and put it in place.

    Args:
        agreed: checks of the artifacts against each other.
    """
    spec = reference.spec
    name = bundle_name(spec, target, precision)
    checks = reference.checks + tuple(check for artifact in artifacts for check in artifact.checks) + agreed
    with workspace(output_dir, name) as folder:
        for artifact in artifacts:
            copy = shutil.copytree if artifact.path.is_dir() else shutil.copy2
            copy(artifact.path, folder / artifact.path.name)
        golden = write_golden_files(spec, reference.golden, folder)
        write_analysis(folder, artifacts, reference.measured.operations if reference.measured else ())
        if spec.labels:
            (folder / "labels.txt").write_text("\n".join(spec.labels) + "\n")
        topology = reference.folder / TOPOLOGY
        if topology.is_file():  # a mesh's triangles, which are the same for every result
            shutil.copy2(topology, folder / TOPOLOGY)
        sounds = copy_sounds(spec, reference.card, reference.folder, folder)
        (folder / "card.md").write_text(card_page(spec, reference.card, name, artifacts, checks))
        manifest = describe(reference, name, target, precision, artifacts, checks, golden, sounds, folder)
        seal(folder, manifest, signing_key)
        path = place(folder, output_dir, name)
    return Built(path, manifest, time.monotonic() - began)


def describe(
    reference: Reference,
    name: str,
    target: str,
    precision: str,
    artifacts: list[Artifact],
    checks: tuple[Check, ...],
    golden: tuple[GoldenCase, ...],
    sounds: tuple[NamedText, ...],
    folder: Path,
) -> Manifest:
    """The manifest of a bundle whose files are all in ``folder``."""
    spec, card = reference.spec, reference.card
    return Manifest(
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


def check_precision(targets: Iterable[str], precision: str, extra: Collection[str] = ()) -> None:
    """Refuse a precision that a target can't have.

    Raises:
        BadInput: names the target and what it can have.
    """
    for target in targets:
        allowed = precisions_of(target, extra)
        if precision not in allowed:
            raise BadInput(f"{precision} is not possible for target {target}; allowed: {', '.join(allowed)}")
