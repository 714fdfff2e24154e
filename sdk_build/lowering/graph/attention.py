"""Attention and stacks of matrices as batched matrix products, and softmax along the last axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(q k^T scale + mask) v over (..., tokens, channels)."""
    if dropout_p or enable_gqa or (attn_mask is not None and attn_mask.dtype == torch.bool) or is_causal:
        return NotImplemented
    shape = query.shape
    if key.shape[:-2] != shape[:-2] or value.shape[:-2] != shape[:-2]:
        return NotImplemented
    factor = 1 / math.sqrt(shape[-1]) if scale is None else scale
    q, k, v = (t.reshape(-1, *t.shape[-2:]) for t in (query * factor, key, value))
    scores = torch.bmm(q, k.transpose(1, 2))
    if attn_mask is not None:
        scores = scores.reshape(*shape[:-1], key.shape[-2]) + attn_mask
        scores = scores.reshape(-1, *scores.shape[-2:])
    return torch.bmm(scores.softmax(-1), v).reshape(*shape[:-1], value.shape[-1])


def softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """With the axis moved to the end where it isn't there."""
    if dtype not in (None, x.dtype) or x.dim() == 0 or dim % x.dim() == x.dim() - 1:
        return NotImplemented
    return x.transpose(dim, -1).softmax(-1).transpose(dim, -1)


def product(first: Tensor, second: Tensor) -> Tensor:
    """Stacks of matrices as one batch, which is what ``bmm`` is for."""
    shape = first.shape[:-2]
    if first.dim() < 4 or second.shape[:-2] != shape:
        return NotImplemented
    flat = torch.bmm(first.reshape(-1, *first.shape[-2:]), second.reshape(-1, *second.shape[-2:]))
    return flat.reshape(*shape, *flat.shape[-2:])
