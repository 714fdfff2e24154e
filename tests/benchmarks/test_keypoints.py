"""The keypoint table: rows, cells, and wrong use."""

from benchmarks import keypoints
from reference.errors import BadInput

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
