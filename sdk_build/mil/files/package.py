"""Finds and opens what a Core ML model is stored in: an .mlpackage folder or an .mlmodel file."""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sdk_build.mil.files.schema as schema
import sdk_build.mil.files.wire as wire
from sdk_build.errors import BadInput
from sdk_build.mil.files.values import check_names

PROGRAM, PIPELINES, NETWORKS = (
    "mlProgram",
    ("pipeline", "pipelineClassifier", "pipelineRegressor"),
    ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"),
)
_READABLE = "an ML program, a pipeline, or a neural network"
_COMPILED_FILES = ("coremldata.bin", "model.mil", "model.espresso.net")
_MAX_PIPELINE_DEPTH = 8


@dataclass(frozen=True)
class ModelFile:
    """A Core ML model before anything is made of it.

    Attributes:
        path: The package or file, for messages.
        folder: Where the weight files lie that an ML program refers to.
        spec: The Model message without its contents: specification version and description.
        kind: The name of the contents, such as ``mlProgram`` or ``neuralNetworkClassifier``.
        content: The contents, encoded.
    """

    path: Path
    folder: Path
    spec: Any
    kind: str
    content: memoryview


def open_model_file(path: Path) -> ModelFile:
    """Finds the model inside a package, or opens a single file.

    Raises:
        BadInput: The path holds no Core ML model that can be read; the message says what it holds.
    """
    return split_model(path, _model_in(path).parent, model_bytes(path))


def model_bytes(path: Path) -> memoryview:
    """The encoded Model message, mapped from disk.

    Raises:
        BadInput: The path holds no Core ML model.
    """
    file = _model_in(path)
    try:
        with file.open("rb") as opened:
            return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:  # mmap refuses an empty file
        raise BadInput(f"{path} is damaged: {file.name} can't be read ({error}); export it again") from error


def split_model(path: Path, folder: Path, data: memoryview) -> ModelFile:
    """Separates a Model message's description from its contents.

    Raises:
        BadInput: The bytes are no Model message, or of a kind that is not read.
    """
    model = schema.message_class("Model")
    kinds = {field.number: field.name for field in model.DESCRIPTOR.oneofs_by_name["Type"].fields}
    kind, content = "", memoryview(b"")
    description = memoryview(b"")
    version = 0
    try:
        for number, _, value in wire.fields(data):
            if number in kinds and isinstance(value, memoryview):
                kind, content = kinds[number], value
            elif number == 1 and isinstance(value, int):
                version = value & 0x7FFFFFFF
            elif number == 2 and isinstance(value, memoryview):
                description = value
        spec = model(specificationVersion=version, description=schema.parse("ModelDescription", description))
        _check_feature_names(spec.description)
    except BadInput as error:
        raise BadInput(f"{path} is damaged or encrypted: {error}; export it again") from None
    if not kind or not version:
        raise BadInput(f"{path} is damaged or encrypted: it states no model; export it again")
    if kind == "serializedModel":
        raise BadInput(f"{path} is sealed by Apple (serializedModel); allowed: {_READABLE}; it can't be read")
    if kind not in (PROGRAM, *PIPELINES, *NETWORKS):
        raise BadInput(f"{path} holds a {kind}; allowed: {_READABLE}; other kinds are not run here")
    return ModelFile(path, folder, spec, kind, content)


def _check_feature_names(description: Any) -> None:
    for part in (description, *description.functions):
        check_names(part.predictedFeatureName, part.predictedProbabilitiesName)
        check_names(*(feature.name for feature in (*part.input, *part.output, *part.state)))
    check_names(description.defaultFunctionName, *(function.name for function in description.functions))


def pipeline_models(file: ModelFile, depth: int = 0) -> list[ModelFile]:
    """The models of a pipeline, in the order in which they run.

    Raises:
        BadInput: The pipeline is damaged, empty, or nested without end.
    """
    if depth >= _MAX_PIPELINE_DEPTH:
        raise BadInput(f"{file.path} nests pipelines more than {_MAX_PIPELINE_DEPTH} deep; export it again")
    try:
        contents = [file.content] if file.kind == "pipeline" else list(wire.messages(file.content, 1))
        models = [model for content in contents for model in wire.messages(content, 1)]
    except BadInput as error:
        raise BadInput(f"{file.path} is damaged: {error}; export it again") from None
    if not models:
        raise BadInput(f"{file.path} is a pipeline without models; export it again")
    return [split_model(file.path, file.folder, model) for model in models]


def _model_in(path: Path) -> Path:
    if not path.exists():
        raise BadInput(f"{path} doesn't exist; allowed: an .mlpackage folder or an .mlmodel file; export it first")
    if path.is_file():
        return path
    manifest = path / "Manifest.json"
    if any((path / name).exists() for name in _COMPILED_FILES):
        sealed = " and encrypted" if (path / "encryptionInfo").exists() else ""
        raise BadInput(
            f"{path} is compiled{sealed} (.mlmodelc) and can't be read; "
            "allowed: the .mlpackage or .mlmodel that it was compiled from"
        )
    if not manifest.is_file():
        raise BadInput(
            f"{path} is not an .mlpackage (no Manifest.json); allowed: an .mlpackage folder; export it first"
        )
    return _root_model(path, manifest)


def _root_model(path: Path, manifest: Path) -> Path:
    def damaged(what: str) -> BadInput:
        return BadInput(f"{path} is damaged: Manifest.json {what}; export it again")

    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(f"can't be read ({type(error).__name__})") from error
    relative = _entry_path(document, damaged)
    file = path / "Data" / relative
    if Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise damaged(f"names {relative}, outside the package")
    if not file.is_file():
        raise damaged(f"names {relative}, which is not there")
    return file


def _entry_path(document: Any, damaged: Callable[[str], BadInput]) -> str:
    items = document.get("itemInfoEntries") if isinstance(document, dict) else None
    root = items.get(document.get("rootModelIdentifier")) if isinstance(items, dict) else None
    relative = root.get("path") if isinstance(root, dict) else None
    if not isinstance(relative, str) or "\0" in relative:
        raise damaged("names no root model")
    return relative
