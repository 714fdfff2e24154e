"""The keypoint trainings: losses and metrics with known values, the balance of poses, one epoch of each."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference import evaluate as evaluate_command
from reference.card import MODELS_DIR
from reference.checkpoint import TRAINING_HEADS, load_weights
from reference.data.faces import CANVAS, Faces, align_to, shape_range
from reference.errors import BadInput
from reference.inputs.square import CROP_SCALE, square_around
from reference.networks import hierarchical_keypoints
from reference.networks.hierarchical_keypoints import LinearAttention
from reference.registry import build_network, get_spec
from reference.tasks.face_keypoints import evaluate, evaluate_cascade, normalized_errors
from reference.train import __main__ as command
from reference.train.recipes.keypoints import (
    balance_poses,
    epoch_order,
    heat_loss,
    load_backdrops,
    load_training,
    point_loss,
)

# In outer eye distances. The result mixes the direct prediction in, which knows no templates; the first network was
# trained before whole crops were covered.
SLACK = {"template_keypoints": 0.15, "template_keypoints_refined": 0.0}


def test_normalised_error_of_a_known_shift(face_shape):
    target = torch.from_numpy(face_shape.T.astype(np.float32))[None]  # outer eyes 1 apart
    shifted = target + torch.tensor([0.03, 0.04])[None, :, None]
    assert normalized_errors(shifted, target).item() == pytest.approx(5, abs=1e-3)


def test_point_loss_grows_and_weighs():
    target = torch.zeros(2, 2, 68)
    losses = [float(point_loss(target + d, target, torch.ones(2))) for d in (0, 0.005, 0.02, 0.08)]
    assert losses[0] == 0
    assert losses == sorted(losses)
    assert losses[3] - float(point_loss(target + 0.07, target, torch.ones(2))) == pytest.approx(0.01, abs=1e-5)
    doubled = float(point_loss(target + 0.02, target, torch.tensor([2.0, 2.0])))
    assert doubled == pytest.approx(2 * losses[2])


def test_heat_loss_is_least_at_the_point():
    points = torch.tensor([[[0.25], [0.75]]])

    def peak(row, column):
        heat = torch.zeros(1, 1, 64)
        heat[0, 0, row * 8 + column] = 3
        return float(heat_loss(heat, points, torch.ones(1)))

    assert peak(6, 2) < peak(6, 4) - 0.2 < peak(0, 7)
    assert peak(6, 2) < float(heat_loss(torch.zeros(1, 1, 64), points, torch.ones(1))) == pytest.approx(np.log(64))
    assert float(heat_loss(torch.zeros(1, 1, 64), points + 2, torch.ones(1))) == 0  # outside the crop


@given(large=st.integers(1, 60), small=st.integers(1, 60), difference=st.floats(0, 0.5), seed=st.integers(0, 9))
def test_poses_are_balanced_within_the_range(large, small, difference, seed):
    yaw = np.array([0.8] * large + [-0.1] * small, np.float32)
    order = balance_poses(np.arange(len(yaw)), yaw, np.random.default_rng(seed), difference)
    counts = np.bincount((np.abs(yaw[order]) > 0.3).astype(int), minlength=2)
    assert abs(counts[0] - counts[1]) <= difference * counts.sum() + 1
    assert counts.min() == min(large, small)  # the rarer ones all stay
    assert len(np.unique(order)) == len(order)


def test_balance_needs_both_poses(refused):
    with refused(BadInput, "same pose", "large and small"):
        balance_poses(np.arange(3), np.zeros(3, np.float32), np.random.default_rng(0))


def test_an_epoch_has_precise_faces_twice_and_half_of_the_others(face_shape):
    count = 10
    points = np.zeros((count, 68, 2), np.float32)
    faces = Faces(np.zeros((count, 1, 1, 3), np.uint8), points, points[:, 0, 0], ("x",) * count)
    precise = np.arange(count) < 4
    order = epoch_order(faces, precise, np.random.default_rng(0))
    assert np.bincount(order, minlength=count)[:4].tolist() == [2] * 4
    assert np.bincount(order, minlength=count)[4:].sum() == 3


@pytest.fixture
def faces(face_shape):
    points = np.stack([face_shape * s + [88, 90] for s in (60, 50, 55, 58)]).astype(np.float32)
    yaw = np.array([0.0, 0.5, 0.0, 0.0], np.float32)
    return Faces(np.zeros((4, CANVAS, CANVAS, 3), np.uint8), points, yaw, ("helen", "afw", "helen", "youtube_faces"))


def test_metrics_of_a_network_with_known_error(faces, face_shape):
    """A network that is off by a fixed part of the eye distance for one pose, and by more for the template."""
    exact = []
    for xy in faces.points:
        left, top, side = square_around(xy, CROP_SCALE)
        zoom = 112 / side
        exact.append((zoom * (xy - [left + side / 2, top + side / 2]) + 55.5 + 0.5) / 112)
    exact = torch.from_numpy(np.stack(exact).astype(np.float32))
    eyes = (exact[:, 45] - exact[:, 36]).norm(dim=1)
    off = torch.tensor([0.02, 0.12, 0.04, 0.5])

    def network(images):
        shift = torch.stack([off * eyes, 0 * eyes], 1)[:, None]
        return exact + shift, exact + 2 * shift

    metrics = evaluate(network, faces, 112)
    assert metrics == {
        "nme_percent": pytest.approx(6, abs=0.01),
        "nme_small_pose": pytest.approx(3, abs=0.01),
        "nme_large_pose": pytest.approx(12, abs=0.01),
        "nme_occluded": pytest.approx(6, abs=0.01),
        "nme_video": pytest.approx(50, abs=0.01),
        "nme_template_only": pytest.approx(12, abs=0.01),
        "auc_10": pytest.approx(100 * (0.8 + 0 + 0.6) / 3, abs=0.1),
        "failure_10": pytest.approx(100 / 3, abs=0.01),
    }
    assert "nme_template_only" not in evaluate(lambda images: network(images)[0], faces, 112)


def test_linear_attention_is_what_it_says():
    """Against the definition, written with einsum over explicit heads."""
    attention = LinearAttention(8, 2, 3).eval()
    x = torch.randn(2, 8, 3, 3)
    q, k, v = (layer(x).reshape(2, 2, 4, 9) for layer in (attention.query, attention.key, attention.value))
    context = torch.einsum("bhcn,bhdn->bhcd", k.softmax(3), v)
    expected = attention.out(torch.einsum("bhcn,bhcd->bhdn", q.softmax(2), context).reshape(2, 8, 3, 3))
    torch.testing.assert_close(attention(x), expected)


@pytest.fixture
def folder(tmp_path, face_shape):
    """Six training and two validation faces: spots at the eyes and the mouth."""
    rng = np.random.default_rng(0)
    root = tmp_path / "faces" / "helen"
    (root / "images").mkdir(parents=True)
    rows = []
    for number in range(8):
        points = face_shape * rng.uniform(28, 34) + [48 + rng.uniform(-3, 3), 50]
        picture = rng.integers(60, 120, (100, 96, 3)).astype(np.uint8)
        for x, y in points[[36, 45, 57]]:
            cv2.circle(picture, (round(x), round(y)), 4, (255, 255, 255), -1)
        cv2.imwrite(str(root / "images" / f"{number}.png"), picture)
        row = {
            "file": f"images/{number}.png",
            "split": "val" if number > 5 else "train",
            "yaw_index": 0.5 * (number % 2),
        }
        rows.append(row | {f"{a}{i}": f"{points[i, k]:.2f}" for i in range(68) for k, a in enumerate("xy")})
    with (root / "annotations.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root.parent


@pytest.mark.parametrize("name", ["template_keypoints", "template_keypoints_refined", "hierarchical_keypoints"])
def test_one_epoch_and_its_evaluation(name, folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [name, "--data", str(folder), "--out", str(out), "--epochs", "1", "--batch", "2", "--json"]
    assert command.main(arguments) == 0
    trained = json.loads(capsys.readouterr().out)["metrics"]
    assert trained["nme_percent"] > 0
    assert (
        evaluate_command.main([name, "--data", str(folder), "--weights", str(out / "weights.safetensors"), "--json"])
        == 0
    )
    stored = json.loads(capsys.readouterr().out)["metrics"]
    if name.endswith("_refined"):  # the training looks at exact crops, the evaluation at those of the first network
        assert stored["nme_percent"] > 0
    else:  # stored weights are rounded to half precision
        assert stored["nme_percent"] == pytest.approx(trained["nme_percent"], rel=0.02)


@pytest.mark.parametrize("option", ["--unbalanced", "--no-copies"])
def test_the_hierarchy_trains_without_balance_or_copies(option, folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = f"hierarchical_keypoints --data {folder} --out {out} --epochs 1 --batch 2 --json {option}"
    assert command.main(options.split()) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["nme_percent"] > 0
    assert (",second," in (out / "log.csv").read_text()) == (option != "--no-copies")


def test_points_start_where_their_maps_are():
    network = hierarchical_keypoints.build().eval()
    row, column = 20, 5
    with torch.no_grad():
        network.heat.weight.zero_()
        network.heat.bias.zero_()
        image = torch.rand(1, 3, 112, 112)
        torch.testing.assert_close(network(image), torch.full((1, 68, 2), 0.5))  # all cells alike
        network.heat.register_forward_hook(lambda *_: peak_at(row, column))
        expected = torch.tensor([(column + 0.5) / 28, (row + 0.5) / 28]).expand(1, 68, 2)
        torch.testing.assert_close(network(image), expected)


def peak_at(row, column):
    heat = torch.zeros(1, 68, 28, 28)
    heat[:, :, row, column] = 100
    return heat


def test_missing_parts_are_named(folder, tmp_path, refused):
    with refused(BadInput, f"no head model in {tmp_path}", "ict_facekit.npz or makehuman_heads.npz"):
        load_training(folder, tmp_path, None, 4)
    (tmp_path / "empty").mkdir()
    with refused(BadInput, "no pictures in", "--backgrounds"):
        load_backdrops(tmp_path / "empty")
    assert load_backdrops(None) == []
    assert len(load_backdrops(folder)) == 8


def test_without_a_precise_set_every_photograph_counts(folder):
    (folder / "helen").rename(folder / "mine")
    data = load_training(folder)
    assert data.precise.all()
    assert len(data.precise) == 6
    assert len(data.validation.yaw) == 2


def test_a_cascade_maps_the_second_crop_back(face_shape):
    """The canvas' colours tell where a crop came from: networks that read them are off by what is added alone."""
    rows, columns = np.mgrid[:CANVAS, :CANVAS]
    canvas = np.stack([columns, rows, 0 * rows], -1).astype(np.uint8)
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = ((face_shape @ turn) * 50 + [88, 90]).astype(np.float32)
    faces = Faces(canvas[None], points[None], np.zeros(1, np.float32), ("helen",))
    middles = (np.mgrid[30:80, 30:80][::-1].reshape(2, -1).T + 0.5) / 112  # away from the border, where edges repeat
    design = np.column_stack([middles, np.ones(len(middles))])

    def reads(shift):
        def network(crop):
            seen = crop[0, :2, 30:80, 30:80].numpy().reshape(2, -1).T * 255
            matrix, *_ = np.linalg.lstsq(design, seen, rcond=None)
            fractions = (points - matrix[2]) @ np.linalg.inv(matrix[:2]) + shift
            return torch.from_numpy(fractions.astype(np.float32))[None], None

        return network

    exact = evaluate_cascade(reads(0), reads(0), faces, 112)
    assert exact["nme_percent"] < 1
    span = np.ptp(face_shape, axis=0).max()  # in outer eye distances; the crop's side is 1.6 of it
    off = evaluate_cascade(reads(0), reads(np.array([0.03, 0.04])), faces, 112)
    assert off["nme_percent"] == pytest.approx(100 * 0.05 * 1.6 * span, rel=0.05)
    rough = evaluate_cascade(reads(np.array([0.1, 0])), reads(0), faces, 112)
    assert rough["nme_percent"] < 1  # the first network's error is gone


