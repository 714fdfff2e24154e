"""Where the subject of a photo, drawing or cartoon is (document I, row I6): a mask of the salient region.

MobileNetV3-Small features at 1/16 of the resolution with the attention of the LR-ASPP head (Howard et al., *Searching
for MobileNetV3*, ICCV 2019, section 6.4), refined on the way up with features of 1/8 and 1/4 as in a feature pyramid
(Lin et al., CVPR 2017). As in the classifier, an image-type head that only training has pushes the features of the
image types together.

Differs from the source: the document gives no network for this model, only its output. Each resolution adds to the mask
of the one below it, so that training can judge every one of them.
"""

from __future__ import annotations

from torch import Tensor, nn

from reference.networks.layers import ConvNormAct, MobileNetV3Features, Normalize, initialize
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

SIZE = 224
# Channel statistics of natural pictures (ImageNet), RGB in [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
IMAGE_TYPES = ("photo", "drawing", "cartoon")
# Blocks of the feature network whose outputs the head reads: 1/4 and 1/8 of the resolution.
QUARTER, EIGHTH = 1, 3

SPEC = ModelSpec(
    name="saliency",
    task="salient_object_detection",
    document="I",
    network="saliency:build",
    inputs=(TensorSpec("image", (1, 3, SIZE, SIZE), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(TensorSpec("mask", (1, 1, SIZE, SIZE), "NCHW", "probability", (0.0, 1.0)),),
    preprocess=PreprocessSpec(size=(SIZE, SIZE), mean=MEAN, std=STD, resize="stretch"),
    postprocess=PostprocessSpec("Mask", threshold=0.5),
    intermediate="project",
    description="Where the subject of a photo, a hand drawing or a cartoon is",
)


class Refine(nn.Module):
    """Twice the resolution: what came from below, and features of the new resolution.

    Args:
        below: channels that come from the lower resolution.
        beside: channels of the feature network at the new one.
        channels: what goes on.
    """

    def __init__(self, below: int, beside: int, channels: int) -> None:
        super().__init__()
        self.reduce = ConvNormAct(below, channels, 1)
        self.lateral = ConvNormAct(beside, channels, 1)
        self.depthwise = ConvNormAct(channels, channels, 3, groups=channels)
        self.pointwise = ConvNormAct(channels, channels, 1, act=nn.ReLU)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """(B, below, H/2, W/2) and (B, beside, H, W) to (B, channels, H, W)."""
        joined = nn.functional.relu(_double(self.reduce(low)) + self.lateral(high))
        refined: Tensor = self.pointwise(self.depthwise(joined))
        return refined


class Saliency(nn.Module):
    """MobileNetV3-Small with a decoder and, for training, an image-type head.

    Args:
        num_types: outputs of the image-type head; 0 leaves it out, which is the network that ships.
        channels: width of the decoder at 1/16, 1/8 and 1/4 of the resolution.
    """

    def __init__(self, num_types: int = 0, channels: tuple[int, int, int] = (96, 64, 32)) -> None:
        super().__init__()
        self.normalize = Normalize(MEAN, STD)
        self.features = MobileNetV3Features("small", output_stride=16)
        wide = self.features.out_channels
        self.project = ConvNormAct(wide, channels[0], 1, act=nn.ReLU)
        self.gate = nn.Conv2d(wide, channels[0], 1, bias=False)
        self.to_eighth = Refine(channels[0], 24, channels[1])
        self.to_quarter = Refine(channels[1], 16, channels[2])
        self.masks = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in channels)
        self.type_head = (
            nn.Sequential(nn.Linear(wide, 256), nn.ReLU(), nn.Linear(256, num_types)) if num_types else None
        )
        initialize(self)

    def scales(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Mask logits at 1/16, 1/8 and 1/4 of (B, 3, H, W), and pooled features (B, C); H, W multiples of 16."""
        x = self.normalize(image)
        taps: dict[int, Tensor] = {}
        for number, block in enumerate(self.features):
            x = block(x)
            taps[number] = x
        # XNNPACK takes a mean only with its dimensions kept.
        pooled = x.mean((2, 3), keepdim=True)
        low = self.project(x) * self.gate(pooled).sigmoid()  # (B, 96, H/16, W/16)
        middle = self.to_eighth(low, taps[EIGHTH])
        high = self.to_quarter(middle, taps[QUARTER])
        masks = [self.masks[0](low)]
        for head, level in zip(self.masks[1:], (middle, high), strict=True):
            masks.append(_double(masks[-1]) + head(level))
        return masks, pooled.flatten(1)

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mask logits (B, 1, H, W) and pooled features (B, C) of (B, 3, H, W) RGB in [0, 1]."""
        masks, pooled = self.scales(image)
        return _enlarge(masks[-1]), pooled

    def forward(self, image: Tensor) -> Tensor:
        """Probability (B, 1, 224, 224) that a pixel is of the subject, of (B, 3, 224, 224) RGB in [0, 1]."""
        return self.logits(image)[0].sigmoid()


def _enlarge(mask: Tensor) -> Tensor:
    return nn.functional.interpolate(mask, scale_factor=4, mode="bilinear")


def _double(mask: Tensor) -> Tensor:
    return nn.functional.interpolate(mask, scale_factor=2, mode="bilinear")


def build(num_types: int = 0) -> Saliency:
    """The registered network; ``num_types`` adds the image-type head for training."""
    return Saliency(num_types)
