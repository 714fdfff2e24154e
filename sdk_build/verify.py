"""``python -m sdk_build.verify BUNDLE...``: signature, checksums, and the golden proof replayed on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import OnParError
from reference.program import program
from sdk_build.command import error_line, exit_with

if TYPE_CHECKING:
    from sdk_build.bundle.files import Bundle
    from sdk_build.bundle.manifest import ModelFile
    from sdk_build.proof.parity import Check

PREPROCESS_LIMIT = 5e-5  # float32 against the stored tensor, in units of the input


@dataclass(frozen=True)
class Verified:
    """What the replay of one bundle showed."""

    bundle: str
    signature: str
    checks: tuple[Check, ...]
    skipped: tuple[str, ...]
    first_difference: str = ""

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The entry of ``verify --json``."""
        return {
            "bundle": self.bundle,
            "passed": self.passed,
            "signature": self.signature,
            "parity": [check.to_json() for check in self.checks],
            "skipped": list(self.skipped),
            **({"first_difference": self.first_difference} if self.first_difference else {}),
        }


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and verify; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("sdk_build.verify"),
        description=__doc__,
        epilog="Exit codes: 0 all proved, 1 a check failed, 2 wrong use or no bundle.",
    )
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--public-key", type=Path, metavar="PEM", help="demand a signature by this P-256 key")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: verify_all(a.bundles, a.public_key, a.json))


def verify_all(paths: list[Path], public_key: Path | None, as_json: bool) -> int:
    """Verify several bundles; one that fails does not stop the others. Returns the exit code."""
    results: list[dict[str, Any]] = []
    code = 0
    for path in paths:
        try:
            verified = verify(path, public_key)
        except OnParError as error:
            code = code or error.exit_code
            results.append({"bundle": str(path), "passed": False, "error": type(error).__name__, "message": str(error)})
            print(error_line(error), file=sys.stderr)
            continue
        code = code or (0 if verified.passed else 1)
        results.append(verified.to_json())
        if not as_json:
            _print(verified)
    if as_json:
        print(json.dumps({"bundles": results}))
    return code


def verify(path: Path, public_key: Path | None = None) -> Verified:
    """Open a bundle (checksums, signature) and replay its golden cases on every runtime that is installed.

    Raises:
        BundleNotFound, BundleInvalid, ChecksumMismatch, SignatureInvalid: the bundle can't be trusted.
        ArtifactCrashed: a runtime died or refused an artifact.
        BackendUnavailable: none of the bundle's runtimes is installed.
    """
    from sdk_build.bundle.files import open_bundle
    from sdk_build.errors import BackendUnavailable

    bundle = open_bundle(path, public_key)
    checks = [*_replay_preprocessing(bundle)]
    skipped = []
    for entry in bundle.manifest.model_files:
        try:
            checks += _replay_artifact(bundle, entry)
        except BackendUnavailable as error:
            skipped.append(f"{entry.file}: {error}")
    if not skipped:
        checks += _replay_witnesses(bundle)
    if len(skipped) == len(bundle.manifest.model_files):
        raise BackendUnavailable(
            f"{path.name}: no runtime for any artifact is installed; run 'make setup' or pip install 'onpar[export]'"
        )
    where = _name_operation(bundle, [check for check in checks if not check.passed])
    return Verified(bundle.manifest.id, bundle.signature, tuple(checks), tuple(skipped), where)


def _replay_preprocessing(bundle: Bundle) -> list[Check]:
    """The raw golden inputs through this machine's preprocessing."""
    import numpy as np

    from reference.golden import read_input
    from sdk_build.proof.parity import Check

    spec = bundle.manifest.spec
    if not all(case.raw for case in bundle.manifest.golden):
        return []
    worst = 0.0
    for number, case in enumerate(bundle.manifest.golden):
        tensor, _, _ = read_input(bundle.path / case.raw, spec)
        worst = max(worst, float(np.abs(tensor - bundle.golden_tensor(number, spec.input.name)).max()))
    name = "max_abs_of_range"  # the input's range is 1
    passed = worst <= PREPROCESS_LIMIT
    return [Check("python", "preprocess", spec.input.name, name, worst, PREPROCESS_LIMIT, passed)]