@pytest.mark.parametrize("name", ["template_keypoints", "template_keypoints_refined"])
@pytest.mark.parametrize("covered", ["grey", "black", "white", "noise"])
def test_a_covered_picture_still_gives_a_face(name, covered):
    """Row T1: whatever the picture, the shape is a normal one: no point leaves the range of the training shapes."""
    network = build_network(get_spec(name))
    load_weights(network, MODELS_DIR / name / "weights.safetensors", ignore=TRAINING_HEADS)
    low, high = np.array(json.loads((MODELS_DIR / name / "shape_range.json").read_text()))
    flat = {"grey": 0.5, "black": 0.0, "white": 1.0}
    image = torch.full((1, 3, 112, 112), flat[covered]) if covered in flat else torch.rand(1, 3, 112, 112)
    with torch.no_grad():
        result, template = (points[0].numpy().astype(np.float64) for points in network(image))
    mean = network.templates.mean(1).reshape(2, 68).T.numpy().astype(np.float64)  # outer eyes about 1 apart
    for points, slack in ((result, SLACK[name]), (template, 0.0)):
        aligned = align_to(points - points.mean(0), mean)
        assert np.maximum(low - aligned, aligned - high).max() <= slack


def test_range_of_shapes(face_shape):
    templates = np.tile(face_shape.T.reshape(-1, 1), (1, 2)).astype(np.float32)
    low, high = shape_range(np.stack([face_shape * 30 + 5, face_shape * 7]).astype(np.float32), templates)
    np.testing.assert_allclose(low, face_shape, atol=1e-4)
    np.testing.assert_allclose(high, face_shape, atol=1e-4)
