"""Normalisation as the mean and the variance that it is: delegates take those apart or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdk_build.lowering.graph.inline import constant


def layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) over the last axes."""
    del cudnn_enable
    axes = list(range(-len(shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    result = centred * torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps)
    return _affine(result, weight, bias)


def rms_norm(x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean(x^2) + eps) over the last axes."""
    axes = list(range(-len(shape), 0))
    scale = torch.rsqrt((x * x).mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps))
    return _affine(x * scale, weight, None)


def scaled_rms_norm(x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """The same where half precision would overflow in the squares: divided by the largest value, and eps by its square.

    Core ML Tools 9.0 does the former without the latter.
    """
    axes = list(range(-len(shape), 0))
    largest = x.abs().amax(axes, keepdim=True).clamp(min=1.0)
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    small = x / largest
    root = eps**0.5 / largest
    return _affine(small * torch.rsqrt((small * small).mean(axes, keepdim=True) + root * root), weight, None)


def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Of (B, C, H, W): means over the pixels, then over the group's channels by a 1x1 convolution.

    So nothing is reshaped and channels stay where they are; other ranks are brought to this one.
    """
    del cudnn_enabled
    planes = x.reshape(*x.shape[:2], -1, x.shape[-1] if x.dim() > 2 else 1)
    share = _group_share(x.shape[1], groups)

    def mean(of: Tensor) -> Tensor:
        pooled = of.mean((2, 3), keepdim=True)
        return pooled if share is None else F.conv2d(pooled, constant(share[:, :, None, None], x))

    centred = planes - mean(planes)
    scale = torch.rsqrt(mean(centred * centred) + eps)
    result = centred * (scale if weight is None else scale * weight.reshape(1, -1, 1, 1))
    result = result if bias is None else result + bias.reshape(1, -1, 1, 1)
    return result if result.shape == x.shape else result.reshape(x.shape)


def _group_share(channels: int, groups: int) -> np.ndarray | None:
    """(C or 1, C): what each channel gives to its group's mean; None where every channel is a group of its own."""
    size = channels // groups
    if size == 1:
        return None
    if groups == 1:
        return np.full((1, channels), 1 / channels)
    return np.kron(np.eye(groups), np.full((size, size), 1 / size))


def instance_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """Group normalisation with as many groups as channels."""
    del momentum, cudnn_enabled
    if not use_input_stats:
        assert running_mean is not None
        assert running_var is not None
        return batch_norm(x, weight, bias, running_mean, running_var, False, 0.0, eps, False)
    return group_norm(x, x.shape[1], weight, bias, eps)


def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """In evaluation mode one product and one sum a channel."""
    del momentum, cudnn_enabled
    if training or running_mean is None or running_var is None:
        return NotImplemented
    scale = torch.rsqrt(running_var + eps)
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    shift = shift if bias is None else shift + bias
    shape = (1, -1, *[1] * (x.dim() - 2))
    return x * scale.reshape(shape) + shift.reshape(shape)


def vector_norm(
    x: Tensor, order: float = 2, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: object = None
) -> Tensor:
    """The Euclidean norm as the root of a sum of squares."""
    if order != 2 or dtype is not None or dim is None:
        return NotImplemented
    return (x * x).sum(list(dim), keepdim=keepdim).sqrt()


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias
