"""Keep third-party noise off the user's terminal.

The converters log, warn, draw progress bars and write to the process's standard error from native code. Nothing
of it helps a user; when a conversion fails, the captured text is shown.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

# Read by the libraries when they are imported, so they must be set before; these are not settings of OnPar.
_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "LITERT_TORCH_SHOW_PROGRESS": "n",
    "TORCHAO_SKIP_LOADING_SO_FILES": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
_LOGGERS = ("coremltools", "torchao", "torch.utils._pytree", "executorch", "root")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow output of Python and native code; on an exception, append what was captured to its notes."""
    saved = {key: os.environ.get(key) for key in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    with tempfile.TemporaryFile() as captured, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _redirect(captured.fileno()):
                yield
        except Exception as error:
            captured.seek(0)
            text = captured.read().decode(errors="replace").strip()
            if text:
                error.add_note(text[-2000:]) if hasattr(error, "add_note") else None
            raise
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            for key, value in saved.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value


@contextlib.contextmanager
def _redirect(target: int) -> Iterator[None]:
    """Point the process's standard output and error at ``target``: native code does not go through sys.stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    os.dup2(target, 1)
    os.dup2(target, 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
