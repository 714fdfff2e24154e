"""68 face keypoints from a hierarchy of patch features with linear attention (document H, rows H2 to H4).

Shallow features, local patches, a first level of three reference networks and a second level, fusion, and a fully
connected layer. Attention is linear in the number of patches (Shen et al., *Efficient attention*, WACV 2021): keys and
values are summed into one small matrix first.

Differs from the source: the document names the parts and gives no sizes; those here are chosen for a phone. Batch
normalisation and 1x1 convolutions stand where transformers have layer normalisation and linear layers, and queries,
keys and values come from three convolutions instead of one that is split: so the whole network stays in the delegates
of the phone runtimes. A local position embedding is a depthwise convolution (Chu et al., *Conditional positional
encodings*, ICLR 2023): it knows the borders, and costs nothing to resize.

The fully connected layer reads the fused patches and, beside them, where on a map of its own each point lies: the mean
place under a softmax (Sun et al., *Integral human pose regression*, ECCV 2018). From the patches alone it learns the
mean face within hours, and little more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference.networks.layers import ConvNormAct, InvertedResidual, Normalize, initialize
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

SIZE = 112
POINTS = 68
HEAT = 28  # cells a side of the maps of the points
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

SPEC = ModelSpec(
    name="hierarchical_keypoints",
    task="face_keypoints",
    document="H",
    network="hierarchical_keypoints:build",
    inputs=(TensorSpec("image", (1, 3, SIZE, SIZE), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(TensorSpec("keypoints", (1, POINTS, 2), "NPC", "crop_fraction", (0.0, 1.0)),),
    preprocess=PreprocessSpec(size=(SIZE, SIZE), mean=MEAN, std=STD),
    postprocess=PostprocessSpec("Keypoints"),
    intermediate="shallow",
    description="68 points of a face (300-W order) in a square crop around it, by linear attention over patches",
)


class LinearAttention(nn.Module):
    """Attention whose cost grows with the number of patches, not with its square.

    Args:
        channels: of input and output.
        heads: groups of channels that attend on their own.
        side: patches a side; fixed, so that the exported graph computes no sizes.
    """

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.width, self.patches, self.side = heads, channels // heads, side * side, side
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.out = ConvNormAct(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) to the same shape."""
        # Heads go into the batch: products of more dimensions expand their factors, which no delegate takes.
        shape = (-1, self.width, self.patches)
        key = torch.softmax(self.key(x).reshape(shape), dim=2)  # over the patches
        # Softmax runs along the last dimension in every runtime, hence the transposition of the queries.
        query = torch.softmax(self.query(x).reshape(shape).transpose(1, 2), dim=2)  # over the channels
        value = self.value(x).reshape(shape)
        context = torch.bmm(key, value.transpose(1, 2))  # (B * heads, width, width)
        attended = torch.bmm(query, context).transpose(1, 2)  # (B * heads, width, patches)
        y: Tensor = self.out(attended.reshape(-1, self.heads * self.width, self.side, self.side))
        return y


class Transform(nn.Module):
    """Linear attention, then two 1x1 convolutions with a depthwise one between; both with a shortcut."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.attention = LinearAttention(channels, heads, side)
        self.mix = nn.Sequential(
            ConvNormAct(channels, 2 * channels, 1, act=nn.Hardswish),
            ConvNormAct(2 * channels, 2 * channels, 3, groups=2 * channels, act=nn.Hardswish),
            ConvNormAct(2 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) to the same shape."""
        x = x + self.attention(x)
        y: Tensor = x + self.mix(x)
        return y


class EmbeddingTransform(nn.Module):
    """Local position embedding and transform (row H3)."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.position = ConvNormAct(channels, channels, 3, groups=channels)
        self.transform = Transform(channels, heads, side)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) to the same shape."""
        y: Tensor = self.transform(x + self.position(x))
        return y


