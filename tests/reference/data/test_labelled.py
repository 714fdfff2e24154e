"""Labelled pictures of several data sets: found, decoded once, refused with a reason."""

import cv2
import numpy as np
import pytest

from reference.data.labelled import LabelledPictures, list_classes, open_set, open_sets
from reference.errors import BadInput


def write(path, color, size=(30, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*size, 3), color[::-1], np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Two classes, each of one colour; the training pictures of one lie a folder deeper, as in Tiny ImageNet."""
    root = tmp_path / "set"
    for split in ("train", "val"):
        for i in range(2):
            write(root / split / "red" / "images" / f"{i}.png", (250, 0, 0))
            write(root / split / "blue" / f"{i}.PNG", (0, 0, 250))
    return root


def test_pictures_are_found_with_their_classes(folder):
    classes, paths, labels = list_classes(folder, "train")
    assert classes == ("blue", "red")
    assert labels.tolist() == [0, 0, 1, 1]
    assert [p.name for p in paths] == ["0.PNG", "1.PNG", "0.png", "1.png"]


def test_decoded_pictures_are_squares_in_rgb(folder, tmp_path):
    part = open_set(folder, "set", "train", tmp_path / "store")
    assert part.pictures.shape == (4, 24, 24, 3)  # the shorter side
    assert part.pictures[0, 3, 3].tolist() == [0, 0, 250]
    assert part.pictures[3, 3, 3].tolist() == [250, 0, 0]


def test_links_to_folders_are_followed(folder, tmp_path):
    linked = tmp_path / "linked"
    for split in ("train", "val"):
        (linked / split).mkdir(parents=True)
        for name in ("red", "blue"):
            (linked / split / name).symlink_to(folder / split / name)
    assert len(list_classes(linked, "train")[1]) == 4


def test_pictures_are_decoded_once(folder, tmp_path, monkeypatch):
    first = open_set(folder, "set", "train", tmp_path / "store")
    monkeypatch.setattr("reference.data.labelled.read_square", None)  # calling it would fail
    again = open_set(folder, "set", "train", tmp_path / "store")
    assert np.array_equal(first.pictures, again.pictures)
    assert first.labels.tolist() == again.labels.tolist()


def test_a_changed_folder_is_decoded_anew(folder, tmp_path):
    open_set(folder, "set", "train", tmp_path / "store")
    write(folder / "train" / "blue" / "2.png", (0, 0, 99))
    assert open_set(folder, "set", "train", tmp_path / "store").labels.tolist() == [0, 0, 0, 1, 1]


def test_unreadable_pictures_are_left_out_and_named(folder, tmp_path):
    broken = folder / "train" / "blue" / "0.PNG"
    broken.write_bytes(b"no picture")
    part = open_set(folder, "set", "train", tmp_path / "store")
    assert part.skipped == (str(broken),)
    assert part.labels.tolist() == [0, 1, 1]
    assert [int(p[3, 3, 0]) for p in part.pictures[:3]] == [0, 250, 250]


def test_a_stop_while_decoding_leaves_nothing_that_is_taken_for_whole(folder, tmp_path, monkeypatch):
    calls = []

    def stop(path, side):
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return np.zeros((side, side, 3), np.uint8)

    monkeypatch.setattr("reference.data.labelled.read_square", stop)
    with pytest.raises(KeyboardInterrupt):
        open_set(folder, "set", "train", tmp_path / "store")
    monkeypatch.undo()
    assert open_set(folder, "set", "train", tmp_path / "store").pictures[3, 3, 3, 0] == 250


def test_several_sets_are_one(folder, tmp_path):
    other = tmp_path / "other"
    for split in ("train", "val"):
        for c, name in enumerate("abc"):
            write(other / split / name / "0.png", (10 * c, 200, 0), (40, 40))
    data = LabelledPictures(open_sets([folder, other], "train", tmp_path / "store"), 20, augmented=False)
    assert data.sets.tolist() == [0] * 4 + [1] * 3
    items = [data[i] for i in range(len(data))]
    assert [(label, number) for _, label, number in items] == [(0, 0), (0, 0), (1, 0), (1, 0), (0, 1), (1, 1), (2, 1)]
    assert all(image.shape == (3, 20, 20) for image, _, _ in items)
    assert items[6][0][:, 9, 9].tolist() == [20, 200, 0]


def test_random_changes_depend_on_seed_epoch_and_item_alone(folder, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    assert cv2.imwrite(str(folder / "train" / "blue" / "0.PNG"), noise)
    parts = open_sets([folder], "train", tmp_path / "store")
    one, two = (LabelledPictures(parts, 20, augmented=True, seed=3) for _ in range(2))
    first = one[0][0]
    two.epoch = 1
    assert not (first == two[0][0]).all()
    two.epoch = 0
    two[1]
    assert (first == two[0][0]).all()


def test_refusals(folder, tmp_path, refused):
    store = tmp_path / "store"
    with refused(BadInput, "two data folders are called 'set'", "rename one"):
        open_sets([folder, folder], "train", store)
    with refused(BadInput, f"no folder {tmp_path / 'none' / 'train'}", "the layout is"):
        open_sets([tmp_path / "none"], "train", store)
    write(folder / "val" / "green" / "0.png", (0, 250, 0))
    with refused(BadInput, "class 'green' is in", "add or remove it"):
        open_sets([folder], "val", store)
    (folder / "train" / "green").mkdir()
    with refused(BadInput, "no picture in", "green"):
        open_sets([folder], "train", store)
    assert not store.exists()


def test_a_single_class_and_a_set_without_a_readable_picture(tmp_path, refused):
    one = tmp_path / "one"
    for split in ("train", "val"):
        write(one / split / "only" / "0.png", (1, 2, 3))
    with refused(BadInput, "has 1 class folders; at least 2 are needed"):
        open_sets([one], "train", tmp_path / "store")
    for name in ("only", "two"):
        (one / "train" / name).mkdir(exist_ok=True)
        (one / "train" / name / "0.png").write_bytes(b"")
    with refused(BadInput, "not one of the 2 pictures in"):
        open_sets([one], "train", tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []
