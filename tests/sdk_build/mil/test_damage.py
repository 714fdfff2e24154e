"""Damaged, hostile and foreign files: one line that names what is wrong, and never anything else."""

from __future__ import annotations

import json
import random
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sdk_build.mil.files.schema as schema
from sdk_build.errors import BadInput, OnParError, UnsupportedOperation
from sdk_build.mil import EmulatedCoreML
from sdk_build.mil.__main__ import main

DAMAGES = 250
SPEC, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"
FLOAT32, INT32 = 11, 23


def _tensor_type(kind: Any, dtype: int, *shape: int) -> None:
    kind.tensorType.dataType, kind.tensorType.rank = dtype, len(shape)
    for size in shape:
        kind.tensorType.dimensions.add().constant.size = size


def _operation(block: Any, op_type: str, output: str, shape: tuple[int, ...], **inputs: str) -> Any:
    operation = block.operations.add(type=op_type)
    for parameter, name in inputs.items():
        operation.inputs[parameter].arguments.add(name=name)
    _tensor_type(operation.outputs.add(name=output).type, FLOAT32, *shape)
    return operation


def _model() -> Any:
    """y = relu(x + weights), with the twelve weights in the weight file."""
    model = schema.message_class("Model")(specificationVersion=8)
    for side, name in ((model.description.input, "x"), (model.description.output, "y")):
        feature = side.add(name=name)
        feature.type.multiArrayType.dataType = 65568
        feature.type.multiArrayType.shape.extend([3, 4])
    model.mlProgram.version = 1
    function = model.mlProgram.functions["main"]
    function.opset = "CoreML7"
    _tensor_type(function.inputs.add(name="x").type, FLOAT32, 3, 4)
    block = function.block_specializations["CoreML7"]
    block.outputs.append("y")
    value = _operation(block, "const", "w", (3, 4)).attributes["val"]
    _tensor_type(value.type, FLOAT32, 3, 4)
    value.blobFileValue.fileName, value.blobFileValue.offset = "@model_path/weights/weight.bin", 64
    _operation(block, "add", "s", (3, 4), x="x", y="w")
    _operation(block, "relu", "y", (3, 4), x="s")
    return model


def _block(model: Any) -> Any:
    return model.mlProgram.functions["main"].block_specializations["CoreML7"]


def _write(model: Any, path: Path) -> Path:
    (path / WEIGHTS).parent.mkdir(parents=True)
    (path / SPEC).write_bytes(model.SerializeToString())
    weights = np.arange(-6, 6, dtype=np.float32).tobytes()
    entry = struct.pack("<IIQQQ", 0xDEADBEEF, 2, len(weights), 128, 0).ljust(64, b"\0")
    (path / WEIGHTS).write_bytes(struct.pack("<II", 1, 2).ljust(64, b"\0") + entry + weights)
    item = {"path": "com.apple.CoreML/model.mlmodel"}
    (path / "Manifest.json").write_text(json.dumps({"itemInfoEntries": {"a": item}, "rootModelIdentifier": "a"}))
    return path


