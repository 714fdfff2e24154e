"""``python -m sdk_build.bisect MODEL --runtime coreml``: the operation at which an artifact leaves PyTorch."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput
from reference.program import program
from sdk_build.backends import RUNTIMES
from sdk_build.backends.quantizers.recipes import PRECISIONS
from sdk_build.command import exit_with

if TYPE_CHECKING:
    from sdk_build.bisect.finding import Finding
    from sdk_build.build.reference import Reference

_COSTLIEST = 5  # rows where nothing differs


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and look; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("sdk_build.bisect"),
        description=__doc__,
        epilog="Exit codes: 0 every operation keeps the limit, 1 one does not, 2 wrong use.",
    )
    parser.add_argument("model", metavar="MODEL", help="a built-in model, or a folder of your own")
    parser.add_argument("--runtime", nargs="+", required=True, metavar="NAME", help=", ".join(RUNTIMES))
    parser.add_argument("--precision", default="fp32", metavar="NAME", help="of the artifact (default fp32)")
    parser.add_argument("--artifact", type=Path, metavar="FILE", help="one that exists, instead of a new export")
    parser.add_argument(
        "--input", nargs="+", metavar="FILE", help="your picture or tensors instead of the golden inputs"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="table, picture, and the operation as a case to report"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: _run(a))


def _run(a: argparse.Namespace) -> int:
    from reference.registry import find_model, models_dir_of
    from sdk_build.bisect.picture import draw_levels
    from sdk_build.build.reference import load_reference

    _check(a)
    spec = find_model(a.model)
    reference = load_reference(spec, models_dir_of(spec))
    inputs = [_given(a.input, reference)] if a.input else [case.inputs for case in reference.golden]
    findings, alone = [], {}
    for runtime in a.runtime:
        with tempfile.TemporaryDirectory(prefix="onpar-") as folder:
            path, finding = _look(reference, runtime, a.precision, a.artifact, inputs, Path(folder))
            if a.out is not None and finding.guilty:
                alone[runtime] = _write_case(reference, finding, path, inputs[0], a.out / runtime)
        findings.append(finding)
        if not a.json:
            _print(finding, spec.name, len(inputs), alone)
    if a.out is not None:
        a.out.mkdir(parents=True, exist_ok=True)
        for finding in findings:
            _write_table(finding, a.out / f"{finding.runtime}.csv")
        if any(finding.levels for finding in findings):
            draw_levels(findings, f"{spec.name}: agreement with PyTorch along the way").save(a.out / "levels.png")
    if a.json:
        print(json.dumps({"model": spec.name, "runtimes": [f.to_json() for f in findings]}))
    elif a.out is not None:
        print(a.out)
    return 1 if any(finding.differs for finding in findings) else 0


def _check(a: argparse.Namespace) -> None:
    for runtime in a.runtime:
        if runtime not in RUNTIMES:
            raise BadInput(f"--runtime is {runtime!r}; allowed: {', '.join(RUNTIMES)}")
        held = RUNTIMES[runtime].precisions
        if a.precision not in held:
            raise BadInput(f"--precision is {a.precision!r}; allowed for {runtime}: {', '.join(held)}")
    if a.precision not in PRECISIONS:
        raise BadInput(f"--precision is {a.precision!r}; allowed: {', '.join(PRECISIONS)}")
    if a.artifact is not None and len(a.runtime) > 1:
        raise BadInput(f"--artifact with {len(a.runtime)} runtimes; give the one that it is for")
    if a.artifact is not None and not a.artifact.exists():
        raise BadInput(f"no artifact {a.artifact}; give an .mlpackage, .tflite or .pte")
    if a.out is not None and a.out.exists() and not a.out.is_dir():
        raise BadInput(f"--out {a.out} is a file; allowed: a folder, or a new name")


def _given(files: Sequence[str], reference: Reference) -> Any:
    """The user's own input: a file for each of the network's inputs, in their order or as NAME=FILE."""
    from reference.golden import read_inputs

    spec = reference.spec
    names = [tensor.name for tensor in spec.inputs]
    pairs = [text.split("=", 1) if text.split("=", 1)[0] in names else ["", text] for text in files]
    if len(pairs) != len(names):
        raise BadInput(f"--input has {len(pairs)} files; {spec.name} takes {len(names)}: {', '.join(names)}")
    free = iter([name for name in names if name not in {name for name, _ in pairs}])
    return read_inputs({name or next(free): Path(file) for name, file in pairs}, spec)


def _look(
    reference: Reference, runtime: str, precision: str, artifact: Path | None, inputs: Sequence[Any], folder: Path
) -> tuple[Path, Finding]:
    """The artifact that was looked at, and what was found in it."""
    from sdk_build.bisect.finding import look_into
    from sdk_build.bisect.inside import LOOKED_INTO
    from sdk_build.build.artifact import lower_artifact
    from sdk_build.build.tuning import Tuning

    held = RUNTIMES[runtime].precisions[precision]
    fresh = folder / "fresh" / RUNTIMES[runtime].file
    # A runtime that can be looked into needs no second artifact, only one whose weights alone can be compared.
    needed = artifact is None or (runtime not in LOOKED_INTO and held in ("fp32", "fp16"))
    if needed:
        print(f"{reference.spec.name}: {runtime} {held} is exported", file=sys.stderr)
        lower_artifact(reference, runtime, held, fresh, Tuning(measured=reference.measured))
    print(f"{reference.spec.name}: {runtime} {held} is compared", file=sys.stderr)
    other = fresh if needed and artifact is not None else None
    path = artifact or fresh
    return path, look_into(reference, runtime, held, path, other, inputs, folder)


def _print(finding: Finding, model: str, count: int, alone: dict[str, float | None]) -> None:
    from sdk_build.bisect.levels import costliest

    print(f"{model} {finding.runtime} {finding.held}, {count} inputs, values of {finding.looked}")
    if finding.levels:
        print(f"  {'dB':>6} {'cost dB':>8}  {'operation':<18} {'module or line':<58}")
    for entry in costliest(finding.levels)[:_COSTLIEST] if finding.guilty is None else _around(finding):
        mark = "*" if entry is finding.guilty else " "
        step = entry.step
        print(f"{mark} {entry.level_db:>6.1f} {entry.drop_db:>8.1f}  {step.operation:<18.18} {step.place:.58}")
    if finding.guilty:
        step = finding.guilty.step
        where = f" at {step.line}" if step.line and step.line != step.place else ""
        print(f"differs first: {step.place} ({step.operation}{where}), {finding.guilty.level_db:.1f} dB")
        if finding.runtime in alone:
            level = alone[finding.runtime]
            said = "is refused" if level is None else f"agrees to {level:.1f} dB"
            print(f"that operation alone, converted by the same tools, {said}")
    elif finding.blame:
        print(f"differs: {finding.blame}")
    else:
        print(f"no operation is below {finding.limit_db:g} dB" if finding.levels else "no operation differs")


def _around(finding: Finding) -> list[Any]:
    """The steps up to the one to blame and a few behind it."""
    assert finding.guilty is not None
    place = finding.levels.index(finding.guilty)
    return list(finding.levels[max(place - 8, 0) : place + 5])


def _write_case(reference: Reference, finding: Finding, path: Path, inputs: Any, folder: Path) -> float | None:
    from sdk_build.bisect.case import write_case
    from sdk_build.bisect.inside import values_inside
    from sdk_build.bisect.steps import step_values, trace_steps

    assert finding.guilty is not None
    folder.mkdir(parents=True, exist_ok=True)
    whole, steps = trace_steps(reference.lowered, reference.spec)
    values = step_values(whole, steps, reference.spec, inputs)
    inside = values_inside(finding.runtime, path, reference.spec, inputs)
    return write_case(whole, finding, reference.spec, values, inputs, inside, folder)


def _write_table(finding: Finding, path: Path) -> None:
    rows = finding.to_json()["steps"]
    if rows:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
