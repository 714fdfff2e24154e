"""(x - mean) / std before a convolution: the division moves into the convolution's kernel.

The subtraction stays an operation of its own. It can't become part of the bias: the convolution pads with zeros
*after* normalisation, so near the border a folded bias would be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reference.networks.layers import Normalize
from sdk_build.errors import LoweringError


class SubtractMean(nn.Module):
    """x - mean per channel.

    Args:
        mean: one value per channel.
    """

    mean: Tensor

    def __init__(self, mean: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x - self.mean


def fold_normalization(network: nn.Module) -> nn.Module:
    """Replace each Normalize by SubtractMean (or nothing) and scale the next convolution; in place.

    "Next" is by order of registration, which in this project's networks is the order of execution; the parity
    stage "reference vs lowered" would show it otherwise.

    Raises:
        LoweringError: no convolution with matching channels follows.
    """
    modules = list(network.named_modules())
    for position, (name, module) in enumerate(modules):
        if not isinstance(module, Normalize):
            continue
        channels = module.mean.shape[1]
        following = (m for _, m in modules[position + 1 :] if not list(m.children()))
        convolution = next(following, None)
        if not isinstance(convolution, nn.Conv2d) or convolution.in_channels != channels or convolution.groups != 1:
            raise LoweringError(
                f"no convolution over {channels} channels follows the normalisation {name!r}; allowed: an ungrouped "
                "Conv2d right behind it; reorder the network's modules"
            )
        convolution.weight.data /= module.std
        parent = network.get_submodule(name.rpartition(".")[0])
        mean = module.mean.flatten().tolist()
        setattr(parent, name.rpartition(".")[2], SubtractMean(mean).to(module.mean) if any(mean) else nn.Identity())
    return network
