"""A user's own classes: every layout, every folder that can't be used, and a model like the built-in ones."""

import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from reference.card import load_card
from reference.data.own_pictures import LARGEST_COUNT, hold_out, list_own_pictures, read_own_square
from reference.errors import BadInput, WeightsError
from reference.evaluate import evaluate
from reference.evaluate import main as evaluate_main
from reference.golden import load_golden
from reference.registry import build_network, get_spec, own_models
from reference.tasks import measure
from reference.train.__main__ import main
from reference.train.confusion import most_confused, plot_confusion
from reference.train.recipes import own_classes
from reference.train.recipes.backbone import Backbone


def write(path, color=(200, 30, 30), mode="RGB", size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).convert(mode).save(path)


def fill(root, classes=("cat", "dog"), count=8):
    for c, name in enumerate(classes):
        for i in range(count):
            write(root / name / f"{i}.png", (200 * (c == 0), 60 * c, 10 * i))


@pytest.fixture
def flat(tmp_path):
    fill(tmp_path / "flat")
    return tmp_path / "flat"


def test_a_flat_folder_is_split_by_class(flat):
    train, val = (list_own_pictures(flat, split) for split in ("train", "val"))
    assert train.class_names == val.class_names == ("cat", "dog")
    assert np.bincount(train.labels).tolist() == [7, 7]
    assert np.bincount(val.labels).tolist() == [1, 1]
    assert not set(train.paths) & set(val.paths)
    assert all(
        path.parent.name == train.class_names[label] for path, label in zip(train.paths, train.labels, strict=True)
    )


def test_what_is_held_out_depends_on_the_name_alone(flat):
    before = set(list_own_pictures(flat, "val").paths)
    assert set(list_own_pictures(flat.rename(flat.with_name("moved")), "val").paths) == {
        flat.with_name("moved") / path.relative_to(flat) for path in before
    }
    files = [flat / f"{i}.jpg" for i in range(100)]
    held_out, rest = hold_out(files)
    assert len(held_out) == 15
    assert sorted(held_out + rest) == sorted(files)
    assert hold_out(files[::-1])[0] == held_out


def test_folders_with_splits_and_with_types(tmp_path):
    for split in ("train", "val"):
        fill(tmp_path / "plain" / split, count=2)
        for kind in ("photo", "sketch"):
            fill(tmp_path / "typed" / split / kind, count=2)
    plain = list_own_pictures(tmp_path / "plain", "train")
    assert (len(plain.paths), plain.type_names) == (4, ("picture",))
    typed = list_own_pictures(tmp_path / "typed", "val")
    assert (len(typed.paths), typed.type_names) == (8, ("photo", "sketch"))
    assert typed.types.tolist() == [0] * 4 + [1] * 4


def test_hidden_files_and_folders_are_no_pictures(flat):
    write(flat / ".git" / "0.png")
    (flat / "cat" / ".DS_Store").write_bytes(b"x")
    assert len(list_own_pictures(flat, "train").paths) == 14


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda f: [p.unlink() for p in (f / "dog").iterdir()], ("class 'dog' has 0 pictures", "2 or more")),
        (lambda f: [p.unlink() for p in (f / "dog").glob("[1-9].png")], ("class 'dog' has 1 pictures", "2 or more")),
        (lambda f: (f / "dog").rename(f.parent / "dog"), ("has 1 class folders; allowed: 2 to 1000",)),
        (lambda f: write(f / "Dog" / "0.png"), ("folders 'Dog' and 'dog'", "in case or Unicode form only")),
        (lambda f: write(f / "a\nb" / "0.png"), ("'a\\nb'", "can't be shown; rename it")),
        (lambda f: (f / "train").mkdir(), ("has train/ but no val/", "<class>/<picture>")),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_used(flat, spoil, parts, refused):
    spoil(flat)
    with refused(BadInput, *parts):
        list_own_pictures(flat, "train")


def test_names_in_two_unicode_forms(flat, refused):
    for form in ("NFC", "NFD"):
        write(flat / unicodedata.normalize(form, "é") / "0.png")
    with refused(BadInput, "differ in case or Unicode form only"):
        list_own_pictures(flat, "train")


def test_a_decomposed_name_becomes_a_composed_label(flat):
    fill(flat, (unicodedata.normalize("NFD", "café"),))
    assert list_own_pictures(flat, "train").class_names == ("cafe\u0301".replace("e\u0301", "é"), "cat", "dog")


