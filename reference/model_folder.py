"""A model in a folder of its own: ``model.py`` with a SPEC and what its network is made by.

``model.py`` is the user's own code and runs here, as in ``python model.py``. What it does beside defining things must
not disturb a command: it prints to stderr, may not end the process, and the working directory stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from reference.errors import BadInput
from reference.spec import ModelSpec

FILE = "model.py"
EVALUATE = "evaluate"
# Working directory, search path and standard output are the whole process's, and models are built in threads.
_ONE_AT_A_TIME = threading.RLock()


def is_model_folder(folder: Path) -> bool:
    """True if a folder says what model it holds."""
    return (folder / FILE).is_file()


def load_spec(folder: Path) -> ModelSpec:
    """``SPEC`` of a folder's model.py.

    Raises:
        BadInput: there is none, or it can't be used.
    """
    spec = getattr(load_module(folder / FILE), "SPEC", None)
    if not isinstance(spec, ModelSpec):
        raise BadInput(f"{folder / FILE} has no SPEC; write one, a reference.spec.ModelSpec (onpar new does)")
    return spec


def load_evaluate(folder: Path) -> Any:
    """``evaluate(predict, data) -> dict`` of a folder's model.py; None where it has none."""
    return getattr(load_module(folder / FILE), EVALUATE, None) if is_model_folder(folder) else None


def load_module(path: Path) -> ModuleType:
    """Run a Python file as a module that nothing else sees; the same content is run once in a process.

    Files beside it can be imported by it, and don't get in the way of another folder's of the same name.

    Raises:
        BadInput: it is missing, or it fails; names the line.
    """
    path = path.resolve()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"can't read {path} ({error.strerror}); give a Python file") from error
    name = f"onpar_model_{hashlib.sha256(str(path).encode() + content).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    located = importlib.util.spec_from_file_location(name, path)
    assert located is not None and located.loader is not None
    module = importlib.util.module_from_spec(located)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with undisturbed(path.parent, keep_siblings=False):
            located.loader.exec_module(module)
    except BadInput:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BadInput(f"{path.name} fails where it is imported: {cause(error, path)}; mend it") from error
    return module


@contextlib.contextmanager
def undisturbed(folder: Path, keep_siblings: bool = True) -> Iterator[None]:
    """Foreign code runs with its own folder and the present one in reach, and leaves everything as it was.

    Args:
        keep_siblings: modules of the folder stay imported; otherwise another folder's may have the same names.
    """
    with _ONE_AT_A_TIME:
        here, before, known = Path.cwd(), list(sys.path), set(sys.modules)
        sys.path[:0] = [str(folder), str(here)]
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        finally:
            sys.path[:] = before
            os.chdir(here)
            for name in set() if keep_siblings else set(sys.modules) - known:
                file = getattr(sys.modules[name], "__file__", None)
                if file and Path(file).parent == folder and not name.startswith("onpar_model_"):
                    del sys.modules[name]


def cause(error: BaseException, path: Path | None = None) -> str:
    """One line of an exception of foreign code: its type, its message, and its line in a file."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
    if isinstance(error, SystemExit):
        text = f"it ends the process (sys.exit({error.code!r}))"
    place, trace = "", error.__traceback__
    while trace is not None:
        if path is not None and trace.tb_frame.f_code.co_filename == str(path):
            place = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return text + place
