"""Fixtures that many folders share. Everything here is cheap and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from hypothesis import settings

from reference.errors import OnParError

Refused = Callable[..., AbstractContextManager[None]]

# A time limit per example would measure how busy the machine is; a fixed seed keeps a red build reproducible.
settings.register_profile("onpar", deadline=None, derandomize=True)
settings.load_profile("onpar")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Untrained weights are the same whichever test runs first."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def refused() -> Refused:
    """``with refused(BadInput, part, ...)``: the block must raise that error, in one line that holds every part."""

    @contextmanager
    def check(kind: type[OnParError], *parts: object) -> Iterator[None]:
        with pytest.raises(kind) as caught:
            yield
        message = str(caught.value)
        assert message and "\n" not in message
        for part in parts:
            assert str(part) in message, f"{part!r} is not in {message!r}"

    return check
