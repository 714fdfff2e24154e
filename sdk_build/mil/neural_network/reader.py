"""Reads a neural network, layer by layer, into a :class:`~sdk_build.mil.program.MilProgram`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import sdk_build.mil.files.schema as schema
import sdk_build.mil.files.wire as wire
from sdk_build.errors import BadInput, UnsupportedOperation
from sdk_build.mil.executor import ProgramExecutor
from sdk_build.mil.files.package import ModelFile
from sdk_build.mil.files.reader import reading
from sdk_build.mil.files.signature import array_of, image_of
from sdk_build.mil.files.values import check_names
from sdk_build.mil.neural_network.control import BLOCKS, JUMPS
from sdk_build.mil.neural_network.layers import LAYERS
from sdk_build.mil.neural_network.recurrent import KINDS as RECURRENT
from sdk_build.mil.neural_network.recurrent import recurrent_settings
from sdk_build.mil.neural_network.settings import settings_of
from sdk_build.mil.program import Constant, MilBlock, MilOperation, MilProgram, MilTensor, Ref, Value

_LAYERS, _PREPROCESSING, _ARRAY_MAPPING, _IMAGE_MAPPING = 1, 2, 5, 6
_TEXT_LABELS, _NUMBER_LABELS, _PROBABILITY_LAYER = 100, 101, 200
_BGR, _GRAY = 30, (10, 40)
_MAX_DEPTH = 16  # of branches and loops in each other


def executor_of(file: ModelFile, accumulate: str = "fp32") -> ProgramExecutor:
    """A neural network, ready to run.

    Raises:
        BadInput: The file is damaged, or half precision sums are asked for, which only ML programs have.
        UnsupportedOperation: A layer, or a setting of one, that is not emulated.
    """
    if accumulate != "fp32":
        raise BadInput(f"{file.path} is a neural network; allowed: accumulate fp32; half precision is for ML programs")
    return ProgramExecutor(network_of(file), operations=LAYERS)


def network_of(file: ModelFile) -> MilProgram:
    """The layers as operations, between those that bring inputs and outputs into the layers' shapes."""
    with reading(file):
        return _program(file, _head(file.content))


@dataclass(frozen=True)
class _Head:
    """What a network states beside its layers."""

    preprocessing: tuple[Any, ...] = ()
    is_exact: bool = False
    is_image_rank4: bool = False
    labels: np.ndarray | None = None
    probability: str = ""


def _head(content: memoryview) -> _Head:
    head = _Head()
    for number, _, value in wire.fields(content):
        if isinstance(value, int):
            if number == _ARRAY_MAPPING:
                head = replace(head, is_exact=bool(value))
            elif number == _IMAGE_MAPPING:
                head = replace(head, is_image_rank4=bool(value))
        elif number == _PREPROCESSING:
            step = schema.parse("NeuralNetworkPreprocessing", value)
            head = replace(head, preprocessing=(*head.preprocessing, step))
        elif number in (_TEXT_LABELS, _NUMBER_LABELS):
            kind = "StringVector" if number == _TEXT_LABELS else "Int64Vector"
            head = replace(head, labels=np.array(list(schema.parse(kind, value).vector), dtype=object))
        elif number == _PROBABILITY_LAYER:
            head = replace(head, probability=wire.text(value))
    return head


def _program(file: ModelFile, head: _Head) -> MilProgram:
    description = file.spec.description
    inputs = tuple(_input(feature, head) for feature in description.input)
    operations = [step for feature in description.input for step in _entry(feature, head)]
    written = {output.name for step in operations for output in step.outputs}
    last = ""
    for number, data in enumerate(wire.messages(file.content, _LAYERS)):
        operation = _layer(schema.parse("NeuralNetworkLayer", data), number, head, written)
        operations.append(operation)
        written.update(output.name for output in operation.outputs)
        last = operation.outputs[0].name if operation.outputs else last
    outputs: list[MilTensor] = []
    if head.labels is not None:
        operations.append(_classifier(description, head, written, last))
        outputs.extend(operations[-1].outputs)
    for feature in description.output:
        if feature.name not in {output.name for output in outputs}:
            operation, declared = _exit(feature, head, written)
            operations.append(operation)
            outputs.append(declared)
    names = {output.name: output for output in outputs}
    return MilProgram(
        name=file.path.name,
        operations=tuple(operations),
        inputs=inputs,
        outputs=tuple(names[feature.name] for feature in description.output if feature.name in names),
        spec_version=file.spec.specificationVersion,
        description=description.metadata.shortDescription,
        metadata=dict(description.metadata.userDefined),
    )


