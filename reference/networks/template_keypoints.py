"""68 face keypoints from a template (document T, rows T1 and T2).

The network predicts probabilities over shape templates and a similarity (scale, rotation, translation); the mixed
template, placed by the similarity, gives the first keypoints, which are a normal face by construction. A node
inside the same network predicts second keypoints directly, as the mean place under a map of each point: the inner
features know where they are, so that few faces teach it (Sun et al., *Integral human pose regression*, ECCV 2018).
A gate per point, also predicted, decides how much of each makes the result: where the picture says little
(occlusion) the template wins.

Pose and position are corrected (row T5) by the similarity that this network predicts: it turns and cuts the picture
anew for a second look (:mod:`reference.pipelines.faces`). Inside the graph a spatial transform leaves every delegate.

Differs from the source: the document places no similarity between template and picture (its templates carry the
pose); separating pose from shape lets few templates serve all rotations. The gate is ours, the document says only
that both determine the result.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from reference.networks.point_maps import HIDDEN, MEAN, POINTS, SIZE, STD, PointMaps, cell_centers
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

TEMPLATES = 64

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
    refines="template_keypoints",
)


class TemplateKeypoints(PointMaps):
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
        super().__init__(width)
        self.template_logits = nn.Linear(HIDDEN, templates)
        self.similarity = nn.Linear(HIDDEN, 4)
        self.gate = nn.Linear(HIDDEN, POINTS)
        self.attribute_head = nn.Linear(HIDDEN, attributes) if attributes else None
        self.start()
        # The start is an upright face that fills the middle of the crop.
        with torch.no_grad():
            self.similarity.bias.copy_(torch.tensor([0.3, 0.0, 0.5, 0.5]))
        self.register_buffer("templates", torch.zeros(2 * POINTS, templates))
        self.register_buffer("grid", torch.stack(cell_centers()), persistent=False)  # (2, 28 * 28), x then y

    def stages(self, image: Tensor) -> dict[str, Tensor]:
        """Everything that the losses need, of (B, 3, 112, 112) RGB in [0, 1].

        Returns:
            ``probabilities`` (B, K); ``template_keypoints``, ``direct_keypoints``, ``keypoints``, each (B, 2, 68)
            in fractions of the crop, x then y; ``gate`` (B, 1, 68) in [0, 1], 1 trusts the direct prediction;
            ``heat`` (B, 68, 28 * 28) logits of each point's place; ``attributes`` (B, A) where there is that head.
        """
        h, x, taps = self.look(image)
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
        heat = self.maps(self.path(x, taps))
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
