"""Quantising a float .tflite with AI Edge Quantizer (AEQ 0.10)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdk_build.backends import Tensors
from sdk_build.backends.quantizers.recipes import FEW_CHANNELS, Quantization, Ranges, Recipe
from sdk_build.errors import LoweringError

WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE")
# Left float in w8a8. XNNPACK takes no int8 softmax, no int8 product of two activations, no int8 rectifier that a
# convolution can't fuse, and an int8 hard-swish only as a table lookup that interrupts it (20 delegates instead of
# one). Quantised graph inputs and outputs would change what an app has to pass.
FLOAT_OPERATIONS = ("HARD_SWISH", "SOFTMAX", "BATCH_MATMUL", "RELU", "INPUT", "OUTPUT")
# Weights fewer than these stay float where activations are. The first depthwise convolutions take differences of
# neighbours that are nearly alike, which 8 bits lose: eight small operations of the saliency network cost it 22 dB and
# save 3 kB of 1.2 MB. Core ML Tools leaves small weights alone as well.
SMALL = 500
# Weights of so many channels, of which nine of ten keep so many decibels under one scale for all, share it where
# nothing but the weights has 8 bits. A scale for each channel is a fortieth of a small model, and these weights gain
# nothing from it. Early layers have few channels, so that they save little, and cost saliency 12 dB.
MANY_CHANNELS, EVEN_DB = 48, 34.0
SIGNATURE = "serving_default"


def quantize(model: bytes, recipe: Recipe, quantization: Quantization) -> bytes:
    """Rewrite a float32 .tflite after a recipe.

    Args:
        quantization: ``ranges`` as :func:`observe` gives them, for a recipe that needs them.
    """
    from ai_edge_quantizer import quantizer

    work = quantizer.Quantizer(bytearray(model))
    {"float16": _halve, "int8": _to_int8}[recipe.weights](work, recipe)
    if recipe.weights == "int8" and recipe.activations == "float":
        _share_scales(work, model)
    if recipe.weights == "int8" and recipe.activations != "static":
        _keep_small(work, model)
    for unit in quantization.keep_float:
        work.update_quantization_recipe(scope_pattern(unit), _operation("ALL_SUPPORTED"), algorithm_key="no_quantize")
    if recipe.activations == "static":
        _store_in_8_bits(work, model, quantization.keep_float)
    ranges = None
    if recipe.needs_ranges:
        _refuse_dead(model, quantization)
        ranges = {
            name: {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
            for name, (low, high) in quantization.ranges.items()
        }
    result = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


@dataclass(frozen=True)
class _Weighted:
    """An operation with weights: its name in AEQ, its output's name, and the weights (channels, weights of one)."""

    operation: str
    output: str
    values: NDArray[np.float32]