def _input(feature: Any, head: _Head) -> MilTensor:
    if feature.type.WhichOneof("Type") == "imageType":
        return image_of(feature)
    declared = array_of(feature)
    if declared.allowed_shapes or declared.dim_ranges:
        return replace(declared, shape=tuple(None for _ in (*declared.allowed_shapes[:1], declared.dim_ranges)[0]))
    return replace(declared, takes_sequences=not head.is_exact and len(declared.shape) in (1, 3))


def _inside(name: str) -> str:
    """A value's name among the layers: the caller's own names are those of inputs and outputs."""
    return f"{name}'"


def _value(name: str) -> MilTensor:
    return MilTensor(name, (), "fp32", is_ranked=False)


def _entry(feature: Any, head: _Head) -> Iterator[MilOperation]:
    """Brings an input into the shape that layers read, then applies its preprocessing."""
    is_image = feature.type.WhichOneof("Type") == "imageType"
    is_rank5 = not (head.is_image_rank4 if is_image else head.is_exact)
    steps = [step for step in head.preprocessing if step.featureName in ("", feature.name)] if is_image else []
    names = [_inside(f"{feature.name}.{number}") for number in range(len(steps))] + [_inside(feature.name)]
    settings: dict[str, Value] = {"values": (Ref(feature.name),), "is_rank5": np.array(is_rank5)}
    if not is_image:
        settings["rank"] = np.array(len(feature.type.multiArrayType.shape))
    yield MilOperation("input", f"input {feature.name}", settings, (_value(names[0]),))
    for number, step in enumerate(steps):
        kind = step.WhichOneof("preprocessor")
        settings = {"values": (Ref(names[number]),)}
        if kind == "scaler":
            settings |= _scaler(step.scaler, feature.type.imageType.colorSpace)
        elif kind == "meanImage":
            mean = step.meanImage.meanImage
            settings["mean"] = np.fromiter(mean, np.float32, len(mean))
        else:
            raise BadInput(f"preprocessing of '{feature.name}' states nothing")
        yield MilOperation(kind, f"{kind} {feature.name}", settings, (_value(names[number + 1]),))


def _scaler(scaler: Any, color_space: int) -> dict[str, Value]:
    """Scale and biases in the order of the picture's own channels."""
    color = [scaler.redBias, scaler.greenBias, scaler.blueBias]
    biases = [scaler.grayBias] if color_space in _GRAY else color[::-1] if color_space == _BGR else color
    return {"scale": np.array(scaler.channelScale or 1.0, np.float32), "biases": np.array(biases, np.float32)}


def _layer(layer: Any, number: int, head: _Head, written: set[str], around: tuple[str, ...] = ()) -> MilOperation:
    """One layer as an operation.

    Args:
        layer: A NeuralNetworkLayer message.
        number: Its place, for a layer without a name.
        head: What the network states beside its layers.
        written: Values that are there before the layer; a branch or loop adds what its own layers write.
        around: The kinds of branches and loops that hold the layer.
    """
    check_names(layer.name, *layer.input, *layer.output)
    kind = layer.WhichOneof("layer")
    name = layer.name or f"layer {number}"
    if kind is None:
        raise UnsupportedOperation(f"layer '{name}' is of a kind that coremltools 9 doesn't know")
    parameters = getattr(layer, kind)
    if kind == "activation":
        function = parameters.WhichOneof("NonlinearityType")
        if function is None:
            raise BadInput(f"layer '{name}' is an activation without a function")
        kind, parameters = f"activation.{function}", getattr(parameters, function)
    for read in layer.input:
        if _inside(read) not in written:
            raise BadInput(f"layer '{name}' reads '{read}', which nothing before it writes (a gap or a cycle)")
    if kind in JUMPS and "loop" not in around:
        raise BadInput(f"layer '{name}' is a {kind} outside of a loop")
    settings: dict[str, Constant] = {}
    if kind in LAYERS:
        try:
            settings = _settings(kind, parameters)
        except (BadInput, UnsupportedOperation) as error:
            raise type(error)(f"layer '{name}' ({kind}): {error}") from None
    if kind == "loadConstant" and not head.is_exact and "shape" in settings:
        settings["shape"] = np.concatenate([[1, 1], np.asarray(settings["shape"])])
    if kind in ("split", "splitND", *RECURRENT):
        settings["count"] = np.array(len(layer.output))
    blocks = _blocks(kind, name, parameters, head, written, around)
    inputs: dict[str, Value] = {"values": tuple(Ref(_inside(read)) for read in layer.input), **settings}
    return MilOperation(kind, name, inputs, tuple(_value(_inside(output)) for output in layer.output), blocks)