def _replay_artifact(bundle: Bundle, entry: ModelFile) -> list[Check]:
    """The golden tensors through one artifact, under the limits that the bundle was proved with."""
    from reference.golden import thin_all
    from sdk_build.backends import execution_name
    from sdk_build.proof.parity import ARTIFACT_STAGES, compare
    from sdk_build.proof.sandbox import run_artifact

    spec = bundle.manifest.spec
    count = len(bundle.manifest.golden)
    inputs = [bundle.golden_inputs(i) for i in range(count)]
    expected = [{t.name: bundle.golden_tensor(i, t.name) for t in spec.outputs} for i in range(count)]
    actual = [thin_all(case) for case in run_artifact(entry.runtime, bundle.path / entry.file, spec, inputs)]
    limits = {
        c.metric: c.limit
        for c in bundle.manifest.parity
        if c.stage in ARTIFACT_STAGES and c.runtime == entry.executed_here_by and c.limit is not None
    }
    return compare(
        execution_name(entry.runtime), "golden_replay", spec, limits, list(zip(actual, expected, strict=True))
    )


def _replay_witnesses(bundle: Bundle) -> list[Check]:
    """The artifacts of both witnesses against each other, on the golden inputs and a mirror image."""
    from sdk_build.backends import execution_name
    from sdk_build.proof.sandbox import run_artifact
    from sdk_build.proof.witnesses import STAGE, WITNESSES, compare_witnesses, witness_inputs

    files = {entry.runtime: entry.file for entry in bundle.manifest.model_files}
    limits = {c.metric: c.limit for c in bundle.manifest.parity if c.stage == STAGE and c.limit is not None}
    if not limits or not set(WITNESSES) <= set(files):
        return []
    spec = bundle.manifest.spec
    golden = [bundle.golden_inputs(i) for i in range(len(bundle.manifest.golden))]
    inputs = witness_inputs(golden)
    first, second = (run_artifact(name, bundle.path / files[name], spec, inputs) for name in WITNESSES)
    return compare_witnesses([execution_name(name) for name in WITNESSES], spec, limits, first, second)


def _name_operation(bundle: Bundle, failed: Sequence[Check]) -> str:
    """Where the artifact of a witness leaves the reference of this machine; empty where none of them failed."""
    from sdk_build.backends import execution_name
    from sdk_build.proof.witnesses import STAGE, WITNESSES

    accused = {check.runtime for check in failed}
    entries = {e.runtime: e for e in bundle.manifest.model_files if e.runtime in WITNESSES}
    chosen = {
        name: entry
        for name, entry in entries.items()
        if execution_name(name) in accused or any(check.stage == STAGE for check in failed)
    }
    return _named(bundle, chosen) if chosen else ""


def _named(bundle: Bundle, chosen: Mapping[str, ModelFile]) -> str:
    import tempfile

    from reference.golden import thin_all
    from sdk_build.build.agreement import name_operation
    from sdk_build.build.reference import limits_of, load_reference
    from sdk_build.proof.parity import compare

    spec = bundle.manifest.spec
    try:
        reference = load_reference(spec)
        golden = [{t.name: bundle.golden_tensor(i, t.name) for t in spec.outputs} for i in range(len(reference.golden))]
        pairs = list(zip(map(thin_all, reference.expected), golden, strict=True))
        if not all(c.passed for c in compare("python", "golden", spec, reference.card.parity["golden"], pairs)):
            return f"no operation is named: the weights of {spec.name} on this machine are not the bundle's"
        limits = [limits_of(reference, entry.precision) for entry in chosen.values()]
        files = {name: bundle.path / entry.file for name, entry in chosen.items()}
        with tempfile.TemporaryDirectory(prefix="onpar-") as folder:
            held = {name: entry.precision for name, entry in chosen.items()}
            return name_operation(reference, held, limits[0], Path(folder), files)
    except OnParError as error:
        return f"no operation is named: {error}"


def _print(verified: Verified) -> None:
    print(f"{'proved' if verified.passed else 'FAILED'}  {verified.bundle}  ({verified.signature}, checksums ok)")
    for check in verified.checks:
        if check.limit is not None:
            print(f"  {'ok' if check.passed else 'FAILED':<6}  {check.describe()}")
    if verified.first_difference:
        print(f"  {verified.first_difference}")
    for text in verified.skipped:
        print(f"  skipped {text}")


if __name__ == "__main__":
    sys.exit(main())
