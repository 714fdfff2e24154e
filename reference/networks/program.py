"""Programs that ``torch.export.save`` wrote."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch.export import ExportedProgram

from reference.errors import BadInput

_LOG = logging.getLogger("torch.export")


def load_program(path: Path) -> ExportedProgram:
    """Read a ``.pt2`` file.

    Raises:
        BadInput: it is missing or damaged, another torch wrote it, or it needs operators that are not there.
    """
    if not path.is_file():
        raise BadInput(f"no file {path}; --program takes what torch.export.save wrote")
    causes: list[str] = []

    def catch(record: logging.LogRecord) -> bool:
        """torch writes the cause into its log, with a traceback, and raises something that names none."""
        if record.exc_info and record.exc_info[1] is not None:
            causes.append(_line(record.exc_info[1]))
        return False

    _LOG.addFilter(catch)
    try:
        return torch.export.load(path)
    except Exception as error:
        raise BadInput(
            f"can't read {path.name} ({[*causes, _line(error)][0]}); save the network anew with torch.export.save of "
            f"torch {torch.__version__.partition('+')[0]}, which is installed here"
        ) from error
    finally:
        _LOG.removeFilter(catch)


def _line(error: BaseException) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
    return f"{type(error).__name__}: {first.partition('. This is an internal')[0].rstrip('.')}"
