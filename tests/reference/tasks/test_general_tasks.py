"""The tasks for any network: decoding and metrics with known answers, and which outputs fit."""

import csv
import dataclasses

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from reference.card import complete
from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec
from reference.tasks import TASKS, budget_of, decode, measure
from reference.tasks.embedding import Embedding, angle_degrees
from reference.tasks.keypoints import peaks
from reference.tasks.object_detection import corners, suppress

SIZE = (32, 64)
WHOLE = Region(0.0, 0.0, 128.0, 64.0)  # of a picture twice as large as the network's input


def found(*shapes):
    return tuple(TensorSpec(f"o{i}", s, "any", "value", dtype=d) for i, (s, d) in enumerate(shapes))


def spec_of(task, outputs, labels=(), unit=None):
    named = TASKS[task].signature(outputs, labels)
    if unit:
        named = (TensorSpec(named[0].name, named[0].shape, "any", unit), *named[1:])
    return ModelSpec(
        "mine", task, "", "network", (TensorSpec("image", (1, 3, *SIZE), "NCHW", "intensity"),), named,
        PreprocessSpec(SIZE, resize="stretch"), PostprocessSpec(TASKS[task].result.__name__, TASKS[task].threshold),
        labels=labels or TASKS[task].unnamed_labels(named),
    )  # fmt: skip


def test_the_class_of_a_pixel_is_the_one_with_the_largest_score():
    spec = spec_of("image_segmentation", found(((1, 3, 2, 4), "float32")), ("sky", "sea", "ship"))
    scores = np.zeros((1, 3, 2, 4), np.float32)
    scores[0, 1, 1] = 1
    scores[0, 2, 1, 3] = 2
    result = decode({"classes": scores}, spec, WHOLE)
    assert result.classes.tolist() == [[0, 0, 0, 0], [1, 1, 1, 2]]
    assert result.shares() == {"sky": 0.5, "sea": 0.375, "ship": 0.125}
    laid = result.in_picture(128, 64)
    assert (laid[:32] == 0).all() and (laid[32:, :96] == 1).all() and (laid[32:, 96:] == 2).all()
    half = decode({"classes": scores}, spec, Region(0.0, 0.0, 64.0, 64.0)).in_picture(128, 64)
    assert (half[:, 64:] == -1).all()


def test_one_score_and_class_numbers_are_segmentations_too():
    one = spec_of("image_segmentation", found(((1, 1, 1, 2), "float32")))
    assert one.labels == ("0", "1")
    assert decode({"classes": np.array([[[[-1.0, 1.0]]]], np.float32)}, one, WHOLE).classes.tolist() == [[0, 1]]
    numbers = spec_of("image_segmentation", found(((1, 1, 2), "int64")), ("a", "b", "c"))
    assert decode({"classes": np.array([[[2, 0]]])}, numbers, WHOLE).classes.tolist() == [[2, 0]]


def test_miou_of_a_known_picture(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "val" / name).mkdir(parents=True)
    Image.new("RGB", (64, 32)).save(tmp_path / "val" / "images" / "a.png")
    truth = np.zeros((32, 64), np.uint8)
    truth[:, 32:] = 1
    truth[0] = 255
    Image.fromarray(truth).save(tmp_path / "val" / "masks" / "a.png")
    spec = spec_of("image_segmentation", found(((1, 2, 32, 64), "float32")))
    scores = torch.zeros(1, 2, 32, 64)
    scores[:, 1, :, 48:] = 1  # half of what is 1 is found
    figures = measure(spec, lambda x: scores, tmp_path)
    assert figures["pixel_accuracy"] == pytest.approx(75)
    assert figures["miou"] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    truth[5, 5] = 7
    Image.fromarray(truth).save(tmp_path / "val" / "masks" / "a.png")
    with pytest.raises(BadInput, match="has class 7; the model has classes 0 to 1"):
        measure(spec, lambda x: scores, tmp_path)


