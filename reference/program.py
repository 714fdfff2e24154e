"""What a command calls itself in its own help, and others when it names them."""

from __future__ import annotations

import sys

SCRIPT = "onpar"


def program(module: str) -> str:
    """``onpar NAME`` where the console script started the command, else ``python -m MODULE``.

    The script says so in ``sys.argv[0]``, as every program is told there how it was called.
    """
    return sys.argv[0] if sys.argv[0].startswith(f"{SCRIPT} ") else f"python -m {module}"


def other_program(module: str, name: str) -> str:
    """Another command in the words in which this one was called: ``onpar NAME``, or ``python -m MODULE``."""
    return f"{SCRIPT} {name}" if sys.argv[0].startswith(f"{SCRIPT} ") else f"python -m {module}"
