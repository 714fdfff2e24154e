"""Fine-tuning with 8 bits simulated (``--qat``): for what neither calibration nor mixed precision can save.

Every convolution and matrix product computes with weights rounded to int8 per output channel and inputs rounded to 256
levels of their running range, as in Jacob et al. (CVPR 2018, arXiv:1712.05877); gradients pass the rounding unchanged.
The stored weights stay float and are exported as any others: rounding per channel commutes with folding a batch norm,
so the exporter's int8 weights are the ones that were trained with.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor, nn

from reference.errors import WeightsError

LEVELS = 127
MOMENTUM = 0.05  # how fast a range shrinks; it grows at once


def start_from(network: nn.Module, path: Path) -> None:
    """Load trained weights; heads that only training has may be missing.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
        result = network.load_state_dict({k: v.float() for k, v in stored.items()}, strict=False)
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"can't fine-tune from {path}: {reason}; --qat starts from trained weights") from error
    missing = [name for name in result.missing_keys if not name.startswith("type_head.")]
    if missing or result.unexpected_keys:
        raise WeightsError(
            f"{path} is of another network (first {[*missing, *result.unexpected_keys][0]}); give its own"
        )


def simulate(network: nn.Module) -> int:
    """Make a network compute as in 8 bits, in training and in evaluation; its state keeps its names.

    Returns:
        The number of operations that are now rounded.
    """
    count = 0
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_buffer("input_range", torch.zeros(2), persistent=False)
            module.forward = functools.partial(_forward, module)  # type: ignore[method-assign]
            count += 1
    return count


def _forward(module: nn.Conv2d | nn.Linear, x: Tensor) -> Tensor:
    x = round_activations(x, _range_of(module, x))
    weight = round_weights(module.weight)
    if isinstance(module, nn.Linear):
        return nn.functional.linear(x, weight, module.bias)
    return module._conv_forward(x, weight, module.bias)


def _range_of(module: nn.Module, x: Tensor) -> Tensor:
    """Running smallest and largest input of a module; it holds 0."""
    span: Tensor = module.input_range  # type: ignore[assignment]
    if module.training or not bool(span.any()):
        low, high = x.detach().aminmax()
        now = torch.stack([low.clamp(max=0), high.clamp(min=0)])
        slow = span + MOMENTUM * (now - span)
        with torch.no_grad():
            span.copy_(torch.stack([torch.minimum(now[0], slow[0]), torch.maximum(now[1], slow[1])]))
    return span


def round_weights(weight: Tensor) -> Tensor:
    """Symmetric, one scale for each output channel (axis 0)."""
    scale = weight.detach().abs().flatten(1).amax(1).clamp_min(1e-12) / LEVELS
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -LEVELS, LEVELS)


def round_activations(x: Tensor, span: Tensor) -> Tensor:
    """256 levels over a range that holds 0."""
    scale = ((span[1] - span[0]) / 255).clamp_min(1e-12)
    zero = (-128 - span[0] / scale).round().clamp(-128, 127).int()
    return torch.fake_quantize_per_tensor_affine(x, scale, zero, -128, 127)
