"""The detector's second network: which boxes it sees, what becomes of them, what it learns from, how it is measured."""

import json

import numpy as np
import pytest
import torch

from reference.data import face_files
from reference.errors import BadInput
from reference.evaluate import main as evaluate_main
from reference.inputs.preprocess import sample_picture
from reference.inputs.square import square_of_box
from reference.networks import face_detector
from reference.networks.face_detector_refined import SIZE
from reference.tasks.box_figures import threshold_at
from reference.tasks.face_detection import FaceBoxes, detect, refine
from reference.train.__main__ import main as train_main
from reference.train.recipes import face_detector_refined as recipe
from reference.train.recipes.face_candidates import CANVAS, Candidates, collect, cut_out
from tests.reference.tasks.test_face_detector import folders, picture, scene, sources  # noqa: F401 - fixtures

PICTURE = picture(96, 128)


def boxes(*scores):
    """Boxes beside one another, which :func:`judge` tells apart."""
    places = [(20.0 * n, 10.0, 20.0 * n + 15, 30.0) for n in range(len(scores))]
    points = np.zeros((len(scores), 5, 2), np.float32) + np.arange(len(scores))[:, None, None]
    return FaceBoxes(np.array(places, np.float32).reshape(-1, 4), np.array(scores, np.float32), points)


def answers(*faces):
    """A network that answers these probabilities of a face, call by call, and what it was shown."""
    shown, left = [], list(faces)

    def judge(crop):
        shown.append(crop)
        face = left.pop(0)
        return np.log(np.array([face, 1 - face], np.float32))

    return judge, shown


def test_both_scores_count_and_the_surest_comes_first():
    judge, shown = answers(0.5, 0.9, 0.1)
    found = refine(boxes(0.75, 0.7, 0.79), PICTURE, judge, SIZE, 0.5)
    assert found.scores == pytest.approx([np.sqrt(0.63), np.sqrt(0.375)])  # sqrt(0.079) is below one half
    assert found.points_px[:, 0, 0].tolist() == [1, 0]
    assert found.boxes_px.tolist() == [[20, 10, 35, 30], [0, 10, 15, 30]]
    square = square_of_box(0, 10, 15, 30)
    assert np.array_equal(shown[0], sample_picture(PICTURE, square, (SIZE, SIZE)))
    assert shown[0].shape == (1, 3, SIZE, SIZE)


def test_a_box_that_can_not_reach_the_threshold_is_not_looked_at():
    judge, shown = answers(1.0 - 1e-6)
    found = refine(boxes(0.24, 0.26), PICTURE, judge, SIZE, 0.5)
    assert len(shown) == 1 and found.points_px[:, 0, 0].tolist() == [1]


def test_a_box_of_which_the_detector_is_sure_is_believed():
    judge, shown = answers(0.4)
    found = refine(boxes(0.81, 0.79), PICTURE, judge, SIZE, 0.5)
    assert len(shown) == 1 and found.scores == pytest.approx([0.9, np.sqrt(0.79 * 0.4)])


def test_no_box_gives_none():
    found = refine(boxes(), PICTURE, answers()[0], SIZE, 0.5)
    assert found.boxes_px.shape == (0, 4) and found.points_px.shape == (0, 5, 2) and found.scores.shape == (0,)


def detector_of(*rows):
    """A detector that always answers these rows: x0, y0, x1, y1, score in shares of the input."""
    table = torch.zeros(1, len(rows), 15)
    table[0, :, :5] = torch.tensor(rows)
    return lambda image: table


def test_candidates_show_what_the_network_will_see():
    place = scene((30, 20, 90, 80))
    found = cut_out(place, detector_of((0.3, 0.2, 0.9, 0.8, 0.7), (0.0, 0.0, 0.1, 0.1, 0.5), (0.5, 0.5, 0.6, 0.6, 0.1)))
    assert found.scores.tolist() == pytest.approx([0.7, 0.5])  # what is hopeless is left out
    assert found.canvases.shape == (2, CANVAS, CANVAS, 3)
    first = detect(face_detector.SPEC, detector_of((0.3, 0.2, 0.9, 0.8, 0.7)), place.picture, 0.2).boxes_px[0]
    square = square_of_box(*(float(v) for v in first))
    seen = sample_picture(place.picture, square, (SIZE, SIZE))[0].transpose(1, 2, 0)
    edge = (CANVAS - SIZE) // 2
    assert np.abs(found.canvases[0, edge:-edge, edge:-edge] / 255 - seen).max() < 0.005


def test_candidates_know_how_right_they_are():
    full = detector_of((0.0, 0.0, 1.0, 1.0, 0.9))
    seen = detect(face_detector.SPEC, full, scene().picture, 0.2).boxes_px[0]
    upper = seen * [1, 1, 1, 0.5]
    found = [cut_out(scene(*truth), full).overlaps for truth in ([seen], [upper, seen + 100], [])]
    assert found[0] == pytest.approx([1]) and found[2].tolist() == [0]
    assert 0.3 < found[1][0] < 0.7  # the picture's middle part is not the input's: it keeps its shape


