"""Compressing the weights of a converted Core AI program (coreai-opt 0.3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from sdk_build.backends.quantizers.recipes import Recipe
from sdk_build.errors import LoweringError

SMALLEST = 512  # weights in a tensor; smaller ones cost more in scales than they save
# Inputs that share a scale in 4 bits. The longest that divides a tensor is taken; coreai-opt takes no other.
BLOCKS = (32, 16, 8)
# A recipe that reaches less than this share of a network's weights is no compression worth its name.
LEAST = 0.8
CONSTANTS = {"coreai.constant"}
SCALED = {"coreai.blockwise_shift_scale"}
TRANSPOSED = {"coreai.conv_transpose2d"}


def compress_weights(program: Any, recipe: Recipe, name: str) -> Any:
    """The program with int8 weights per output channel, or int4 in blocks along the inputs where they divide.

    Args:
        name: of the model, for the message.

    Raises:
        LoweringError: most weights would stay float: coreai-opt compresses those of 2-D convolutions, products and
            look-ups alone.
    """
    from coreai_opt.coreai_utils import CompressionGranularity, DType

    held = count_floats(program)
    if recipe.weights == "int4":
        for size in BLOCKS:
            block = {"granularity": CompressionGranularity.PER_BLOCK, "block_size": size}
            program = _quantize(program, DType.INT4, weight_num_threshold=SMALLEST, **block)
    program = _quantize(program, DType.INT8, weight_num_threshold=SMALLEST)
    reached = 1 - count_floats(program) / max(held, 1)
    if reached < LEAST:
        raise LoweringError(
            f"Core AI's {recipe.name} reaches {reached:.0%} of the weights of {name}, at least {LEAST:.0%} are needed "
            "(coreai-opt takes those of 2-D convolutions and products alone); export it in fp16"
        )
    return program


def _quantize(program: Any, dtype: Any, **options: Any) -> Any:
    """coreai-opt's own pass, which knows no transposed convolution: their weights get a scale per input channel."""
    from coreai_opt.coreai_utils.passes import weight_quantization

    kept = weight_quantization._OPS_WEIGHT_NEED_COMPRESSION
    weight_quantization._OPS_WEIGHT_NEED_COMPRESSION = kept | TRANSPOSED
    try:
        return weight_quantization.quantize_weights(program, dtype, **options)
    finally:
        weight_quantization._OPS_WEIGHT_NEED_COMPRESSION = kept


def count_floats(program: Any) -> int:
    """Values in a program's large constants that are float and no scales of others."""
    from coreai._compiler.ir import IntegerType, WalkResult

    sizes = []

    def look(operation: Any) -> Any:
        if operation.name not in CONSTANTS:
            return WalkResult.ADVANCE
        kind = operation.result.type
        readers = {use.owner.name for use in operation.result.uses}  # none: it was replaced, and lingers
        if readers - SCALED:
            sizes.append(0 if isinstance(kind.element_type, IntegerType) else int(np.prod(kind.shape)))
        return WalkResult.ADVANCE

    program._module._mlir_module.operation.walk(look)
    return sum(size for size in sizes if size > SMALLEST)
