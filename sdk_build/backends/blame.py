"""Where in a network the operation stands that a converter names when it fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sdk_build.backends.known_issues import place

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

_WORD = re.compile(r"[\w:.]+")
# coremltools: "Unsupported fx node fft_rfft2, kind fft_rfft2".
_KIND = re.compile(r"\bkind ([\w:]+)")


def blame(network: nn.Module, examples: tuple[Tensor, ...], message: str) -> str:
    """Module and source line of the first operation that a converter's message names; empty where it names none.

    Args:
        message: the converter's whole error text.
    """
    from sdk_build.lowering.graph import trace

    named = {word.rstrip(".") for word in _WORD.findall(message)}
    kinds = set(_KIND.findall(message))
    try:
        nodes = trace(network, examples).graph.nodes
    except Exception:  # noqa: BLE001 - what can't even be traced has no graph to look in
        return ""
    return next((place(node) for node in nodes if _names(node) & named or _kind(node) in kinds), "")


def _names(node: fx.Node) -> set[str]:
    """An operation as converters write it; never its bare name, which may be an English word."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return set()
    return {str(node.target), schema.name, schema.name.replace("::", "."), str(node.target).replace(".", "::", 1)}


def _kind(node: fx.Node) -> str:
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else schema.name.removeprefix("aten::")
