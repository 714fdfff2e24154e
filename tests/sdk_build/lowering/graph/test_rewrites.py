"""Every rewrite gives what PyTorch's own operation gives, in float64, over random shapes and parameters."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk_build.lowering.graph import (
    activations,
    attention,
    convolution,
    normalization,
    padding,
    pieces,
    pooling,
    reductions,
    resize,
    tables,
)

aten = torch.ops.aten
small = st.integers(1, 4)


def values(draw, *shape):
    """Normal numbers of a random spread, about one of a thousand tensors with none but zeros among them."""
    torch.manual_seed(draw(st.integers(0, 999)))
    return torch.randn(shape, dtype=torch.float64) * draw(st.sampled_from([0.1, 1.0, 30.0]))


def any_shape(draw, least=1, most=4):
    return draw(st.lists(st.integers(1, 6), min_size=least, max_size=most))


def some_axes(draw, rank):
    axes = draw(st.lists(st.integers(0, rank - 1), min_size=1, max_size=rank, unique=True))
    return [axis - rank if draw(st.booleans()) else axis for axis in axes]


def maybe(draw, value):
    return value if draw(st.booleans()) else None


def layer_norm(draw, op=aten.layer_norm.default, rewrite=normalization.layer_norm):
    shape, tail = any_shape(draw, 0, 2), any_shape(draw, 1, 2)
    x = values(draw, *shape, *tail)
    weight, bias = maybe(draw, values(draw, *tail)), maybe(draw, values(draw, *tail))
    return op, rewrite, (x, tail, weight, bias, draw(st.sampled_from([1e-6, 1e-2])))


def rms_norm(draw, rewrite=normalization.rms_norm):
    shape = any_shape(draw, 1, 3)
    x, weight = values(draw, *shape), maybe(draw, values(draw, shape[-1]))
    return aten.rms_norm.default, rewrite, (x, [shape[-1]], weight, draw(st.sampled_from([None, 1e-6, 1e-2])))


def scaled_rms_norm(draw):
    return rms_norm(draw, normalization.scaled_rms_norm)


def group_norm(draw):
    groups, each = draw(small), draw(small)
    x = values(draw, draw(small), groups * each, *any_shape(draw, 1, 3))
    assume(x[0, 0].numel() * each > 1)
    weight, bias = (maybe(draw, values(draw, groups * each)) for _ in range(2))
    return aten.group_norm.default, normalization.group_norm, (x, groups, weight, bias, 1e-3)


def instance_norm(draw):
    channels = draw(small)
    x = values(draw, draw(small), channels, draw(st.integers(2, 5)), draw(small))
    weight, bias = (maybe(draw, values(draw, channels)) for _ in range(2))
    arguments = (x, weight, bias, None, None, True, 0.1, 1e-3, False)
    return aten.instance_norm.default, normalization.instance_norm, arguments


def batch_norm(draw, op=aten.batch_norm.default):
    channels = draw(small)
    x = values(draw, draw(small), channels, *any_shape(draw, 0, 3))
    weight, bias = (maybe(draw, values(draw, channels)) for _ in range(2))
    variance = values(draw, channels).abs() + 0.1
    arguments = (x, weight, bias, values(draw, channels), variance, False, 0.1, 1e-3, False)
    return op, normalization.batch_norm, arguments


def vector_norm(draw):
    shape = any_shape(draw)
    arguments = (values(draw, *shape), 2, some_axes(draw, len(shape)), draw(st.booleans()))
    return aten.linalg_vector_norm.default, normalization.vector_norm, arguments


def gelu(draw):
    return (
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: activations.gelu(x, approximate="tanh"),
        (values(draw, *any_shape(draw)),),
    )


def plain(op, rewrite):
    return lambda draw: (op, rewrite, (values(draw, *any_shape(draw)),))


def softplus(draw):
    arguments = (values(draw, *any_shape(draw)), draw(st.sampled_from([0.5, 1, 2])))
    return aten.softplus.default, activations.softplus, arguments


def elu(draw):
    arguments = (values(draw, *any_shape(draw)), draw(st.sampled_from([0.5, 1, 2])))
    return aten.elu.default, activations.elu, arguments


def celu(draw):
    arguments = (values(draw, *any_shape(draw)), draw(st.sampled_from([0.5, 1, 2])))
    return aten.celu.default, activations.celu, arguments


def power(draw):
    arguments = (values(draw, *any_shape(draw)).abs() + 0.1, draw(st.sampled_from([-0.5, 0.5, 2, 3, 4])))
    return aten.pow.Tensor_Scalar, activations.power, arguments


def addcmul(draw):
    shape = any_shape(draw)
    tensors = (values(draw, *shape), values(draw, shape[-1]), values(draw, *shape))
    value = draw(st.sampled_from([1, 0.5]))
    return (
        lambda *t: torch.addcmul(*t, value=value),
        lambda *t: activations.addcmul(*t, value=value),
        tensors,
    )


def addcdiv(draw):
    shape = any_shape(draw)
    tensors = (values(draw, *shape), values(draw, shape[-1]), values(draw, *shape).abs() + 1)
    value = draw(st.sampled_from([1, 0.5]))
    return (
        lambda *t: torch.addcdiv(*t, value=value),
        lambda *t: activations.addcdiv(*t, value=value),
        tensors,
    )


def scaled_attention(draw):
    batch, tokens, others, width = any_shape(draw, 1, 2), draw(small), draw(small), draw(small)
    q, k, v = (values(draw, *batch, n, width) for n in (tokens, others, others))
    mask = draw(st.sampled_from([None, values(draw, tokens, others), values(draw, *batch, tokens, others)]))
    scale = draw(st.sampled_from([None, 0.3]))
    return (
        lambda *t: F.scaled_dot_product_attention(*t, scale=scale),
        lambda *t: attention.attention(*t, scale=scale),
        (q, k, v, mask),
    )


def softmax(draw):
    shape = any_shape(draw, 2, 4)
    return aten.softmax.int, attention.softmax, (values(draw, *shape), draw(st.integers(0, len(shape) - 2)))


def product(draw):
    batch, (rows, inner, columns) = any_shape(draw, 2, 3), (draw(small) for _ in range(3))
    arguments = (values(draw, *batch, rows, inner), values(draw, *batch, inner, columns))
    return aten.matmul.default, attention.product, arguments


def maximum(draw):
    x = values(draw, draw(small), draw(small), draw(small), draw(small))
    return aten.amax.default, reductions.maximum, (x, [-1, 2], draw(st.booleans()))


def expand(draw):
    shape = any_shape(draw)
    size = [draw(st.integers(1, 12)) if n == 1 else draw(st.sampled_from([n, -1])) for n in shape]
    return aten.expand.default, pieces.expand, (values(draw, *shape), [*draw(st.sampled_from([[], [3]])), *size])


def reduction(op, rewrite):
    def draw_one(draw):
        shape = any_shape(draw)
        return op, rewrite, (values(draw, *shape), some_axes(draw, len(shape)), draw(st.booleans()))

    return draw_one


def spread(op, rewrite):
    def draw_one(draw):
        shape = draw(st.lists(st.integers(2, 6), min_size=1, max_size=4))
        axes, correction, keepdim = some_axes(draw, len(shape)), draw(st.sampled_from([0, 1])), draw(st.booleans())
        return (
            lambda x: op(x, axes, correction=correction, keepdim=keepdim),
            lambda x: rewrite(x, axes, correction=correction, keepdim=keepdim),
            (values(draw, *shape),),
        )

    return draw_one


def split_with_sizes(draw):
    sizes, dim = draw(st.lists(small, min_size=1, max_size=4)), draw(st.sampled_from([0, 1, -1]))
    shape = [3, 3]
    shape[dim] = sum(sizes)
    return aten.split_with_sizes.default, pieces.split_with_sizes, (values(draw, *shape), sizes, dim)


def split(draw):
    return aten.split.Tensor, pieces.split, (values(draw, draw(st.integers(1, 9)), 2), draw(small), 0)


def chunk(draw):
    arguments = (values(draw, 2, draw(st.integers(1, 9))), draw(st.integers(1, 9)), draw(st.sampled_from([1, -1])))
    return aten.chunk.default, pieces.chunk, arguments


def along(op, rewrite):
    def draw_one(draw):
        shape = any_shape(draw)
        return op, rewrite, (values(draw, *shape), draw(st.integers(-len(shape), len(shape) - 1)))

    return draw_one


def select(draw):
    shape = any_shape(draw)
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    index = draw(st.integers(-shape[dim], shape[dim] - 1))
    return aten.select.int, pieces.select, (values(draw, *shape), dim, index)


def strided_slice(draw):
    shape = any_shape(draw)
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    start, end = draw(st.integers(-3, shape[dim] - 1)), draw(st.sampled_from([shape[dim], 2**63 - 1, -1]))
    arguments = (values(draw, *shape), dim, start, end, draw(st.integers(2, 4)))
    assume(aten.slice.Tensor(*arguments).numel() > 0)
    return aten.slice.Tensor, pieces.strided_slice, arguments


def stack(draw):
    shape = any_shape(draw)
    tensors = [values(draw, *shape) for _ in range(draw(small))]
    return aten.stack.default, pieces.stack, (tensors, draw(st.integers(-len(shape) - 1, len(shape))))


def roll(draw):
    shape = any_shape(draw)
    axes = draw(st.sampled_from([[], some_axes(draw, len(shape))]))
    shifts = [draw(st.integers(-9, 9)) for _ in axes or [0]]
    return aten.roll.default, pieces.roll, (values(draw, *shape), shifts, axes)


def repeat(draw):
    shape = any_shape(draw)
    counts = draw(st.lists(small, min_size=len(shape), max_size=len(shape) + 1))
    return aten.repeat.default, pieces.repeat, (values(draw, *shape), counts)


def repeat_interleave(draw):
    shape = any_shape(draw)
    dim = draw(st.sampled_from([None, *range(-len(shape), len(shape))]))
    return aten.repeat_interleave.self_int, pieces.repeat_interleave, (values(draw, *shape), draw(small), dim)


def glu(draw):
    shape = any_shape(draw)
    shape[-1] *= 2
    return aten.glu.default, pieces.glu, (values(draw, *shape), -1)


def average(draw, rewrite=pooling.average, divisor=False):
    kernel, stride = ([draw(st.integers(1, 4)), draw(st.integers(1, 4))] for _ in range(2))
    pads = [draw(st.integers(0, k // 2)) for k in kernel]
    x = values(draw, draw(small), draw(small), draw(st.integers(4, 9)), draw(st.integers(4, 9)))
    override = draw(st.sampled_from([1, 5])) if divisor or draw(st.booleans()) else None
    ceil, counted = draw(st.booleans()), draw(st.booleans())
    assume(ceil or counted or override is not None)
    return aten.avg_pool2d.default, rewrite, (x, kernel, stride, pads, ceil, counted, override)


def average_divided(draw):
    return average(draw, pooling.average_divided, True)


def adaptive(op, rewrite, uneven=False):
    def draw_one(draw):
        x = values(draw, draw(small), draw(small), draw(st.integers(1, 8)), draw(st.integers(1, 8)))
        size = [draw(st.integers(1, n)) for n in x.shape[2:]]
        assume(not uneven or any(n % out for n, out in zip(x.shape[2:], size, strict=True)))
        return op, rewrite, (x, size)

    return draw_one


def largest(draw):
    op, rewrite, arguments = adaptive(aten.adaptive_max_pool2d.default, pooling.adaptive_maximum)(draw)
    return lambda *a: op(*a)[0], lambda *a: rewrite(*a)[0], arguments


def resized(op, rewrite, flags, low=1):
    """PyTorch 2.13 itself errs where an antialiased result is one pixel wide: it gives the first row for all."""

    def draw_one(draw):
        x = values(draw, 1, draw(small), draw(st.integers(2, 8)), draw(st.integers(2, 8)))
        by_size = draw(st.booleans())
        size = [draw(st.integers(low, 12)) for _ in range(2)] if by_size else None
        scales = None if by_size else [draw(st.sampled_from([0.6, 1.3, 1.7, 2.3])) for _ in range(2)]
        corners = draw(st.sampled_from(flags))
        return op, rewrite, (x, size, *([] if corners is None else [corners]), scales)

    return draw_one


def nearest(rewrite):
    def draw_one(draw):
        x = values(draw, draw(small), draw(small), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
        size = [draw(st.integers(1, 12)) for _ in range(2)]
        whole = all(out % n == 0 for n, out in zip(x.shape[2:], size, strict=True))
        assume(not whole or rewrite is resize.nearest_as_copies)
        return aten.upsample_nearest2d.vec, rewrite, (x, size, None)

    return draw_one


def pad(mode):
    def draw_one(draw):
        sizes = [draw(st.integers(2, 5)) for _ in range(2)]
        most = [n - 1 if mode == "reflect" else n for n in reversed(sizes)]
        widths = [draw(st.integers(0, m)) for m in most for _ in range(2)]
        return aten.pad.default, padding.pad, (values(draw, 1, 2, *sizes), widths, mode)

    return draw_one


def transposed(draw):
    groups, ins, outs = draw(small), draw(small), draw(small)
    kernel, stride, dilation = ([draw(st.integers(1, 3)) for _ in range(2)] for _ in range(3))
    pads = [draw(st.integers(0, d * (k - 1))) for d, k in zip(dilation, kernel, strict=True)]
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
    x, weight = values(draw, 1, groups * ins, 4, 3), values(draw, groups * ins, outs, *kernel)
    sizes = zip(x.shape[2:], kernel, stride, dilation, pads, extra, strict=True)
    assume(all((n - 1) * s - 2 * p + d * (k - 1) + e + 1 > 0 for n, k, s, d, p, e in sizes))
    as_tflite = not any(pads) or all(2 * p == k - s for p, k, s in zip(pads, kernel, stride, strict=True))
    assume(groups > 1 or any(extra) or dilation != [1, 1] or not as_tflite)
    bias = maybe(draw, values(draw, groups * outs))
    arguments = (x, weight, bias, stride, pads, extra, groups, dilation)
    return aten.conv_transpose2d.input, convolution.transposed, arguments


def interleaved(draw):
    ins, outs = draw(small), draw(small)
    kernel, stride = ([draw(st.integers(1, 5)) for _ in range(2)] for _ in range(2))
    pads = [draw(st.integers(0, k - 1)) for k in kernel]
    extra = [draw(st.integers(0, s - 1)) for s in stride]
    assume(stride != [1, 1])
    # Rows behind all taps hold the bias alone: those are left as they are.
    assume(all(e - p <= -(-k // s) * s - k for e, p, k, s in zip(extra, pads, kernel, stride, strict=True)))
    x, weight = values(draw, draw(small), ins, 4, 3), values(draw, ins, outs, *kernel)
    sizes = zip(x.shape[2:], kernel, stride, pads, extra, strict=True)
    assume(all((n - 1) * s - 2 * p + k + e > 0 for n, k, s, p, e in sizes))
    bias = maybe(draw, values(draw, outs))
    return aten.conv_transpose2d.input, convolution.interleaved, (x, weight, bias, stride, pads, extra)


def conv3d(draw):
    groups, ins, outs = draw(st.integers(1, 2)), draw(small), draw(small)
    kernel, stride, pads, dilation = ([draw(st.integers(low, high)) for _ in range(3)] for low, high in
                                      ((1, 3), (1, 2), (0, 2), (1, 2)))  # fmt: skip
    x, weight = values(draw, draw(small), groups * ins, 5, 6, 5), values(draw, groups * outs, ins, *kernel)
    bias = maybe(draw, values(draw, groups * outs))
    assume(all(n + 2 * p > d * (k - 1) for n, k, p, d in zip(x.shape[2:], kernel, pads, dilation, strict=True)))
    return aten.conv3d.default, convolution.conv3d, (x, weight, bias, stride, pads, dilation, groups)


DRAWS = {
    **{f.__name__: f for f in (layer_norm, rms_norm, scaled_rms_norm, group_norm, instance_norm, batch_norm)},
    **{f.__name__: f for f in (vector_norm, gelu, softplus, elu, celu, power, addcmul, addcdiv, scaled_attention)},
    **{f.__name__: f for f in (softmax, product, maximum, expand, split_with_sizes, split, chunk, select)},
    **{
        f.__name__: f
        for f in (strided_slice, stack, roll, repeat, repeat_interleave, glu, average, average_divided, largest)
    },
    **{f.__name__: f for f in (transposed, interleaved, conv3d)},
    "mish": plain(aten.mish.default, activations.mish),
    "log_sigmoid": plain(aten.log_sigmoid.default, activations.log_sigmoid),
    "selu": plain(aten.selu.default, activations.selu),
    "mean": reduction(aten.mean.dim, reductions.mean),
    "total": reduction(aten.sum.dim_IntList, reductions.total),
    "mean_of_all": plain(aten.mean.default, reductions.mean_of_all),
    "total_of_all": plain(aten.sum.default, reductions.total_of_all),
    "variance": spread(torch.var, reductions.variance),
    "deviation": spread(torch.std, reductions.deviation),
    "unbind": along(aten.unbind.int, pieces.unbind),
    "squeeze": along(aten.squeeze.dim, pieces.squeeze),
    "unsqueeze": along(aten.unsqueeze.default, pieces.unsqueeze),
    "adaptive_average": adaptive(aten.adaptive_avg_pool2d.default, pooling.adaptive_average),
    "adaptive_average_uneven": adaptive(aten.adaptive_avg_pool2d.default, pooling.adaptive_average_uneven, True),
    "nearest": nearest(resize.nearest),
    "nearest_as_copies": nearest(resize.nearest_as_copies),
    "bicubic": resized(aten.upsample_bicubic2d.vec, resize.bicubic, [True, False]),
    "bicubic_antialiased": resized(aten._upsample_bicubic2d_aa.vec, resize.bicubic_antialiased, [False], 2),
    "bilinear_antialiased": resized(aten._upsample_bilinear2d_aa.vec, resize.bilinear_antialiased, [False], 2),
    "pad_reflect": pad("reflect"),
    "pad_replicate": pad("replicate"),
    "pad_circular": pad("circular"),
}


@pytest.mark.parametrize("name", DRAWS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_rewrite_is_the_operation(name, data):
    operation, rewrite, arguments = DRAWS[name](data.draw)
    result = rewrite(*arguments)
    if result is NotImplemented:
        return
    torch.testing.assert_close(result, operation(*arguments), rtol=1e-9, atol=1e-9)


def test_every_rewrite_of_every_runtime_is_tested():
    tested = {getattr(f, "__name__", "") for t in (*tables.TABLES.values(), *tables.LATE.values()) for f in t.values()}
    drawn = {"attention": "scaled_attention", "adaptive_maximum": "largest"}
    later = {
        "variance_dim",
        "deviation_dim",
        "reflect",
        "replicate",
        "pad",
        "whole_power",
        "same",
    }  # forms of tested ones
    assert {drawn.get(name, name) for name in tested} - later - set(DRAWS) == set()
