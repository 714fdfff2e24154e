"""Pretraining: a head for each data set, features that other trainings start from, and what a linear probe reads."""

import json

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from reference.checkpoint import find_weights, load_features, save_weights, start_from
from reference.errors import WeightsError
from reference.networks import classifier, face_detector, saliency, template_keypoints
from reference.train.__main__ import main
from reference.train.probe import fit
from reference.train.probe import main as probe_main
from reference.train.recipes import backbone


@pytest.fixture
def two_sets(tmp_path):
    """``one`` with two classes, ``other`` with three; a class is a grey value."""
    rng = np.random.default_rng(0)
    folders = []
    for name, count in (("one", 2), ("other", 3)):
        for split in ("train", "val"):
            for c in range(count):
                folder = tmp_path / name / split / str(c)
                folder.mkdir(parents=True)
                for i in range(4):
                    pixels = rng.integers(0, 60, (20, 20, 3)) + 60 * c
                    assert cv2.imwrite(str(folder / f"{i}.png"), pixels.astype(np.uint8))
        folders.append(tmp_path / name)
    return folders


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "backbone.safetensors"
    save_weights(backbone.Backbone({"a": 2}), path)
    return path


def test_one_epoch_on_two_sets(two_sets, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--epochs", "1", "--batch", "8", "--samples", "16", "--out", str(out), "--json"]
    assert main(["backbone", "--data", *map(str, two_sets), *options]) == 0
    printed = capsys.readouterr()
    metrics = json.loads(printed.out)["metrics"]
    assert set(metrics) == {"top1_mean", "top1_one", "top1_other"}
    assert "other: 12 pictures of 3 classes, 20 px, 0 unreadable" in printed.err
    weights = load_file(out / "weights.safetensors")
    assert [len(weights[f"heads.{n}.weight"]) for n in (0, 1)] == [2, 3]
    assert (out / "log.csv").read_text().startswith("epoch,loss,one_loss,other_loss,top1_mean")
    assert load_features(classifier.build(), out / "weights.safetensors") > 100


def test_only_a_pictures_own_head_learns_from_it(two_sets, tmp_path):
    recipe = backbone.BackboneRecipe(two_sets, tmp_path / "store", 1, 8, 0, 16)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    loss, parts = recipe.loss((images, torch.tensor([0, 1, 2, 0]), torch.tensor([0, 0, 1, 1])), 0.0)
    assert float(loss.detach()) == pytest.approx((parts["one_loss"] + parts["other_loss"]) / 2)
    both = [head.weight.grad for head in recipe.network.heads]
    assert both == [None, None]
    nn.functional.cross_entropy(recipe.network(images.float() / 255)[0], torch.zeros(4, dtype=torch.long)).backward()
    assert recipe.network.heads[0].weight.grad.abs().max() > 0
    assert recipe.network.heads[1].weight.grad is None


def test_small_sets_are_seen_more_often_than_their_size_says():
    assert backbone.split_batch(128, [100_000, 10_000]) == (109, 19)  # 10^0.75 = 5.6 to 1, and not 10 to 1
    assert backbone.split_batch(4, [100_000, 1]) == (4, 1)  # one at least


def test_the_heads_stay_behind(stored, tmp_path):
    count = backbone.keep_features(stored, tmp_path / "features.safetensors")
    before, after = load_file(stored), load_file(tmp_path / "features.safetensors")
    assert len(after) == count
    assert set(before) - set(after) == {"heads.0.weight", "heads.0.bias"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())


@pytest.mark.parametrize("build", [classifier.build, saliency.build, lambda: face_detector.FaceDetector(width=1.0)])
def test_picture_and_face_networks_start_from_it(build, stored):
    network = build()
    others = {k: v.clone() for k, v in network.state_dict().items() if not k.startswith("features.")}
    count = load_features(network, stored)
    weights = load_file(stored)
    state = network.state_dict()
    own = [name for name in state if name.startswith("features.")]
    assert count == len(own)
    assert all(torch.equal(state[name], weights[name].to(state[name].dtype)) for name in own)
    assert all(torch.equal(state[name], tensor) for name, tensor in others.items())


@pytest.mark.parametrize("width", [0.5, 0.75, 1.0])
def test_the_width_is_read_from_the_weights(width, tmp_path):
    save_weights(backbone.Backbone({"a": 2}, width=width), tmp_path / "w.safetensors")
    assert backbone.width_of(tmp_path / "w.safetensors") == pytest.approx(width, abs=0.1)
    assert backbone.keep_features(tmp_path / "w.safetensors", tmp_path / "features.safetensors") > 100


def test_a_narrow_backbone_starts_the_keypoints(tmp_path, stored, refused):
    """Whole weights are still taken as whole weights."""
    path, narrow, wide = (tmp_path / f"{name}.safetensors" for name in ("heads", "narrow", "wide"))
    save_weights(backbone.Backbone({"a": 2}, width=0.75), path)
    backbone.keep_features(path, narrow)
    backbone.keep_features(stored, wide)
    network = template_keypoints.build()
    start_from(network, narrow)
    assert torch.equal(network.features[0][0].weight, load_file(narrow)["features.0.0.weight"].float())
    with refused(WeightsError, "does not fit TemplateKeypoints", "of the same width"):
        start_from(network, wide)
    with refused(WeightsError, "use the weights of this very model"):
        start_from(network, path)
    save_weights(template_keypoints.build(), path)
    start_from(network, path)
    assert torch.equal(network.gate.bias, load_file(path)["gate.bias"])


def test_weights_of_another_backbone_are_refused_with_counts(tmp_path, stored, refused):
    large = tmp_path / "large.safetensors"
    save_weights(backbone.Backbone({"a": 2}, "large"), large)
    network = classifier.build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with refused(WeightsError, f"{large} does not fit Classifier", "have another shape", "are unknown to it"):
        load_features(network, large)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    count = sum(name.startswith("features.") for name in before)
    with refused(WeightsError, f"of its {count} features {count} are missing and 0 have another shape"):
        save_weights(nn.Linear(2, 2), tmp_path / "line.safetensors")
        load_features(network, tmp_path / "line.safetensors")
    with refused(WeightsError, "does not fit Linear: of its 0 features"):
        load_features(nn.Linear(2, 2), stored)


def test_features_that_are_not_finite_are_refused(stored, refused):
    weights = load_file(stored)
    weights["features.0.1.bias"][0] = float("nan")
    save_file(weights, stored)
    with refused(WeightsError, "features.0.1.bias holds values that are not finite"):
        load_features(classifier.build(), stored)


def test_weights_are_named_by_model_or_file(tmp_path, refused):
    path = tmp_path / "models" / "backbone" / "weights.safetensors"
    save_weights(nn.Linear(2, 2), path)
    assert find_weights("backbone", tmp_path / "models") == path
    assert find_weights(str(path), tmp_path) == path
    with refused(WeightsError, "no weights 'none'", "one of: backbone"):
        find_weights("none", tmp_path / "models")


def test_the_classifier_starts_from_the_features(picture_folder, tmp_path, stored):
    recipe = classifier_recipe(picture_folder, stored)
    assert torch.equal(recipe.network.features[0][0].weight, load_file(stored)["features.0.0.weight"].float())


def classifier_recipe(folder, init):
    from reference.train.recipes.classifier import ClassifierRecipe

    return ClassifierRecipe(folder, 1, 12, 0, init=init)


def test_wrong_use_is_one_line(tmp_path, two_sets, capsys):
    def fails(*arguments):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        return err

    assert "--data names 2 folders; classifier takes one" in fails("classifier", "--data", *map(str, two_sets))
    assert "--minutes is -1.0; allowed: 0" in fails("backbone", "--data", str(two_sets[0]), "--minutes", "-1")
    assert "no weights 'none'" in fails("backbone", "--data", str(two_sets[0]), "--init", "none")
    assert not (tmp_path / "out").exists()


def test_a_probe_separates_what_a_line_can():
    x = torch.randn(200, 3)
    labels = (x[:, 0] + 0.5 * x[:, 1] > 0).long()
    layer = fit(x, labels)
    assert float((layer(x).argmax(1) == labels).float().mean()) > 0.97
    assert torch.equal(layer.weight, fit(x, labels).weight)


def test_the_probe_command(picture_folder, stored, capsys):
    """Each class has a colour of its own, and so has each image type: even random features show them."""
    assert probe_main(["--weights", str(stored), "--data", str(picture_folder), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["top1_mean"] > 30  # chance is 14
    assert metrics["image_type_chance"] == 25
    assert set(metrics) == {
        "top1_mean",
        "image_type",
        "image_type_chance",
        *(f"top1_{t}" for t in classifier.IMAGE_TYPES),
    }
    (picture_folder / "val").rename(picture_folder / "other")
    assert probe_main(["--weights", str(stored), "--data", str(picture_folder)]) == 2
    assert "has train/ but no val/" in capsys.readouterr().err
