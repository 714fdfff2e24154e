"""Compressing the weights of a converted Core ML model (coremltools 9)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sdk_build.backends.quantizers.recipes import FEW_CHANNELS, Recipe

SMALLEST = 512  # weights in a tensor; smaller ones cost more in tables than they save

LINEAR = {
    "mode": "linear_symmetric",
    "dtype": "int8",
    "granularity": "per_channel",
    "weight_threshold": SMALLEST,
}
# Operations whose constants are weights. Left to itself, coremltools takes every constant: 8 bits for the places of a
# detector's cells, or for the means of what face3d reads, cost more than all weights together.
WEIGHTED = ("conv", "conv_transpose", "linear", "matmul")


@functools.cache
def mend_passes() -> None:
    """Let coremltools merge dequantise, reshape and quantise into a reshape of integers where both scales are equal.

    coremltools 9.0 does not compare them: 19 dB where the program had 40, or an error where one side is signed and the
    other is not. The optimisation is part of every conversion and of every compression of weights. Can go once it
    compares.
    """
    from coremltools.converters.mil.mil.passes.defs.optimize_quantization import int_op_canonicalization

    match = int_op_canonicalization.match_pattern

    def match_equal(self: Any, operation: Any) -> Any:
        found = match(self, operation)
        return found if found and _same_scale(*found) else None

    int_op_canonicalization.match_pattern = match_equal


def _same_scale(dequantize: Any, quantize: Any) -> bool:
    """True if integers mean the same numbers on both sides."""

    def point(operation: Any) -> Any:
        return 0 if operation.zero_point is None else operation.zero_point.val

    same = np.array_equal(dequantize.scale.val, quantize.scale.val) and np.array_equal(
        point(dequantize), point(quantize)
    )
    return same and dequantize.input.dtype == quantize.outputs[0].dtype


def compress_weights(model: Any, recipe: Recipe) -> Any:
    """The model with int8 or palettised weights; it computes as before."""
    from coremltools.optimize import coreml as compress

    mend_passes()
    palette = recipe.weights == "palette6"
    config = (
        compress.OpPalettizerConfig(mode="kmeans", nbits=6, weight_threshold=SMALLEST)
        if palette
        else compress.OpLinearQuantizerConfig(**LINEAR)
    )
    chosen = compress.OptimizationConfig(
        op_type_configs=dict.fromkeys(WEIGHTED, config), op_name_configs=dict.fromkeys(_few_channels(model))
    )
    return (compress.palettize_weights if palette else compress.linear_quantize_weights)(model, chosen)


def _few_channels(model: Any) -> list[str]:
    """Names of products that stay float: see :data:`sdk_build.backends.quantizers.recipes.FEW_CHANNELS`."""
    from coremltools.optimize import coreml as compress

    return [
        name
        for name, weight in compress.get_weights_metadata(model, SMALLEST).items()
        if len(weight.val) <= FEW_CHANNELS and any(child.op_type == "linear" for child in weight.child_ops)
    ]
