"""68 face keypoints from a template (document T, rows T1 and T2).

The network predicts probabilities over shape templates and a similarity (scale, rotation, translation); the mixed
template, placed by the similarity, gives the first keypoints, which are a normal face by construction. A node
inside the same network predicts second keypoints directly, as the mean place under a map of each point: the inner
features know where they are, so that few faces teach it (Sun et al., *Integral human pose regression*, ECCV 2018).
A gate per point, also predicted, decides how much of each makes the result: where the picture says little
(occlusion) the template wins.

Pose and position are corrected (row T5) by the similarity that this network predicts: it turns and cuts the picture
anew for a second look (:mod:`reference.face_pipeline`). Inside the graph a spatial transform leaves every delegate.

Differs from the source: the document places no similarity between template and picture (its templates carry the
pose); separating pose from shape lets few templates serve all rotations. The gate is ours, the document says only
that both determine the result.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from reference.layers import ConvNormAct, MobileNetV3Features, Normalize, initialize, round_channels
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

SIZE = 112
POINTS = 68
TEMPLATES = 64
HEAT = 28  # cells a side of the maps from which the direct keypoints come
INNER = 64  # channels of the node that predicts them
# Blocks of the feature network that the node reads, with their channels at width 1: 1/16, 1/8, 1/4 of the resolution.
LATERALS = ((8, 48), (3, 24), (1, 16))
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
    intermediate="deep",
    description="68 points of a face (300-W order) in a square crop around it",
)

# The second network of the cascade (row T6): the same layers with weights of their own, for a crop that the first
# network's points made upright and exact.
REFINED_SPEC = dataclasses.replace(
    SPEC,
    name="template_keypoints_refined",
    description="68 points of a face (300-W order) in an upright crop cut by the points of template_keypoints",
)


class TemplateKeypoints(nn.Module):
    """Keypoints as a mix of templates, plus a direct prediction.

    Args:
        templates: number of shape templates.
        width: channel multiplier of the MobileNetV3-Small features.
        attributes: outputs of the attribute head that only training has (row T3); 0 leaves it out.

    Attributes:
        templates: (2 * 68, K): a shape a column, x then y, centred, unit size; learnt from training shapes and
            stored with the weights.
    """

    templates: Tensor
    grid: Tensor

    def __init__(self, templates: int = TEMPLATES, width: float = 0.75, attributes: int = 0) -> None:
        super().__init__()
        self.normalize = Normalize(MEAN, STD)
        self.features = MobileNetV3Features("small", width)
        wide = self.features.out_channels
        self.reduce = ConvNormAct(wide, 48, 1, act=nn.ReLU)
        flat = 48 * (SIZE // 32 + 1) ** 2  # 4 x 4 positions stay: where a feature is matters as much as what it is
        self.hidden = nn.Sequential(nn.Linear(flat, 256), nn.ReLU())
        self.template_logits = nn.Linear(256, templates)
        self.similarity = nn.Linear(256, 4)
        self.gate = nn.Linear(256, POINTS)
        self.deep = ConvNormAct(wide, INNER, 1)
        self.laterals = nn.ModuleList(ConvNormAct(round_channels(c * width), INNER, 1) for _, c in LATERALS)
        self.mixers = nn.ModuleList(
            nn.Sequential(ConvNormAct(INNER, INNER, 3, groups=INNER), ConvNormAct(INNER, INNER, 1, act=nn.ReLU))
            for _ in LATERALS
        )
        self.heat = nn.Conv2d(INNER, POINTS, 1)
        self.attribute_head = nn.Linear(256, attributes) if attributes else None
        initialize(self)
        nn.init.kaiming_normal_(self.hidden[0].weight)  # type: ignore[arg-type]
        nn.init.normal_(self.heat.weight, 0, 0.05)
        # The start is an upright face that fills the middle of the crop.
        with torch.no_grad():
            self.similarity.bias.copy_(torch.tensor([0.3, 0.0, 0.5, 0.5]))
        self.register_buffer("templates", torch.zeros(2 * POINTS, templates))
        # Centres of the heat map's cells in fractions of the crop, a point between the outermost ones.
        middle = (torch.arange(HEAT) + 0.5) / HEAT
        grid = torch.stack([middle.repeat(HEAT), middle.repeat_interleave(HEAT)])
        self.register_buffer("grid", grid, persistent=False)  # (2, HEAT * HEAT), x then y

    def stages(self, image: Tensor) -> dict[str, Tensor]:
        """Everything that the losses need, of (B, 3, 112, 112) RGB in [0, 1].

        Returns:
            ``probabilities`` (B, K); ``template_keypoints``, ``direct_keypoints``, ``keypoints``, each (B, 2, 68)
            in fractions of the crop, x then y; ``gate`` (B, 1, 68) in [0, 1], 1 trusts the direct prediction;
            ``heat`` (B, 68, 28 * 28) logits of each point's place; ``attributes`` (B, A) where there is that head.
        """
        taps: dict[int, Tensor] = {}
        x = self.normalize(image)
        for number, block in enumerate(self.features):
            x = block(x)
            taps[number] = x
        h = self.hidden(self.reduce(x).flatten(1))
        probabilities = torch.softmax(self.template_logits(h), dim=1)
        shape = nn.functional.linear(probabilities, self.templates)  # (B, 2 * 68)
        a, b, tx, ty = (self.similarity(h)[:, i : i + 1] for i in range(4))
        first_x = a * shape[:, :POINTS] - b * shape[:, POINTS:] + tx  # scaled rotation, then translation
        first_y = b * shape[:, :POINTS] + a * shape[:, POINTS:] + ty
        heat, second_x, second_y = self._direct(x, taps)
        gate = torch.sigmoid(self.gate(h))
        result_x = first_x + gate * (second_x - first_x)
        result_y = first_y + gate * (second_y - first_y)
        out = {
            "probabilities": probabilities,
            "template_keypoints": torch.cat([first_x, first_y], dim=1).reshape(-1, 2, POINTS),
            "direct_keypoints": torch.cat([second_x, second_y], dim=1).reshape(-1, 2, POINTS),
            "keypoints": torch.cat([result_x, result_y], dim=1).reshape(-1, 2, POINTS),
            "gate": gate.reshape(-1, 1, POINTS),
            "heat": heat,
        }
        if self.attribute_head is not None:
            out["attributes"] = self.attribute_head(h)
        return out

    def _direct(self, x: Tensor, taps: dict[int, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Heat logits (B, 68, 28 * 28) and the mean places (B, 68) in x and in y."""
        d = self.deep(x)
        for (block, _), lateral, mixer in zip(LATERALS, self.laterals, self.mixers, strict=True):
            tap = taps[block]
            d = nn.functional.interpolate(d, size=(tap.shape[2], tap.shape[3]), mode="bilinear")
            d = mixer(torch.relu(d + lateral(tap)))
        heat = self.heat(d).reshape(-1, POINTS, HEAT * HEAT)
        places = nn.functional.linear(torch.softmax(heat, dim=2), self.grid)  # (B, 68, 2)
        flat = places.transpose(1, 2).reshape(-1, 2 * POINTS)
        return heat, flat[:, :POINTS], flat[:, POINTS:]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Result and first keypoints, each (B, 68, 2) in fractions of the crop, of (B, 3, 112, 112) RGB in [0, 1]."""
        out = self.stages(image)
        return out["keypoints"].transpose(1, 2), out["template_keypoints"].transpose(1, 2)


def build(attributes: int = 0) -> TemplateKeypoints:
    """The registered network; ``attributes`` adds the attribute head for training."""
    return TemplateKeypoints(attributes=attributes)
