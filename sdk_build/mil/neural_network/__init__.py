"""x."""

from typing import Any


def executor_of(file: Any, accumulate: str) -> Any:
    raise NotImplementedError
