"""From output tensors to typed results."""

import json

import numpy as np
import pytest

from reference.inputs.preprocess import Region
from reference.registry import get_spec
from reference.tasks import decode as postprocess
from reference.tasks.depth_to_voxels import VoxelGrid
from reference.tasks.face_keypoints import Keypoints
from reference.tasks.image_classification import Classification, softmax

REGION = Region(10, 20, 50, 100)


def test_softmax_of_known_values():
    np.testing.assert_allclose(softmax(np.log(np.array([1, 2, 5], np.float32))), [1 / 8, 2 / 8, 5 / 8], rtol=1e-6)
    np.testing.assert_allclose(softmax(np.zeros(4, np.float32)), [0.25] * 4)


def test_softmax_is_stable():
    """exp(1000) is infinite: only differences may count."""
    large = softmax(np.array([1000, 1001, -1e30], np.float32))
    np.testing.assert_allclose(large, [1 / (1 + np.e), np.e / (1 + np.e), 0], rtol=1e-5)


def test_scores_are_sorted_and_ties_keep_the_labels_order():
    spec = get_spec("classifier")
    logits = np.zeros((1, 7), np.float32)
    logits[0, 3], logits[0, 5] = 2, 1
    result = postprocess({"logits": logits}, spec, REGION)
    assert isinstance(result, Classification)
    assert result.label == "guitar"
    assert [name for name, _ in result.scores] == ["guitar", "house", "dog", "elephant", "giraffe", "horse", "person"]
    assert sum(score for _, score in result.scores) == pytest.approx(1)
    assert result.score == pytest.approx(np.e**2 / (np.e**2 + np.e + 5))
    assert list(json.loads(json.dumps(result.to_json()))["scores"])[0] == "guitar"  # noqa: RUF015


def test_keypoints_come_back_in_picture_pixels():
    spec = get_spec("template_keypoints")
    points = np.full((1, 68, 2), 0.5, np.float32)
    points[0, 0], points[0, 1] = (0, 0), (1, 0.25)
    result = postprocess({"keypoints": points, "template_keypoints": points[:, ::-1]}, spec, REGION)
    assert isinstance(result, Keypoints)
    assert result.points_px[:3].tolist() == [[9.5, 19.5], [59.5, 44.5], [34.5, 69.5]]
    assert result.template_points_px[67].tolist() == [9.5, 19.5]
    assert result.region == REGION
    assert json.loads(json.dumps(result.to_json()))["points_px"][1] == [59.5, 44.5]


def test_a_voxel_is_filled_from_the_threshold_on():
    spec = get_spec("voxel64")
    occupancy = np.zeros((1, 64, 64, 64), np.float32)
    occupancy[0, 1, 2, 3], occupancy[0, 4, 5, 6], occupancy[0, 7, 8, 9] = 0.5, 0.499, 1.2
    result = postprocess({"occupancy": occupancy}, spec, REGION)
    assert isinstance(result, VoxelGrid)
    assert np.argwhere(result.filled).tolist() == [[1, 2, 3], [7, 8, 9]]
    assert result.to_json() == {"size": 64, "filled_voxels": 2}
