"""Scores that mean what they say: of the answers given with 80 %, 80 % should be right.

One temperature divides the logits (Guo et al., *On calibration of modern neural networks*, ICML 2017). It is multiplied
into the last layer, so that every exported graph and every app gives calibrated scores without knowing of it; answers
and their order stay the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

BINS = 15  # customary in this field
FEWEST = 50  # pictures; fewer say too little
RANGE = (0.2, 5.0)


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """Expected calibration error in percent: mean distance of score and accuracy over 15 equal bins of the score.

    Args:
        logits: (N, C).
        labels: (N,) class numbers.
    """
    import torch

    scores, guesses = logits.softmax(1).max(1)
    right = (guesses == labels).float()
    bins = (scores * BINS).long().clamp(max=BINS - 1)
    gaps = torch.zeros(BINS).index_add(0, bins, scores - right)
    return 100 * float(gaps.abs().sum()) / len(labels)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of the most likely labels, in ``RANGE``; 1 where the pictures say too little.

    They say too little if they are fewer than 50 or all answers are right: then the best temperature would be 0.

    Args:
        logits: (N, C).
        labels: (N,) class numbers.
    """
    import torch
    from torch import nn

    if len(labels) < FEWEST or bool((logits.argmax(1) == labels).all()):
        return 1.0
    # The loss is convex in 1 / T: a fine grid is exact enough and cannot fail.
    steps = torch.logspace(math.log10(RANGE[0]), math.log10(RANGE[1]), 400)
    losses = torch.stack([nn.functional.cross_entropy(logits / step, labels) for step in steps])
    return float(steps[losses.argmin()])


def fold(layer: nn.Linear, temperature: float) -> None:
    """Divide a layer's outputs by a temperature, in its weights."""
    import torch

    with torch.no_grad():
        layer.weight.div_(temperature)
        layer.bias.div_(temperature)
