"""``compare``: the first operation of a model that differs from another model or from a PyTorch network."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdk_build.errors import BadInput
from sdk_build.mil.command.values import given_inputs, shortened
from sdk_build.mil.difference import Comparison, compare_with_model, compare_with_network
from sdk_build.mil.emulator import EmulatedCoreML

_LIMIT_DB, _FP16_LIMIT_DB = 60.0, 30.0


def run(
    path: Path,
    other: Path | None,
    reference: str | None,
    function: str | None,
    pairs: Sequence[str],
    seed: int | None,
    limit_db: float | None,
    as_json: bool,
) -> int:
    """The command's body; returns 1 where an operation differs."""
    if (other is None) == (reference is None):
        raise BadInput(
            "compare takes one of a second model and --reference; allowed: A B, or A --reference module:function"
        )
    model = EmulatedCoreML(path, function)
    inputs = given_inputs(model.inputs, pairs, seed)
    if other is not None:
        second = EmulatedCoreML(other, function)
        limit = _limit(limit_db, model, second)
        found = compare_with_model(model, second, inputs, limit)
    else:
        limit = _limit(limit_db, model)
        found = compare_with_network(model, load_network(reference or ""), inputs, limit)
    document = {"model": path.name, "other": other.name if other else reference, "limit_db": limit, **found.to_json()}
    if as_json:
        print(json.dumps(document))
    else:
        _print(found, limit)
    return 1 if found.first is not None else 0


def _limit(given: float | None, *models: EmulatedCoreML) -> float:
    if given is not None:
        return given
    return _FP16_LIMIT_DB if any(model.precision == "fp16" for model in models) else _LIMIT_DB


def load_network(name: str) -> Any:
    """The ``torch.nn.Module`` that ``module:function`` gives.

    Raises:
        BadInput: There is no such module or function, or it gives something else.
    """
    import torch

    module, separator, function = name.partition(":")
    if not separator or not module or not function:
        raise BadInput(f"--reference {name}; allowed: module:function, a function that gives a torch.nn.Module")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise BadInput(
            f"--reference {name}: {str(error).splitlines()[0]}; allowed: module:function on the path"
        ) from error
    finally:
        sys.path.pop(0)
    if not isinstance(made, torch.nn.Module):
        raise BadInput(f"--reference {name} gives a {type(made).__name__}; allowed: a torch.nn.Module")
    return made.eval()


def _print(found: Comparison, limit: float) -> None:
    print(f"{'operation':<44}{'type':<24}{'dB':>10}")
    for entry in found.entries:
        level = "-" if math.isnan(entry.sqnr_db) else f"{entry.sqnr_db:.1f}"
        mark = " <" if entry.name == found.first else ""
        print(f"{shortened(entry.name, 43):<44}{shortened(entry.op_type, 23):<24}{level:>10}{mark}")
    if found.first is None:
        print(f"no operation differs: {found.compared} compared, all at {limit:g} dB or more")
    else:
        before = f"; the last that agrees before it is '{found.last_equal}'" if found.last_equal else ""
        print(f"'{found.first}' is the first operation that differs (below {limit:g} dB){before}")
