"""Building blocks that two or more networks share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """(x - mean) / std per channel, inside the graph so that no app can get it wrong.

    Args:
        mean, std: one value per channel, in the unit of the input.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # Not persistent: the values belong to the spec, not to the weights.
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return (x - self.mean) / self.std


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to ``channels`` that is not more than 10 % below it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalisation, activation."""

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: type[nn.Module] = nn.Identity,
        dilation: int = 1,
    ) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(cin, cout, kernel, stride, padding, dilation, groups, bias=False),
            nn.BatchNorm2d(cout),
            act(),
        )


class SqueezeExcite(nn.Module):
    """Channel attention with a hard sigmoid gate (MobileNetV3, section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = round_channels(channels / 4)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape, each channel scaled by a gate in [0, 1]."""
        pooled = x.mean((2, 3), keepdim=True)
        gate = nn.functional.hardsigmoid(self.expand(nn.functional.relu(self.reduce(pooled))))
        return x * gate


class InvertedResidual(nn.Module):
    """MobileNetV3 bottleneck: expand 1x1, depthwise k x k, optional squeeze-excite, project 1x1."""

    def __init__(
        self,
        cin: int,
        expanded: int,
        cout: int,
        kernel: int,
        stride: int,
        use_se: bool,
        act: type[nn.Module],
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.use_residual = stride == 1 and cin == cout
        layers: list[nn.Module] = []
        if expanded != cin:
            layers.append(ConvNormAct(cin, expanded, 1, act=act))
        layers.append(ConvNormAct(expanded, expanded, kernel, stride, expanded, act, dilation))
        if use_se:
            layers.append(SqueezeExcite(expanded))
        layers.append(ConvNormAct(expanded, cout, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.use_residual else y


# kernel, expanded, out, squeeze-excite, hard-swish, stride: the paper's tables 1 and 2
MOBILENETV3_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
MOBILENETV3_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


class MobileNetV3Features(nn.Sequential):
    """MobileNetV3's convolutional part: stem, bottlenecks, last 1x1 convolution.

    Source: Howard et al., *Searching for MobileNetV3*, ICCV 2019, tables 1 (large) and 2 (small).
    Differs from the source: table 2 marks a squeeze-excite on the last convolution; the authors' own code has none,
    and their count of 2.5 million parameters fits only without it.

    Args:
        variant: ``small`` or ``large``.
        width: multiplier of every channel count.
        output_stride: 32, or 16 for dense prediction: the last stage then dilates its kernels instead of striding
            (section 6.4 of the paper); the weights fit both.

    Attributes:
        out_channels: 576 (small) or 960 (large) at width 1; the resolution is 1/output_stride of the input.
    """

    def __init__(self, variant: str = "small", width: float = 1.0, output_stride: int = 32) -> None:
        table = {"small": MOBILENETV3_SMALL, "large": MOBILENETV3_LARGE}[variant]
        channels = round_channels(16 * width)
        layers: list[nn.Module] = [ConvNormAct(3, channels, 3, 2, act=nn.Hardswish)]
        reached, dilation = 2, 1
        for kernel, expanded, out, use_se, use_hs, stride in table:
            if stride == 2 and reached == output_stride:
                stride, dilation = 1, 2
            reached *= stride
            act = nn.Hardswish if use_hs else nn.ReLU
            cout = round_channels(out * width)
            expanded = round_channels(expanded * width)
            layers.append(InvertedResidual(channels, expanded, cout, kernel, stride, use_se, act, dilation))
            channels = cout
        layers.append(ConvNormAct(channels, 6 * channels, 1, act=nn.Hardswish))
        super().__init__(*layers)
        self.out_channels = 6 * channels


def initialize(module: nn.Module) -> None:
    """He initialisation for convolutions, N(0, 0.01) for linear layers, as the MobileNetV3 paper's code does."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(m.weight, mode="fan_out" if isinstance(m, nn.Conv2d) else "fan_in")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
        elif isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, 0.0, 0.01)
            nn.init.zeros_(m.bias)