def test_thousands_of_classes(tmp_path, refused):
    for i in range(LARGEST_COUNT + 1):
        (tmp_path / "many" / f"{i:04}").mkdir(parents=True)
    with refused(BadInput, f"has {LARGEST_COUNT + 1} class folders; allowed: 2 to {LARGEST_COUNT}"):
        list_own_pictures(tmp_path / "many", "train")


def test_splits_and_types_that_do_not_fit_each_other(tmp_path, refused):
    root = tmp_path / "own"
    for split in ("train", "val"):
        fill(root / split, count=1)
    write(root / "val" / "bird" / "0.png")
    with refused(BadInput, "unknown class 'bird'", "allowed: cat, dog"):
        list_own_pictures(root, "val")
    (root / "val" / "dog" / "0.png").unlink()
    (root / "val" / "bird" / "0.png").unlink()
    (root / "val" / "bird").rmdir()
    with refused(BadInput, "no picture of class 'dog' in"):
        list_own_pictures(root, "val")
    typed = tmp_path / "typed"
    for split in ("train", "val"):
        fill(typed / split / "photo", count=1)
        fill(typed / split / "sketch", ("cat", "cow"), count=1)
    with refused(BadInput, "class 'cow' is not in both"):
        list_own_pictures(typed, "train")


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1", "LA"])
def test_pictures_of_every_kind_are_read(tmp_path, mode):
    path = tmp_path / ("0.jpg" if mode == "CMYK" else "0.png")
    write(path, (255, 255, 255), mode)
    square = read_own_square(path, 20)
    assert square.shape == (20, 20, 3)
    assert square.min() > 240


def test_depth_maps_and_text_are_not_read(tmp_path):
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "depth.png")
    (tmp_path / "notes.txt").write_text("no picture")
    assert read_own_square(tmp_path / "depth.png", 20) is None
    assert read_own_square(tmp_path / "notes.txt", 20) is None


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


def train(flat, tmp_path, *options):
    """The command; returns its exit code."""
    fixed = f"--name pets --epochs 1 --batch 6 --out {tmp_path / 'out'} --models-dir {tmp_path / 'models'} --json"
    return main(["classifier", "--data", str(flat), *fixed.split(), *options])


def test_one_command_makes_a_model(flat, tmp_path, models, capsys):
    (flat / "cat" / "notes.txt").write_text("no picture")
    assert train(flat, tmp_path) == 0
    err = capsys.readouterr().err
    assert "2 classes, 1 image types" in err
    assert f"1 unreadable files are left out:\n{flat / 'cat' / 'notes.txt'}\n" in err
    assert f"wrote {models / 'pets'}; next: python -m sdk_build.export --target all --model pets" in err
    names = {path.name for path in (models / "pets").iterdir()}
    assert names == {
        *("weights.safetensors", "spec.json", "card.yaml", "golden", "confusion.png"),
        *("training_log.csv", "training_curves.png"),
    }
    assert [path.name for path in models.iterdir()] == ["pets"]

    spec = get_spec("pets", models)
    assert spec.labels == ("cat", "dog")
    assert spec.outputs[0].shape == (1, 2)
    golden = load_golden(spec, models)
    assert golden[0].outputs["logits"].shape == (1, 2)
    assert not np.array_equal(golden[0].input, golden[1].input)
    card = load_card("pets", models)
    assert set(card.accuracy) == {"top1_mean", "top1_worst", "top1_picture", "calibration_error"}
    assert card.trained_on[0] == "flat, 14 pictures of 2 classes"
    assert card.trained_on[1].startswith("start: backbone: Tiny ImageNet")
    assert "Research use only" in card.weights_license  # of the start


def test_unreadable_validation_pictures_are_named_too(flat, tmp_path, capsys):
    broken = list_own_pictures(flat, "val").paths[0]
    for i in range(8, 20):  # so that others of its class are held out as well
        write(broken.parent / f"{i}.png")
    broken.write_bytes(b"no picture")
    assert broken in list_own_pictures(flat, "val").paths
    assert train(flat, tmp_path) == 0
    assert f"1 unreadable files are left out:\n{broken}\n" in capsys.readouterr().err


