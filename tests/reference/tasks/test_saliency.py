"""Row I6: the saliency network, its masks without labels, its training and its metrics."""

import base64
import io
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from reference.checkpoint import load_features, save_weights
from reference.data.masks import (
    CARTOON,
    DRAWING,
    GUESSED,
    PHOTO,
    MaskDataset,
    Subject,
    crop,
    cut_cartoon,
    cut_drawing,
    follow_colors,
    guess_masks,
    list_characters,
    list_pairs,
    load_pair,
    overlap,
)
from reference.errors import BadInput, WeightsError
from reference.evaluate import main as evaluate_main
from reference.inputs.preprocess import Region
from reference.networks import classifier, saliency
from reference.tasks.salient_object_detection import Mask, evaluate, load_validation, precision_recall
from reference.train.__main__ import main
from reference.train.recipes.saliency import edge_weights, mask_loss


def disc(height=96, width=128, radius=30):
    y, x = np.mgrid[:height, :width]
    return (y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2


def save_pair(folder, name, mask, color=(200, 60, 40)):
    picture = np.full((*mask.shape, 3), 120, np.uint8)
    picture[mask] = color
    for part, pixels in (("images", picture[..., ::-1]), ("masks", mask.astype(np.uint8) * 255)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / part / f"{name}.png"), pixels)


@pytest.fixture
def pairs(tmp_path):
    for split in ("train", "val"):
        for number in range(4):
            save_pair(tmp_path / "data" / split, f"{number}", disc(radius=18 + 5 * number))
    return tmp_path / "data"


def test_the_mask_has_the_size_of_the_picture():
    network = saliency.build().eval()
    with torch.no_grad():
        mask = network(torch.rand(1, 3, 224, 224))
        assert mask.shape == (1, 1, 224, 224)
        assert 0 <= mask.min() and mask.max() <= 1
        assert network.logits(torch.rand(2, 3, 192, 160))[0].shape == (2, 1, 192, 160)
    assert network.type_head is None


def test_each_resolution_adds_to_the_mask_below_it():
    network = saliency.build().eval()
    pictures = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        masks, _ = network.scales(pictures)
        assert [tuple(mask.shape[2:]) for mask in masks] == [(6, 4), (12, 8), (24, 16)]
        torch.nn.init.zeros_(network.masks[2].weight)
        torch.nn.init.zeros_(network.masks[2].bias)
        below, last = network.scales(pictures)[0][1:]
        torch.testing.assert_close(last, torch.nn.functional.interpolate(below, scale_factor=2, mode="bilinear"))
        torch.testing.assert_close(below, masks[1])
        assert (last - masks[2]).abs().max() > 1e-4


def test_features_start_from_the_classifier(tmp_path, refused):
    source, network = classifier.build(), saliency.build()
    save_weights(source, tmp_path / "w.safetensors")
    before = network.masks[0].weight.clone()
    load_features(network, tmp_path / "w.safetensors")
    for name, tensor in source.features.state_dict().items():
        torch.testing.assert_close(network.features.state_dict()[name], tensor.half().to(tensor.dtype), msg=name)
    assert torch.equal(network.masks[0].weight, before)
    save_weights(torch.nn.Linear(2, 2), tmp_path / "other.safetensors")
    with refused(
        WeightsError, "other.safetensors does not fit Saliency", "missing", "--init names a network with the same"
    ):
        load_features(network, tmp_path / "other.safetensors")


def test_masks_of_pairs(pairs, refused):
    (first, *_) = list_pairs(pairs, "val")
    subject = load_pair(first)
    assert (subject.mask == disc(radius=18)).all()
    (pairs / "val" / "masks" / "2.png").unlink()
    with refused(BadInput, "1 pictures have no mask", "2.png"):
        list_pairs(pairs, "val")
    with refused(BadInput, "no pictures in", "<split>/images/* and <split>/masks/*.png"):
        list_pairs(pairs, "test")
    cv2.imwrite(str(pairs / "val" / "masks" / "0.png"), np.zeros((20, 20), np.uint8))
    with refused(BadInput, "0.png is (20, 20), its picture (128, 96)"):
        load_pair(first)


def test_a_cartoon_is_cut_from_plain_paper_only():
    mask = disc()
    picture = np.full((96, 128, 3), (250, 240, 200), np.uint8)
    picture[mask] = (40, 120, 220)
    subject = cut_cartoon(picture)
    assert (subject.mask != mask).mean() < 0.01
    picture[40:56, 60:70] = (250, 240, 200)  # paper inside the subject, like the white of an eye, stays inside
    assert (cut_cartoon(picture).mask != mask).mean() < 0.01
    noisy = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    assert cut_cartoon(noisy) is None


def test_a_drawing_is_cut_along_its_outline():
    picture = np.full((160, 160, 3), 255, np.uint8)
    cv2.circle(picture, (80, 80), 45, (0, 0, 0), 3)
    assert cut_drawing(picture).mask.sum() == pytest.approx(np.pi * 47.5**2, rel=0.01)
    picture[80:] = 255
    assert cut_drawing(picture) is None