FORMS = {
    "xyxy_pixels": [16, 8, 48, 24],
    "xyxy_fraction": [0.25, 0.25, 0.75, 0.75],
    "cxcywh_pixels": [32, 16, 32, 16],
    "cxcywh_fraction": [0.5, 0.5, 0.5, 0.5],
}


@pytest.mark.parametrize(("form", "row"), FORMS.items())
def test_boxes_of_every_form_say_the_same(form, row):
    np.testing.assert_allclose(corners(np.array([row]), form, SIZE), [[0.25, 0.25, 0.75, 0.75]])


def test_overlapping_boxes_of_a_class_give_way_to_the_best():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [20, 0, 30, 10]], np.float32)
    scores, classes = np.array([0.8, 0.9, 0.7, 0.6], np.float32), np.array([0, 0, 1, 0])
    assert suppress(boxes, scores, classes) == [1, 2, 3]


def test_objects_lie_in_the_picture_and_below_the_threshold_is_nothing():
    spec = spec_of("object_detection", found(((1, 2, 3), "float32"), ((1, 2, 4), "float32")), ("a", "b", "c"))
    assert [t.name for t in spec.outputs] == ["boxes", "scores"]
    scores = np.array([[[0.1, 0.6, 0.2], [0.1, 0.2, 0.1]]], np.float32)
    boxes = np.array([[[16, 8, 48, 24], [0, 0, 9, 9]]], np.float32)
    (one,) = decode({"boxes": boxes, "scores": scores}, spec, WHOLE).objects
    assert (one.label, one.box_px) == ("b", (32, 16, 96, 48))
    numbers = spec_of(
        "object_detection", found(((1, 2, 4), "float32"), ((1, 2), "float32"), ((1, 2), "int64")), ("a", "b")
    )
    answer = {"boxes": boxes, "scores": np.array([[0.2, 0.9]], np.float32), "classes": np.array([[0, 1]])}
    assert [o.label for o in decode(answer, numbers, WHOLE).objects] == ["b"]


def test_map_of_a_known_picture(tmp_path):
    (tmp_path / "val" / "images").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "val" / "images" / "a.png"), np.zeros((32, 64, 3), np.uint8))
    with (tmp_path / "val" / "boxes.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows(
            [["file", "label", "x0", "y0", "x1", "y1"], ["a.png", "a", 16, 8, 48, 24], ["a.png", "a", 0, 0, 8, 8]]
        )
    spec = spec_of("object_detection", found(((1, 2, 4), "float32"), ((1, 2, 2), "float32")), ("a", "b"))
    boxes = torch.tensor([[[16.0, 8, 48, 24], [40, 20, 60, 30]]])
    scores = torch.tensor([[[0.6, 0.0], [0.9, 0.0]]])  # the more probable one is wrong
    assert measure(spec, lambda x: (boxes, scores), tmp_path)["map50"] == pytest.approx(100 * 0.5 / 2)


def test_peaks_lie_between_cells():
    maps = np.zeros((1, 4, 8), np.float32)
    maps[0, 2, 3], maps[0, 2, 4] = 1.0, 0.5
    places, heights = peaks(maps)
    np.testing.assert_allclose(places, [[3.75 / 8, 2.5 / 4]])
    assert heights.tolist() == [1.0]


@pytest.mark.parametrize(("unit", "row"), [("pixels", [32, 16, 0.9]), ("fraction", [0.5, 0.5, 0.9])])
def test_points_of_every_form_say_the_same(unit, row):
    spec = spec_of("keypoints", found(((1, 1, 3), "float32")), ("nose",), unit)
    result = decode({"points": np.array([[row]], np.float32)}, spec, WHOLE)
    np.testing.assert_allclose(result.points_px, [[63.5, 31.5]])
    assert result.to_json()["labels"] == ["nose"] and result.scores[0] == pytest.approx(0.9)


