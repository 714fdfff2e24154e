"""A .tflite packed anew is the same model, smaller, with its data where the schema wants them."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from sdk_build.backends import litert
from sdk_build.backends.quantizers import shrink_tflite, tflite
from sdk_build.backends.quantizers.recipes import FLOAT, get_recipe
from sdk_build.backends.quantizers.shrink_tflite import shrink
from sdk_build.quiet import quiet

PRECISIONS = ("fp32", "fp16", "w8")


@pytest.fixture(scope="module")
def models(network, spec):
    """What the toolchain writes, by precision."""
    with quiet(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(tflite, "SMALL", 0)  # all weights of this network are
        model = litert.convert(network, spec)
        halved, bytewise = (tflite.quantize(model, get_recipe(precision), FLOAT) for precision in PRECISIONS[1:])
    return dict(zip(PRECISIONS, (model, halved, bytewise), strict=True))


def parse(model):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))


def content_of(model, buffer):
    if buffer.offset:
        return model[buffer.offset : buffer.offset + buffer.size]
    return b"" if buffer.data is None else bytes(buffer.data)


def plain(value):
    """Everything in a table but names, and numbers of buffers, as values that can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, list):
        return [plain(part) for part in value]
    if hasattr(value, "__dict__"):
        return {key: plain(part) for key, part in vars(value).items() if key not in ("name", "buffer")}
    return value


def describe(model):
    """All that a runtime reads: operations, tensors with their contents and scales, signature."""
    parsed = parse(model)
    found = [plain(parsed.operatorCodes), plain(parsed.signatureDefs)]
    for graph in parsed.subgraphs:
        for tensor in graph.tensors:
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
            found.append((plain(tensor), content_of(model, parsed.buffers[tensor.buffer])))
        found.append((plain(graph.inputs), plain(graph.outputs), plain(graph.operators)))
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_is_the_same_model(models, precision):
    before = models[precision]
    after = shrink(before)
    assert describe(after) == describe(before)
    assert len(after) < len(before)
    assert shrink(after) == after


def test_the_comparison_can_fail(models):
    parsed = parse(models["w8"])
    quantized = next(
        t for t in parsed.subgraphs[0].tensors if t.quantization is not None and t.quantization.scale is not None
    )
    quantized.quantization.scale = np.nextafter(quantized.quantization.scale, np.float32(9))
    builder = flatbuffers.Builder(0)
    builder.Finish(parsed.Pack(builder), b"TFL3")
    assert describe(bytes(builder.Output())) != describe(models["w8"])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_results_are_equal_to_the_bit(models, precision, samples):
    def run(model):
        return Interpreter(model_content=model, num_threads=1).get_signature_runner()(**samples[0])["logits"]

    before, after = run(models[precision]), run(shrink(models[precision]))
    assert np.ptp(before) > 0
    np.testing.assert_array_equal(before.view(np.uint32), after.view(np.uint32))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_data_are_aligned(models, precision):
    """Measured in the file itself; Python's packer puts them anywhere."""
    model = schema.Model.GetRootAsModel(shrink(models[precision]), 0)
    places = []
    for number in range(model.BuffersLength()):
        table = model.Buffers(number)._tab
        if field := table.Offset(4):
            places.append(table.Vector(field))
    assert len(places) >= 6
    assert {place % shrink_tflite.ALIGNMENT_BYTES for place in places} == {0}


def test_only_inputs_and_outputs_keep_their_names(models):
    graph = parse(shrink(models["w8"])).subgraphs[0]
    before = parse(models["w8"]).subgraphs[0]
    outside = [*graph.inputs, *graph.outputs]
    assert [graph.tensors[i].name for i in outside] == [before.tensors[i].name for i in outside]
    assert {t.name for i, t in enumerate(graph.tensors) if i not in outside} == {b""}


def test_equal_vectors_strings_and_tables_are_written_once():
    """Equal zero points cost nothing the second time; others cost their 8 bytes each."""

    def size(second):
        model = schema.ModelT()
        model.buffers, model.subgraphs = [schema.BufferT()], [schema.SubGraphT()]
        model.subgraphs[0].inputs = model.subgraphs[0].outputs = np.array([], np.int32)
        tensors = []
        for zeros in (np.zeros(50, np.int64), second):
            tensor = schema.TensorT()
            tensor.name, tensor.shape = b"t", np.array([50], np.int32)
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.ones(50, np.float32)
            tensor.quantization.zeroPoint = zeros
            tensors.append(tensor)
        model.subgraphs[0].tensors = tensors
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        packed = shrink(bytes(builder.Output()))
        found = parse(packed).subgraphs[0].tensors[1].quantization.zeroPoint
        np.testing.assert_array_equal(found, second)
        return len(packed)

    shared, changed = size(np.zeros(50, np.int64)), size(np.arange(50))
    assert changed - shared >= 400


@pytest.mark.parametrize("seed", range(20))
def test_any_mix_of_tables_survives(seed):
    """Tables and vectors that are equal, nearly equal, or equal in bytes but not in kind."""
    random = np.random.default_rng(seed)
    model = schema.ModelT()
    model.description = "a" * int(random.integers(3))
    model.buffers = [schema.BufferT()]
    for _ in range(random.integers(1, 8)):
        buffer = schema.BufferT()
        buffer.data = random.integers(0, 2, random.integers(0, 9)).astype(np.uint8)
        model.buffers.append(buffer)
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    for _ in range(12):
        tensor = schema.TensorT()
        tensor.name = bytes(random.integers(97, 99, random.integers(0, 3)).astype(np.uint8))
        tensor.shape = random.integers(0, 2, random.integers(0, 3)).astype(np.int32)
        tensor.type, tensor.buffer = int(random.integers(3)), int(random.integers(len(model.buffers)))
        tensor.isVariable, tensor.hasRank = bool(random.integers(2)), bool(random.integers(2))
        if random.integers(2):
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = random.integers(1, 3, 2).astype(np.float32)
            tensor.quantization.zeroPoint = random.integers(0, 2, 2)
        graph.tensors.append(tensor)
        options = [schema.Conv2DOptionsT(), schema.Pool2DOptionsT(), schema.LeakyReluOptionsT()][random.integers(3)]
        if isinstance(options, schema.LeakyReluOptionsT):
            options.alpha = float(random.choice([0.0, 0.5, 1.0]))
        else:
            options.strideW, options.strideH = (int(v) for v in random.integers(0, 2, 2))
        operator = schema.OperatorT()
        operator.inputs, operator.outputs = (random.integers(0, 2, 2).astype(np.int32) for _ in range(2))
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        graph.operators.append(operator)
    graph.inputs = graph.outputs = np.array([0], np.int32)
    model.subgraphs, model.operatorCodes, model.signatureDefs = [graph], [schema.OperatorCodeT()], []
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    before = bytes(builder.Output())
    assert describe(shrink(before)) == describe(before)