def test_views_keep_picture_and_mask_together():
    """The subject is red in every source: what is red must be what the mask says."""
    picture = np.full((96, 128, 3), 255, np.uint8)
    picture[disc()] = (230, 0, 0)
    data = MaskDataset(*([Subject(picture, disc())] for _ in range(3)), seed=4)
    data.size = 96
    for epoch in range(12):
        data.epoch = epoch
        for index in (PHOTO, CARTOON):
            image, mask, kind = data[index]
            assert (kind, image.shape, mask.shape) == (index, (3, 96, 96), (1, 96, 96))
            red = (image[0] - image[1]).numpy()
            if red.max() - red.min() < 0.25:
                continue  # the colour was dropped
            inside, outside = mask[0].numpy() > 0.95, mask[0].numpy() < 0.05
            assert red[inside].mean() > red[outside].mean() + 0.15
    again = data[1]
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(again, data[1], strict=True))


def test_crops_keep_most_of_the_subject():
    mask = disc().astype(np.float32)
    picture = np.zeros((96, 128, 3), np.uint8)
    for seed in range(20):
        cut, cut_mask = crop(picture, mask, 64, np.random.default_rng(seed))
        assert cut.shape == (64, 64, 3)
        assert cut_mask.mean() > 0.6 * mask.mean()


def test_loss_knows_right_from_wrong():
    mask = torch.from_numpy(disc().astype(np.float32))[None, None]
    right, wrong = ((2 * m - 1) * 20 for m in (mask, 1 - mask))
    assert mask_loss(right, mask, edge_weights(mask)) < 1e-3
    assert mask_loss(wrong, mask, edge_weights(mask)) > 20
    nothing = torch.zeros_like(mask)
    empty = mask_loss(torch.zeros_like(mask), nothing, edge_weights(nothing))  # every pixel weighs 1
    assert float(empty) == pytest.approx(np.log(2) + 0.5 + 1 - 1 / (0.5 * nothing.numel() + 1), rel=1e-4)


def test_loss_asks_most_of_edges():
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    right = (2 * mask - 1) * 4
    at_edge, far = right.clone(), right.clone()
    at_edge[..., 16:48, 16] *= -1
    far[..., 16:48, 4] *= -1
    assert mask_loss(at_edge, mask, edge_weights(mask)) > mask_loss(far, mask, edge_weights(mask)) + 0.01


def test_precision_and_recall_at_every_threshold():
    mask = np.array([[True, True, False, False]])
    precision, recall = precision_recall(np.array([[0.9, 0.3, 0.5, 0.0]], np.float32), mask)
    at = int(0.4 * 255) - 1  # entry t - 1 is threshold t / 255
    assert (precision[at], recall[at]) == (0.5, 0.5)
    at = int(0.2 * 255) - 1
    assert (precision[at], recall[at]) == (pytest.approx(2 / 3), 1)
    assert (precision[-1], recall[-1]) == (1, 0)


def test_metrics_of_known_answers(pairs):
    validation = list_pairs(pairs, "val")
    metrics = evaluate(saliency.SPEC, lambda x: torch.zeros(1, 1, 224, 224), validation)
    share = np.mean([disc(radius=18 + 5 * n).mean() for n in range(4)])
    assert metrics["mae"] == pytest.approx(share, rel=1e-5)
    assert metrics["iou"] == 0

    def oracle(x):  # the subject is red, the rest grey
        return ((x[:, :1] - x[:, 1:2]) * 255 / 140).clamp(0, 1)

    metrics = evaluate(saliency.SPEC, oracle, validation)
    assert metrics["iou"] > 0.97
    assert metrics["max_f"] > 0.98
    assert metrics["mae"] < 0.01


def test_masks_at_the_pictures_own_size():
    cells = np.array([[0, 1], [0, 1]], np.float32)
    mask = Mask(cells, Region(0, 0, 4, 4), 0.5)
    assert mask.in_picture(4, 4)[0].tolist() == [0, 0.25, 0.75, 1]
    assert mask.filled(4, 4).sum() == 8
    document = mask.to_json()
    assert (document["coverage"], document["box_px"]) == (0.5, [2, 0, 4, 4])
    with Image.open(io.BytesIO(base64.b64decode(document["mask_png"]))) as stored:
        assert np.array(stored).tolist() == [[0, 255], [0, 255]]
    part = Mask(cells, Region(2, 0, 2, 4), 0.5).in_picture(4, 4)
    assert part[:, :2].max() == 0
    assert part[0, 2:].tolist() == [0, 1]
    document = Mask(np.zeros((2, 2), np.float32), Region(0, 0, 4, 4), 0.5).to_json()
    assert (document["coverage"], document["box_px"]) == (0, None)


def test_characters_are_a_validation_set_too(tmp_path, refused):
    with refused(BadInput, "has neither val/images with val/masks nor <name>/texture.png"):
        load_validation(tmp_path)
    folder = tmp_path / "deep" / "char1"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "mask.png"), disc().astype(np.uint8) * 255)
    assert list_characters(tmp_path) == []
    cv2.imwrite(str(folder / "texture.png"), np.full((96, 128, 3), 200, np.uint8))
    assert [pair.picture for pair in load_validation(tmp_path)] == [folder / "texture.png"]


