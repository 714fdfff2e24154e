"""Row I2: the two losses of the classifier, in one backward pass."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from reference.errors import BadInput
from reference.networks import classifier
from reference.tasks.image_classification import evaluate, load_validation
from reference.train.recipes.classifier import ClassifierRecipe, ReverseGradient, mix


def test_reverse_gradient_is_the_identity_and_turns_the_gradient_round():
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = ReverseGradient.apply(x, 0.25)
    assert torch.equal(y, x)
    (y * torch.tensor([4.0, 8.0, -12.0])).sum().backward()
    assert x.grad.tolist() == [-1.0, -2.0, 3.0]


@pytest.fixture
def recipe(picture_folder):
    return ClassifierRecipe(picture_folder, epochs=1, batch=8, seed=0, type_weight=0.5)


def gradients(network, loss):
    """Of every parameter; zero where the loss does not reach it."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return {n: torch.zeros_like(p) if g is None else g for n, p, g in zip(names, parameters, found, strict=True)}


def test_features_descend_first_minus_second_and_the_type_head_descends_second(recipe):
    """Against two explicit backward passes through a network without the reversal."""
    network = recipe.network.double().eval()  # dropout and batch statistics would differ between two passes
    for module in network.modules():
        if isinstance(module, nn.Linear):  # the heads' start is so small that nothing would flow back
            nn.init.xavier_normal_(module.weight)
    recipe.class_weights = recipe.class_weights.double()
    images = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    labels, types = torch.arange(4) + 2, torch.arange(4)
    features = network.embed(images)
    first = nn.functional.cross_entropy(
        network.target_head(features), labels, recipe.class_weights, label_smoothing=0.1
    )
    second = nn.functional.cross_entropy(network.type_head(features), types)
    of_first, of_second = gradients(network, first), gradients(network, second)
    assert sum(bool((g != 0).any()) for g in of_second.values()) > 50  # the second loss does reach the features

    for progress, share in ((0.0, 0.0), (0.1, np.tanh(0.5)), (1.0, np.tanh(5))):  # (2 / (1 + e^-10p)) - 1 = tanh 5p
        total, parts = recipe.loss((images, labels, types), progress)
        assert parts == {"class_loss": pytest.approx(first.item()), "type_loss": pytest.approx(second.item())}
        for name, gradient in gradients(network, total).items():
            weight = 0.5 * share
            expected = of_second[name] if name.startswith("type_head.") else of_first[name] - weight * of_second[name]
            torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12, msg=name)


def test_rare_classes_weigh_more(picture_folder):
    source = picture_folder / "train" / "photo" / "dog" / "0.png"
    for number in range(1, 13):
        (source.parent / f"{number}.png").write_bytes(source.read_bytes())
    weights = ClassifierRecipe(picture_folder, 1, 8, 0).class_weights
    assert weights[0] < weights[1] == weights[6]
    assert weights[1] / weights[0] == pytest.approx(2)  # four times as many dogs


def test_batches_repeat_for_the_same_epoch_and_hold_every_type(recipe):
    def paths(epoch):
        return [recipe.training.files.types[batch].tolist() for batch in recipe.batches(epoch).batch_sampler]

    assert len(recipe.batches(0)) == 28 // 8
    assert all(np.bincount(types).tolist() == [2, 2, 2, 2] for types in paths(0))
    assert list(recipe.batches(1).batch_sampler) == list(recipe.batches(1).batch_sampler)
    assert list(recipe.batches(0).batch_sampler) != list(recipe.batches(1).batch_sampler)


class Fixed(nn.Module):
    """Says dog to everything, except horse to what is not blue at all."""

    def forward(self, image):
        logits = torch.zeros(len(image), 7)
        logits[:, 0] = 1
        logits[image[:, 2].mean((1, 2)) < 0.2, 4] = 2
        return logits


def test_evaluation_counts_each_image_type_alike(picture_folder):
    (picture_folder / "val" / "photo" / "horse" / "cut.png").write_bytes(b"no picture")
    metrics = evaluate(Fixed(), load_validation(classifier.SPEC, picture_folder))
    # Photos have no blue (the fixture's colours): one horse of seven right; elsewhere one dog of seven.
    assert metrics["top1_by_type"] == pytest.approx(dict.fromkeys(sorted(classifier.IMAGE_TYPES), 100 / 7))
    assert metrics["top1_mean"] == metrics["top1_worst"] == pytest.approx(100 / 7)
    assert metrics["confusion"]["dog"] == dict.fromkeys(classifier.LABELS, 0) | {"dog": 3, "horse": 1}
    assert metrics["confusion"]["horse"] == dict.fromkeys(classifier.LABELS, 0) | {"dog": 3, "horse": 1}
    assert (metrics["pictures"], metrics["unreadable"]) == (28, 1)


def test_evaluation_takes_a_folder_of_other_image_types_and_fewer_classes(picture_folder, refused):
    shutil.rmtree(picture_folder / "val" / "sketch")
    shutil.rmtree(picture_folder / "val" / "cartoon" / "dog")
    (picture_folder / "val" / "photo").rename(picture_folder / "val" / "x-ray")
    metrics = evaluate(Fixed(), load_validation(classifier.SPEC, picture_folder))
    assert metrics["top1_by_type"] == pytest.approx({"art_painting": 100 / 7, "cartoon": 0, "x-ray": 100 / 7})
    assert metrics["top1_worst"] == 0
    (picture_folder / "val" / "cartoon" / "cat").mkdir()
    with refused(BadInput, "unknown class 'cat'", "allowed: dog, elephant"):
        load_validation(classifier.SPEC, picture_folder)


def test_evaluation_of_unreadable_pictures_alone_is_refused(picture_folder, refused):
    for path in (picture_folder / "val").rglob("*.png"):
        path.write_bytes(b"no picture")
    with refused(BadInput, "none of the 28 validation pictures can be read", "restore them"):
        evaluate(Fixed(), load_validation(classifier.SPEC, picture_folder))


def test_mixing_replaces_a_rectangle_and_knows_its_share():
    torch.manual_seed(0)
    images = torch.arange(4.0)[:, None, None, None].expand(4, 3, 16, 16).contiguous()
    mixed = 0
    for _ in range(40):
        out, order, share = mix(images)
        own = (out == images).all(1).float().mean((1, 2))
        moved = order != torch.arange(4)
        torch.testing.assert_close(own[moved], torch.full((int(moved.sum()),), share))
        assert torch.equal(own[~moved], torch.ones(int((~moved).sum())))
        mixed += share < 1
    assert 10 < mixed < 30  # every second batch


def test_training_with_one_image_type_takes_as_many_steps(picture_folder, refused):
    recipe = ClassifierRecipe(picture_folder, 1, 8, 0, only="photo")
    assert len(recipe.batches(0)) == 28 // 8
    assert set(recipe.training.files.types) == {0}
    with refused(BadInput, "image type is 'x-ray'", "photo, art_painting, cartoon, sketch"):
        ClassifierRecipe(picture_folder, 1, 8, 0, only="x-ray")


def test_training_grows_the_pictures(picture_folder):
    recipe = ClassifierRecipe(picture_folder, 4, 8, 0)
    assert [next(iter(recipe.batches(epoch)))[0].shape[-1] for epoch in (0, 1, 2, 3)] == [96, 96, 112, 112]
