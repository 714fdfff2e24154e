"""Which runtime takes which rewrite, and why (measured: docs/lowering.md)."""

from __future__ import annotations

import sdk_build.lowering.graph.activations as activations
import sdk_build.lowering.graph.attention as attention
import sdk_build.lowering.graph.convolution as convolution
import sdk_build.lowering.graph.normalization as normalization
import sdk_build.lowering.graph.padding as padding
import sdk_build.lowering.graph.pieces as pieces
import sdk_build.lowering.graph.pooling as pooling
import sdk_build.lowering.graph.reductions as reductions
import sdk_build.lowering.graph.resize as resize
from sdk_build.lowering.graph.inline import Table, aten

# Choices between two values by a mask of bools, which no XNNPACK takes.
_SELECTS: Table = {
    aten.softplus.default: activations.softplus,
    aten.mish.default: activations.mish,
    aten.log_sigmoid.default: activations.log_sigmoid,
    aten.elu.default: activations.elu,
    aten.celu.default: activations.celu,
    aten.selu.default: activations.selu,
}
# Resizing that most converters refuse or get wrong.
_FILTERS: Table = {
    aten._upsample_bilinear2d_aa.vec: resize.bilinear_antialiased,
    aten._upsample_bicubic2d_aa.vec: resize.bicubic_antialiased,
    aten.upsample_bicubic2d.vec: resize.bicubic,
}
_PADDING: Table = {
    aten.pad.default: padding.pad,
    aten.reflection_pad1d.default: padding.reflect,
    aten.reflection_pad2d.default: padding.reflect,
    aten.replication_pad1d.default: padding.replicate,
    aten.replication_pad2d.default: padding.replicate,
}

# XNNPACK in ExecuTorch has sums and products of tensors, means of planes, slices and concatenations; the rest of a
# network is written in those.
_EXECUTORCH: Table = {
    **_SELECTS,
    **_FILTERS,
    aten.avg_pool2d.default: pooling.average,
    aten.adaptive_avg_pool2d.default: pooling.adaptive_average,
    aten.adaptive_max_pool2d.default: pooling.adaptive_maximum,
    **_PADDING,
    aten.layer_norm.default: normalization.layer_norm,
    aten.rms_norm.default: normalization.rms_norm,
    aten.group_norm.default: normalization.group_norm,
    aten.instance_norm.default: normalization.instance_norm,
    aten.linalg_vector_norm.default: normalization.vector_norm,
    aten.gelu.default: activations.gelu,
    aten.pow.Tensor_Scalar: activations.power,
    aten.addcmul.default: activations.addcmul,
    aten.addcdiv.default: activations.addcdiv,
    aten.scaled_dot_product_attention.default: attention.attention,
    aten.softmax.int: attention.softmax,
    aten.matmul.default: attention.product,
    aten.amax.default: reductions.maximum,
    aten.alias.default: pieces.same,
    aten.mean.dim: reductions.mean,
    aten.mean.default: reductions.mean_of_all,
    aten.sum.dim_IntList: reductions.total,
    aten.sum.default: reductions.total_of_all,
    aten.var.correction: reductions.variance,
    aten.var.dim: reductions.variance_dim,
    aten.std.correction: reductions.deviation,
    aten.std.dim: reductions.deviation_dim,
    aten.split_with_sizes.default: pieces.split_with_sizes,
    aten.split.Tensor: pieces.split,
    aten.split.sizes: pieces.split_with_sizes,
    aten.chunk.default: pieces.chunk,
    aten.unbind.int: pieces.unbind,
    aten.select.int: pieces.select,
    aten.slice.Tensor: pieces.strided_slice,
    aten.squeeze.dim: pieces.squeeze,
    aten.squeeze.dims: pieces.squeeze,
    aten.squeeze.default: pieces.squeeze,
    aten.unsqueeze.default: pieces.unsqueeze,
    aten.stack.default: pieces.stack,
    aten.roll.default: pieces.roll,
    aten.repeat.default: pieces.repeat,
    aten.repeat_interleave.self_int: pieces.repeat_interleave,
    aten.glu.default: pieces.glu,
    aten.upsample_nearest2d.vec: resize.nearest_as_copies,
    aten.conv3d.default: convolution.conv3d,
}
# LiteRT's XNNPACK takes normalisations and attention as they are converted.
_LITERT: Table = {
    **_SELECTS,
    **_FILTERS,
    aten.avg_pool2d.default: pooling.average_divided,
    aten.adaptive_avg_pool2d.default: pooling.adaptive_average_uneven,
    aten.adaptive_max_pool2d.default: pooling.adaptive_maximum,
    **_PADDING,
    aten.pow.Tensor_Scalar: activations.whole_power,
    aten.repeat.default: pieces.repeat,
    aten.repeat_interleave.self_int: pieces.repeat_interleave,
    aten.upsample_nearest2d.vec: resize.nearest_as_copies,
    aten.conv_transpose2d.input: convolution.transposed,
}
# Core ML places operations itself; only what its converter refuses or gets wrong is rewritten.
_CORE_ML: Table = {
    **_FILTERS,
    aten.rms_norm.default: normalization.scaled_rms_norm,
    aten.avg_pool2d.default: pooling.average_divided,
    aten.addcmul.default: activations.addcmul,
    aten.alias.default: pieces.same,
    aten.sum.default: reductions.total_of_all,
}
_CORE_AI: Table = {
    **_FILTERS,
    aten.adaptive_max_pool2d.default: pooling.adaptive_maximum,
    # Apple's interpreter (coreai-core 1.0.0b3) computes them in half precision many times as slowly as in float32, so
    # that the proof of a volume took minutes; convolutions are as fast in both.
    aten.conv_transpose2d.input: convolution.interleaved,
}

# Behind all others: an expansion that an operation needs, because it doesn't broadcast by itself.
LATE: dict[str, Table] = {"executorch": {aten.expand.default: pieces.expand}}
# Core ML names a tensor once: an output can't be an input or another output.
OWN_OUTPUTS = {"coreml", "executorch_coreml"}
TABLES: dict[str, Table] = {
    "executorch": _EXECUTORCH,
    "litert": _LITERT,
    "coreml": _CORE_ML,
    "executorch_coreml": _CORE_ML,
    "coreai": _CORE_AI,
}
