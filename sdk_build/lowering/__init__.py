"""Exact graph rewrites, done once before any backend sees the network.

Each file is one rewrite and can be read alone; each is proved equal in float64 by a test over random shapes.
"""

from __future__ import annotations

import copy

from torch import nn

from sdk_build.lowering.batch_norm import fold_batch_norm
from sdk_build.lowering.normalization import fold_normalization
from sdk_build.lowering.volume import lower_volumes

__all__ = ["fold_batch_norm", "fold_normalization", "lower", "lower_volumes"]


def lower(network: nn.Module) -> nn.Module:
    """The same function as ``network`` for a batch of one, in operations that every phone runtime has.

    The order matters: normalisation folds into a convolution only once no batch norm stands behind it unfolded.
    """
    network = copy.deepcopy(network).eval()
    for rewrite in (fold_batch_norm, fold_normalization, lower_volumes):
        network = rewrite(network)
    return network.eval().requires_grad_(False)
