"""What every command shares: errors as one line with the exit code of the design."""

from __future__ import annotations

import sys
from collections.abc import Callable

from reference.errors import OnParError


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


def error_line(error: OnParError) -> str:
    """``Kind: message``, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