def test_candidates_are_the_same_again(tmp_path, sources):  # noqa: F811
    detector = detector_of((0.1, 0.1, 0.4, 0.4, 0.6))
    both, second = (collect(sources, detector, count, 3, first) for count, first in ((2, 0), (1, 1)))
    assert np.array_equal(both.canvases[1], second.canvases[0])
    both.save(tmp_path / "some" / "c.npz")
    again = Candidates.load(tmp_path / "some" / "c.npz")
    assert np.array_equal(again.canvases, both.canvases) and np.array_equal(again.overlaps, both.overlaps)
    assert [f.name for f in (tmp_path / "some").iterdir()] == ["c.npz"]


def test_without_changes_the_middle_is_shown(monkeypatch):
    for name in ("ZOOM", "TURN", "SHIFT"):
        monkeypatch.setattr(recipe, name, 0.0)
    torch.manual_seed(0)
    canvases = torch.randint(80, 130, (40, CANVAS, CANVAS, 3), dtype=torch.uint8)
    edge = (CANVAS - SIZE) // 2
    middles = canvases[:, edge:-edge, edge:-edge].permute(0, 3, 1, 2).float() / 255
    shown = recipe.cut_squares(canvases)
    kinds = set()
    for square, middle in zip(shown, middles, strict=True):
        for kind, wanted in (("as it is", middle), ("mirrored", middle.flip(2))):
            a, b = (x - x.mean((1, 2), keepdim=True) for x in (square, wanted))
            if float((a * b).sum() / (a.norm() * b.norm())) > 0.99:
                kinds.add(kind)
                break
        else:
            kinds.add("grey")
    assert kinds == {"as it is", "mirrored", "grey"}


def test_squares_stay_in_range_and_differ():
    canvases = torch.full((6, CANVAS, CANVAS, 3), 250, dtype=torch.uint8)
    shown = recipe.cut_squares(canvases)
    assert shown.shape == (6, 3, SIZE, SIZE) and float(shown.min()) >= 0 and float(shown.max()) <= 1
    assert len({round(float(x.mean()), 4) for x in shown}) > 1


def test_the_threshold_for_so_many_false_boxes():
    truth = [scene((0, 0, 10, 10)), scene()]
    found = [
        FaceBoxes(
            np.array([[0, 0, 10, 10], [30, 30, 40, 40]], np.float32), np.array([0.9, 0.8], np.float32),
            np.zeros((2, 5, 2), np.float32),
        ),
        FaceBoxes(np.array([[1, 1, 9, 9]], np.float32), np.array([0.6], np.float32), np.zeros((1, 5, 2), np.float32)),
    ]  # fmt: skip
    assert 0.8 < threshold_at(found, truth, 0.0) < 0.8001
    assert 0.6 < threshold_at(found, truth, 0.5) < 0.6001
    assert threshold_at(found, truth, 1.0) == 0


def test_training_resumes_and_is_evaluated(folders, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(recipe, "WATCHED_SCENES", 2)
    monkeypatch.setattr(recipe, "SCENES_A_FILE", 3)
    monkeypatch.setattr("reference.train.recipes.face_candidates.LOWEST_SCORE", 0.001)
    out = folders / "out"
    options = f"face_detector_refined --data {folders}/faces --out {out} --batch 2 --samples 4"
    options += f" --backgrounds {folders}/plain"
    assert train_main([*options.split(), "--epochs", "1", "--json"]) == 0
    files = sorted((out / "candidates").iterdir())
    assert [f.name for f in files] == ["000000.npz", "000003.npz"]
    before = [f.read_bytes() for f in files]
    assert train_main([*options.split(), "--epochs", "2", "--json"]) == 0
    assert [f.read_bytes() for f in files] == before
    assert {"recall", "threshold", "average_precision"} <= set(
        json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]
    )
    scenes = folders / "scenes"
    made = f"--faces {folders}/faces --backgrounds {folders}/plain --out {scenes} --count 3"
    assert face_files.main(made.split()) == 0
    capsys.readouterr()
    weights = str(out / "weights.safetensors")
    assert evaluate_main(["face_detector_refined", "--data", str(scenes), "--weights", weights, "--json"]) == 0
    assert {"false_per_picture", "cascade_false_per_picture"} <= set(json.loads(capsys.readouterr().out)["metrics"])


def test_too_few_candidates_are_refused(folders, monkeypatch, refused):  # noqa: F811
    monkeypatch.setattr(recipe, "WATCHED_SCENES", 1)
    backgrounds = [folders / "plain"]
    with refused(BadInput, "less than one batch", "--samples"):
        recipe.RefinerRecipe(folders / "faces", backgrounds, folders / "out", 1, 10_000, 0, 1)
