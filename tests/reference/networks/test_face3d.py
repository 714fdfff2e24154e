"""The face network: each feature moves its own part, and the pose is what it says."""

import json

import numpy as np
import pytest
import torch

from reference.card import MODELS_DIR
from reference.checkpoint import TRAINING_HEADS, load_weights, save_weights
from reference.geometry.face_topology import load_topology
from reference.geometry.mesh import rotation
from reference.golden import load_golden
from reference.inputs.preprocess import Region
from reference.networks import face3d
from reference.networks.face3d import DENSE, DENSE_LOOK, EXPRESSION, IDENTITY, LOOK, POSE, VERTICES, Reading
from reference.networks.point_maps import HIDDEN, POINTS
from reference.tasks import decode as postprocess
from reference.tasks.face_reconstruction import FaceMesh

REGION = Region(10, 20, 200, 200)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = face3d.build()
    network.set_mean(torch.from_numpy(load_topology().mean))
    return network.eval()


@pytest.fixture
def features():
    return {"identity": torch.rand(1, IDENTITY), "expression": torch.rand(1, EXPRESSION), "pose": torch.rand(1, POSE)}


def quaternion(yaw, pitch, roll):
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation(yaw, pitch, roll)[:3, :3]).as_quat()
    return np.array([w, x, y, z])


def pose_of(yaw=0.0, pitch=0.0, roll=0.0, scale=0.4, shift=(0.5, 0.5), length=1.0):
    return torch.tensor([[*(length * quaternion(yaw, pitch, roll)), scale, *shift]], dtype=torch.float32)


@pytest.mark.parametrize(("changed", "moved"), [
    ("identity", {"neutral", "shape", "vertices"}),
    ("expression", {"shape", "vertices"}),
    ("pose", {"pose", "vertices"}),
])  # fmt: skip
def test_a_feature_moves_only_its_part(network, features, changed, moved):
    with torch.no_grad():
        before = network.decode(**features)
        after = network.decode(**{**features, changed: features[changed] + 0.5})
    assert {name for name in before if not torch.equal(before[name], after[name])} == moved


def test_the_expression_reads_the_identity_shape(network, features):
    """Row R2: the expression decoder takes the expression feature and the identity shape."""
    with torch.no_grad():
        one = network.decode(**features)
        other = network.decode(**{**features, "identity": features["identity"] + 1})
    assert not torch.allclose(one["shape"] - one["neutral"], other["shape"] - other["neutral"], atol=1e-7)


def test_the_stored_weights_have_expressions():
    """Once the expression decoder's rectifiers were all off, for every picture, and no metric told."""
    stored = face3d.build()
    load_weights(stored, MODELS_DIR / "face3d" / "weights.safetensors", ignore=TRAINING_HEADS)
    inputs = [torch.from_numpy(case.input) for case in load_golden(face3d.SPEC)]
    with torch.no_grad():
        one, other = (stored.eval().encode(stored.read(image)[0]) for image in inputs)
        moved = stored.decode(**one)["shape"] - stored.decode(**{**one, "expression": other["expression"]})["shape"]
    # The topology's face is 1.8 wide: some vertices move by a hundredth of that and more.
    assert moved.reshape(3, -1).norm(dim=0).max() > 0.02


