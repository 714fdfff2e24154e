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
CONSTANTS = ("coreai.constant",)


def compress_weights(program: Any, recipe: Recipe, name: str) -> Any:
    """The program with int8 weights per output channel, or int4 in blocks along the inputs where they divide.

    Args:
        name: of the model, for the message.

    Raises:
        LoweringError: most weights would stay float: coreai-opt compresses those of ``conv2d``, products and look-ups,
            not of transposed convolutions.
    """
    from coreai_opt.coreai_utils import CompressionGranularity, DType, quantize_weights

    held = count_floats(program)
    if recipe.weights == "int4":
        for size in BLOCKS:
            block = {"granularity": CompressionGranularity.PER_BLOCK, "block_size": size}
            program = quantize_weights(program, DType.INT4, weight_num_threshold=SMALLEST, **block)
    program = quantize_weights(program, DType.INT8, weight_num_threshold=SMALLEST)
    reached = 1 - count_floats(program) / max(held, 1)
    if reached < LEAST:
        raise LoweringError(
            f"Core AI's {recipe.name} reaches {reached:.0%} of the weights of {name}, at least {LEAST:.0%} are needed "
            "(coreai-opt leaves transposed convolutions as they are); export it in fp16"
        )
    return program


def count_floats(program: Any) -> int:
    """Values in a program's large constants that are float."""
    from coreai._compiler.ir import IntegerType, WalkResult

    sizes = []

    def look(operation: Any) -> Any:
        if operation.name in CONSTANTS and any(True for _ in operation.result.uses):  # replaced ones linger
            kind = operation.result.type
            sizes.append(0 if isinstance(kind.element_type, IntegerType) else int(np.prod(kind.shape)))
        return WalkResult.ADVANCE

    program._module._mlir_module.operation.walk(look)
    return sum(size for size in sizes if size > SMALLEST)
