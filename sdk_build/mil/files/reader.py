"""Reads an ML program, on any machine, into :class:`~sdk_build.mil.program.MilProgram`.

The protobuf and the weight files are read directly, one operation at a time: coremltools' own loader takes ten seconds
to import, infers every type anew, and fails on programs that Core ML runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sdk_build.mil.files.schema as schema
import sdk_build.mil.files.wire as wire
from sdk_build.errors import BadInput, UnsupportedOperation
from sdk_build.mil.files.blobs import BlobFiles
from sdk_build.mil.files.package import PROGRAM, ModelFile, open_model_file
from sdk_build.mil.files.signature import Signature, function_names, signature_of
from sdk_build.mil.files.values import check_names, constant_of, tensor_of
from sdk_build.mil.program import Constant, MilBlock, MilOperation, MilProgram, MilTensor, Ref, Value

# Parameters that are lists also when the program binds a single value to them.
_LISTS = ("values", "loop_vars", "elem_shape")
_MAX_BLOCK_DEPTH = 32
# What coremltools 9 knows; a device with a newer system may know more.
OPSETS = ("CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9")


def read_program(path: Path, function: str | None = None) -> MilProgram:
    """Reads one function of a saved ML program.

    Args:
        path: An .mlpackage folder.
        function: Its name; the package's default function if None.

    Returns:
        The operations in order, their constants, the inputs, outputs, states and metadata.

    Raises:
        BadInput: The package is absent, damaged, or not an ML program; or it has no such function.
        UnsupportedOperation: A type, opset or version that is not known here.
    """
    file = open_model_file(path)
    if file.kind != PROGRAM:
        raise BadInput(f"{path} holds a {file.kind}; allowed: an ML program; convert with convert_to='mlprogram'")
    return program_of(file, function)


@contextmanager
def reading(file: ModelFile) -> Iterator[None]:
    """Puts the file's name into what is raised inside.

    Raises:
        BadInput: The contents are damaged.
        UnsupportedOperation: They hold what is not emulated.
    """
    try:
        yield
    except UnsupportedOperation as error:
        raise UnsupportedOperation(f"{file.path} {error}") from None
    except (BadInput, RecursionError) as error:
        raise BadInput(f"{file.path} is damaged: {error}; export it again") from None


def program_of(file: ModelFile, function: str | None = None) -> MilProgram:
    """The same for a file that was opened before, such as a pipeline's part."""
    with reading(file):
        functions = dict(wire.entries(file.content, 2))
        names = function_names(file.spec.description, functions)
        if not names:
            raise BadInput("it has no functions")
    chosen = names[0] if function is None else function
    if chosen not in names:
        raise BadInput(f"{file.path} has no function '{chosen}'; allowed: {', '.join(names)}; choose another")
    with reading(file):
        if chosen not in functions:
            raise BadInput(f"function '{chosen}' is described but not there")
        signature = signature_of(file.spec.description, chosen)
        reader = _FunctionReader(BlobFiles(file.folder))
        return _program(file, reader, functions[chosen], signature, chosen, names)


def _program(
    file: ModelFile,
    reader: _FunctionReader,
    content: memoryview,
    signature: Signature,
    function: str,
    names: tuple[str, ...],
) -> MilProgram:
    given = {}
    for data in wire.messages(content, 1):
        value = schema.parse("MILSpec.NamedValueType", data)
        check_names(value.name)
        given[value.name] = tensor_of(value.name, value.type)
    reader.written.update(given)  # an output may be an input as it is
    block = reader.block(_active_block(content), set(given))
    metadata = file.spec.description.metadata
    return MilProgram(
        name=file.path.name,
        operations=block.operations,
        inputs=tuple(signature.input(name, given) for name in signature.inputs),
        outputs=tuple(signature.output(reader.written[name]) for name in block.outputs),
        states=tuple(signature.state(name, given) for name in signature.states),
        function=function,
        functions=names,
        spec_version=file.spec.specificationVersion,
        description=metadata.shortDescription,
        metadata=dict(metadata.userDefined),
    )


