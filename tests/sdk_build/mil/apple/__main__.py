"""``python -m tests.sdk_build.mil.apple [GROUP...]``: coremltools' own tests, emulated, against what is committed.

Resumes where it stopped. Exit codes: 0 nothing was lost, 1 a test that passed no longer does, 2 wrong use.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.sdk_build.mil.apple.outcomes import PASSED, Expected, count, kind_of, predicts, read
from tests.sdk_build.mil.apple.selection import Selection

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
_MIL = "converters/mil"
_TORCH = f"{_MIL}/frontend/torch/test"
# Files of the wheel, and how many of each function's tests are taken.
_OPS = f"{_MIL}/mil/ops/tests"
GROUPS = {
    # What `make test` runs: one test of each function of files that take little time to collect.
    "sample": (
        tuple(
            f"{_OPS}/{file}.py"
            for file in (
                *("iOS14/test_linear", "iOS14/test_random", "iOS16/test_constexpr_ops", "iOS17/test_linear"),
                *(
                    "iOS17/test_normalization",
                    "iOS17/test_quantization",
                    "iOS18/test_states",
                    "iOS18/test_transformers",
                ),
            )
        ),
        Selection(100_000, 1),
    ),
    "ops": ((_OPS,), Selection(10, 3)),
    "torch": ((f"{_TORCH}/test_torch_ops.py",), Selection(20, 2)),
    "quant": (
        (f"{_TORCH}/test_torch_quantization_ops.py", f"{_TORCH}/test_torch_export_quantization.py"),
        Selection(4, 3),
    ),
    # The older format: test_numpy_nn_layers.py has one test of each layer, against numpy.
    "layers": (("test/neural_network",), Selection(1, 1)),
    "states": ((f"{_TORCH}/test_torch_stateful_model.py",), Selection(1, 2)),
    "api": (
        (
            f"{_TORCH}/test_torch_conversion_api.py",
            f"{_TORCH}/test_torch_export_conversion_api.py",
            *("test/ml_program", "test/modelpackage", "test/pipeline", "test/api"),
        ),
        Selection(4, 2),
    ),
}
# They predict and look at no value (assert_model_is_valid without shapes): nothing can be wrong for them.
COMPARE_NOTHING = ("test_type_inference_dynamic_x_with_groups",)
TIMEOUT_S = 600  # a test; the slowest of the older layers need minutes, more where others compute, too
RESTARTS = 5  # where a test ends the whole process


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sdk_build.mil.apple", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default ops and torch")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="one of N equal parts, from 0 (default 0/1)")
    parser.add_argument("--all", action="store_true", help="every test instead of the committed selection: hours")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "coremltools-suite", help="folder for results")
    parser.add_argument(
        "--corrupt", type=int, metavar="N", help="make outputs wrong in N tests that pass: all must fail"
    )
    parser.add_argument(
        "--update", action="store_true", help="commit the counts of this run (write expected-GROUP.json)"
    )
    a = parser.parse_args(arguments)
    try:
        suite = find_suite()
        runs = [(name, *chosen(name, a.shard, a.all)) for name in a.groups or ("ops", "torch")]
    except ValueError as error:
        print(f"apple: {error}", file=sys.stderr)
        return 2
    a.out.mkdir(parents=True, exist_ok=True)
    code = 0
    for name, paths, selection in runs:
        if a.corrupt:
            code = max(code, run_corrupted(suite, name, a.out, paths, a.corrupt))
        else:
            code = max(code, run_group(suite, name, a.out, paths, selection, a.update))
    return code


def find_suite() -> Path:
    """The folder of coremltools with its tests.

    Raises:
        ValueError: they are not there.
    """
    found = importlib.util.find_spec("coremltools")
    folder = Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None
    if folder is None or not (folder / GROUPS["ops"][0][0]).is_dir():
        raise ValueError("no coremltools with its tests here; the wheel of 9.0 has them: run 'make setup'")
    return folder.resolve()  # pytest names tests by their real place, also where .venv is a link


def chosen(name: str, shard: str, everything: bool) -> tuple[tuple[str, ...], Selection]:
    """The files of a group and the selection of a run.

    Raises:
        ValueError: no such group, or no such part.
    """
    if name not in GROUPS:
        raise ValueError(f"group is {name!r}; allowed: {', '.join(GROUPS)}")
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise ValueError(f"--shard is {shard!r}; allowed: 0/N to N-1/N, as in 0/4")
    paths, selection = GROUPS[name]
    selection = Selection(1, 1) if everything else selection
    return paths, replace(selection, shard=int(part), shards=int(parts))


def run_group(suite: Path, name: str, out: Path, paths: tuple[str, ...], selection: Selection, update: bool) -> int:
    """Run what is not done yet, print the counts beside the committed ones; returns the exit code."""
    results = out / f"{name}-{str(selection).replace(':', '-').replace('/', 'of')}.jsonl"
    run(suite, results, paths, ["--apple-selection", str(selection)])
    entries, committed = read(results), HERE / f"expected-{name}.json"
    expected = Expected.load(committed) if committed.is_file() else None
    report(name, entries, expected)
    if update:
        Expected.of(entries, importlib.metadata.version("coremltools"), str(selection)).save(committed)
        print(f"{name}: wrote {committed.name}")
        return 0
    lost = expected.lost(entries) if expected else {}
    for test, kind in sorted(lost.items()):
        print(f"{name}: LOST {test}: {kind}")
    return 1 if lost or not entries else 0


def run_corrupted(suite: Path, name: str, out: Path, paths: tuple[str, ...], number: int) -> int:
    """Tests that passed, with wrong outputs; returns 1 if one of them still passes."""
    passed = [e["id"] for file in out.glob(f"{name}-[0-9]*.jsonl") for e in read(file).values() if kind_of(e) == PASSED]
    passed = [test for test in passed if "array(" not in test]  # numbers drawn anew by every process
    passed = [test for test in passed if not test.endswith(COMPARE_NOTHING)]
    ids = random.Random(0).sample(sorted(passed), min(number, len(passed)))
    results = out / f"{name}-corrupted.jsonl"
    results.unlink(missing_ok=True)
    run(suite, results, paths, ["--apple-corrupt"], ids)
    entries = read(results)
    blind = [test for test, entry in entries.items() if entry["outcome"] == "passed"]
    for test in blind:
        print(f"{name}: BLIND {test} passes with wrong outputs")
    print(f"{name}: {len(entries) - len(blind)} of {len(ids)} tests fail when their outputs are made wrong")
    return 1 if blind or len(entries) != len(ids) or not ids else 0


def run(suite: Path, results: Path, paths: tuple[str, ...], options: list[str], ids: list[str] | None = None) -> None:
    """Run pytest in a process of its own until nothing is left; a test that ends the process counts as lost."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory(prefix="onpar-") as folder:
        environment["TMPDIR"] = folder  # coremltools leaves its packages there
        if ids is not None:
            (Path(folder) / "ids.txt").write_text("\n".join(ids))
            options = [*options, "--apple-ids", str(Path(folder) / "ids.txt")]
            paths = tuple(sorted({test.split("::")[0] for test in ids}))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.sdk_build.mil.apple.plugin",
            "-c",
            str(HERE / "pytest.ini"),
        ]
        command += ["--rootdir", str(suite), "--timeout", str(TIMEOUT_S), "--apple-results", str(results), *options]
        for _ in range(RESTARTS):
            with results.with_suffix(".log").open("w") as log:
                done = subprocess.run([*command, *paths], cwd=suite, env=environment, stdout=log, stderr=log)
            if done.returncode in (0, 1, 5):  # all passed, some failed, nothing left to run
                return


def report(name: str, entries: dict[str, dict[str, object]], expected: Expected | None) -> None:
    """Counts by kind, and the share of those that predict which pass."""
    found = count(entries.values())
    before = expected.counts if expected else {}
    print(f"{name}: {len(entries)} tests" + (f", {sum(before.values())} when committed" if expected else ""))
    for kind in sorted({*found, *before}, key=lambda k: -found[k]):
        was = f"{before.get(kind, 0):8}" if expected else ""
        print(f"{found[kind]:8}{was}  {kind}")
    asked = sum(n for kind, n in found.items() if predicts(kind))
    print(f"{name}: {found[PASSED]} of {asked} tests that predict pass ({found[PASSED] / max(asked, 1):.2%})")


if __name__ == "__main__":
    sys.exit(main())
