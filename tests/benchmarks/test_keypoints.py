"""The keypoint table: rows, cells, and wrong use."""

import numpy as np
import pytest

from benchmarks import facemesh, keypoints
from reference.errors import BadInput
from tests.reference.conftest import rough_face

SHAPE = rough_face()
ROW = {"name": "both", "parameters": 0.85, "nme_percent": 5.0, "auc_10": 50.0, "failure_10": 2.5}


def test_a_metric_that_was_not_measured_stays_empty():
    lines = keypoints.table([ROW]).splitlines()
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells == ["both", "0.85", "5.00", "", "", "", "", "50.00", "2.50"]
    assert len(lines[0].strip("|").split("|")) == len(cells)


def test_extra_rows_need_a_name_and_a_file(tmp_path, refused):
    path = tmp_path / "w.safetensors"
    path.touch()
    assert keypoints.parse_row(f"no balance={path}") == ("no balance", path)
    for text in ("no balance", f"={path}", f"x={tmp_path / 'none'}"):
        with refused(BadInput, "NAME=WEIGHTS"):
            keypoints.parse_row(text)


def test_wrong_data_is_one_line(tmp_path, capsys):
    assert keypoints.main(["--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("BadInput: no */annotations.csv in")
    assert error.count("\n") == 1


def test_figures_of_known_errors():
    """Two faces, off by 4 and by 9 percent of the eye distance, one of them at the eyes alone."""
    labelled = np.stack([SHAPE * 50, SHAPE * 80])
    found = labelled.copy()
    found[0, :, 0] += 0.04 * 50
    found[1, 36:48, 1] += 0.09 * 80
    errors = keypoints.point_errors(found, labelled)
    result = keypoints.figures(errors, np.array([0.0, 0.5]))
    second = 9 * 12 / 68
    assert result["NME"].value == pytest.approx((4 + second) / 2)
    assert (result["eyes"].value, result["jaw"].value) == (pytest.approx(6.5), pytest.approx(2))
    assert result["AUC 8 %"].value == pytest.approx(100 * (0.5 + 1 - second / 8) / 2)
    assert result["failures 8 %"].value == 0
    assert (result["small pose"].value, result["large pose"].value) == (pytest.approx(4), pytest.approx(second))
    assert result["NME"].low == pytest.approx(second) and result["NME"].high == pytest.approx(4)  # either face twice
    assert str(result["small pose"]) == "4.00 [4.00, 4.00]"


def test_an_interval_narrows_as_the_root_of_the_faces():
    values = np.random.default_rng(0).normal(5, 1, 400)
    wide, narrow = (keypoints.figure(v) for v in (values[:25], values))
    assert narrow.high - narrow.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert 2.5 < (wide.high - wide.low) / (narrow.high - narrow.low) < 6
    assert narrow.low < 5 < narrow.high


def test_cover_groups_and_the_table():
    errors = np.repeat(np.array([[2.0], [4], [6], [8]]), 68, axis=1)
    groups = keypoints.by_cover(errors, np.array([0.0, 0.15, 0.2, 0.9]))
    assert {name: f.value for name, f in groups.items()} == {
        "covered 0 to 15 %": 3, "covered 15 to 30 %": 6, "covered 30 % and more": 8,
    }  # fmt: skip
    lines = keypoints.detail_table({"a": groups, "b": {"NME": keypoints.figure(errors.mean(1))}}).splitlines()
    assert lines[0] == "| figure | a | b |"
    assert lines[2] == "| covered 0 to 15 % | 3.00 [2.00, 4.00] |  |"


def test_the_mesh_is_a_column_of_the_detail(tmp_path, capsys):
    assert keypoints.main(["--data", str(tmp_path), "--facemesh", "x"]) == 2
    assert "give both" in capsys.readouterr().err


def test_no_mesh_is_refused(tmp_path, refused):
    path = tmp_path / "face.tflite"
    path.write_bytes(b"nothing")
    with refused(BadInput, "face_landmark.tflite"):
        facemesh.open_mesh(path)


def test_usual_offsets_of_turned_faces_are_taken_off():
    """A mesh that marks every point a tenth of the eye distance below, whatever the face's size and roll."""
    down = np.array([0, 0.1])
    found, labelled = [], []
    for size, degrees in ((50, 0), (80, 30), (20, -70)):
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        labelled.append(SHAPE @ turn * size)
        found.append((SHAPE + down) @ turn * size)
    found, labelled = np.stack(found), np.stack(labelled)
    moved = facemesh.offsets(found[:2], labelled[:2])
    np.testing.assert_allclose(facemesh.without(found, labelled, moved), labelled, atol=1e-4)


def test_the_mesh_looks_twice():
    """Two looks, of 68 chosen points of the second."""
    seen = []

    def mesh(crop):
        seen.append(crop)
        return np.tile(np.array([[0.2, 0.2], [0.8, 0.8]], np.float32), (234, 1))

    picture = np.zeros((120, 120, 3), np.uint8)
    points = facemesh.points_of(mesh, picture, (SHAPE * 40 + 60).astype(np.float32))
    assert points.shape == (68, 2) and len(seen) == 2
    assert seen[0].shape == (1, 3, 192, 192)
