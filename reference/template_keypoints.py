"""68 face keypoints from a template (document T, rows T1 and T2).

The network predicts probabilities over shape templates and a similarity (scale, rotation, translation); the mixed
template, placed by the similarity, gives the first keypoints, which are a normal face by construction. A node
inside the same network predicts second keypoints directly. A gate per point, also predicted, decides how much of
each makes the result: where the picture says little (occlusion) the template wins.

Differs from the source: the document places no similarity between template and picture (its templates carry the
pose); separating pose from shape lets few templates serve all rotations. The gate is ours, the document says only
that both determine the result.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference.layers import ConvNormAct, MobileNetV3Features, Normalize, initialize
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

SIZE = 112
POINTS = 68
TEMPLATES = 64
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

SPEC = ModelSpec(
    name="template_keypoints",
    task="face_keypoints",
    document="T",
    network="template_keypoints:build",
    inputs=(TensorSpec("image", (1, 3, SIZE, SIZE), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(
        TensorSpec("keypoints", (1, POINTS, 2), "NPC", "crop_fraction", (0.0, 1.0)),
        TensorSpec("template_keypoints", (1, POINTS, 2), "NPC", "crop_fraction", (0.0, 1.0)),
    ),
    preprocess=PreprocessSpec(size=(SIZE, SIZE), mean=MEAN, std=STD),
    postprocess=PostprocessSpec("Keypoints"),
    intermediate="features",
    description="68 points of a face (300-W order) in a square crop around it",
)


class TemplateKeypoints(nn.Module):
    """Keypoints as a mix of templates, plus a direct prediction.

    Args:
        templates: number of shape templates.
        width: channel multiplier of the MobileNetV3-Small features.

    Attributes:
        templates: (2 * 68, K): a shape a column, x then y, centred, unit size; learnt from training shapes and
            stored with the weights.
    """

    templates: Tensor

    def __init__(self, templates: int = TEMPLATES, width: float = 0.75) -> None:
        super().__init__()
        self.normalize = Normalize(MEAN, STD)
        self.features = MobileNetV3Features("small", width)
        self.reduce = ConvNormAct(self.features.out_channels, 48, 1, act=nn.ReLU)
        flat = 48 * (SIZE // 32 + 1) ** 2  # 4 x 4 positions stay: where a feature is matters as much as what it is
        self.hidden = nn.Sequential(nn.Linear(flat, 256), nn.ReLU())
        self.template_logits = nn.Linear(256, templates)
        self.similarity = nn.Linear(256, 4)
        self.direct = nn.Linear(256, 2 * POINTS)
        self.gate = nn.Linear(256, POINTS)
        initialize(self)
        nn.init.kaiming_normal_(self.hidden[0].weight)  # type: ignore[arg-type]
        # The start is an upright face that fills the middle of the crop.
        with torch.no_grad():
            self.similarity.bias.copy_(torch.tensor([0.3, 0.0, 0.5, 0.5]))
            self.direct.bias.fill_(0.5)
        self.register_buffer("templates", torch.zeros(2 * POINTS, templates))

    def stages(self, image: Tensor) -> dict[str, Tensor]:
        """Everything that the losses need, of (B, 3, 112, 112) RGB in [0, 1].

        Returns:
            ``probabilities`` (B, K); ``template_keypoints``, ``direct_keypoints``, ``keypoints``, each (B, 2, 68)
            in fractions of the crop, x then y; ``gate`` (B, 1, 68) in [0, 1], 1 trusts the direct prediction.
        """
        h = self.hidden(self.reduce(self.features(self.normalize(image))).flatten(1))
        probabilities = torch.softmax(self.template_logits(h), dim=1)
        shape = nn.functional.linear(probabilities, self.templates)  # (B, 2 * 68)
        x, y = shape[:, :POINTS], shape[:, POINTS:]
        a, b, tx, ty = (self.similarity(h)[:, i : i + 1] for i in range(4))
        first_x, first_y = a * x - b * y + tx, b * x + a * y + ty  # scaled rotation, then translation
        second = self.direct(h)
        gate = torch.sigmoid(self.gate(h))
        result_x = first_x + gate * (second[:, :POINTS] - first_x)
        result_y = first_y + gate * (second[:, POINTS:] - first_y)
        return {
            "probabilities": probabilities,
            "template_keypoints": torch.cat([first_x, first_y], dim=1).reshape(-1, 2, POINTS),
            "direct_keypoints": second.reshape(-1, 2, POINTS),
            "keypoints": torch.cat([result_x, result_y], dim=1).reshape(-1, 2, POINTS),
            "gate": gate.reshape(-1, 1, POINTS),
        }

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Result and first keypoints, each (B, 68, 2) in fractions of the crop, of (B, 3, 112, 112) RGB in [0, 1]."""
        out = self.stages(image)
        return out["keypoints"].transpose(1, 2), out["template_keypoints"].transpose(1, 2)


def build() -> TemplateKeypoints:
    """The registered network."""
    return TemplateKeypoints()
