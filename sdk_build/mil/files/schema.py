"""Apple's protobuf schema of Core ML models, without importing coremltools.

``import coremltools`` takes about ten seconds, most of it for converters. Its generated modules hold the schema as
serialised descriptors; these are read from their source, and put into a pool of our own, so that a later import of
coremltools finds nothing of it.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import Any

import sdk_build.mil.files.wire as wire
from sdk_build.errors import BackendUnavailable, BadInput

_MARK = "AddSerializedFile("
# Empty messages take 2 bytes in a file and some 80 in memory. Programs and layers hold about one message per 8 bytes.
_SMALL_BYTES = 1 << 16
_BYTES_PER_MESSAGE = 4


@functools.cache
def _pool() -> Any:
    """A descriptor pool with every file that Model.proto needs."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    found = importlib.util.find_spec("coremltools")
    if found is None or not found.submodule_search_locations:
        raise BackendUnavailable("coremltools is not installed; it holds Apple's schema; pip install 'onpar[export]'")
    files: dict[str, Any] = {}
    for module in sorted(Path(found.submodule_search_locations[0], "proto").glob("*_pb2.py")):
        for line in module.read_text(encoding="utf-8").splitlines():
            if _MARK in line:
                literal = line[line.index(_MARK) + len(_MARK) : line.rindex(")")]
                file = descriptor_pb2.FileDescriptorProto.FromString(ast.literal_eval(literal))
                files[file.name] = file
    pool = descriptor_pool.DescriptorPool()

    def add(name: str) -> None:
        file = files.pop(name, None)
        if file is not None:
            for dependency in file.dependency:
                add(dependency)
            pool.Add(file)

    add("Model.proto")
    return pool


@functools.cache
def message_class(name: str) -> Any:
    """The class of a message such as ``Model`` or ``MILSpec.Operation``.

    Raises:
        BackendUnavailable: coremltools is not installed.
    """
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"CoreML.Specification.{name}"))


def parse(name: str, data: memoryview | bytes) -> Any:
    """Decodes one message.

    Raises:
        BadInput: The bytes are no such message, or unfold to far more memory than a model's do.
        BackendUnavailable: coremltools is not installed.
    """
    from google.protobuf.message import DecodeError

    kind = message_class(name)
    view = memoryview(data)
    if len(view) > _SMALL_BYTES:
        _check_density(view, kind.DESCRIPTOR)
    try:
        return kind.FromString(bytes(view))
    except (DecodeError, RuntimeError) as error:
        raise BadInput(f"no {name.rsplit('.', 1)[-1]}: {(str(error).splitlines() or ['undecodable'])[0]}") from None


def _check_density(view: memoryview, descriptor: Any) -> None:
    """Refuses data with more messages than a model of their size holds."""
    left = len(view) // _BYTES_PER_MESSAGE
    waiting = [(view, descriptor)]
    while waiting:
        data, kind = waiting.pop()
        inner = {number: f.message_type for number, f in kind.fields_by_number.items() if f.message_type is not None}
        for number, _, value in wire.fields(data):
            if number in inner and isinstance(value, memoryview):
                left -= 1
                if left < 0:
                    raise BadInput(
                        f"{len(view)} bytes that unfold to more than {len(view) // _BYTES_PER_MESSAGE} messages"
                    )
                if len(value):
                    waiting.append((value, inner[number]))
