"""Losses, data and metrics of the face reconstruction."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reference.data.face_mixes import Validation
from reference.data.face_renders import Renders, cached_renders, load_head_shapes
from reference.data.faces import CANVAS, Faces
from reference.errors import BadInput
from reference.geometry.face_topology import REGIONS, load_topology
from reference.geometry.mesh import rotation
from reference.networks import face3d
from reference.tasks.face_reconstruction import evaluate, landmark_errors
from reference.train.recipes import face3d as training
from reference.train.recipes.region_loss import SIZE, barycentric, normals_of, region_loss, visible


@pytest.fixture(scope="module")
def topology():
    return load_topology()


def placed(topology, yaw=0.0, shift=0.0):
    """(1, 3, V) the mean face in the middle of a crop."""
    turned = topology.mean @ rotation(yaw, 0, 0)[:3, :3].T.astype(np.float32)
    in_crop = turned * np.array([0.4, -0.4, 0.4]) + np.array([0.5 + shift, 0.5, 0])
    return torch.from_numpy(in_crop.T.astype(np.float32).copy())[None]


def faces_of(count):
    rng = np.random.default_rng(0)
    points = rng.uniform(50, 120, (count, 68, 2)).astype(np.float32)
    canvases = rng.integers(0, 256, (count, CANVAS, CANVAS, 3), np.uint8)
    return Faces(canvases, points, np.zeros(count, np.float32), ("helen",) * count)


def test_barycentric_weights_of_known_points():
    corners = torch.tensor([[[0.5, 0.5], [4.5, 0.5], [0.5, 4.5]]], requires_grad=True)
    weights = barycentric(corners, torch.tensor([[1.0, 2.0]]))
    assert weights[0].tolist() == pytest.approx([0.25, 0.25, 0.5])
    pixel = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: barycentric(c, pixel), corners.detach().double().requires_grad_())


def test_every_region_is_seen_from_the_front_and_half_of_them_from_the_side(topology):
    _, _, front = visible(placed(topology)[0].numpy(), topology)
    assert set(front.tolist()) == set(range(1, len(REGIONS)))
    pixels, triangles, _ = visible(placed(topology, yaw=80)[0].numpy(), topology)
    assert len(pixels) == len(triangles)
    assert len(pixels) < 0.8 * len(front)
    assert pixels.min() >= 0
    assert pixels.max() < SIZE


def test_the_region_loss_is_zero_for_its_own_picture_and_pulls_a_shifted_face_back(topology):
    """A picture drawn with the loss's own z-buffer; a face moved sideways must be pulled towards it."""
    colors = torch.from_numpy(0.5 + topology.mean.T / 4)[None]  # smooth: colour tells the place
    vertices = placed(topology)
    image = torch.zeros(1, 3, SIZE, SIZE)
    pixels, triangles, _ = visible(vertices[0].numpy(), topology)
    corners = torch.from_numpy(topology.faces[triangles].astype(np.int64))
    weights = barycentric(vertices[0, :2].T[corners] * SIZE, torch.from_numpy(pixels))
    rows, columns = pixels[:, 1].astype(int), pixels[:, 0].astype(int)
    image[0][:, rows, columns] = (colors[0].T[corners] * weights[..., None]).sum(1).T
    own = float(region_loss(vertices, colors, image, topology))
    assert own == pytest.approx(0, abs=1e-6)
    moved = placed(topology, shift=0.02).requires_grad_()
    loss = region_loss(moved, colors, image, topology)
    assert float(loss.detach()) > 0.002
    loss.backward()
    assert moved.grad is not None
    assert float(moved.grad[0, 0].sum()) > 0  # descending moves it left


def test_a_face_outside_the_crop_has_no_region_loss(topology):
    vertices = placed(topology, shift=5.0).requires_grad_()
    loss = region_loss(vertices, torch.rand(1, 3, face3d.VERTICES), torch.rand(1, 3, SIZE, SIZE), topology)
    loss.backward()
    assert float(loss.detach()) == 0


def test_normals_point_out_of_the_face(topology):
    faces = torch.from_numpy(topology.faces.astype(np.int64))
    normals = normals_of(torch.from_numpy(topology.mean.T.copy())[None], faces)
    np.testing.assert_allclose(normals.norm(dim=1).numpy(), 1, atol=1e-4)
    assert float(normals[0, 2, 30]) > 0.3  # the tip of the nose


def test_the_landmark_error_is_that_of_the_keypoints(topology):
    vertices = placed(topology).transpose(1, 2).numpy()
    numbers = training.landmark_vertices(vertices, topology)
    points = np.take_along_axis(vertices[..., :2], numbers[..., None], 1)
    assert landmark_errors(vertices, points, topology).tolist() == [0]
    eyes = np.linalg.norm(points[0, 36] - points[0, 45])
    shifted = points + np.array([0.1 * eyes, 0])
    assert landmark_errors(vertices, shifted.astype(np.float32), topology)[0] == pytest.approx(10, rel=1e-3)


