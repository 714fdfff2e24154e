"""Convolutions that a runtime has not in those that it has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_MOST_GROUPS = 64


def transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> Tensor:
    """One transposed convolution a group, with nothing but a stride; cut and padded behind it.

    A dilated kernel is a larger one with zeros. TFLite's own padding either cuts nothing or leaves as many values as
    the input has, times the stride: those forms stay as they are.
    """
    s, p, o, d = (_pair(v) for v in (stride, padding, output_padding, dilation))
    taps = list(weight.shape[2:])
    padded_as_tflite = not any(p) or all(2 * cut == k - step for cut, k, step in zip(p, taps, s, strict=True))
    if groups == 1 and not any(o) and d == [1, 1] and padded_as_tflite:
        return NotImplemented
    if groups > _MOST_GROUPS:
        return NotImplemented
    if d != [1, 1]:
        weight = _dilated(weight, d)
    ins, outs = x.shape[1] // groups, weight.shape[1]
    parts = []
    for group in range(groups):
        part = x if groups == 1 else torch.ops.aten.slice.Tensor(x, 1, group * ins, (group + 1) * ins)
        kernel = weight if groups == 1 else torch.ops.aten.slice.Tensor(weight, 0, group * ins, (group + 1) * ins)
        own = bias
        if bias is not None and groups > 1:
            own = torch.ops.aten.slice.Tensor(bias, 0, group * outs, (group + 1) * outs)
        parts.append(_extended(part, kernel, own, s, p, o))
    return parts[0] if groups == 1 else torch.cat(parts, 1)


def interleaved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> Tensor:
    """A transposed convolution as one convolution that gives all places between two of the input's, laid side by side.

    In each direction the taps of the kernel that meet the same places of the input belong to one result; as many
    results as the stride has steps are channels of the convolution, and go to their rows and columns behind it.
    """
    s, p, o, d = (_pair(v) for v in (stride, padding, output_padding, dilation))
    taps = list(weight.shape[2:])
    windows = [-(-k // step) for k, step in zip(taps, s, strict=True)]
    beyond = [extra - cut - w * step + k for extra, cut, w, step, k in zip(o, p, windows, s, taps, strict=True)]
    if groups > 1 or d != [1, 1] or s == [1, 1] or max(beyond) > 0:
        return NotImplemented
    (ins, outs), (high, wide) = weight.shape[:2], windows
    whole = F.pad(weight, [0, wide * s[1] - taps[1], 0, high * s[0] - taps[0]])
    parts = whole.reshape(ins, outs, high, s[0], wide, s[1]).permute(3, 5, 1, 0, 2, 4).flip(4, 5)
    kernel = parts.reshape(s[0] * s[1] * outs, ins, high, wide)
    own = None if bias is None else torch.cat([bias] * (s[0] * s[1]))
    places = F.conv2d(x, kernel, own, padding=(high - 1, wide - 1))
    rows, columns = places.shape[2:]
    laid = places.reshape(-1, s[0], s[1], outs, rows, columns).permute(0, 3, 4, 1, 5, 2)
    result = laid.reshape(-1, outs, rows * s[0], columns * s[1])
    for axis, n, step, cut, extra, k in zip((2, 3), x.shape[2:], s, p, o, taps, strict=True):
        size = (n - 1) * step - 2 * cut + k + extra
        if size != result.shape[axis]:
            result = torch.ops.aten.slice.Tensor(result, axis, cut, cut + size)
    return result


def _extended(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int], extra: list[int]
) -> Tensor:
    """Rows and columns of ``output_padding`` come from taps that are zero; what padding cuts is cut behind."""
    if any(extra):
        weight = F.pad(weight, [0, extra[1], 0, extra[0]])
    result = F.conv_transpose2d(x, weight, bias, stride)
    for axis, cut in zip((2, 3), padding, strict=True):
        if cut:
            result = torch.ops.aten.slice.Tensor(result, axis, cut, result.shape[axis] - cut)
    return result


def _dilated(weight: Tensor, dilation: list[int]) -> Tensor:
    """Zeros between the taps: the kernel of a convolution without dilation."""
    for axis, step in zip((2, 3), dilation, strict=True):
        n = weight.shape[axis]
        if step > 1 and n > 1:
            apart = weight.unsqueeze(axis + 1)
            apart = F.pad(apart, [0, 0] * (weight.dim() - axis - 1) + [0, step - 1])
            weight = apart.flatten(axis, axis + 1)
            weight = torch.ops.aten.slice.Tensor(weight, axis, 0, (n - 1) * step + 1)
    return weight


def conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    groups: int = 1,
) -> Tensor:
    """A sum of 2-D convolutions, one for each slice of the kernel, over the volume's slices as a batch."""
    s, p, d = (_triple(v) for v in (stride, padding, dilation))
    batch, channels, depth = x.shape[:3]
    taps = weight.shape[2]
    if p[0]:
        x = F.pad(x, [0, 0, 0, 0, p[0], p[0]])
    slices = (depth + 2 * p[0] - d[0] * (taps - 1) - 1) // s[0] + 1
    result: Tensor | None = None
    for tap in range(taps):
        start = tap * d[0]
        part = torch.ops.aten.slice.Tensor(x, 2, start, start + (slices - 1) * s[0] + 1, s[0])
        flat = part.transpose(1, 2).reshape(batch * slices, channels, *x.shape[3:])
        plane = F.conv2d(flat, weight.select(2, tap), bias if tap == 0 else None, s[1:], p[1:], d[1:], groups)
        result = plane if result is None else result + plane
    assert result is not None
    return result.reshape(batch, slices, *result.shape[1:]).transpose(1, 2)


def _pair(values: Sequence[int] | int) -> list[int]:
    given = [values] if isinstance(values, int) else list(values)
    return given * (2 // len(given))


def _triple(values: Sequence[int] | int) -> list[int]:
    given = [values] if isinstance(values, int) else list(values)
    return given * (3 // len(given))