def _active_block(function: memoryview) -> memoryview:
    opset = next((wire.text(value) for value in wire.messages(function, 2)), "")
    blocks = dict(wire.entries(function, 3))
    if opset not in blocks:
        raise BadInput(f"no operations for its opset '{opset}'")
    if opset not in OPSETS:
        raise UnsupportedOperation(
            f"is written in opset '{opset}'; allowed: {', '.join(OPSETS)}; export for an older target"
        )
    return blocks[opset]


class _FunctionReader:
    """Reads blocks of operations and holds every name against those that were written before."""

    def __init__(self, blobs: BlobFiles) -> None:
        self._blobs = blobs
        self.written: dict[str, MilTensor] = {}

    def block(self, content: memoryview, scope: set[str]) -> MilBlock:
        """The function's block: outputs in field 2, operations in field 3."""
        operations = []
        for data in wire.messages(content, 3):
            operations.append(self._operation(schema.parse("MILSpec.Operation", data), scope, 0))
        outputs = tuple(wire.text(data) for data in wire.messages(content, 2))
        for name in outputs:
            if name not in self.written:
                raise BadInput(f"output '{name}', which no operation writes and no input is")
        return MilBlock((), tuple(operations), outputs)

    def _nested(self, block: Any, scope: set[str], depth: int) -> MilBlock:
        if depth > _MAX_BLOCK_DEPTH:
            raise BadInput(f"blocks nested more than {_MAX_BLOCK_DEPTH} deep")
        inner = scope | {value.name for value in block.inputs}
        operations = tuple(self._operation(operation, inner, depth) for operation in block.operations)
        _check_known("a block's output", block.outputs, inner)
        return MilBlock(tuple(value.name for value in block.inputs), operations, tuple(block.outputs))

    def _operation(self, operation: Any, scope: set[str], depth: int) -> MilOperation:
        check_names(operation.type, *operation.inputs, *(output.name for output in operation.outputs))
        outputs = tuple(tensor_of(output.name, output.type) for output in operation.outputs)
        name = _name_of(operation, outputs)
        check_names(name)
        try:
            inputs = dict(self._inputs(operation, scope))
            blocks = tuple(self._nested(block, scope, depth + 1) for block in operation.blocks)
        except UnsupportedOperation as error:
            raise UnsupportedOperation(f"operation '{name}' ({operation.type}): {error}") from None
        scope.update(output.name for output in outputs)
        self.written.update((output.name, output) for output in outputs)
        return MilOperation(operation.type, name, inputs, outputs, blocks)

    def _inputs(self, operation: Any, scope: set[str]) -> Iterator[tuple[str, Value]]:
        for parameter, value in operation.attributes.items():
            if parameter != "name":
                yield parameter, constant_of(value, self._blobs.read)
        for parameter, argument in operation.inputs.items():
            parts = tuple(self._bound(binding) for binding in argument.arguments)
            names = [part.name for part in parts if isinstance(part, Ref)]
            _check_known(f"operation type '{operation.type}'", names, scope)
            if not parts:
                raise BadInput(f"operation type '{operation.type}' has nothing for its parameter '{parameter}'")
            yield parameter, parts if len(parts) > 1 or parameter in _LISTS else parts[0]

    def _bound(self, binding: Any) -> Ref | Constant:
        if binding.WhichOneof("binding") == "value":
            return constant_of(binding.value, self._blobs.read)
        check_names(binding.name)
        return Ref(binding.name)


def _name_of(operation: Any, outputs: tuple[MilTensor, ...]) -> str:
    strings = (
        operation.attributes["name"].immediateValue.tensor.strings.values if "name" in operation.attributes else ()
    )
    if strings:
        return str(strings[0])
    return outputs[0].name if outputs else operation.type


def _check_known(who: str, names: Any, scope: set[str] | Mapping[str, Any]) -> None:
    for name in names:
        if name not in scope:
            raise BadInput(f"{who} reads '{name}', which nothing before it writes (a gap or a cycle)")
