"""Where faces are in a picture: a box, a score and five points of each (document T's first stage, and document H's).

Anchor-free, one prediction a cell on two grids: Tian et al., *FCOS*, ICCV 2019, and Zhou et al., *Objects as Points*,
2019. MobileNetV3-Small features (Howard et al., ICCV 2019) cut off at 1/16 of the resolution, a top-down path to 1/8
(Lin et al., *Feature Pyramid Networks*, CVPR 2017) and a depthwise head on each.

Differs from the sources: the documents take a face box for granted and name no detector. Boxes are a centre and the
logarithm of a size instead of four distances, points are in shares of the box, and everything is decoded inside the
graph, so that an app only drops low scores and overlapping boxes. No centre-ness branch: the score itself is trained
towards the overlap (Li et al., *Generalized Focal Loss*, NeurIPS 2020).

The box. It is the box of the 68 landmarks (brows to chin, ear to ear), grown by 1/14 of its width and height on each
side, which takes in a part of the forehead as face detectors' boxes do. A square around its centre, of its longer side
grown by 20 % on each side, is then exactly the square of 1.6 longer sides of the landmarks' box that the keypoint
networks look at. A face that the picture cuts keeps its whole box: it reaches beyond the border.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference.networks.layers import ConvNormAct, MobileNetV3Features, Normalize, initialize
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

HEIGHT, WIDTH = 288, 384
STRIDES = (8, 16)
EIGHTH, SIXTEENTH = 3, 8  # blocks of the feature network, and how much smaller their outputs are
CELLS = sum((HEIGHT // s) * (WIDTH // s) for s in STRIDES)
POINTS = 5  # eye centres, nose tip, corners of the mouth; the image's left first
COLUMNS = 5 + 2 * POINTS  # x0, y0, x1, y1, score, x of the points, y of the points
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


SPEC = ModelSpec(
    name="face_detector",
    task="face_detection",
    document="T",
    network="face_detector:build",
    inputs=(TensorSpec("image", (1, 3, HEIGHT, WIDTH), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(TensorSpec("faces", (1, CELLS, COLUMNS), "NPC", "crop_fraction", (0.0, 1.0)),),
    preprocess=PreprocessSpec(size=(HEIGHT, WIDTH), mean=MEAN, std=STD, resize="contain"),
    postprocess=PostprocessSpec("FaceBoxes", threshold=0.58),
    intermediate="context",
    description="Boxes, scores and five points of the faces in a picture",
)


class FaceDetector(nn.Module):
    """One prediction a cell of the grids at 1/8 and 1/16 of the resolution.

    Args:
        width: channel multiplier of the MobileNetV3-Small features.
        channels: width of the top-down path and the heads.
    """

    anchors: Tensor
    strides: Tensor
    extent: Tensor

    def __init__(self, width: float = 0.75, channels: int = 32, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
        super().__init__()
        self.normalize = Normalize(MEAN, STD)
        # Named as in the other networks, so that a training can start from their features.
        self.features = nn.Sequential(*list(MobileNetV3Features("small", width))[: SIXTEENTH + 1])
        fine, coarse = (_channels(self.features[number]) for number in (EIGHTH, SIXTEENTH))
        self.lateral = ConvNormAct(fine, channels, 1)
        self.context = ConvNormAct(coarse, channels, 1)
        self.heads = nn.ModuleList(_Head(channels) for _ in STRIDES)
        initialize(self)
        for head in self.heads:
            head.start()  # type: ignore[operator]
        anchors, strides = (part.transpose(1, 2).contiguous() for part in grid(*size))
        # Not persistent, because they belong to the spec and not to the weights.
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("strides", strides, persistent=False)
        self.register_buffer("extent", torch.tensor([[[1 / size[1]], [1 / size[0]]]]), persistent=False)

    def raw(self, image: Tensor) -> Tensor:
        """(B, N, 15): score logit, centre, log size and points of (B, 3, H, W) RGB in [0, 1]; see :func:`decode`."""
        x = fine = self.normalize(image)
        for number, block in enumerate(self.features):
            x = block(x)
            fine = x if number == EIGHTH else fine
        coarse = self.context(x)
        # Bilinear, because XNNPACK in ExecuTorch 1.4 has no nearest neighbour.
        up = nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")
        levels = (nn.functional.relu(self.lateral(fine) + up), nn.functional.relu(coarse))
        flat = [head(y).permute(0, 2, 3, 1).flatten(1, 2) for head, y in zip(self.heads, levels, strict=True)]
        return torch.cat(flat, dim=1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, N, 15) of (B, 3, 288, 384) RGB in [0, 1]: x0, y0, x1, y1, score, 5 x, 5 y; 1 is the far border."""
        # Values of the same kind in rows: a phone runtime takes a row of cells at once, but a few values of each cell
        # cell by cell, which is eight times as slow.
        raw = self.raw(image).transpose(1, 2)
        low, high, x, y = decode(raw, self.anchors, self.strides)
        # XNNPACK joins four tensors at most.
        box = torch.cat([low * self.extent, high * self.extent, torch.sigmoid(raw[:, 0:1])], dim=1)
        return torch.cat([box, x * self.extent[:, 0:1], y * self.extent[:, 1:2]], dim=1).transpose(1, 2)


