"""A Core ML package in fewer bytes: the same operations on the same numbers.

coremltools 9.0 writes every constant of every operation anew, under names of up to 60 characters, and gives each small
vector 128 bytes of table and padding in the weight file.
"""

from __future__ import annotations

import hashlib
import json
import struct
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdk_build.errors import LoweringError

# What coremltools leaves behind for ExecuTorch's profiler; the package's manifest does not list it.
DEBUG_FILE = "executorch_debug_handle_mapping.json"
INLINE_BYTES = 1024  # at most; larger weights stay where Core ML can map them from disk
REFERENCE_BYTES = 48  # what the program spends on a reference into the weight file

# The weight file: a header of 64 bytes (count of entries, version 2), then entries at multiples of 64. Each has a table
# of 64 bytes (mark, type, size in bytes, place of the data, padding in bits) and its data.
BLOCK_BYTES = 64
HEADER = struct.Struct("<II")
ENTRY = struct.Struct("<IIQQQ")
MARK = 0xDEADBEEF

# The rest count as one: an operation has the same name in every precision, for sdk_build.mil.compare_traces.
NAME_PREFIXES = {"const": "c", "cast": "t", "quantize": "q", "dequantize": "d"}

Entry = tuple[int, int, bytes]  # type, padding in bits, data


def shrink(package: Path) -> None:
    """Rewrite an .mlpackage in place: equal constants once, small ones in the program, short names.

    Names of inputs and outputs stay. Everything is as Core ML of iOS 15 reads it.

    Raises:
        LoweringError: the weight file is not what coremltools 9 writes.
    """
    from coremltools.proto import Model_pb2

    folder = package / "Data" / "com.apple.CoreML"
    model = Model_pb2.Model()
    model.ParseFromString((folder / "model.mlmodel").read_bytes())
    function = model.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    weights = folder / "weights" / "weight.bin"
    content = weights.read_bytes() if weights.is_file() else b""
    _merge_entries(block, content)
    _share_constants(block)
    if content:
        weights.write_bytes(_pack_weights(block, content))
    _shorten_names(block, {*(tensor.name for tensor in function.inputs), *block.outputs})
    (folder / "model.mlmodel").write_bytes(model.SerializeToString(deterministic=True))
    (package / DEBUG_FILE).unlink(missing_ok=True)
    _name_by_content(package)


def content_uuid(root: Path) -> str:
    """A UUID that two files or folders share only if they hold the same: for identifiers that tools draw at random."""
    digest = hashlib.sha256()
    for file in [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return str(uuid.UUID(bytes=digest.digest()[:16], version=5))


def _name_by_content(package: Path) -> None:
    """Let the same network give the same bytes: coremltools draws the identifiers of the package's parts at random."""
    path = package / "Manifest.json"
    manifest = json.loads(path.read_text())
    entries = manifest["itemInfoEntries"]
    names = {old: content_uuid(package / "Data" / entry["path"]) for old, entry in entries.items()}
    manifest["itemInfoEntries"] = {names[old]: entry for old, entry in entries.items()}
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    path.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n")


def _merge_entries(block: Any, content: bytes) -> None:
    """Refer to the first of equal entries."""
    first: dict[Entry, int] = {}
    for value in _stored_values(block):
        place = value.blobFileValue.offset
        value.blobFileValue.offset = first.setdefault(_read_entry(content, place), place)


def _pack_weights(block: Any, content: bytes) -> bytes:
    """The weight file without gaps, and without what is smaller in the program."""
    values = list(_stored_values(block))
    entries = [_read_entry(content, value.blobFileValue.offset) for value in values]
    uses = Counter(entries)
    packed = bytearray(BLOCK_BYTES)
    places: dict[Entry, int] = {}
    for value, entry in zip(values, entries, strict=True):
        kind, padding_bits, data = entry
        stored_bytes = 2 * BLOCK_BYTES + len(data) + uses[entry] * REFERENCE_BYTES  # the padding is about half a block
        if len(data) <= INLINE_BYTES and uses[entry] * len(data) < stored_bytes and _move_inline(value, data):
            continue
        if entry not in places:
            packed.extend(bytes(-len(packed) % BLOCK_BYTES))
            places[entry] = len(packed)
            table = ENTRY.pack(MARK, kind, len(data), len(packed) + BLOCK_BYTES, padding_bits)
            packed += table.ljust(BLOCK_BYTES, b"\0") + data
        value.blobFileValue.offset = places[entry]
    HEADER.pack_into(packed, 0, len(places), HEADER.unpack_from(content)[1])
    return bytes(packed)


def _stored_values(block: Any) -> Iterator[Any]:
    """What the operations keep in the weight file, in a fixed order."""
    for operation in block.operations:
        for _, value in sorted(operation.attributes.items()):
            if value.WhichOneof("value") == "blobFileValue":
                yield value


def _read_entry(content: bytes, place: int) -> Entry:
    if place + ENTRY.size <= len(content):
        mark, kind, size_bytes, start, padding_bits = ENTRY.unpack_from(content, place)
        if mark == MARK and start + size_bytes <= len(content):
            return kind, padding_bits, content[start : start + size_bytes]
    raise LoweringError(
        f"weight.bin has no entry at byte {place} of {len(content)}; only files of coremltools 9 can be rewritten"
    )


def _move_inline(value: Any, data: bytes) -> bool:
    """Put data into the program, in the form that coremltools gives to fewer than ten numbers; False if it has none."""
    from coremltools.proto import MIL_pb2

    kind = value.type.tensorType.dataType
    if kind in (MIL_pb2.FLOAT16, MIL_pb2.INT8, MIL_pb2.UINT8):
        value.immediateValue.tensor.bytes.values = data
    elif kind == MIL_pb2.FLOAT32:
        value.immediateValue.tensor.floats.values.extend(struct.unpack(f"<{len(data) // 4}f", data))
    else:
        return False
    return True


def _share_constants(block: Any) -> None:
    """One operation for constants of the same type and value."""
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    kept = []
    for operation in block.operations:
        for argument in (a for given in operation.inputs.values() for a in given.arguments):
            argument.name = same.get(argument.name, argument.name)
        if operation.type == "const" and operation.outputs[0].name not in block.outputs:
            name = operation.outputs[0].name
            same[name] = first.setdefault(operation.attributes["val"].SerializeToString(deterministic=True), name)
            if same[name] != name:
                continue
        kept.append(type(operation).FromString(operation.SerializeToString()))  # deleting below empties the original
    del block.operations[:]
    block.operations.extend(kept)


def _shorten_names(block: Any, outside: set[str]) -> None:
    """Give every value but inputs and outputs a letter and a number."""
    names = {name: name for name in outside}
    counts: Counter[str] = Counter()
    for operation in block.operations:
        for argument in (a for given in operation.inputs.values() for a in given.arguments):
            argument.name = names[argument.name]
        kind = operation.type
        prefix = "w" if kind.startswith("constexpr_") else NAME_PREFIXES.get(kind, "v")
        for output in operation.outputs:
            while (name := f"{prefix}{counts[prefix]}") in outside:
                counts[prefix] += 1
            counts[prefix] += 1
            output.name = names.setdefault(output.name, name)
        operation.attributes["name"].immediateValue.tensor.strings.values[0] = operation.outputs[0].name
