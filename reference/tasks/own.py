"""``evaluate(predict, data) -> dict`` of a user's model.py: what good means for a network of theirs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.golden import named_outputs, read_input
from reference.model_folder import cause, load_evaluate, undisturbed
from reference.spec import ModelSpec
from reference.tasks.base import Metrics, Network


def measure_by(spec: ModelSpec) -> Callable[[Network, Path], Metrics] | None:
    """What measures a network of the model as its own folder says; None where it says nothing."""
    evaluate = load_evaluate(Path(spec.folder)) if spec.folder else None
    if evaluate is None:
        return None
    return lambda network, data: run_evaluate(spec, evaluate, network, data)


def run_evaluate(spec: ModelSpec, evaluate: Any, network: Network, data: Path) -> Metrics:
    """The numbers that a user's function gives.

    Raises:
        BadInput: it fails, or gives something else than finite numbers by name.
    """

    def predict(*files: Any, **inputs: Any) -> dict[str, NDArray[Any]]:
        """Outputs by name: of input arrays by name, or of the file of a picture."""
        given = _read(spec, files, inputs)
        return named_outputs(spec, network(*given))

    try:
        with undisturbed(Path(spec.folder)):
            found = evaluate(predict, data)
    except BadInput:
        raise
    except (Exception, SystemExit) as error:
        path = Path(spec.folder).resolve() / "model.py"
        raise BadInput(f"evaluate() of {path} fails: {cause(error, path)}; mend it") from error
    if not isinstance(found, Mapping) or not found:
        raise BadInput(f"evaluate() of {spec.name} gives {type(found).__name__}; a dict of numbers by name is needed")
    bad = [name for name, value in found.items() if not _is_number(value)]
    if bad:
        raise BadInput(f"evaluate() of {spec.name} gives {found[bad[0]]!r} for {bad[0]!r}; a finite number is needed")
    return {str(name): float(value) for name, value in found.items()}


def _read(spec: ModelSpec, files: tuple[Any, ...], inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    import torch

    if len(files) > 1 or (files and isinstance(files[0], np.ndarray)):
        raise BadInput(
            f"predict() of {spec.name} takes one picture's path, and arrays by name: predict(path, name=array)"
        )
    arrays = {spec.input.name: read_input(Path(files[0]), spec)[0]} if files else {}
    arrays |= {name: np.asarray(value) for name, value in inputs.items()}
    wanted = [t.name for t in spec.inputs]
    if set(arrays) != set(wanted):
        raise BadInput(f"predict() of {spec.name} was given {', '.join(arrays)}; its inputs are {', '.join(wanted)}")
    for t in spec.inputs:
        if arrays[t.name].shape != t.shape:
            raise BadInput(f"predict() of {spec.name} was given {t.name} {arrays[t.name].shape}; it is {t.shape}")
    return tuple(torch.tensor(np.asarray(arrays[t.name], t.dtype)) for t in spec.inputs)


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