def test_one_epoch_with_drawings_and_cartoons(pairs, tmp_path, capsys):
    drawing = np.full((80, 80, 3), 255, np.uint8)
    cv2.circle(drawing, (40, 40), 25, (0, 0, 0), 2)
    cartoon = np.full((80, 80, 3), (250, 240, 200), np.uint8)
    cv2.circle(cartoon, (40, 40), 25, (40, 120, 220), -1)
    for kind, picture in (("sketch", drawing), ("cartoon", cartoon)):
        folder = tmp_path / "drawings" / "train" / kind / "dog"
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "0.png"), picture)
    options = f"--data {pairs} --epochs 1 --batch 6 --out {tmp_path / 'out'} --json --drawings {tmp_path / 'drawings'}"
    assert main(["saliency", *options.split()]) == 0
    printed = capsys.readouterr()
    assert set(json.loads(printed.out)["metrics"]) == {"mae", "max_f", "iou"}
    assert "4 photos, 1 drawings, 1 cartoons" in printed.err
    assert (DRAWING, CARTOON) == (1, 2)
    weights = str(tmp_path / "out" / "weights.safetensors")
    assert evaluate_main(["saliency", "--data", str(pairs), "--weights", weights, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "saliency"
    assert set(document["metrics"]) == {"mae", "max_f", "iou"}


def test_guessed_masks_are_kept_where_the_network_is_sure(pairs):
    sizes = iter((0.15, 0.2, 0.3, 0.4))

    def network(both):
        assert both.shape == (2, 3, 32, 32)
        torch.testing.assert_close(both[0], both[1].flip(2))
        mask = torch.zeros(2, 1, 32, 32)
        side = int(32 * next(sizes))
        mask[0, :, 2 : 2 + side, 3 : 3 + side] = 1  # left in the picture and right in its mirror image
        mask[1, :, 2 : 2 + side, 29 - side : 29] = 1
        return mask

    found = guess_masks(network, [pairs / "train" / "images"], 32)
    assert len(found) == 2  # a sixth of the side or a fifth is too small a subject
    assert found[0].picture.shape == (96, 128, 3)
    assert found[0].mask.shape == (96, 128)
    assert found[0].mask[:, 64:].sum() == 0 < found[0].mask.sum()
    assert guess_masks(lambda both: torch.full((2, 1, 32, 32), 0.7), [pairs / "train" / "images"], 32) == []


def test_a_guess_moves_to_the_borders_that_the_colours_have():
    ys, xs = np.mgrid[:96, :128]
    disc = (xs - 64) ** 2 + (ys - 48) ** 2 < 30**2
    rng = np.random.default_rng(0)
    picture = np.where(disc[..., None], (190, 60, 50), (90, 120, 140)) + rng.normal(0, 6, (96, 128, 3))
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    guess = 1 / (1 + np.exp((np.hypot(xs - 70, ys - 44) - 27) / 8))  # beside the disc, smaller and vague
    guess = guess.astype(np.float32)
    assert overlap(guess > 0.5, disc) < 0.75
    assert overlap(follow_colors(picture, guess), disc) > 0.97
    nothing = np.zeros((96, 128), np.float32)
    assert not follow_colors(picture, nothing).any()
    assert follow_colors(picture, nothing + 1).all()
    sure = (guess > 0.5).astype(np.float32)
    np.testing.assert_array_equal(follow_colors(picture, sure), sure > 0.5)


def test_a_guess_that_the_colours_contradict_is_left_out(tmp_path):
    picture = np.full((64, 64, 3), 90, np.uint8)
    picture[20:44, 20:44] = (200, 40, 40)
    cv2.imwrite(str(tmp_path / "a.png"), picture)

    def network(both):
        mask = torch.full((2, 1, 32, 32), 0.03)  # unsure only by a little, and far from the square's size
        mask[:, :, 2:30, 2:30] = 0.97
        return mask

    assert guess_masks(network, [tmp_path], 32) == []


def test_guessed_masks_count_as_photos():
    subject = Subject(np.full((96, 128, 3), 120, np.uint8), disc())
    data = MaskDataset([subject], [subject], [subject], 0, [subject, subject])
    assert data.types.tolist() == [PHOTO, DRAWING, CARTOON, GUESSED, GUESSED]
    assert [data[i][2] for i in range(5)] == [PHOTO, DRAWING, CARTOON, PHOTO, PHOTO]


def test_unlabelled_pictures_need_a_network_that_is_sure(pairs, tmp_path, capsys):
    options = f"saliency --data {pairs} --epochs 1 --batch 4 --out {tmp_path / 'out'} --unlabelled {pairs}/val"
    assert main(options.split()) == 2
    assert "--unlabelled needs --init" in capsys.readouterr().err
    torch.manual_seed(0)
    save_weights(saliency.build(), tmp_path / "init.safetensors")
    assert main([*options.split(), "--init", str(tmp_path / "init.safetensors")]) == 2
    assert "has a subject that the network is sure of" in capsys.readouterr().err