def test_targets_lose_pose_and_size_but_not_shape(topology):
    rng = np.random.default_rng(0)
    neutral = topology.mean + rng.normal(0, 0.02, topology.mean.shape)
    opened = neutral.copy()
    opened[48:68, 1] -= 0.1
    turned = [1.3 * s @ rotation(20, 5, 0)[:3, :3].T + [1, 2, 3] for s in (neutral, opened)]
    count = 501  # more than are made at once
    weights = np.linspace(1, 1.5, count, dtype=np.float32)[:, None]  # sizes, which are taken out as well
    renders = Renders(faces_of(1), weights, np.zeros((count, face3d.VERTICES, 2), np.float32))
    shapes = SimpleNamespace(
        identity=lambda w: w[..., None] * turned[0][None], whole=lambda w: w[..., None] * turned[1][None]
    )
    made = training.make_targets(shapes, renders, topology)
    for number in (0, 499, 500):
        np.testing.assert_allclose(made.neutral[number], neutral, atol=0.01)
        np.testing.assert_allclose(made.shape[number], opened, atol=0.01)


def test_rendered_heads_are_disturbed_less_than_photographs():
    items = training.MixedFaces(faces_of(40), faces_of(40), True)
    turns = np.array([np.degrees(np.arctan2(*items[i][2][0, :2].numpy()[::-1])) for i in range(80)])
    assert np.abs(turns[40:]).max() < 9.1
    assert turns[:40].std() > 2 * turns[40:].std()


def test_matrices_bring_canvas_pixels_into_the_crop():
    faces = faces_of(2)
    for augmented in (False, True):
        items = training.MixedFaces(None, faces, augmented)
        image, points, matrix, number = items[1]
        assert number == 1
        assert image.shape == (3, 176, 176)
        expected = matrix[:, :2] @ torch.from_numpy(faces.points[1].T.copy()) + matrix[:, 2:]
        np.testing.assert_allclose(points.numpy(), expected.numpy(), atol=1e-5)


def test_photographs_come_before_rendered_heads():
    items = training.MixedFaces(faces_of(3), faces_of(2), False)
    assert [items[i][3] for i in range(len(items))] == [-1, -1, -1, 0, 1]


class Perfect:
    """A network that answers with given vertices, the mean face and its pose."""

    def __init__(self, vertices, mean):
        self.vertices, self.mean = vertices, mean

    def __call__(self, images):
        count = len(images)
        vertices = torch.from_numpy(self.vertices).expand(count, -1, -1)
        return vertices, torch.from_numpy(self.mean).expand(count, -1, -1), torch.zeros(count, 7)


def test_the_mean_face_is_as_good_as_the_mean_face(topology):
    vertices = placed(topology).transpose(1, 2).numpy()
    rng = np.random.default_rng(1)
    shapes = (topology.mean + rng.normal(0, 0.03, (2, *topology.mean.shape))).astype(np.float16)
    targets = training.Targets(shapes, shapes, np.zeros((2, face3d.VERTICES, 2), np.float32))
    data = Validation(topology, faces_of(3), faces_of(2), targets)
    metrics = evaluate(Perfect(vertices, topology.mean), data)
    assert metrics["shape_error_ratio"] == pytest.approx(1)
    assert metrics["mean_face_error_mm"] == pytest.approx(metrics["shape_error_mm"])
    assert 2 < metrics["mean_face_error_mm"] < 8
    assert metrics["nme_percent"] > 10  # random points
    without = Validation(topology, faces_of(3), None, None)
    assert "shape_error_ratio" not in evaluate(Perfect(vertices, topology.mean), without)


@pytest.fixture
def asked(monkeypatch):
    """What a recipe asks to have rendered, as (file, first head, number of heads)."""
    asked = []

    def render(path, shapes, topology, photos, count, seed, first, varied):
        assert varied
        asked.append((path.name, first, count))
        weights = np.full((count, 1), first, np.float32)
        return Renders(faces_of(count), weights, np.zeros((count, 2500, 2), np.float32))

    monkeypatch.setattr(training, "cached_renders", render)
    monkeypatch.setattr(training, "make_targets", lambda shapes, renders, topology: renders)
    return asked


@pytest.fixture
def recipe(topology, tmp_path):
    recipe = object.__new__(training.Face3dRecipe)
    recipe.out, recipe.rendered, recipe.seed, recipe.part, recipe.batch, recipe.epochs = tmp_path, 5, 0, -1, 2, 20
    recipe.topology, recipe.photos, recipe.shapes, recipe.targets = topology, faces_of(3), None, None
    recipe.photo_numbers, recipe.heads_epochs, recipe.trunk_epochs = np.arange(3), 5, 12
    recipe.optimizer = SimpleNamespace(param_groups=[{}, {}])
    return recipe


