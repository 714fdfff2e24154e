"""The console script ``onpar``: every command by a short name. ``onpar export`` is ``python -m sdk_build.export``."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from dataclasses import dataclass

from reference.program import SCRIPT

# Name and extra of a requirement as a wheel's metadata holds it: torch==2.13.0; extra == "export".
_OF_AN_EXTRA = re.compile(r"""([\w.-]+).*\bextra\s*==\s*["']([\w-]+)["']""")


@dataclass(frozen=True)
class Command:
    """A module with ``main(arguments)``, which is imported only when it is used.

    Attributes:
        module: as ``python -m`` takes it.
        summary: one line of the help.
        extra: what ``pip install`` has to name for it; empty where the package alone is enough.
    """

    module: str
    summary: str
    extra: str = ""


# In the order in which people need them.
COMMANDS = {
    "new": Command("sdk_build.new", "make a model folder of any PyTorch network", "export"),
    "export": Command("sdk_build.export", "models to bundles that are proved equal to them", "export"),
    "verify": Command("sdk_build.verify", "checksums, signature and golden replay of bundles", "export"),
    "predict": Command("sdk_build.predict", "run a bundle on pictures, depth maps or a video", "export"),
    "report": Command("sdk_build.report", "size, parity, accuracy and delegation of a folder of bundles"),
    "quantize": Command(
        "sdk_build.quantize", "measure every precision, find the smallest that is good enough", "export"
    ),
    "evaluate": Command("reference.evaluate", "the task's own metrics of weights or of a bundle", "export"),
    "bisect": Command("sdk_build.bisect", "the first operation at which an artifact differs", "export"),
    "mil": Command("sdk_build.mil", "run, inspect, trace and compare Core ML models on any machine"),
    "benchmark": Command("benchmarks.run", "latency of bundles on this machine", "bench"),
    "compare": Command("benchmarks.compare", "two files of latency records: faster, slower, same or unclear"),
    "gates": Command("benchmarks.gates", "parity, size, delegation and latency against committed figures", "export"),
    "collect": Command("benchmarks.collect", "fetch the records that phones wrote"),
    "train": Command("reference.train", "train a built-in model, or one of your own classes", "train"),
    "golden": Command("reference.golden", "write a model's golden tensors anew", "export"),
    "animate": Command("reference.animate", "a drawing becomes a moving character"),
}


def main(arguments: list[str] | None = None) -> int:
    """Hand the command line to a command; returns its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return 0 if given else 2
    if given[0] == "--version":
        from importlib import metadata

        print(f"{SCRIPT} {metadata.version(SCRIPT)}")
        return 0
    name, rest = given[0], given[1:]
    if name not in COMMANDS:
        print(f"{SCRIPT}: command is {name!r}; allowed: {', '.join(installed())}; see {SCRIPT} --help", file=sys.stderr)
        return 2
    return run(name, rest)


def run(name: str, arguments: list[str]) -> int:
    """Import a command and run it; returns its exit code. A package that isn't installed is one line, exit code 2."""
    command = COMMANDS[name]
    if not _is_there(command.module):
        print(f"{SCRIPT}: {name} is not in this version; allowed: {', '.join(installed())}", file=sys.stderr)
        return 2
    sys.argv[0] = f"{SCRIPT} {name}"
    try:
        code: int = importlib.import_module(_main_module(command.module)).main(arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        extra = extra_with(missing, command.extra)
        if extra is None:  # a mistake of ours, or of a network that somebody brought
            raise
        print(
            f"{SCRIPT}: {name} needs {missing}, which is not installed; pip install '{SCRIPT}[{extra}]'",
            file=sys.stderr,
        )
        return 2
    return code


def extra_with(module: str, preferred: str) -> str | None:
    """The extra of this package that brings a module, the preferred one where several do; None where none does."""
    from importlib import metadata

    try:
        requirements = metadata.requires(SCRIPT) or []
    except metadata.PackageNotFoundError:
        return None
    found = [
        match[2]
        for requirement in requirements
        if (match := _OF_AN_EXTRA.match(requirement)) and match[1].replace("-", "_").lower() == module.lower()
    ]
    return preferred if preferred in found else next(iter(found), None)


def installed() -> list[str]:
    """Names of the commands that this version has."""
    return [name for name, command in COMMANDS.items() if _is_there(command.module)]


def usage() -> str:
    """The help: a line a command, at most 100 columns."""
    names = installed()
    width = max(map(len, names)) + 2
    return "\n".join(
        [
            f"usage: {SCRIPT} COMMAND ...",
            "",
            "PyTorch vision models as Core ML, ExecuTorch and TFLite bundles that are proved equal to them.",
            "",
            *(f"  {name:<{width}}{COMMANDS[name].summary}" for name in names),
            "",
            f"{SCRIPT} COMMAND --help says what a command takes; {SCRIPT} --version says which release this is.",
            "Exit codes: 0 done, 1 a check failed, 2 wrong use or bad input.",
        ]
    )


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _main_module(module: str) -> str:
    """The module that ``python -m`` runs: a package's ``__main__``."""
    found = importlib.util.find_spec(module)
    return f"{module}.__main__" if found is not None and found.submodule_search_locations is not None else module


if __name__ == "__main__":
    sys.exit(main())
