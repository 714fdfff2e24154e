"""``python -m sdk_build.mil run|inspect|trace|compare``: Core ML models on any machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reference.program import program
from sdk_build.command import error_line, exit_with

_EPILOG = """\
An input is NAME=VALUE: a picture (.png, .jpg), an array (.npy), a number, or a list such as [1,2,3].
A picture for a picture input is resized to its size; for an array input of shape (1, 3, H, W) or (1, 1, H, W) it
becomes RGB or gray in 0 to 1. --random SEED fills what is not given with numbers between 0 and 1.
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    a = _parser().parse_args(arguments)
    return exit_with(lambda: _refusing(a))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program("sdk_build.mil"), description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    raw = argparse.RawDescriptionHelpFormatter
    run = verbs.add_parser("run", help="run a model once", epilog=_EPILOG, formatter_class=raw)
    run.add_argument("model", type=Path, metavar="MODEL")
    _add_inputs(run)
    run.add_argument("--accumulate", choices=("fp32", "fp16"), default="fp32", help="fp16: round every partial sum")
    run.add_argument("--steps", type=int, default=1, metavar="N", help="run N times with one state")
    run.add_argument("--out", type=Path, metavar="FOLDER", help="write every output as .npy or .png, and outputs.json")
    run.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    look = verbs.add_parser("inspect", help="inputs, outputs, functions, operations, sizes, oldest system")
    look.add_argument("model", type=Path, metavar="MODEL")
    look.add_argument("--function", metavar="NAME")
    look.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    trace = verbs.add_parser("trace", help="every operation's range", epilog=_EPILOG, formatter_class=raw)
    trace.add_argument("model", type=Path, metavar="MODEL")
    _add_inputs(trace)
    trace.add_argument("--out", type=Path, metavar="FOLDER", help="write trace.csv and trace.png")
    trace.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    compare = verbs.add_parser("compare", help="the first operation that differs", epilog=_EPILOG, formatter_class=raw)
    compare.add_argument("model", type=Path, metavar="A")
    compare.add_argument("other", type=Path, nargs="?", metavar="B")
    compare.add_argument("--reference", metavar="MODULE:FUNCTION", help="gives a torch.nn.Module to compare with")
    compare.add_argument("--limit-db", type=float, metavar="DB", help="differs below (60; 30 where one is fp16)")
    _add_inputs(compare)
    compare.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="one per input, see below")
    parser.add_argument("--random", type=int, metavar="SEED", help="random numbers for the other inputs")
    parser.add_argument("--function", metavar="NAME", help="the function to run (default: the package's own)")


def _refusing(a: argparse.Namespace) -> int:
    """A model that the emulation can't run counts as bad input here: 1 is kept for a difference that was found."""
    from sdk_build.errors import LoweringError

    try:
        return _run(a)
    except LoweringError as error:
        print(error_line(error), file=sys.stderr)
        return 2


def _run(a: argparse.Namespace) -> int:
    # Imported here: --help must not wait for torch, and inspect doesn't need it.
    if a.verb == "inspect":
        from sdk_build.mil.command import inspect

        return inspect.run(a.model, a.function, a.json)
    if a.verb == "run":
        from sdk_build.mil.command import run

        return run.run(a.model, a.function, a.input, a.random, a.accumulate, a.steps, a.out, a.json)
    if a.verb == "trace":
        from sdk_build.mil.command import trace

        return trace.run(a.model, a.function, a.input, a.random, a.out, a.json)
    from sdk_build.mil.command import compare

    return compare.run(a.model, a.other, a.reference, a.function, a.input, a.random, a.limit_db, a.json)


if __name__ == "__main__":
    sys.exit(main())
