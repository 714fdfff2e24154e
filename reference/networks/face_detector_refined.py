"""Whether a box of the face detector holds a face: the second network of a cascade.

The detector sees 384 x 288 pixels of the whole picture, in which a small face has 14. This network looks at one box
after the other in the picture's own pixels and only says how sure it is. Cascades of ever slower and surer networks:
Viola and Jones, *Rapid Object Detection using a Boosted Cascade of Simple Features*, CVPR 2001; with networks, Zhang et
al., *Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks*, 2016. Layers of MobileNetV3
(Howard et al., ICCV 2019).

Differs from the sources: boxes and points stay the detector's, and both scores count: see
:func:`reference.pipelines.faces.refine`.
"""

from __future__ import annotations

from torch import Tensor, nn

from reference.networks.layers import ConvNormAct, InvertedResidual, Normalize, initialize
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

SIZE = 48
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LABELS = ("face", "background")

SPEC = ModelSpec(
    name="face_detector_refined",
    task="image_classification",
    document="T",
    network="face_detector_refined:build",
    inputs=(TensorSpec("image", (1, 3, SIZE, SIZE), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(TensorSpec("logits", (1, len(LABELS)), "NC", "logit"),),
    preprocess=PreprocessSpec(size=(SIZE, SIZE), mean=MEAN, std=STD),
    postprocess=PostprocessSpec("Classification", threshold=0.5),
    intermediate="features",
    labels=LABELS,
    description="Whether a square around a detector's box holds a face",
    refines="face_detector",
)


class FaceRefiner(nn.Module):
    """Logits of face and background of a 48 x 48 square.

    The resolution falls later than in MobileNetV3: what a face is made of measures a few pixels here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normalize = Normalize(MEAN, STD)
        relu, swish = nn.ReLU, nn.Hardswish
        self.features = nn.Sequential(
            ConvNormAct(3, 16, 3, 2, act=swish),  # 24 x 24
            InvertedResidual(16, 64, 24, 3, 2, False, relu),  # 12 x 12
            InvertedResidual(24, 72, 24, 3, 1, False, relu),
            InvertedResidual(24, 72, 24, 5, 1, False, relu),
            InvertedResidual(24, 96, 40, 5, 2, True, swish),  # 6 x 6
            InvertedResidual(40, 160, 40, 5, 1, True, swish),
            InvertedResidual(40, 160, 40, 5, 1, True, swish),
            ConvNormAct(40, 192, 1, act=swish),
        )
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(192, len(LABELS))
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 2) logits of face and background of (B, 3, 48, 48) RGB in [0, 1]."""
        # Flattened afterwards: XNNPACK in ExecuTorch takes no mean that drops dimensions.
        pooled = self.features(self.normalize(image)).mean((2, 3), keepdim=True).flatten(1)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


def build() -> FaceRefiner:
    """The registered network."""
    return FaceRefiner()
