"""How each task's results are shown, by the task's name. Adding one is a line here."""

from __future__ import annotations

from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.predict import (
    depth_to_voxels,
    face_detection,
    face_keypoints,
    face_reconstruction,
    image_classification,
    salient_object_detection,
)
from sdk_build.predict.base import View
from sdk_build.predict.general import (
    depth_estimation,
    embedding,
    image_segmentation,
    image_to_image,
    keypoints,
    object_detection,
    tensors,
)

VIEWS: dict[str, View] = {
    "image_classification": image_classification.VIEW,
    "salient_object_detection": salient_object_detection.VIEW,
    "face_detection": face_detection.VIEW,
    "face_keypoints": face_keypoints.VIEW,
    "depth_to_voxels": depth_to_voxels.VIEW,
    "face_reconstruction": face_reconstruction.VIEW,
    "image_segmentation": image_segmentation.VIEW,
    "object_detection": object_detection.VIEW,
    "keypoints": keypoints.VIEW,
    "depth_estimation": depth_estimation.VIEW,
    "image_to_image": image_to_image.VIEW,
    "embedding": embedding.VIEW,
    "tensors": tensors.VIEW,
}


def get_view(spec: ModelSpec) -> View:
    """How results of a model are shown.

    Raises:
        BadInput: nothing shows this task.
    """
    if spec.task not in VIEWS:
        raise BadInput(f"nothing shows results of {spec.task!r}; allowed: {', '.join(VIEWS)}")
    return VIEWS[spec.task]
