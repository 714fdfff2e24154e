"""``run``: a model's outputs for given inputs, and what half precision sums change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdk_build.errors import BadInput
from sdk_build.mil.command.values import described, given_inputs, save_output, shortened, shown
from sdk_build.mil.compare import sqnr_db
from sdk_build.mil.emulator import EmulatedCoreML


def run(
    path: Path,
    function: str | None,
    pairs: Sequence[str],
    seed: int | None,
    accumulate: str,
    steps: int,
    out: Path | None,
    as_json: bool,
) -> int:
    """The command's body; returns the exit code."""
    if steps < 1:
        raise BadInput(f"--steps {steps}; allowed: 1 or more")
    if out is not None and out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file; allowed: a folder, or a new name")
    model = EmulatedCoreML(path, function, accumulate)
    inputs = given_inputs(model.inputs, pairs, seed)
    outputs = _repeated(model, inputs, steps)
    document: dict[str, Any] = {
        "model": path.name,
        "function": model.program.function,
        "execution": "emulation",
        "accumulate": accumulate,
        "outputs": {name: described(value) for name, value in outputs.items()},
    }
    if accumulate == "fp16":
        document["difference"] = _difference(_repeated(EmulatedCoreML(path, function), inputs, steps), outputs)
    if out is not None:
        _write(out, outputs, document)
    if as_json:
        print(json.dumps(document))
        return 0
    print(f"{path.name}, {model.precision}, run by OnPar's emulation of Core ML")
    for name, value in outputs.items():
        print(shortened(f"  {name}: {shown(value)}", 100))
    for name, change in document.get("difference", {}).items():
        print(f"  {name}: sums in fp16 change it by up to {change['max_abs']:.3g} ({change['sqnr_db']} dB)")
    return 0


def _repeated(model: EmulatedCoreML, inputs: dict[str, Any], steps: int) -> dict[str, Any]:
    state = model.make_state()
    outputs: dict[str, Any] = {}
    for _ in range(steps):
        outputs = model.predict(inputs, state=state)
    return outputs


def _difference(reference: dict[str, Any], other: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, value in reference.items():
        if isinstance(value, (np.ndarray, Mapping)):
            before, after = _numbers(value), _numbers(other[name])
            level = sqnr_db(before, after)
            change = np.abs(before - after).max(initial=0.0)
            found[name] = {
                "max_abs": float(change) if np.isfinite(change) else str(change),
                "sqnr_db": round(level, 2) if np.isfinite(level) else str(level),
            }
    return found


def _numbers(value: Any) -> np.ndarray:
    return np.array(list(value.values()) if isinstance(value, Mapping) else value, np.float64)


def _write(out: Path, outputs: dict[str, Any], document: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, value in outputs.items():
        file = save_output(value, out / name.replace("/", "_"))
        if file is not None:
            document["outputs"][name]["file"] = file
    (out / "outputs.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
