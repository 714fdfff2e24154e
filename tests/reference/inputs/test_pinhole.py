"""Files that tell a camera's focal length, in the names of several tools."""

import json

import pytest

from reference.errors import BadInput
from reference.inputs.pinhole import Intrinsics, read_intrinsics


def written(tmp_path, document):
    path = tmp_path / "camera.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"focal_px": 525}, Intrinsics(525)),
        (
            {"focal_px": 525, "principal_px": [319, 240.5], "size_px": [640, 480]},
            Intrinsics(525, (319, 240.5), (640, 480)),
        ),
        ({"fx": 600, "fy": 602, "ppx": 310, "ppy": 250}, Intrinsics(601, (310, 250))),
        ({"fx": 600, "cx": 1, "cy": 2, "width": 4, "height": 3, "more": "x"}, Intrinsics(600, (1, 2), (4, 3))),
        (
            {"width": 640, "height": 480, "intrinsic_matrix": [525, 0, 0, 0, 525, 0, 319.5, 239.5, 1]},
            Intrinsics(525, (319.5, 239.5), (640, 480)),
        ),
    ],
)
def test_names_of_several_tools(tmp_path, document, expected):
    assert read_intrinsics(written(tmp_path, document)) == expected


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "is no JSON"),
        ("[525]", "holds no object"),
        ({}, "has no focal_px"),
        ({"focal_px": 0}, "above 0"),
        ({"focal_px": "525"}, "a number of pixels"),
        ({"focal_px": True}, "a number of pixels"),
        ({"fx": 600, "fy": 300}, "square pixels"),
        ({"focal_px": 525, "principal_px": [1]}, "two numbers"),
        ({"focal_px": 525, "size_px": [0, 480]}, "above 0"),
    ],
)
def test_files_that_tell_nothing(tmp_path, document, message):
    with pytest.raises(BadInput, match=message):
        read_intrinsics(written(tmp_path, document))


def test_a_missing_file(tmp_path):
    with pytest.raises(BadInput, match="no camera file"):
        read_intrinsics(tmp_path / "none.json")


def test_another_resolution_of_the_same_view():
    camera = Intrinsics(1000, (799.5, 599.5), (1600, 1200))
    assert camera.scaled_to(400, 300) == Intrinsics(250, (199.5, 149.5))
    assert Intrinsics(525).scaled_to(400, 300) == Intrinsics(525)
    with pytest.raises(BadInput, match="the same aspect ratio"):
        camera.scaled_to(400, 400)
