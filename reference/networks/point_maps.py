"""What the template network and the face reconstruction share: MobileNetV3 features of a face's square crop, a hidden
layer over them, and a map of each of the 68 points on a top-down path (Lin et al., *Feature Pyramid Networks*, CVPR
2017), whose mean place is the point (Sun et al., *Integral human pose regression*, ECCV 2018).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from reference.networks.layers import ConvNormAct, MobileNetV3Features, Normalize, initialize, round_channels

SIZE = 112
POINTS = 68
HIDDEN = 256
HEAT = 28  # cells a side of the maps
INNER = 64  # channels of the top-down path
# Blocks of the feature network that the path reads, with their channels at width 1: 1/16, 1/8, 1/4 of the resolution.
LATERALS = ((8, 48), (3, 24), (1, 16))
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class PointMaps(nn.Module):
    """A base of networks for (B, 3, side, side) RGB crops in [0, 1].

    Args:
        width: channel multiplier of the MobileNetV3-Small features.
        side: of the pictures that the features are taken from, a multiple of 16 pixels; the maps have a quarter of it.
    """

    def __init__(self, width: float, side: int = SIZE) -> None:
        super().__init__()
        self.cells = side // 4
        self.normalize = Normalize(MEAN, STD)
        self.features = MobileNetV3Features("small", width)
        wide = self.features.out_channels
        self.reduce = ConvNormAct(wide, 48, 1, act=nn.ReLU)
        flat = 48 * math.ceil(side / 32) ** 2  # positions stay: where a feature is matters as much as what it is
        self.hidden = nn.Sequential(nn.Linear(flat, HIDDEN), nn.ReLU())
        self.deep = ConvNormAct(wide, INNER, 1)
        self.laterals = nn.ModuleList(ConvNormAct(round_channels(c * width), INNER, 1) for _, c in LATERALS)
        self.mixers = nn.ModuleList(
            nn.Sequential(ConvNormAct(INNER, INNER, 3, groups=INNER), ConvNormAct(INNER, INNER, 1, act=nn.ReLU))
            for _ in LATERALS
        )
        self.heat = nn.Conv2d(INNER, POINTS, 1)

    def start(self) -> None:
        """Initial weights, for a subclass to call when its own layers are there."""
        initialize(self)
        nn.init.kaiming_normal_(self.hidden[0].weight)  # type: ignore[arg-type]
        nn.init.normal_(self.heat.weight, 0, 0.05)

    def look(self, image: Tensor) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
        """The hidden layer (B, 256), the last features, and what each block gave."""
        taps: dict[int, Tensor] = {}
        x = self.normalize(image)
        for number, block in enumerate(self.features):
            x = block(x)
            taps[number] = x
        return self.hidden(self.reduce(x).flatten(1)), x, taps

    def path(self, x: Tensor, taps: dict[int, Tensor]) -> Tensor:
        """Features (B, 64, cells, cells) at the end of the top-down path, of what :meth:`look` gave."""
        d: Tensor = self.deep(x)
        for (block, _), lateral, mixer in zip(LATERALS, self.laterals, self.mixers, strict=True):
            tap = taps[block]
            d = nn.functional.interpolate(d, size=(tap.shape[2], tap.shape[3]), mode="bilinear")
            d = mixer(torch.relu(d + lateral(tap)))
        return d

    def maps(self, path: Tensor) -> Tensor:
        """Logits (B, 68, cells * cells) of each point's place, of :meth:`path`'s features."""
        heat: Tensor = self.heat(path)
        return heat.reshape(-1, POINTS, self.cells * self.cells)


def cell_centers(cells: int = HEAT, share: float = 1) -> tuple[Tensor, Tensor]:
    """x and y (cells * cells,) of a flat map's cells in fractions of the crop; a point can lie between the outermost.

    Args:
        share: of the crop's side that the map covers, in its middle.
    """
    middle = 0.5 + share * ((torch.arange(cells) + 0.5) / cells - 0.5)
    return middle.repeat(cells), middle.repeat_interleave(cells)
