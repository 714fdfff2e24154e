"""One image classifier for photos, hand drawings and cartoons (document I, rows I1 and I2).

MobileNetV3 features (Howard et al., ICCV 2019), a target head, and an image-type head that is used in training
only: it is trained to tell the image type, while features and target head are trained with classification loss
minus image-type loss, so that one object's features come close whatever the type.

Differs from the source: the document leaves the heads open; the target head is the paper's own
(1x1 convolution without normalisation, hard-swish, 1x1 convolution), the image-type head has one hidden layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from reference.networks.layers import MobileNetV3Features, Normalize, initialize, round_channels
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

LABELS = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
IMAGE_TYPES = ("photo", "art_painting", "cartoon", "sketch")
SIZE = 128
# Channel statistics of natural pictures (ImageNet), RGB in [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

SPEC = ModelSpec(
    name="classifier",
    task="image_classification",
    document="I",
    network="classifier:build",
    inputs=(TensorSpec("image", (1, 3, SIZE, SIZE), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(TensorSpec("logits", (1, len(LABELS)), "NC", "logit"),),
    preprocess=PreprocessSpec(size=(SIZE, SIZE), mean=MEAN, std=STD),
    postprocess=PostprocessSpec("Classification"),
    intermediate="features",
    labels=LABELS,
    description="What a photo, a hand drawing or a cartoon shows: one of seven classes",
)


class Classifier(nn.Module):
    """MobileNetV3 with a target head and, for training, an image-type head.

    Args:
        num_classes: outputs of the target head.
        num_types: outputs of the image-type head; 0 leaves it out, which is the network that ships (row I1).
        variant: ``small`` or ``large``.
        width: channel multiplier.
        dropout: share of the last features that training drops.
    """

    def __init__(
        self, num_classes: int, num_types: int = 0, variant: str = "small", width: float = 1.0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        hidden = {"small": 1024, "large": 1280}[variant]
        if width > 1.0:  # the paper widens the last layer only upwards
            hidden = round_channels(hidden * width)
        self.normalize = Normalize(MEAN, STD)
        self.features = MobileNetV3Features(variant, width)
        channels = self.features.out_channels
        self.target_head = nn.Sequential(
            nn.Linear(channels, hidden), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(hidden, num_classes)
        )
        self.type_head = (
            nn.Sequential(nn.Linear(channels, 256), nn.ReLU(), nn.Linear(256, num_types)) if num_types else None
        )
        initialize(self)

    def embed(self, image: Tensor) -> Tensor:
        """Pooled features of (B, 3, H, W) RGB in [0, 1]: (B, C)."""
        features: Tensor = self.features(self.normalize(image))
        # XNNPACK takes a mean only with its dimensions kept.
        return features.mean((2, 3), keepdim=True).flatten(1)

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (B, num_classes) of (B, 3, H, W) RGB in [0, 1]."""
        logits: Tensor = self.target_head(self.embed(image))
        return logits


def build(num_types: int = 0) -> Classifier:
    """The registered network; ``num_types`` adds the image-type head for training."""
    return Classifier(len(LABELS), num_types)
