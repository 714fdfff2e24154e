"""The text of a model.py: where the network comes from, and its SPEC."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

IMPORT = "from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec"
LABELS_FILE = "labels.txt"


def model_page(source: str, spec: ModelSpec) -> str:
    """``source`` with the spec behind it."""
    lines = [
        source.rstrip(),
        "",
        "",
        "# What OnPar exports and proves. Names of inputs are those of forward's arguments; mean and std are applied",
        "# inside the exported graph.",
        f"{IMPORT}  # noqa: E402",
        "",
        "SPEC = ModelSpec(",
        *(f"    {line}" for line in _fields(spec)),
        ")",
        "",
    ]
    return "\n".join(lines)


def _fields(spec: ModelSpec) -> list[str]:
    lines = [f"{name}={_literal(getattr(spec, name))}," for name in ("name", "task", "document", "network")]
    lines += _tensors("inputs", spec.inputs) + _tensors("outputs", spec.outputs)
    lines.append(f"preprocess={_call(spec.preprocess)},")
    lines.append(f"postprocess={_call(spec.postprocess)},")
    if spec.labels:
        lines += ["labels=(", *(f"    {_literal(label)}," for label in spec.labels), "),"]
    return [*lines, f"description={_literal(spec.description)},"]


def _tensors(name: str, tensors: Sequence[TensorSpec]) -> list[str]:
    return [f"{name}=(", *(f"    {_call(tensor)}," for tensor in tensors), "),"]


def _call(value: TensorSpec | PreprocessSpec | PostprocessSpec | None) -> str:
    """The constructor call of a frozen dataclass, without what is its default anyway."""
    if value is None:
        return "None"
    fields = dataclasses.fields(value)
    said = [(f.name, getattr(value, f.name)) for f in fields if getattr(value, f.name) != f.default]
    return f"{type(value).__name__}({', '.join(f'{name}={_literal(given)}' for name, given in said)})"


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
