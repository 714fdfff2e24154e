"""What every command shares: errors as one line with the exit code of the design."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from reference.errors import BadInput, OnParError

CHECKOUT = Path(__file__).parents[1]
IN_CHECKOUT = (CHECKOUT / "requirements.lock").is_file()  # what is installed from a wheel has none beside it


def exit_with(work: Callable[[], int]) -> int:
    """Run a command's body; an error that OnPar raises on purpose becomes one line on standard error."""
    try:
        return work()
    except OnParError as error:
        print(error_line(error), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of a pipe went away
        return 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def need_checkout(command: str, reason: str) -> None:
    """Refuse a command that works on OnPar's own files where OnPar is installed.

    Args:
        reason: what it needs of a checkout.

    Raises:
        BadInput: there is no checkout.
    """
    if not IN_CHECKOUT:
        raise BadInput(f"{command} needs {reason}, which a wheel doesn't hold; run it in a checkout of OnPar")


def error_line(error: OnParError) -> str:
    """``Kind: message``, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
