"""Pictures in folders: what is found, what is left out, how batches are made."""

import shutil

import numpy as np
import pytest

from reference.data.pictures import AllTypesSampler, PictureDataset, list_pictures
from reference.errors import BadInput
from reference.networks import classifier

NAMES = (classifier.LABELS, classifier.IMAGE_TYPES)


def test_every_picture_is_listed_with_its_class_and_type(picture_folder):
    (picture_folder / "train" / "photo" / "dog" / "notes.txt").write_text("no picture")
    files = list_pictures(picture_folder, "train", *NAMES)
    assert len(files.paths) == 28
    for path, label, kind in zip(files.paths, files.labels, files.types, strict=True):
        assert (classifier.LABELS[label], classifier.IMAGE_TYPES[kind]) == (path.parent.name, path.parent.parent.name)
    assert list_pictures(picture_folder, "train", *NAMES).paths == files.paths


def test_missing_split(picture_folder, refused):
    with refused(BadInput, f"no folder {picture_folder / 'test'}", "<split>/<image type>/<class>/<picture>"):
        list_pictures(picture_folder, "test", *NAMES)


def test_missing_image_type(picture_folder, refused):
    shutil.rmtree(picture_folder / "train" / "cartoon")
    with refused(
        BadInput, "no image type 'cartoon'", "no batch can hold every type", "photo, art_painting, cartoon, sketch"
    ):
        list_pictures(picture_folder, "train", *NAMES)


def test_empty_class(picture_folder, refused):
    (picture_folder / "train" / "sketch" / "horse" / "0.png").unlink()
    with refused(BadInput, f"no pictures in {picture_folder / 'train' / 'sketch' / 'horse'}", "at least one"):
        list_pictures(picture_folder, "train", *NAMES)


def test_unknown_class(picture_folder, refused):
    (picture_folder / "train" / "photo" / "cat").mkdir()
    with refused(BadInput, "unknown class 'cat'", "allowed: dog, elephant"):
        list_pictures(picture_folder, "train", *NAMES)


def test_items_are_pictures_with_their_numbers(picture_folder):
    data = PictureDataset(list_pictures(picture_folder, "val", *NAMES), 32, False)
    image, label, kind = data[9]  # art_painting, giraffe
    assert image.shape == (3, 32, 32)
    assert str(image.dtype) == "torch.float32"
    assert (classifier.LABELS[label], classifier.IMAGE_TYPES[kind]) == ("giraffe", "art_painting")
    red, green, blue = image.mean((1, 2)) * 255
    assert red.item() == pytest.approx(0.7 * 60 + 34, abs=6)  # RGB, not OpenCV's BGR
    assert green.item() == pytest.approx(0.7 * 195 + 34, abs=6)
    assert blue.item() == pytest.approx(0.7 * 60 + 34, abs=6)


def test_an_unreadable_picture_is_named_and_never_sampled(picture_folder):
    broken = picture_folder / "train" / "photo" / "dog" / "00_broken.png"
    broken.write_bytes(b"no picture")
    files = list_pictures(picture_folder, "train", *NAMES)
    assert broken in files.paths
    data = PictureDataset(files, 32, False)
    assert data.skipped == [broken]
    assert len(data) == len(data.files.labels) == len(data.files.types) == len(data.pictures) == 28
    assert broken not in data.files.paths
    for index, path in enumerate(data.files.paths):  # pictures, classes and paths are still in step
        image, label, kind = data[index]
        assert image.max() > 0
        assert (classifier.LABELS[label], classifier.IMAGE_TYPES[kind]) == (path.parent.name, path.parent.parent.name)
        assert image[0].mean() * 255 == pytest.approx(0.7 * 30 * label + 34, abs=8)


def test_a_class_without_a_readable_picture_is_refused(picture_folder, refused):
    (picture_folder / "train" / "sketch" / "dog" / "0.png").write_bytes(b"")
    with refused(BadInput, f"no picture in {picture_folder / 'train' / 'sketch' / 'dog'} can be read", "restore"):
        PictureDataset(list_pictures(picture_folder, "train", *NAMES), 32, False)


def test_augmentation_depends_on_seed_epoch_and_item_alone(picture_folder):
    files = list_pictures(picture_folder, "train", *NAMES)

    def item(seed, epoch, index):
        data = PictureDataset(files, 24, True, seed)
        data.epoch = epoch
        return data[index][0].numpy()

    first = item(0, 0, 3)
    data = PictureDataset(files, 24, True, 0)
    for index in (5, 1, 3):  # what was read before does not matter
        again = data[index][0].numpy()
    np.testing.assert_array_equal(first, again)
    for other in (item(1, 0, 3), item(0, 1, 3), item(0, 0, 4)):
        assert np.abs(first - other).max() > 0.01
    assert first.shape == (3, 24, 24)
    assert first.min() >= 0
    assert first.max() <= 1


TYPES = np.repeat([0, 1, 2], [11, 4, 29])


@pytest.mark.parametrize("per_type", [(2, 2, 2), (1, 3, 4), (1, 1, 1)])
def test_every_batch_holds_every_type(per_type):
    sampler = AllTypesSampler(TYPES, per_type)
    batches = list(sampler)
    assert len(batches) == len(sampler) == len(TYPES) // sum(per_type)
    for batch in batches:
        assert np.bincount(TYPES[batch], minlength=3).tolist() == list(per_type)


def test_batches_depend_on_seed_and_epoch():
    sampler = AllTypesSampler(TYPES, (2, 2, 2), seed=1)
    first = list(sampler)
    assert list(sampler) == first
    sampler.epoch = 1
    assert list(sampler) != first
    sampler.epoch = 0
    assert list(sampler) == first
    assert list(AllTypesSampler(TYPES, (2, 2, 2), seed=2)) != first


def test_an_epoch_covers_small_types_and_repeats_large_ones_never():
    batches = np.array(list(AllTypesSampler(TYPES, (1, 1, 1))))
    for kind, size in enumerate((11, 4, 29)):
        taken = batches[:, kind]
        times = np.bincount(taken, minlength=len(TYPES))[TYPES == kind]
        assert times.sum() == len(batches) == 14
        assert times.max() - times.min() <= 1  # a type repeats only once all of it was seen
        assert (times > 0).sum() == min(size, 14)


def test_large_types_are_covered_over_epochs():
    sampler = AllTypesSampler(TYPES, (1, 1, 1))
    seen = set()
    for epoch in range(12):
        sampler.epoch = epoch
        seen |= {index for batch in sampler for index in batch}
    assert seen == set(range(len(TYPES)))


def test_sampler_refuses_an_empty_type_and_a_batch_without_one(refused):
    with refused(BadInput, "no pictures of image types [1]", "add pictures"):
        AllTypesSampler(np.array([0, 0, 2]), (1, 1, 1))
    with refused(BadInput, "a batch holds (0, 0, 0) pictures", "at least 1 of each", "a larger batch"):
        AllTypesSampler(TYPES, (0, 0, 0))
