"""Results of the tasks for any network as people see them: told in a line, drawn, saved."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.tasks.depth_estimation import Depth
from reference.tasks.embedding import Embedding
from reference.tasks.image_segmentation import Segmentation
from reference.tasks.image_to_image import NewPicture
from reference.tasks.keypoints import Points
from reference.tasks.object_detection import Detection, Detections
from reference.tasks.tensors import RawTensors
from sdk_build.predict.base import Prediction
from sdk_build.predict.general.image_segmentation import color_of
from sdk_build.predict.views import VIEWS

PICTURE = np.full((480, 640, 3), 100, np.uint8)
WHOLE = Region(0.0, 0.0, 640.0, 480.0)
RESULTS = {
    "image_segmentation": Segmentation(np.array([[0, 1]]), WHOLE, ("sky", "sea")),
    "object_detection": Detections((Detection((100.0, 100.0, 300.0, 200.0), "dog", 0.9),)),
    "keypoints": Points(np.array([[99.5, 99.5]], np.float32), np.zeros(0, np.float32), ("nose",)),
    "depth_estimation": Depth(np.array([[0.0, 1.0]], np.float32), WHOLE, "relative_inverse_depth"),
    "image_to_image": NewPicture(np.full((8, 8, 3), 7, np.uint8), WHOLE),
    "embedding": Embedding(np.array([3.0, 4.0], np.float32)),
    "tensors": RawTensors({"y": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}),
}
TOLD = {
    "image_segmentation": "sky 50 %, sea 50 %",
    "object_detection": "dog 90 %",
    "keypoints": "1 points from (100, 100)",
    "depth_estimation": "relative inverse depth from 0 to 1",
    "image_to_image": "8 x 8 pixels",
    "embedding": "2 numbers, norm 5",
    "tensors": "y float32 1x2x3 from 0 to 5",
}


def prediction(task):
    return Prediction(Path("a.png"), (RESULTS[task],), PICTURE, "litert")


@pytest.mark.parametrize("task", RESULTS)
def test_each_is_told_and_drawn(task):
    view = VIEWS[task]
    assert TOLD[task] in view.describe(prediction(task))
    drawn = view.draw(prediction(task), False)
    assert drawn.dtype == np.uint8 and drawn.ndim == 3 and drawn.shape[2] == 3
    assert prediction(task).to_json()["results"]


def test_colours_lie_where_the_classes_are():
    drawn = VIEWS["image_segmentation"].draw(prediction("image_segmentation"), False)
    for column, number in ((100, 0), (500, 1)):
        np.testing.assert_allclose(drawn[200, column], 0.45 * 100 + 0.55 * np.array(color_of(number)), atol=1.5)


def test_a_box_and_a_point_are_where_they_should_be():
    boxed = VIEWS["object_detection"].draw(prediction("object_detection"), False)
    assert boxed[150, 100].tolist() == list(color_of(1)) and boxed[150, 200].tolist() == [100] * 3
    pointed = VIEWS["keypoints"].draw(prediction("keypoints"), False)
    assert pointed[100, 100].tolist() != [100] * 3 and pointed[300, 300].tolist() == [100] * 3


def test_near_is_warm():
    drawn = VIEWS["depth_estimation"].draw(prediction("depth_estimation"), False)
    far, near = drawn[240, 650].astype(int), drawn[240, 1270].astype(int)
    assert near[0] > near[2] and far[2] >= far[0]


def test_numbers_are_saved_as_they_are(tmp_path, refused):
    VIEWS["tensors"].writers[".npz"](prediction("tensors"), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as saved:
        np.testing.assert_array_equal(saved["y"], RESULTS["tensors"].values["y"])
    VIEWS["depth_estimation"].writers[".npy"](prediction("depth_estimation"), tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").shape == (480, 640)
    with refused(BadInput, "can't write"):
        VIEWS["tensors"].writers[".npz"](prediction("tensors"), tmp_path)


def test_alike_pictures_have_a_cosine_of_one():
    twice = replace(prediction("embedding"), results=(RESULTS["embedding"],) * 2)
    assert "cosine 1.000 with the first picture" in VIEWS["embedding"].describe(twice)