def _refused(change: Callable[[Any], None], path: Path, error: type[OnParError] = BadInput) -> str:
    model = _model()
    change(model)
    with pytest.raises(error) as caught:
        EmulatedCoreML(_write(model, path / "net.mlpackage"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_package_itself_runs(tmp_path: Path) -> None:
    x = np.ones((3, 4), np.float32)
    result = EmulatedCoreML(_write(_model(), tmp_path / "net.mlpackage")).predict({"x": x})["y"]
    np.testing.assert_array_equal(result, np.maximum(np.arange(-6, 6).reshape(3, 4) + 1, 0))


def _damaged(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data))
    kind = rng.randrange(5)
    if kind == 0:
        del data[place:]
    elif kind == 1:
        data[place:place] = rng.randbytes(rng.randrange(1, 16))
    elif kind == 2:
        data[place : place + 16] = bytes(len(data[place : place + 16]))
    elif kind == 3:
        data[place] = rng.randrange(256)
    else:
        data[place] ^= 1 << rng.randrange(8)


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_an_error_or_still_a_model(seed: int, tmp_path: Path) -> None:
    """Nothing but OnPar's own errors, in one line, and little memory; some damage leaves a model that runs."""
    whole, rng = _write(_model(), tmp_path / "whole.mlpackage"), random.Random(seed)
    messages = []
    path = tmp_path / "net.mlpackage"
    tracemalloc.start()
    for _ in range(DAMAGES // 4):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(whole, path)
        file = path / rng.choice([SPEC, SPEC, SPEC, WEIGHTS, "Manifest.json"])
        data = bytearray(file.read_bytes())
        _damaged(data, rng)
        file.write_bytes(data)
        try:
            EmulatedCoreML(path).predict({"x": np.ones((3, 4), np.float32)})
        except OnParError as error:
            messages.append(str(error))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(messages) > DAMAGES // 16
    assert not [message for message in messages if "\n" in message]
    assert peak < 4_000_000


def test_a_picture_larger_than_any(tmp_path: Path) -> None:
    """In the older format no program says another size, and its layers would fill gigabytes."""
    model = schema.message_class("Model")()
    model.specificationVersion = 4
    for feature in (model.description.input.add(name="image"), model.description.output.add(name="same")):
        image = feature.type.imageType
        image.width, image.height, image.colorSpace = 1 << 20, 32, 10
    layer = model.neuralNetwork.layers.add(name="same", input=["image"], output=["same"])
    layer.activation.ReLU.SetInParent()
    path = tmp_path / "old.mlmodel"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadInput, match="1048576 x 32 pixels; allowed: .* sides of at most 16384"):
        EmulatedCoreML(path)


def test_offsets_outside_the_weight_file(tmp_path: Path) -> None:
    def move(model: Any) -> None:
        _block(model).operations[0].attributes["val"].blobFileValue.offset = 1 << 40

    assert "weight.bin has no entry at byte 1099511627776 of 176" in _refused(move, tmp_path)


def test_data_of_an_entry_outside_the_weight_file(tmp_path: Path) -> None:
    path = _write(_model(), tmp_path / "net.mlpackage")
    content = bytearray((path / WEIGHTS).read_bytes())
    struct.pack_into("<Q", content, 64 + 16, 1 << 50)
    (path / WEIGHTS).write_bytes(content)
    with pytest.raises(BadInput, match="has no entry at byte 64 of 176"):
        EmulatedCoreML(path)


def test_weight_files_outside_the_package(tmp_path: Path) -> None:
    def leave(model: Any) -> None:
        _block(model).operations[0].attributes["val"].blobFileValue.fileName = "@model_path/../../../secret.bin"

    (tmp_path / "secret.bin").write_bytes(bytes(500))
    assert "weight file @model_path/../../../secret.bin is not in the package" in _refused(leave, tmp_path)


def test_names_that_no_message_could_show(tmp_path: Path) -> None:
    def rename(model: Any) -> None:
        _block(model).operations[0].attributes["val"].blobFileValue.fileName = "weight\n.bin"

    assert r"a name with control characters ('weight\n.bin')" in _refused(rename, tmp_path)


def test_a_manifest_that_leads_outside(tmp_path: Path) -> None:
    path = _write(_model(), tmp_path / "net.mlpackage")
    text = (path / "Manifest.json").read_text()
    (path / "Manifest.json").write_text(text.replace("com.apple.CoreML/", "../../whole/"))
    with pytest.raises(BadInput, match="names ../../whole/model.mlmodel, outside the package"):
        EmulatedCoreML(path)


def test_weights_of_another_shape(tmp_path: Path) -> None:
    def grow(model: Any) -> None:
        _block(model).operations[0].attributes["val"].type.tensorType.dimensions[0].constant.size = 4

    assert "holds type 2 in 48 bytes, the program fp32 (4, 4)" in _refused(grow, tmp_path)


@pytest.mark.parametrize("where", ["constant", "output"])
def test_shapes_of_two_to_the_forty(where: str, tmp_path: Path) -> None:
    def grow(model: Any) -> None:
        operation = _block(model).operations[0]
        kind = operation.attributes["val"].type if where == "constant" else operation.outputs[0].type
        kind.tensorType.dimensions[0].constant.size = 1 << 40

    assert "has shape (1099511627776, 4); allowed: up to 8589934592 numbers" in _refused(grow, tmp_path)


def test_a_constant_that_asks_for_a_terabyte_when_the_model_runs(tmp_path: Path) -> None:
    def fill(model: Any) -> None:
        block = _block(model)
        del block.operations[:]
        value = _operation(block, "const", "m", (2,)).attributes["val"]
        _tensor_type(value.type, INT32, 2)
        value.immediateValue.tensor.ints.values.extend([1 << 20, 1 << 20])
        block.operations[0].outputs[0].type.tensorType.dataType = INT32
        fill_operation = _operation(block, "fill", "y", (3, 4))
        fill_operation.inputs["shape"].arguments.add(name="m")

    model = _model()
    fill(model)
    emulated = EmulatedCoreML(_write(model, tmp_path / "net.mlpackage"))
    with pytest.raises(OnParError, match=r"a tensor of shape \(1048576, 1048576\); allowed: up to 1073741824 numbers"):
        emulated.predict({"x": np.ones((3, 4), np.float32)})


def test_a_picture_of_another_size_than_the_program_takes(tmp_path: Path) -> None:
    def describe(model: Any) -> None:
        image = model.description.input[0].type.imageType
        image.height, image.width, image.colorSpace = 1 << 12, 4, 20

    message = _refused(describe, tmp_path)
    assert "picture 'x' is described as (4096, 4), the program takes (3, 4)" in message


def test_cycles(tmp_path: Path) -> None:
    def turn(model: Any) -> None:
        _block(model).operations[1].inputs["x"].arguments[0].name = "y"

    assert "reads 'y', which nothing before it writes (a gap or a cycle)" in _refused(turn, tmp_path)


def test_unknown_opsets_are_named_with_what_is_known(tmp_path: Path) -> None:
    def renew(model: Any) -> None:
        function = model.mlProgram.functions["main"]
        function.block_specializations["CoreML42"].CopyFrom(_block(model))
        function.opset = "CoreML42"

    message = _refused(renew, tmp_path, UnsupportedOperation)
    assert "is written in opset 'CoreML42'; allowed: CoreML5, CoreML6, CoreML7, CoreML8, CoreML9" in message


def test_the_commands_count_an_unknown_opset_as_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = _model()
    function = model.mlProgram.functions["main"]
    function.block_specializations["CoreML42"].CopyFrom(_block(model))
    function.opset = "CoreML42"
    path = str(_write(model, tmp_path / "net.mlpackage"))
    for arguments in (["inspect", path], ["run", path, "--random", "1"], ["compare", path, path, "--random", "1"]):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("UnsupportedOperation: ")
        assert error.count("\n") == 1


def test_a_bomb_of_empty_messages_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    """A megabyte that would become a hundred: dimensions of two bytes each, inside one operation."""
    path = _write(_model(), tmp_path / "net.mlpackage")
    empty = b"\x1a\x00" * 500_000  # TensorType.dimensions

    def wrapped(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size >= 0x80:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        key, head = number << 3 | 2, b""
        while key >= 0x80:
            head, key = head + bytes([key & 0x7F | 0x80]), key >> 7
        return head + bytes([key]) + length + bytes([size]) + data

    operation = wrapped(1, b"relu") + wrapped(3, wrapped(1, b"y") + wrapped(2, wrapped(1, empty)))
    block = wrapped(2, b"y") + wrapped(3, operation)
    function = wrapped(2, b"CoreML7") + wrapped(3, wrapped(1, b"CoreML7") + wrapped(2, block))
    program = wrapped(2, wrapped(1, b"main") + wrapped(2, function))
    (path / SPEC).write_bytes(b"\x08\x08" + wrapped(502, program))
    tracemalloc.start()
    with pytest.raises(BadInput, match="that unfold to more than 250"):
        EmulatedCoreML(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 1_000_000


def test_a_model_that_fails_when_it_runs_counts_as_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 is kept for a difference that ``compare`` found."""
    model = _model()
    _block(model).operations[1].outputs[0].type.tensorType.dimensions[0].constant.size = 2
    path = str(_write(model, tmp_path / "net.mlpackage"))
    for arguments in (["run", path], ["trace", path], ["compare", path, path]):
        assert main([*arguments, "--random", "1"]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("LoweringError: net.mlpackage operation 's' (add): output 's' has shape (3, 4)")
        assert (printed.err.count("\n"), printed.out) == (1, "")


def test_deep_nesting(tmp_path: Path) -> None:
    def nest(model: Any) -> None:
        operation = _block(model).operations.add(type="cond")
        for _ in range(60):
            operation = operation.blocks.add().operations.add(type="cond")

    assert "is damaged: " in _refused(nest, tmp_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "treeEnsembleClassifier",
            "holds a treeEnsembleClassifier; allowed: an ML program, a pipeline, or a neural network",
        ),
        ("serializedModel", "is sealed by Apple (serializedModel)"),
        ("pipeline", "is a pipeline without models"),
    ],
)
def test_other_kinds_are_named(kind: str, message: str, tmp_path: Path) -> None:
    model = schema.message_class("Model")(specificationVersion=8)
    getattr(model, kind).SetInParent()
    path = tmp_path / "other.mlmodel"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadInput) as caught:
        EmulatedCoreML(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "word"), [((), "is compiled (.mlmodelc)"), (("encryptionInfo",), "is compiled and encrypted")]
)
def test_compiled_models_are_named(extra: tuple[str, ...], word: str, tmp_path: Path) -> None:
    path = tmp_path / "net.mlmodelc"
    path.mkdir()
    for name in ("coremldata.bin", *extra):
        (path / name).write_bytes(b"x")
    with pytest.raises(BadInput) as caught:
        EmulatedCoreML(path)
    assert word in str(caught.value)
    assert "can't be read; allowed: the .mlpackage or .mlmodel that it was compiled from" in str(caught.value)


def test_an_encrypted_file_is_said_to_be_perhaps_one(tmp_path: Path) -> None:
    path = tmp_path / "net.mlmodel"
    path.write_bytes(random.Random(0).randbytes(4000))
    with pytest.raises(BadInput, match="is damaged or encrypted: "):
        EmulatedCoreML(path)


@pytest.mark.parametrize("content", [b"", b"\x08"])
def test_an_empty_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.mlmodel"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="is damaged"):
        EmulatedCoreML(path)