def test_depth_is_near_where_its_unit_says():
    spec = spec_of("depth_estimation", found(((1, 1, 1, 2), "float32")))
    values = {"depth": np.array([[[[1.0, 3.0]]]], np.float32)}
    assert decode(values, spec, WHOLE).nearness.tolist() == [[0, 1]]
    metres = spec_of("depth_estimation", found(((1, 1, 1, 2), "float32")), unit="metres")
    assert decode(values, metres, WHOLE).nearness.tolist() == [[1, 0]]
    agreement = TASKS["depth_estimation"].agreement.function
    assert agreement(np.array([2.0, 4, 6]), np.array([1.0, 2, 3])) == pytest.approx(1)
    assert agreement(np.array([3.0, 2, 1]), np.array([1.0, 2, 3])) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("unit", "low", "high"), [("zero_to_one", 0, 1), ("minus_one_to_one", -1, 1), ("zero_to_255", 0, 255)]
)
def test_a_new_picture_of_every_range_is_the_same(unit, low, high):
    spec = spec_of("image_to_image", found(((1, 1, 1, 3), "float32")), unit=unit)
    result = decode({"picture": np.array([[[[low, high, high + 1]]]], np.float32)}, spec, WHOLE)
    assert result.picture.tolist() == [[[0] * 3, [255] * 3, [255] * 3]]


def test_angles_between_embeddings():
    assert angle_degrees(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]])) == pytest.approx(0)
    assert angle_degrees(np.array([[1.0, 1.0]]), np.array([[2.0, 0.0]])) == pytest.approx(45)
    assert angle_degrees(np.array([[0.0, 0.0]]), np.array([[2.0, 0.0]])) == 90
    a, b = Embedding(np.array([1, 0], np.float32)), Embedding(np.array([1, 1], np.float32))
    assert a.similarity(b) == pytest.approx(0.5**0.5)


def test_a_budget_is_the_cards_or_one_point_of_the_tasks_own_metric(tmp_path):
    spec = spec_of("image_classification", found(((1, 3), "float32")))
    assert budget_of(spec, complete({})) == {"top1_mean": -1.0}
    assert budget_of(spec, complete({"budget": {"top1_mean": -0.25}})) == {"top1_mean": -0.25}
    (tmp_path / "model.py").write_text("def evaluate(predict, data):\n    return {'rmse': 1.0}\n")
    assert budget_of(dataclasses.replace(spec, folder=str(tmp_path)), complete({})) == {}
    assert {t.name for t in TASKS.values() if t.budget} == {
        "image_classification",
        "image_segmentation",
        "object_detection",
    }


UNFIT = {
    "image_classification": [((1, 3, 4, 4), "float32")],
    "image_segmentation": [((1, 5), "float32")],
    "object_detection": [((1, 7, 4), "float32")],
    "keypoints": [((1, 7), "float32")],
    "depth_estimation": [((1, 2, 4, 4), "float32")],
    "image_to_image": [((1, 2, 4, 4), "float32")],
    "embedding": [((1, 3, 4, 4), "float32")],
}


@pytest.mark.parametrize("task", UNFIT)
def test_outputs_that_dont_fit_are_refused_with_what_was_given(task, refused):
    with refused(BadInput, f"{task} needs", "the network gives float32", str(UNFIT[task][0][0])):
        TASKS[task].signature(found(*UNFIT[task]), ())


@pytest.mark.parametrize("task", ["keypoints", "depth_estimation", "image_to_image", "embedding", "tensors"])
def test_what_nothing_general_measures_says_what_to_write(task, refused, tmp_path):
    spec = ModelSpec("mine", task, "", "n", found(((1,), "float32"))[:1], (TensorSpec("y", (1,), "any", "v"),), None,
                     PostprocessSpec(TASKS[task].result.__name__))  # fmt: skip
    with refused(BadInput, "nothing measures mine", "write evaluate(predict, data) -> dict into its model.py"):
        measure(spec, lambda x: x, tmp_path)
