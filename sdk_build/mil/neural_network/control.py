"""Branches and loops. Their networks share one scope with the network around them: what they write stays.

Apple's definition names no outputs; a loop hands values on by copying them over those of the turn before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from sdk_build.mil.ops.control import MAX_ITERATIONS

Run = Callable[[], list[Any]]
BLOCKS = {"branch": ("ifBranch", "elseBranch"), "loop": ("conditionNetwork", "bodyNetwork")}
JUMPS = ("loopBreak", "loopContinue")
_TRUE_FROM = 1e-6


class Break(Exception):
    """Ends the innermost loop."""


class Continue(Exception):
    """Ends the innermost loop's turn."""


def _is_true(value: Tensor) -> bool:
    return abs(float(value)) > _TRUE_FROM


def _branch(values: list[Tensor], blocks: list[Run]) -> tuple[()]:
    if _is_true(values[0]):
        blocks[0]()
    elif len(blocks) > 1:
        blocks[1]()
    return ()


def _loop(values: list[Tensor], blocks: list[Run], maxLoopIterations: Tensor | int = 0) -> tuple[()]:
    """Two blocks are a condition and a body, one is a body alone, which then needs a number of turns.

    Raises:
        ValueError: It runs without end.
    """
    body = blocks[-1]
    limit = int(values[0]) if values else int(maxLoopIterations)
    is_endless = len(blocks) == 2 and not values and limit == 0
    turns = 0
    while is_endless or turns < limit:
        if len(blocks) == 2 and not _is_true(blocks[0]()[0]):
            break
        if turns >= MAX_ITERATIONS:
            raise ValueError(f"more than {MAX_ITERATIONS} iterations")
        turns += 1
        try:
            body()
        except Continue:
            continue
        except Break:
            break
    return ()


def _jump(kind: type[Exception]) -> Callable[..., Any]:
    def jump(values: list[Tensor]) -> Any:
        raise kind

    return jump


CONTROL_LAYERS: dict[str, Callable[..., Any]] = {
    "branch": _branch,
    "loop": _loop,
    "loopBreak": _jump(Break),
    "loopContinue": _jump(Continue),
}