def test_heads_are_renewed(recipe, asked):
    """A part of the training has heads of its own, and what was rendered for it is not rendered again."""
    for epoch in (0, 1, training.RENEWED_AFTER):
        assert len(recipe.batches(epoch)) == 2  # heads alone
        assert recipe.training.photos == 3
        assert not recipe.frozen
    assert asked == [("renders_train_0_0.npz", 0, 5), ("renders_train_1_0.npz", 5, 5)]


def test_the_trunk_comes_to_rest_and_all_heads_are_seen_once_more(recipe, asked):
    learning = recipe.trunk_epochs
    scales = []
    for epoch in range(recipe.epochs):
        recipe.batches(epoch)
        assert recipe.frozen == (epoch >= learning)
        scales.append(recipe.optimizer.param_groups[1]["lr_scale"])
    assert scales[0] == 1
    assert scales == sorted(scales, reverse=True)
    assert scales[learning - 1] < 0.05
    assert scales[learning:] == [0] * (recipe.epochs - learning)
    first = asked[: len(set(asked))]
    assert len(set(first)) == len(first) == -(-learning // training.RENEWED_AFTER)
    assert asked[len(first) :][: len(first)] == first


def test_a_trunk_that_always_stays_sees_photographs_from_the_start(recipe, asked):
    recipe.trunk_epochs = 0
    for epoch in range(3):
        assert len(recipe.batches(epoch)) == 3  # a photograph in each
        assert recipe.frozen and recipe.optimizer.param_groups[1]["lr_scale"] == 0
    assert [name for name, _, _ in asked] == [f"renders_train_{part}_0.npz" for part in range(3)]


@pytest.mark.parametrize(("option", "shares"), [("pretraining", (1.5, 0.2)), ("frozen", (0.4, 1.5))])
def test_a_share_of_epochs_is_demanded(option, shares, tmp_path, refused):
    with refused(BadInput, f"--{option} is 1.5", "0 to 1"):
        training.Face3dRecipe(tmp_path, tmp_path, tmp_path, 1, 1, 0, 1, None, *shares)


def test_a_frozen_trunk_learns_nothing(recipe):
    """Not even batch statistics; the encoders do."""
    recipe.network = face3d.build(appearance=True)
    recipe.network.set_mean(torch.from_numpy(recipe.topology.mean))
    recipe.mean, recipe.edges = torch.zeros(3, face3d.VERTICES), torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4]])
    recipe.faces = torch.from_numpy(recipe.topology.faces.astype(np.int64))
    recipe.spread = torch.arange(100, 100 + face3d.DENSE)
    statistics = recipe.network.fine[1].running_mean
    batch = (torch.rand(2, 3, 176, 176), torch.rand(2, 2, 68), torch.zeros(2, 2, 3), torch.tensor([-1, -1]))
    for recipe.frozen in (True, False):
        recipe.network.zero_grad()
        before = statistics.clone()
        recipe.loss(batch, 0.0)[0].backward()
        learnt = {name.split(".")[0] for name, p in recipe.network.named_parameters() if p.grad is not None}
        assert learnt >= set(training.HEADS)
        assert learnt.isdisjoint({"features", "heat", "fine", "look_at"}) == recipe.frozen
        assert torch.equal(before, statistics) == recipe.frozen


def test_processes_share_the_rendering(recipe, asked, monkeypatch):
    """Each process renders its own part of the same heads and reads the others'."""
    monkeypatch.setattr(training.distributed, "world", lambda: 2)
    monkeypatch.setattr(training.distributed, "rank", lambda: 1)
    recipe._use_heads(2)
    assert asked == [("renders_train_2_1.npz", 13, 2), ("renders_train_2_0.npz", 10, 3)]  # its own first
    assert recipe.targets.weights[:, 0].tolist() == [10, 10, 10, 13, 13]
    assert len(recipe.targets.faces.yaw) == len(recipe.targets.placed) == 5


def test_weights_of_another_network_are_refused(tmp_path, refused):
    from safetensors.torch import save_file

    network = face3d.build()
    with refused(BadInput, "can't read", "--init"):
        training.start_from(network, tmp_path / "none.safetensors")
    save_file({"other": torch.zeros(3)}, tmp_path / "other.safetensors")
    with refused(BadInput, "no features of this network"):
        training.start_from(network, tmp_path / "other.safetensors")
    save_file({"heat.bias": torch.ones(68), "features.0.1.bias": torch.full((16,), 2.0)}, tmp_path / "some.safetensors")
    training.start_from(network, tmp_path / "some.safetensors")
    assert network.heat.bias.detach().eq(1).all()


def test_a_missing_head_model_and_a_damaged_cache_are_named(tmp_path, topology, refused):
    with refused(BadInput, "no ict_facekit.npz", "beside the face sets"):
        load_head_shapes(tmp_path, topology)
    (tmp_path / "renders.npz").write_bytes(b"no archive")
    with refused(BadInput, "renders.npz is damaged", "remove it"):
        cached_renders(tmp_path / "renders.npz", None, topology, None, 1, 0)
