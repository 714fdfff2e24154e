"""``python -m sdk_build.quantize NAME... --data DIR``: every precision on every runtime, measured.

Writes ``models/NAME/quantization.json``: calibrated ranges, the task's metrics of every artifact, the parts that stay
float, and so what ``--precision default`` means. Calibration uses the training split of the same folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from reference.errors import BadInput, OnParError
from reference.program import program
from reference.spec import ModelSpec
from sdk_build.command import error_line, exit_with, need_checkout


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("sdk_build.quantize"),
        description=__doc__.splitlines()[0],
        epilog="Exit codes: 0 done, 1 a static artifact misses the budget even in mixed precision, 2 bad input.",
    )
    parser.add_argument("names", nargs="+", metavar="MODEL", help="built-in models, or folders of your own")
    parser.add_argument("--data", type=Path, help="the folder that the models were trained with")
    parser.add_argument(
        "--sizes", action="store_true", help="no data: only the bytes of what was measured, after a change of packing"
    )
    parser.add_argument("--calibration", type=Path, metavar="DIR", help="other training data for the ranges")
    parser.add_argument("--samples", type=int, default=None, help="calibration samples (default 128, 16 for volumes)")
    parser.add_argument("--seed", type=int, default=0, help="choice of the calibration samples")
    parser.add_argument("--runtime", nargs="+", metavar="NAME", help="measure these again, keep the rest")
    parser.add_argument("--precision", nargs="+", metavar="NAME", help="likewise: these precisions alone")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    if a.sizes:
        return exit_with(lambda: refresh_all(a.names, a.runtime, a.precision, a.json))
    return exit_with(
        lambda: measure_all(a.names, a.data, a.calibration or a.data, a.samples, a.seed, a.runtime, a.precision, a.json)
    )


def refresh_all(names: list[str], runtimes: list[str] | None, precisions: list[str] | None, as_json: bool) -> int:
    """Sizes of several models; one that fails does not stop the others."""
    from reference.registry import find_model, models_dir_of
    from sdk_build.quantize.sizes import refresh
    from sdk_build.quantize.table import print_measured

    _check(runtimes, precisions)
    code, documents = 0, []
    for spec in [_writable(find_model(name)) for name in dict.fromkeys(names)]:
        try:
            with tempfile.TemporaryDirectory(prefix="onpar-") as folder:
                measured, changed = refresh(
                    spec, Path(folder), models_dir_of(spec), runtimes, precisions, _say(as_json)
                )
        except OnParError as error:
            changed, code = [f"{spec.name}: {error_line(error)}"], code or error.exit_code
        else:
            documents.append({"model": spec.name, "artifacts": len(measured.artifacts), "changed": len(changed)})
            code = code or bool(changed)
            if not as_json:
                print_measured(spec, measured)
        print("".join(f"{line}\n" for line in changed), end="", file=sys.stderr)
    if as_json:
        print(json.dumps({"measured": documents}))
    return int(code)


def _writable(spec: ModelSpec) -> ModelSpec:
    """The spec itself; what is measured of a built-in model lies among OnPar's own files."""
    if not spec.folder:
        need_checkout(f"sdk_build.quantize {spec.name}", "the folder of a built-in model")
    return spec


def _check(runtimes: list[str] | None, precisions: list[str] | None) -> None:
    from sdk_build.backends import RUNTIMES
    from sdk_build.backends.quantizers.recipes import get_recipe

    for runtime in runtimes or []:
        if runtime not in RUNTIMES:
            raise BadInput(f"--runtime is {runtime!r}; allowed: {', '.join(RUNTIMES)}")
    for precision in precisions or []:
        get_recipe(precision)


def measure_all(
    names: list[str],
    data: Path | None,
    calibration: Path | None,
    samples: int | None,
    seed: int,
    runtimes: list[str] | None,
    precisions: list[str] | None,
    as_json: bool,
) -> int:
    """Measure several models; one that fails does not stop the others."""
    from reference.registry import find_model, models_dir_of
    from sdk_build.quantize.measure import measure
    from sdk_build.quantize.table import print_measured

    specs = [_writable(find_model(name)) for name in dict.fromkeys(names)]
    _check(runtimes, precisions)
    if data is None or calibration is None:
        raise BadInput("no --data; it names the folder that the models were trained with")
    if samples is not None and samples < 1:
        raise BadInput(f"--samples is {samples}; allowed: 1 or more")
    code, documents = 0, []
    for spec in specs:
        try:
            with tempfile.TemporaryDirectory(prefix="onpar-") as folder:
                measured = measure(
                    spec,
                    data,
                    calibration,
                    Path(folder),
                    models_dir_of(spec),
                    samples,
                    seed,
                    runtimes,
                    precisions,
                    _say(as_json),
                )
        except OnParError as error:
            code = code or error.exit_code
            print(f"{spec.name}: {error_line(error)}", file=sys.stderr)
            continue
        documents.append({"model": spec.name, "artifacts": len(measured.artifacts)})
        missed = [a for a in measured.artifacts if not a.passed and a.precision == "w8a8"]
        code = code or (1 if missed else 0)
        if not as_json:
            print_measured(spec, measured)
    if as_json:
        print(json.dumps({"measured": documents}))
    return code


def _say(as_json: bool):  # type: ignore[no-untyped-def]
    """Progress: one line that changes on a terminal, a line each in a log, nothing beside JSON."""
    if as_json:
        return lambda line: None
    if sys.stderr.isatty():
        return lambda line: print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
    return lambda line: print(line, file=sys.stderr, flush=True) if line else None


if __name__ == "__main__":
    sys.exit(main())