def _weighted(model: bytes) -> Iterator[_Weighted]:
    """The operations with weights of a float model."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    kind = schema.BuiltinOperator
    kinds = (kind.FULLY_CONNECTED, kind.CONV_2D, kind.DEPTHWISE_CONV_2D, kind.TRANSPOSE_CONV)
    names = dict(zip(kinds, WEIGHTED, strict=True))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in parsed.operatorCodes]
    for graph in parsed.subgraphs:
        for operator in graph.operators:
            if name := names.get(codes[operator.opcodeIndex]):
                output, weights = graph.tensors[operator.outputs[0]], graph.tensors[operator.inputs[1]]
                buffer = parsed.buffers[weights.buffer]
                values = np.frombuffer(bytes(buffer.data), np.float32).reshape(weights.shape)
                if codes[operator.opcodeIndex] == kind.DEPTHWISE_CONV_2D:  # the only one whose channels come last
                    values = np.moveaxis(values, -1, 0)
                yield _Weighted(name, output.name.decode(), values.reshape(len(values), -1))


def _keep_small(work: Any, model: bytes) -> None:
    """Leave weights in float where 8 bits cost more than they save."""
    for part in filter(_needs_float, _weighted(model)):
        scope = re.escape(part.output)
        work.update_quantization_recipe(scope, _operation(part.operation), algorithm_key="no_quantize")


def _needs_float(part: _Weighted) -> bool:
    """True for weights that are small (:data:`SMALL`) or give few numbers (:data:`FEW_CHANNELS`)."""
    few = part.operation == "FULLY_CONNECTED" and len(part.values) <= FEW_CHANNELS
    return few or part.values.size < SMALL


def _is_within(part: _Weighted, units: Sequence[str]) -> bool:
    """True if one of the modules, or one below it, computes this."""
    return any(re.search(scope_pattern(unit), part.output) for unit in units)


def _store_in_8_bits(work: Any, model: bytes, units: Sequence[str]) -> None:
    """Large weights of parts that compute in float keep 8 bits in the file, as in Core ML."""
    for part in _weighted(model):
        if _is_within(part, units) and not _needs_float(part):
            work.add_weight_only_config(re.escape(part.output), _operation(part.operation), num_bits=8)


def _share_scales(work: Any, model: bytes) -> None:
    """One scale for all channels of weights that are even enough: see :data:`MANY_CHANNELS`."""
    from ai_edge_quantizer import qtyping

    for part in _weighted(model):
        if len(part.values) < MANY_CHANNELS:
            continue
        if float(np.percentile(decibels_under_one_scale(part.values), 10)) >= EVEN_DB:
            work.add_weight_only_config(
                re.escape(part.output), _operation(part.operation), num_bits=8,
                granularity=qtyping.QuantGranularity.TENSORWISE,
            )  # fmt: skip


def decibels_under_one_scale(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Signal to noise (channels,) of each channel of (channels, weights) when 8 bits span the largest weight of all.

    A channel without any weight loses nothing: infinite.
    """
    exact = values.astype(np.float64)
    scale = np.abs(exact).max() / 127 or 1.0
    noise = ((exact - np.round(exact / scale) * scale) ** 2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (exact**2).sum(1) / noise
    return np.where(noise > 0, 10 * np.log10(np.where(noise > 0, ratio, 1)), np.inf)


def _refuse_dead(model: bytes, quantization: Quantization) -> None:
    """No weights whose results were 0 in every sample: XNNPACK ends the process on the scale that follows.

    Raises:
        LoweringError: there are some.
    """
    for part in _weighted(model):
        if any(quantization.ranges.get(part.output, (1.0, 1.0))):
            continue
        if not _is_within(part, quantization.keep_float):
            raise LoweringError(
                f"litert can't hold 8 bits: {shorten(part.output).split(';')[0]!r} is 0 for every calibration sample, "
                "so that part of the network does nothing; calibrate with more samples, or train it again"
            )


def _to_int8(work: Any, recipe: Recipe) -> None:
    from ai_edge_quantizer import qtyping

    everything = _operation("ALL_SUPPORTED")
    if recipe.activations == "static":
        work.add_static_config(".*", everything, activation_num_bits=8, weight_num_bits=8)
        for name in FLOAT_OPERATIONS:
            work.update_quantization_recipe(".*", _operation(name), algorithm_key="no_quantize")
    elif recipe.activations == "dynamic":
        work.add_dynamic_config(".*", everything, num_bits=8)
        # XNNPACK leaves a dynamic depthwise convolution to the reference kernels; with int8 weights alone it takes it.
        work.add_weight_only_config(".*", _operation("DEPTHWISE_CONV_2D"), num_bits=8)
        # tflite-runtime 2.14 loads a per-channel dynamic FULLY_CONNECTED and gives garbage; per tensor is right there.
        work.add_dynamic_config(
            ".*", _operation("FULLY_CONNECTED"), num_bits=8, granularity=qtyping.QuantGranularity.TENSORWISE
        )
    else:
        # Biases stay float32, though they are a thirtieth of a small model: beside 8-bit weights XNNPACK takes no
        # float16 ones, and more than half of the operations would be left to the reference kernels.
        work.add_weight_only_config(".*", everything, num_bits=8)


def _halve(work: Any, recipe: Recipe) -> None:
    """Weights as float16 with explicit dequantisation."""
    from ai_edge_quantizer import qtyping

    half = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=half, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
    )
    for name in WEIGHTED:
        work.update_quantization_recipe(".*", _operation(name), op_config=config, algorithm_key="float_casting")


def _operation(name: str) -> Any:
    from ai_edge_quantizer import qtyping

    return qtyping.TFLOperationName[name]


def observe(model: bytes, samples: Sequence[Tensors]) -> Ranges:
    """Smallest and largest value of every activation over the calibration samples.

    AEQ's stock calibration is a moving average, which cuts the rare large values that MobileNetV3 depends on and
    costs 10 dB; the plain minimum and maximum are kept instead.
    """
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    manager = recipe_manager.RecipeManager()
    manager.add_static_config(".*", _operation("ALL_SUPPORTED"), activation_num_bits=8, weight_num_bits=8)
    work = calibrator.Calibrator(model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    work.calibrate({SIGNATURE: list(samples)}, manager)
    return {
        tensor: (float(np.min(values["min"])), float(np.max(values["max"])))
        for tensor, values in work.get_model_qsvs().items()
        if values and np.size(values["min"]) == 1
    }


def shorten(name: str) -> str:
    """A tensor's name as a path within the network, ``features.4.layers.0.0;1``; names of another form stay."""
    return name.removeprefix("network.")


def scope_pattern(unit: str) -> str:
    """A regular expression for the names of tensors that a module computes.

    They are paths of modules, each with a semicolon and a number; the network itself is ``network`` in the module that
    the converter is given. What is fused has the names of all its parts.
    """
    return rf"(^|;)network\.{re.escape(unit)}[.;]" if unit else r"(^|;)network;"