def test_points_are_read_as_those_of_the_upright_face_of_unit_height(network):
    """Turning, growing and moving a picture's points leaves what the encoders read of their arrangement."""
    torch.manual_seed(1)
    points = torch.rand(2, 1, POINTS + DENSE)
    turned = 1.7 * torch.tensor([[0.8, -0.6], [0.6, 0.8]]) @ points[:, 0] + 0.3

    def arrangement(x, y):
        reading = Reading(torch.zeros(1, HIDDEN), x[:, :POINTS], y[:, :POINTS], x[:, POINTS:], y[:, POINTS:], looks)
        read = network.gather(reading)[:, HIDDEN + 2 * POINTS :]
        return read[:, : 2 * (POINTS + DENSE)]

    looks = torch.zeros(1, LOOK * POINTS + DENSE_LOOK * DENSE)
    before, after = arrangement(*points), arrangement(*turned[:, None])
    torch.testing.assert_close(before, after, rtol=1e-2, atol=1e-3)
    across, down = before.reshape(2, -1)
    torch.testing.assert_close(across[36:48].mean(), torch.tensor(0.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(down[48:68].mean(), torch.tensor(1.0), atol=2e-2, rtol=0)


@pytest.mark.parametrize("length", [1.0, 3.0])
@pytest.mark.parametrize("angles", [(0, 0, 0), (40, 0, 0), (0, 25, 0), (0, 0, -30), (50, -20, 10)])
def test_placing_is_a_rotation_a_scale_and_a_shift(angles, length):
    shape = torch.randn(1, 3, 7)
    pose = pose_of(*angles, scale=0.3, shift=(0.2, 0.7), length=length)
    placed = face3d.place(shape.reshape(1, -1), pose).reshape(3, 7).numpy()
    turned = 0.3 * rotation(*angles)[:3, :3] @ shape[0].numpy()
    np.testing.assert_allclose(placed, [0.2 + turned[0], 0.7 - turned[1], turned[2]], atol=1e-5)


@pytest.mark.parametrize("angles", [(0, 0, 0), (35, 10, -20), (-70, -15, 40)])
def test_the_result_tells_pose_and_shape_back(angles):
    """What was posed with known angles comes back with them, and its shape before the pose as well."""
    mean = load_topology().mean
    pose = pose_of(*angles, length=2.0)
    placed = (
        face3d.place(torch.from_numpy(mean.T.reshape(1, -1).copy()), pose).reshape(1, 3, -1).transpose(1, 2).numpy()
    )
    outputs = {"vertices": placed, "neutral": mean[None], "pose": pose.numpy()}
    face = postprocess(outputs, face3d.SPEC, REGION)
    assert isinstance(face, FaceMesh)
    assert list(face.pose_degrees.values()) == pytest.approx(angles, abs=1e-2)
    np.testing.assert_allclose(face.shape, mean, atol=1e-4)
    assert list(face.expression.values()) == pytest.approx([0] * 6, abs=1e-3)
    assert face.center_px.tolist() == [109.5, 119.5]
    assert face.landmarks_px.shape == (68, 2)
    document = json.loads(json.dumps(face.to_json()))
    assert set(document) == {"pose_degrees", "expression", "landmarks_px", "vertices"}


def test_expressions_are_measured_against_the_neutral_face():
    mean = load_topology().mean
    now = mean.copy()
    now[[65, 66, 67], 1] -= 0.2  # the lower lip goes down
    now[[37, 38], 1] = now[[41, 40], 1]  # the person's right eye shuts
    now[[37, 38], 0], now[[37, 38], 2] = now[[41, 40], 0], now[[41, 40], 2]
    face = FaceMesh(now * [1, -1, 1], mean, np.eye(3, dtype=np.float32), 1.0, np.zeros(2, np.float32), REGION)
    found = face.expression
    assert found["mouth_open"] > 0.1
    assert found["right_eye_closed"] == pytest.approx(1)
    assert found["left_eye_closed"] == pytest.approx(0, abs=1e-5)
    assert found["smile"] == found["brow_raise"] == found["mouth_wide"] == pytest.approx(0, abs=1e-5)


def test_the_start_is_the_mean_face_in_the_middle(network):
    with torch.no_grad():
        vertices, neutral, pose = network(torch.rand(1, 3, 176, 176))
    assert vertices.shape == neutral.shape == (1, VERTICES, 3)
    assert pose.shape == (1, 7)
    np.testing.assert_allclose(neutral[0].numpy(), load_topology().mean, atol=0.2)
    assert 0.3 < float(vertices[0, :68, :2].mean()) < 0.7


def test_what_only_training_has_is_left_out(tmp_path):
    trained = face3d.build(appearance=True)
    save_weights(trained, tmp_path / "weights.safetensors")
    load_weights(face3d.build(), tmp_path / "weights.safetensors", ignore=TRAINING_HEADS)
