"""A .tflite in the fewest bytes: what is equal is written once, what nobody reads not at all."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

# The schema wants this of the contents of buffers, and Python's packer (flatbuffers 25.12) does not look.
ALIGNMENT_BYTES = 16


def shrink(model: bytes) -> bytes:
    """The same model, packed anew.

    An int8 file has 8 bytes of zero point for every channel, nearly all of them 0, and 100 bytes of name for every
    tensor: a tenth of a small model. Names of the graph's own inputs and outputs stay, and so does the signature,
    which apps address tensors by.
    """
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    for buffer in parsed.buffers:
        if buffer.offset:  # AEQ puts data behind the flatbuffer, where another length would shift them
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    _drop_empty_buffers(parsed)
    for graph in parsed.subgraphs:
        outside = {*map(int, graph.inputs), *map(int, graph.outputs)}
        for number, tensor in enumerate(graph.tensors):
            if number not in outside:
                tensor.name = b""  # not None: readers in C++ may ask for its length
            if tensor.quantization is not None and not _size(tensor.quantization.scale):
                tensor.quantization = None
    builder = _SharingBuilder(len(model))
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _drop_empty_buffers(model: Any) -> None:
    """Point all that is not constant to buffer 0, which is empty by the schema, and drop the others like it."""
    full = [number for number, buffer in enumerate(model.buffers) if number and _size(buffer.data)]
    moved = {old: new for new, old in enumerate(full, 1)}
    for user in (*(t for graph in model.subgraphs for t in graph.tensors), *(model.metadata or ())):
        user.buffer = moved.get(user.buffer, 0)
    model.buffers = [model.buffers[0], *(model.buffers[number] for number in full)]


def _size(vector: NDArray[Any] | list[Any] | None) -> int:
    return 0 if vector is None else len(vector)


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Takes back a vector, string or table that was written before, and refers to the first one.

    Offsets of a flatbuffer may share their targets, so this is the same model for every reader. Children are written
    before their parents: equal tables have equal offsets by the time they are compared.
    """

    vtables: dict[Hashable, int]  # of flatbuffers: where each description of a table's fields was written

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self._written: dict[Hashable, int] = {}
        self._start = 0  # where the present vector or table began, counted from the end of the file
        self._parts: list[Hashable] = []  # its content, with offsets as the places that they lead to
        self._width = 0  # bytes of an element, 0 for a string

    def _share(self, offset: int, content: Hashable) -> int:
        first = self._written.setdefault(content, offset)
        if first != offset:
            self.head = len(self.Bytes) - self._start
            # Other padding may have given a table that is taken back a description of its own, which goes with it.
            self.vtables = {key: place for key, place in self.vtables.items() if place <= self._start}
        return first

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802
        self._start, self._parts, self._width = self.Offset(), [], elemSize
        return super().StartVector(elemSize, numElems, ALIGNMENT_BYTES if elemSize == 1 else alignment)

    def PrependUOffsetTRelative(self, off: int) -> None:  # noqa: N802
        super().PrependUOffsetTRelative(off)
        self._parts.append(off)

    def EndVector(self, numElems: int | None = None) -> int:  # noqa: N802
        if not self._width:
            return super().EndVector()
        elements = self.vectorNumElems
        offset = super().EndVector()
        end = self.head + 4 + elements * self._width  # behind the length
        return self._share(offset, (self._width, *(self._parts or [bytes(self.Bytes[self.head : end])])))

    def CreateString(self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802
        self._start, self._width = self.Offset(), 0
        return self._share(super().CreateString(s, encoding, errors), s)

    def StartObject(self, numfields: int) -> None:  # noqa: N802
        self._start, self._parts = self.Offset(), []
        super().StartObject(numfields)

    def PrependSlot(self, flags: Any, o: int, x: Any, d: Any) -> None:  # noqa: N802
        before = self.current_vtable[o]
        super().PrependSlot(flags, o, x, d)
        if self.current_vtable[o] != before:  # a default is not written
            self._parts.append((o, bytes(self.Bytes[self.head : self.head + flags.bytewidth])))

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None:  # noqa: N802
        super().PrependUOffsetTRelativeSlot(o, x, d)
        if x != d:
            self._parts[-1] = (o, x)

    def EndObject(self) -> int:  # noqa: N802
        fields = len(self.current_vtable)
        return self._share(super().EndObject(), ("table", fields, *self._parts))