class _Head(nn.Sequential):
    """Two looks around, depthwise 5 x 5, 1 x 1, then 15 values a cell."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            _Around(channels),
            _Around(channels),
            ConvNormAct(channels, channels, 5, groups=channels, act=nn.ReLU),
            ConvNormAct(channels, 2 * channels, 1, act=nn.ReLU),
            nn.Conv2d(2 * channels, COLUMNS, 1),
        )

    def start(self) -> None:
        """Few faces, three cells large, with an upright face's points."""
        last = self[4]
        nn.init.normal_(last.weight, 0.0, 0.01)  # type: ignore[arg-type]
        with torch.no_grad():
            bias = [-4.0, 0, 0, 1.1, 1.1, -0.2, 0.2, 0, -0.15, 0.15, -0.2, -0.2, 0.05, 0.25, 0.25]
            last.bias.copy_(torch.tensor(bias))  # type: ignore[operator]


class _Around(nn.Module):
    """Depthwise 5 x 5 and 1 x 1, added to what came in: sees more of a small face's surroundings."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(channels, channels, 5, groups=channels, act=nn.ReLU)
        self.pointwise = ConvNormAct(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        y: Tensor = x + self.pointwise(self.depthwise(x))
        return y


def _channels(part: nn.Module) -> int:
    return next(m.num_features for m in reversed(list(part.modules())) if isinstance(m, nn.BatchNorm2d))


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Centres (1, N, 2) of all cells in input pixels, row by row, the fine grid first, and their strides (1, N, 1)."""
    centers, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        centers.append((torch.stack([x, y], dim=-1).reshape(1, -1, 2) + 0.5) * stride)
        strides.append(torch.full((1, x.numel(), 1), float(stride)))
    return torch.cat(centers, dim=1), torch.cat(strides, dim=1)


def decode(raw: Tensor, anchors: Tensor, strides: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Low and high corners (B, 2, N), and x and y of the points (B, 5, N), in pixels of the input.

    Args:
        raw: (B, 15, N): score logit, centre (2) and logarithm of the size (2) in cells, x (5) and y (5) of the points
            in shares of the box from its middle.
        anchors, strides: (1, 2, N) and (1, 1, N), those of :func:`grid` the other way round.
    """
    center = anchors + raw[:, 1:3] * strides
    size = torch.exp(raw[:, 3:5]) * strides
    half = size * 0.5
    x = center[:, 0:1] + raw[:, 5 : 5 + POINTS] * size[:, 0:1]
    y = center[:, 1:2] + raw[:, 5 + POINTS :] * size[:, 1:2]
    return center - half, center + half, x, y


def build() -> FaceDetector:
    """The registered network."""
    return FaceDetector()