class MergingTransform(nn.Module):
    """Patch merging and transform: merging halves the resolution and raises the channels (row H3).

    With a stride of 1 it changes the channels alone: at 112 pixels there are not enough halvings for every module.
    """

    def __init__(self, cin: int, cout: int, heads: int, side: int, stride: int = 2) -> None:
        super().__init__()
        self.merge = ConvNormAct(cin, cout, 3 if stride == 2 else 1, stride)
        self.transform = Transform(cout, heads, side)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, S, S) to (B, cout, S / stride, S / stride)."""
        y: Tensor = self.transform(self.merge(x))
        return y


class HierarchicalKeypoints(nn.Module):
    """Keypoints from two levels of patch features.

    Args:
        channels: of the patches in the three reference networks of the first level and in the second level.
    """

    columns: Tensor
    rows: Tensor

    def __init__(self, channels: tuple[int, int, int, int] = (32, 56, 88, 120)) -> None:
        super().__init__()
        a, b, c, d = channels
        self.normalize = Normalize(MEAN, STD)
        self.shallow = nn.Sequential(
            ConvNormAct(3, 16, 3, 2, act=nn.Hardswish),
            InvertedResidual(16, 48, 24, 3, 2, False, nn.ReLU),
            InvertedResidual(24, 72, 24, 3, 1, False, nn.ReLU),
        )  # 28 x 28
        # Patches of 2 x 2 features, which are 8 x 8 pixels
        self.split = nn.Sequential(nn.Conv2d(24, a, 2, 2, bias=False), nn.BatchNorm2d(a))
        self.first = nn.ModuleList(
            [
                nn.Sequential(EmbeddingTransform(a, 2, 14), EmbeddingTransform(a, 2, 14)),
                nn.Sequential(MergingTransform(a, b, 4, 14, 1), MergingTransform(b, b, 4, 14, 1)),
                nn.Sequential(MergingTransform(b, c, 4, 7), MergingTransform(c, c, 4, 7, 1)),
            ]
        )
        self.second = nn.Sequential(MergingTransform(c, d, 4, 4), MergingTransform(d, d, 4, 4, 1))
        self.enhance = nn.ModuleList(ConvNormAct(cin, 64, 1) for cin in (b, c, d))
        self.gates = nn.ModuleList(nn.Conv2d(64, 64, 1) for _ in (b, c))
        self.fuse = ConvNormAct(3 * 64, 64, 1)
        self.lateral = ConvNormAct(24, 64, 1)
        self.mixer = nn.Sequential(ConvNormAct(64, 64, 3, groups=64), ConvNormAct(64, 64, 1, act=nn.ReLU))
        self.heat = nn.Conv2d(64, POINTS, 1)
        self.reduce = ConvNormAct(64, 16, 1, act=nn.ReLU)
        # Leaky: what it reads is never negative, and once training had switched all of its rectifiers off for good.
        self.hidden = nn.Sequential(nn.Linear(16 * 14 * 14, 128), nn.LeakyReLU(0.1))
        self.points = nn.Linear(2 * POINTS + 128, 2 * POINTS)
        initialize(self)
        nn.init.kaiming_normal_(self.hidden[0].weight)  # type: ignore[arg-type]
        nn.init.normal_(self.heat.weight, 0, 0.05)
        nn.init.zeros_(self.points.weight)
        middle = (torch.arange(HEAT) + 0.5) / HEAT
        # One row each: picking a column of a product with both is an operation that XNNPACK leaves out.
        self.register_buffer("columns", middle.repeat(HEAT)[None], persistent=False)  # (1, HEAT * HEAT)
        self.register_buffer("rows", middle.repeat_interleave(HEAT)[None], persistent=False)

    def stages(self, image: Tensor) -> dict[str, Tensor]:
        """What the losses need, of (B, 3, 112, 112) RGB in [0, 1].

        Returns:
            ``keypoints`` (B, 2, 68) in fractions of the crop, x then y; ``heat`` (B, 68, 28 * 28) logits of each
            point's place.
        """
        shallow = self.shallow(self.normalize(image))
        x = self.split(shallow)
        levels = []
        for network in self.first:
            x = network(x)
            levels.append(x)
        fine, middle, coarse = (e(level) for e, level in zip(self.enhance, (*levels[1:], self.second(x)), strict=True))
        # Semantic enhancement: what the coarser level knows weighs the finer level's channels and is added to them.
        coarse = nn.functional.interpolate(coarse, size=(7, 7), mode="bilinear")
        middle = middle * torch.sigmoid(self.gates[1](coarse)) + coarse
        wide = nn.functional.interpolate(middle, size=(14, 14), mode="bilinear")
        fine = fine * torch.sigmoid(self.gates[0](wide)) + wide
        coarse = nn.functional.interpolate(coarse, size=(14, 14), mode="bilinear")
        fused = self.fuse(torch.cat([fine, wide, coarse], dim=1))
        sharp = nn.functional.interpolate(fused, size=(HEAT, HEAT), mode="bilinear")
        heat = self.heat(self.mixer(torch.relu(sharp + self.lateral(shallow)))).reshape(-1, POINTS, HEAT * HEAT)
        shares = torch.softmax(heat, dim=2)
        across, down = (nn.functional.linear(shares, place).flatten(1) for place in (self.columns, self.rows))
        places = torch.cat([across, down], dim=1)
        read = torch.cat([places, self.hidden(self.reduce(fused).flatten(1))], dim=1)
        return {"keypoints": (places + self.points(read)).reshape(-1, 2, POINTS), "heat": heat}

    def forward(self, image: Tensor) -> Tensor:
        """Keypoints (B, 68, 2) in fractions of the crop, of (B, 3, 112, 112) RGB in [0, 1]."""
        return self.stages(image)["keypoints"].transpose(1, 2)


def build() -> HierarchicalKeypoints:
    """The registered network."""
    return HierarchicalKeypoints()
