"""Where the subject of a photo, drawing or cartoon is (document I, row I6): a mask of the salient region.

MobileNetV3-Small features at 1/16 of the resolution with the LR-ASPP head (Howard et al., *Searching for MobileNetV3*,
ICCV 2019, section 6.4). As in the classifier, an image-type head that only training has pushes the features of the
image types together.

Differs from the source: the document gives no network for this model, only its output. The head reads features of 1/4
of the resolution besides those of 1/8, because the outline of a subject is what the mask is used for.
"""

from __future__ import annotations

import torch
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


class Saliency(nn.Module):
    """MobileNetV3-Small with the LR-ASPP head and, for training, an image-type head.

    Args:
        num_types: outputs of the image-type head; 0 leaves it out, which is the network that ships.
        channels: width of the head.
    """

    mirror: Tensor
    mirror_quarter: Tensor

    def __init__(self, num_types: int = 0, channels: int = 128) -> None:
        super().__init__()
        self.normalize = Normalize(MEAN, STD)
        self.features = MobileNetV3Features("small", output_stride=16)
        wide = self.features.out_channels
        self.project = ConvNormAct(wide, channels, 1, act=nn.ReLU)
        self.gate = nn.Conv2d(wide, channels, 1, bias=False)
        self.high = nn.Conv2d(channels, 1, 1)
        self.eighth = nn.Conv2d(24, 1, 1)
        self.quarter = nn.Conv2d(16, 1, 1)
        self.type_head = (
            nn.Sequential(nn.Linear(wide, 256), nn.ReLU(), nn.Linear(256, num_types)) if num_types else None
        )
        # Left and right are exchanged by a product with a permutation: no phone runtime delegates torch.flip.
        self.register_buffer("mirror", torch.eye(SIZE).flip(0), persistent=False)
        self.register_buffer("mirror_quarter", torch.eye(SIZE // 4).flip(0), persistent=False)
        initialize(self)

    def quarter_logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mask logits (B, 1, H/4, W/4) and pooled features (B, C, 1, 1) of (B, 3, H, W); H, W multiples of 16."""
        x = self.normalize(image)
        taps: dict[int, Tensor] = {}
        for number, block in enumerate(self.features):
            x = block(x)
            taps[number] = x
        # XNNPACK takes a mean only with its dimensions kept.
        pooled = x.mean((2, 3), keepdim=True)
        attended = self.high(self.project(x) * self.gate(pooled).sigmoid())  # (B, 1, H/16, W/16)
        mask = _double(attended) + self.eighth(taps[EIGHTH])
        return _double(mask) + self.quarter(taps[QUARTER]), pooled

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What is trained: mask logits (B, 1, H, W) and pooled features (B, C) of (B, 3, H, W) RGB in [0, 1]."""
        mask, pooled = self.quarter_logits(image)
        return _enlarge(mask), pooled.flatten(1)

    def forward(self, image: Tensor) -> Tensor:
        """Probability (B, 1, 224, 224) that a pixel is of the subject, of (B, 3, 224, 224) RGB in [0, 1].

        The network looks at the picture and at its mirror image, and the two logits are added, as those of independent
        witnesses are.
        """
        masks, _ = self.quarter_logits(torch.cat([image, image @ self.mirror]))
        one, other = masks[: len(image)], masks[len(image) :]
        return _enlarge(one + other @ self.mirror_quarter).sigmoid()


def _enlarge(mask: Tensor) -> Tensor:
    return nn.functional.interpolate(mask, scale_factor=4, mode="bilinear")


def _double(mask: Tensor) -> Tensor:
    return nn.functional.interpolate(mask, scale_factor=2, mode="bilinear")


def build(num_types: int = 0) -> Saliency:
    """The registered network; ``num_types`` adds the image-type head for training."""
    return Saliency(num_types)
