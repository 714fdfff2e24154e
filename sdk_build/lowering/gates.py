"""A hard sigmoid between two convolutions costs nothing: its offset folds into the convolution before it, its slope
into the one behind the product. What remains, a clamp to [0, 6], is a convolution's own activation in XNNPACK.

    W * (x . hard_sigmoid(g)) = W * (x . clamp(g + 3, 0, 6) / 6) = (W / 6) * (x . clamp(g + 3, 0, 6))
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from reference.networks.layers import SqueezeExcite


class FoldedGate(nn.Module):
    """Six times a :class:`reference.networks.layers.SqueezeExcite`, whose gate is a convolution with a clamp."""

    def __init__(self, source: SqueezeExcite) -> None:
        super().__init__()
        self.reduce, self.expand = source.reduce, source.expand
        assert self.expand.bias is not None
        self.expand.bias.data += 3

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape, each channel scaled by a gate in [0, 6]."""
        pooled = x.mean((2, 3), keepdim=True)
        gate = nn.functional.relu6(self.expand(nn.functional.relu(self.reduce(pooled))))
        return x * gate


def fold_hard_sigmoids(network: nn.Module) -> nn.Module:
    """A copy of the network in which every squeeze-excitation directly before a convolution is folded."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for position in range(len(module) - 1):
            gate, behind = module[position], module[position + 1]
            while isinstance(behind, nn.Sequential):
                behind = behind[0]
            if isinstance(gate, SqueezeExcite) and isinstance(behind, nn.Conv2d):
                behind.weight.data /= 6
                module[position] = FoldedGate(gate)
    return network
