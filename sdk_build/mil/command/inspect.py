"""``inspect``: what a model is, without running it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from sdk_build.mil.command.values import shortened
from sdk_build.mil.files.package import NETWORKS, PROGRAM, ModelFile, open_model_file, pipeline_models
from sdk_build.mil.files.reader import program_of
from sdk_build.mil.program import MINIMUM_IOS, MilProgram, MilTensor, walk


def run(path: Path, function: str | None, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    document = inspected(path, function)
    if as_json:
        print(json.dumps(document))
        return 0
    system = document["minimum_ios"]
    print(f"{path.name}: {document['kind']}, {_size(document['size_bytes'])}, iOS {system or 'unknown'} or later")
    if document["description"]:
        print(f"  {document['description']}")
    for model in document["models"]:
        _print_model(model)
    return 0


def inspected(path: Path, function: str | None = None) -> dict[str, Any]:
    """What ``--json`` prints.

    Raises:
        BadInput: The model is absent, damaged, or of another kind; or it has no such function.
    """
    file = open_model_file(path)
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    version = file.spec.specificationVersion
    return {
        "model": path.name,
        "kind": file.kind,
        "specification_version": version,
        "minimum_ios": MINIMUM_IOS.get(version),
        "size_bytes": sum(part.stat().st_size for part in files),
        "weights_bytes": sum(part.stat().st_size for part in files if part.suffix == ".bin"),
        "description": file.spec.description.metadata.shortDescription,
        "models": _models(file, function),
    }


def _models(file: ModelFile, function: str | None) -> list[dict[str, Any]]:
    if file.kind == PROGRAM:
        program = program_of(file, function)
        names = [program.function] if function else program.functions
        return [_described(program if name == program.function else program_of(file, name)) for name in names]
    if file.kind in NETWORKS:
        from sdk_build.mil.neural_network.reader import network_of

        return [_described(network_of(file))]
    return [model for part in pipeline_models(file) for model in _models(part, None)]


def _described(program: MilProgram) -> dict[str, Any]:
    """A function or a pipeline's model: its signature, and its operations by type and by the dtype they write."""
    dtypes = Counter(
        output.dtype for o in walk(program.operations) if o.op_type != "const" for output in o.outputs if output.dtype
    )
    return {
        "function": program.function,
        "inputs": [_tensor(tensor) for tensor in program.inputs],
        "outputs": [_tensor(tensor) for tensor in program.outputs],
        "states": [_tensor(tensor) for tensor in program.states],
        "precision": program.precision,
        "operations": program.op_counts(),
        "written_dtypes": dict(dtypes.most_common()),
    }


def _tensor(tensor: MilTensor) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape) if tensor.is_ranked else None,
    }
    if tensor.color:
        found["color"] = tensor.color
    if tensor.allowed_shapes:
        found["allowed_shapes"] = [list(shape) for shape in tensor.allowed_shapes]
    if tensor.dim_ranges:
        found["dim_ranges"] = [list(span) for span in tensor.dim_ranges]
    if tensor.default is not None:
        found["default"] = tensor.default
    if tensor.description:
        found["description"] = tensor.description
    return found


def _print_model(model: dict[str, Any]) -> None:
    operations = model["operations"]
    print(f"{model['function']}: {sum(operations.values())} operations, {model['precision']}")
    for side in ("inputs", "outputs", "states"):
        for tensor in model[side]:
            print(shortened(f"  {side[:-1]:<7}{_line(tensor)}", 100))
    line = "  "
    for name, count in operations.items():
        word = f"{name} {count}, "
        if len(line) + len(word) > 98:
            print(line.rstrip())
            line = "  "
        line += word
    print(line.rstrip(", "))


def _line(tensor: dict[str, Any]) -> str:
    sizes = "any rank" if tensor["shape"] is None else tuple("any" if n is None else n for n in tensor["shape"])
    if "allowed_shapes" in tensor:
        sizes = " or ".join(str(tuple(shape)) for shape in tensor["allowed_shapes"])
    elif "dim_ranges" in tensor:
        sizes = " x ".join(f"{low}..{high if high >= 0 else 'any'}" for low, high in tensor["dim_ranges"])
    words = [tensor["name"], tensor.get("color", ""), tensor["dtype"], str(sizes).replace("'", "")]
    if "default" in tensor:
        words.append(f"optional, {tensor['default']:g}")
    return " ".join(word for word in words if word) + (f"  {tensor['description']}" if "description" in tensor else "")


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
