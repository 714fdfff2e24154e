"""All artifacts of one model: side by side where there are workers for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from pathlib import Path

from sdk_build.backends import RUNTIMES
from sdk_build.build.agreement import are_both_there
from sdk_build.build.artifact import Kept, make_artifact
from sdk_build.build.reference import Reference
from sdk_build.build.tracing import ONE_AT_A_TIME
from sdk_build.build.tuning import Tuning
from sdk_build.build.workers import Workers
from sdk_build.bundle.artifact import Artifact
from sdk_build.proof.witnesses import WITNESSES


def make_artifacts(
    reference: Reference,
    runtimes: list[str],
    precision: str,
    folder: Path,
    tuning: Tuning,
    kept: Kept | None,
    workers: Workers | None,
    progress: Callable[[str], None],
    artifact_done: Callable[[Artifact], None],
) -> dict[str, Artifact]:
    """Proved artifacts by runtime, in the order of ``runtimes``; the other arguments are those of a build.

    With data of the user's own everything is made here, one after the other: ranges are observed once for all. So is a
    model from a folder, as a worker could not import its code by name.

    Raises:
        OnParError: the first that failed.
    """
    name = reference.spec.name
    witnesses = set(WITNESSES) if are_both_there(runtimes) else set()

    def arguments(runtime: str) -> tuple[object, ...]:
        return reference, runtime, precision, folder, tuning, runtime in witnesses, kept

    found: dict[str, Artifact] = {}
    here = reference.spec.folder or tuning.calibration is not None or tuning.evaluation is not None
    if workers is None or here:
        for runtime in runtimes:
            progress(f"{name}: {runtime}")
            with ONE_AT_A_TIME:
                found[runtime] = make_artifact(*arguments(runtime))  # type: ignore[arg-type]
            artifact_done(found[runtime])
        return found
    futures = {
        workers.submit(make_group, [arguments(runtime) for runtime in group]): group for group in families(runtimes)
    }
    progress(f"{name}: {', '.join(runtimes)}")
    for future in as_completed(futures):
        for artifact in workers.result(future, f"{name} for {', '.join(futures[future])}"):
            found[artifact.runtime] = artifact
            artifact_done(artifact)
        progress(f"{name}: {', '.join(runtime for runtime in runtimes if runtime not in found)}")
    return {runtime: found[runtime] for runtime in runtimes}


def make_group(calls: list[tuple[object, ...]]) -> list[Artifact]:
    """A worker's side: artifacts that share most of their conversion."""
    return [make_artifact(*arguments) for arguments in calls]  # type: ignore[arg-type]


def families(runtimes: Iterable[str]) -> list[list[str]]:
    """Runtimes that one worker makes together; the largest family first, as it takes longest."""
    groups: dict[str, list[str]] = {}
    for runtime in runtimes:
        groups.setdefault(RUNTIMES[runtime].family or runtime, []).append(runtime)
    return sorted(groups.values(), key=len, reverse=True)