def test_a_failure_leaves_the_old_model(flat, tmp_path, models, monkeypatch):
    assert train(flat, tmp_path) == 0
    before = (models / "pets" / "card.yaml").read_bytes()

    def fail(*_):
        raise BadInput("no")

    monkeypatch.setattr(own_classes, "plot_confusion", fail)
    assert train(flat, tmp_path) == 2
    assert (models / "pets" / "card.yaml").read_bytes() == before
    assert [path.name for path in models.iterdir()] == ["pets"]


@pytest.mark.parametrize("name", ["classifier", "voxel64", "a/b", "..", "", "9lives", "x" * 62])
def test_names_that_cannot_be_used(name, tmp_path, refused):
    with refused(BadInput, f"--name is {name!r}"):
        own_classes.check_name(name, tmp_path)


def test_a_folder_of_models_that_is_no_own_model_is_not_overwritten(tmp_path, refused):
    (tmp_path / "motions").mkdir()
    with refused(BadInput, "--name is 'motions', which OnPar has itself"):
        own_classes.check_name("motions", tmp_path)


def test_weights_of_another_backbone(flat, tmp_path, models, capsys):
    from reference.checkpoint import save_weights

    path = tmp_path / "large.safetensors"
    save_weights(Backbone({"a": 2}, "large"), path)
    assert train(flat, tmp_path, "--init", str(path)) == WeightsError.exit_code
    assert "does not fit Classifier" in capsys.readouterr().err
    assert not models.exists()


def test_specs_that_cannot_be_used(tmp_path, refused):
    with refused(BadInput, "model is 'pets'", "allowed: classifier, "):
        get_spec("pets", tmp_path)
    with refused(BadInput, "model is '../pets'"):
        get_spec("../pets", tmp_path)
    path = tmp_path / "pets" / "spec.json"
    path.parent.mkdir()
    path.write_text("no JSON")
    assert own_models(tmp_path) == ["pets"]
    with refused(BadInput, f"{path} can't be used"):
        get_spec("pets", tmp_path)
    own_classes._write_spec(own_classes.spec_of("cats", ("a", "b")), path)
    with refused(BadInput, "is of model 'cats'"):
        get_spec("pets", tmp_path)


def test_the_network_has_an_output_for_each_label():
    labels = tuple("abcde")
    assert build_network(own_classes.spec_of("letters", labels)).target_head[3].out_features == 5


def test_the_most_confused_classes_are_drawn(tmp_path):
    counts = np.diag(np.full(50, 9.0))
    counts[45, 3] = 4
    shown = most_confused(counts)
    assert len(shown) == 40
    assert {3, 45} <= set(shown)
    names = [f"class {i}" for i in range(50)]
    plot_confusion(
        {a: dict(zip(names, row.astype(int), strict=True)) for a, row in zip(names, counts, strict=True)},
        tmp_path / "c.png",
    )
    with Image.open(tmp_path / "c.png") as drawn:
        assert min(drawn.size) > 800


@pytest.mark.parametrize("layout", ["flat", "split", "typed"])
def test_evaluation_takes_an_own_models_labels_in_every_layout(flat, tmp_path, layout):
    fill(tmp_path / "split" / "val", count=2)
    fill(tmp_path / "typed" / "val" / "photo", ("cat",), count=2)  # any of the classes, where there are types
    for name in ("split", "typed"):
        (tmp_path / name / "train").mkdir()
    spec = own_classes.spec_of("pets", ("cat", "dog"))
    with torch.no_grad():
        metrics = measure(spec, build_network(spec), tmp_path / layout)
    assert metrics["pictures"] == {"flat": 2, "split": 4, "typed": 2}[layout]
    assert set(metrics["confusion"]) == {"cat", "dog"}


def test_turned_pictures_are_shown_to_the_network(picture_folder, monkeypatch):
    seen = []

    class Corner(torch.nn.Module):
        def forward(self, image):
            seen.append(image)
            return torch.zeros(len(image), 7)

    monkeypatch.setattr("reference.registry.load_network", lambda spec, weights, models_dir: Corner())
    for turn in (0, 1):
        evaluate("classifier", picture_folder, picture_folder, turn=turn)
    assert torch.equal(seen[1], torch.rot90(seen[0], 1, (2, 3)))
    assert not torch.equal(seen[1], seen[0])


def test_only_classifiers_are_shown_turned_pictures(flat, capsys):
    assert evaluate_main(["saliency", "--data", str(flat), "--turn", "1"]) == 2
    assert "--turn is for tasks whose answer stays the same; saliency does" in capsys.readouterr().err