def _settings(kind: str, parameters: Any) -> dict[str, Constant]:
    if kind in RECURRENT:
        return recurrent_settings(kind, parameters)
    if kind not in BLOCKS:
        return settings_of(parameters)
    turns = getattr(parameters, "maxLoopIterations", 0)
    return {"maxLoopIterations": np.array(turns, np.int64)} if turns else {}


def _blocks(
    kind: str, name: str, parameters: Any, head: _Head, written: set[str], around: tuple[str, ...]
) -> tuple[MilBlock, ...]:
    """The networks of a branch or loop. What one of a branch's two writes is there afterwards."""
    if len(around) >= _MAX_DEPTH:
        raise BadInput(f"layer '{name}': branches and loops more than {_MAX_DEPTH} deep")
    blocks, known = [], set(written)
    for field in BLOCKS.get(kind, ()):
        if not parameters.HasField(field) or (field == "conditionNetwork" and not parameters.conditionVar):
            continue
        inner = known if kind == "loop" else set(known)
        operations = []
        for number, layer in enumerate(getattr(parameters, field).layers):
            operations.append(_layer(layer, number, head, inner, (*around, kind)))
            inner.update(output.name for output in operations[-1].outputs)
        outputs = (_inside(parameters.conditionVar),) if field == "conditionNetwork" else ()
        if not inner.issuperset(outputs):
            raise BadInput(f"layer '{name}': nothing writes its condition '{parameters.conditionVar}'")
        written.update(inner)
        blocks.append(MilBlock((), tuple(operations), outputs, is_shared=True))
    if kind in BLOCKS and not parameters.HasField("ifBranch" if kind == "branch" else "bodyNetwork"):
        raise BadInput(f"layer '{name}' is a {kind} without layers")
    return tuple(blocks)


def _classifier(description: Any, head: _Head, written: set[str], last: str) -> MilOperation:
    scores = _inside(head.probability) if head.probability else last
    if scores not in written:
        raise BadInput(f"no layer writes the probabilities '{head.probability}'")
    label = description.predictedFeatureName or "classLabel"
    outputs = [
        MilTensor(label, (), "str"),
        MilTensor(description.predictedProbabilitiesName or "'probabilities", (), "dict"),
    ]
    assert head.labels is not None
    return MilOperation("classify", "classify", {"values": (Ref(scores),), "labels": head.labels}, tuple(outputs))


def _exit(feature: Any, head: _Head, written: set[str]) -> tuple[MilOperation, MilTensor]:
    """Brings a layer's output into the shape that the caller gets, and says what that is."""
    name = _inside(feature.name)
    if name not in written:
        raise BadInput(f"no layer writes the output '{feature.name}'")
    settings: dict[str, Value] = {"values": (Ref(name),)}
    kind = feature.type.WhichOneof("Type")
    if kind == "imageType":
        declared = image_of(feature)
        settings["form"] = "image"
    else:
        declared = array_of(feature)
        settings["form"] = "number" if kind in ("doubleType", "int64Type") else "exact" if head.is_exact else "rank5"
        if kind == "multiArrayType" and not declared.shape:
            declared = replace(declared, is_ranked=False)
        if declared.shape:
            settings["shape"] = np.array(declared.shape, np.int64)
    return MilOperation("output", f"output {feature.name}", settings, (_value(feature.name),)), declared
