"""The first operation of a Core ML artifact that leaves PyTorch, from the artifact itself.

The emulation shows what every operation writes, so one run tells it; what can't be looked into is cut in halves instead
(:mod:`sdk_build.proof.first_difference`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_build.backends import Tensors
from sdk_build.errors import OnParError

if TYPE_CHECKING:
    from torch import nn

# Every value of PyTorch's is held at once.
_MOST_OUTPUT_VALUES = 1 << 20
_LIMIT_DB = 40.0  # where the card limits no SQNR


def first_operation(
    path: Path, network: nn.Module, inputs: Sequence[Tensors], limits: Mapping[str, float]
) -> str | None:
    """One line on the first operation below the limit, or None where no operation is, or the network is a large volume.

    Args:
        path: An .mlpackage.
        network: What it was made from.
        inputs: Of the network; the first that shows a difference decides.
        limits: By metric; ``sqnr_db`` also holds for what is inside.
    """
    from sdk_build.mil import EmulatedCoreML
    from sdk_build.mil.difference import compare_with_network

    limit = limits.get("sqnr_db", _LIMIT_DB)
    try:
        model = EmulatedCoreML(path)
        sizes = [size or 1 for tensor in model.outputs for size in tensor.shape]
        if math.prod(sizes) > _MOST_OUTPUT_VALUES:
            return None
        for given in inputs:
            found = compare_with_network(model, network, given, limit)
            if found.first is not None:
                entry = next(e for e in found.entries if e.name == found.first)
                return (
                    f"first at '{entry.name}' ({entry.op_type}) of {path.name}, {entry.sqnr_db:.1f} dB < {limit:.4g} dB"
                )
    except OnParError as error:  # a program that doesn't run says where
        return str(error)
    return None
