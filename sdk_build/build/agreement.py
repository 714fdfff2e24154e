"""Whether two artifacts of one bundle that different programs run here agree, and where they do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sdk_build.backends.quantizers.recipes import get_recipe
from sdk_build.build.reference import Reference, limits_of
from sdk_build.bundle.artifact import Artifact
from sdk_build.errors import ParityError
from sdk_build.proof.changed_operation import changed_operation
from sdk_build.proof.first_difference import first_difference
from sdk_build.proof.first_operation import first_operation
from sdk_build.proof.parity import REPORTED, Check
from sdk_build.proof.witnesses import WITNESSES, compare_witnesses, mutual_limits, witness_inputs


def are_both_there(runtimes: Collection[str]) -> bool:
    """True if a bundle holds the artifacts of both witnesses."""
    return set(WITNESSES) <= set(runtimes)


def check_agreement(reference: Reference, artifacts: Sequence[Artifact], folder: Path) -> tuple[Check, ...]:
    """Hold the artifacts of both witnesses to each other; nothing where a bundle has only one of them.

    Raises:
        ParityError: they disagree; names the first operation at which one of them leaves PyTorch.
    """
    named = {artifact.runtime: artifact for artifact in artifacts}
    if not are_both_there(named):
        return ()
    first, second = (named[name] for name in WITNESSES)
    limits = mutual_limits(limits_of(reference, first.precision), limits_of(reference, second.precision))
    names = first.executed_by, second.executed_by
    checks = compare_witnesses(names, reference.spec, limits, first.answers, second.answers)
    failed = [check for check in checks if not check.passed]
    if failed:
        held = {a.runtime: a.precision for a in (first, second)}
        files = {a.runtime: a.path for a in (first, second) if a.path is not None}
        where = name_operation(reference, held, limits, folder, files)
        raise ParityError(f"{reference.spec.name} {failed[0].describe()}; {where}")
    return tuple(checks)


def name_operation(
    reference: Reference, held: Mapping[str, str], limits: Mapping[str, float], folder: Path, files: Mapping[str, Path]
) -> str:
    """The first operation at which an artifact leaves PyTorch, and what to do, for an error's line.

    Args:
        held: runtimes and the precision that each of them holds; with 8-bit activations the network is cut in fp16.
        limits: those of the whole network; a task's own metric is left out.
        folder: for the artifacts of the cut networks.
        files: artifacts by runtime; a Core ML program shows its operations without a cut.
    """
    precisions = {name: "fp16" if get_recipe(p).needs_ranges else p for name, p in held.items()}
    general = {name: limit for name, limit in limits.items() if name in REPORTED}
    inputs = witness_inputs([case.inputs for case in reference.golden])
    if "coreml" in files:
        where = first_operation(files["coreml"], reference.lowered, inputs, general)
        if where:
            return f"{where}: write that layer in other operations, or choose another precision"
    found = first_difference(reference.lowered, reference.spec, precisions, general, inputs, folder / "cut")
    if found is not None:
        return f"{found.describe()}: write that layer in other operations, or leave out --with"
    if "coreai" in files:
        changed = changed_operation(
            files["coreai"], reference.lowered, reference.spec, precisions["coreai"], folder / "cut"
        )
        if changed:
            return f"{changed}: it is damaged or of another network, export it again"
    return "every operation alone keeps the limits: try another precision"
