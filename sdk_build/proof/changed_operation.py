"""The first operation of an .aimodel that is not what the converter makes of the network.

Apple's interpreter shows nothing of what it computes inside, and a network that is cut and converted anew
(:mod:`sdk_build.proof.first_difference`) says nothing of a file whose own contents are others. Conversion repeats to
the byte, so that the two programs tell it.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from reference.spec import ModelSpec
from sdk_build.backends import get_backend
from sdk_build.backends.coreai import steps_of
from sdk_build.errors import OnParError
from sdk_build.quiet import quiet

if TYPE_CHECKING:
    from torch import nn


def changed_operation(path: Path, network: nn.Module, spec: ModelSpec, precision: str, folder: Path) -> str | None:
    """One line on the first operation that differs, or None where none does.

    Args:
        path: An .aimodel.
        network: What it should have been made from.
        precision: That it holds.
        folder: For the artifact that is made anew.
    """
    anew = folder / "anew.aimodel"
    try:
        with quiet():
            get_backend("coreai").lower(network, spec, precision, anew)
        kept, made = steps_of(path), steps_of(anew)
    except OnParError as error:
        return str(error)
    for number, (one, other) in enumerate(zip_longest(kept, made)):
        if one != other:
            name = (one or other or ("",))[0].rpartition(".")[2]
            return f"first at operation {number} ({name}) of {path.name}, which is not what {spec.name} converts to"
    return None
