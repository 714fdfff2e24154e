"""Compressing the weights of a converted Core ML model (coremltools 9)."""

from __future__ import annotations

from typing import Any

from sdk_build.quantize.recipes import Recipe

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
# Merges dequantise, reshape and quantise into a reshape of the integers without comparing the two scales
# (coremltools 9.0): 19 dB where the program had 40. Can go once the pass compares them.
WRONG_PASS = "common::int_op_canonicalization"


def passes() -> Any:
    """coremltools' default optimisations without the one that changes results."""
    import coremltools as ct

    pipeline = ct.PassPipeline()
    pipeline.remove_passes({WRONG_PASS})
    return pipeline


def compress_weights(model: Any, recipe: Recipe) -> Any:
    """The model with int8 or palettised weights; it computes as before."""
    from coremltools.optimize import coreml as compress

    if recipe.weights == "palette6":
        palette = compress.OpPalettizerConfig(mode="kmeans", nbits=6, weight_threshold=SMALLEST)
        return compress.palettize_weights(model, _for_weights(palette))
    return compress.linear_quantize_weights(model, _for_weights(compress.OpLinearQuantizerConfig(**LINEAR)))


def _for_weights(config: Any) -> Any:
    from coremltools.optimize import coreml as compress

    return compress.OptimizationConfig(op_type_configs=dict.fromkeys(WEIGHTED, config))
