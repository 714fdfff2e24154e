"""Calibration samples: which files, in which order, and never those of the evaluation."""

import csv

import cv2
import numpy as np
import pytest

from reference.data.raw_files import find_raw
from reference.errors import BadInput
from reference.inputs.preprocess import load_picture, sample_picture
from reference.inputs.square import square_of_box
from reference.registry import get_spec
from sdk_build.build.calibration import evaluation_digests, load_calibration


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (20, 20, 3), np.uint8))


def images(calibration):
    return [sample["image"] for sample in calibration.samples]


@pytest.fixture
def folder(tmp_path):
    for i in range(6):
        picture(tmp_path / "set" / "train" / f"{i}.png", i)
    for i in range(2):
        picture(tmp_path / "set" / "val" / f"{i}.png", 100 + i)
    return tmp_path / "set"


def test_same_seed_same_samples(spec, folder):
    one, two, other = (load_calibration(spec, folder, 3, seed) for seed in (0, 0, 1))
    assert one.sha256 == two.sha256 != other.sha256
    assert all(np.array_equal(a, b) for a, b in zip(images(one), images(two), strict=True))
    assert {s.shape for s in images(one)} == {(1, 3, 16, 16)}
    assert one.source == "set"


def test_only_the_training_split(spec, folder):
    assert len(load_calibration(spec, folder, 100).samples) == 6


def test_evaluation_data_are_refused(spec, folder, refused):
    evaluated = evaluation_digests(folder)
    assert len(evaluated) == 2
    picture(folder / "train" / "copy.png", 100)  # the same content under another name
    with refused(BadInput, "1 of 7 files", "copy.png", "training data only"):
        load_calibration(spec, folder, 3, evaluated=evaluated)
    with refused(BadInput, "2 of 2 files"):
        load_calibration(spec, folder / "val", 3, evaluated=evaluated)


def test_scenes_with_known_faces_are_evaluation_data_as_a_whole(spec, tmp_path, refused):
    for name in ("held_out", "made_of_training_faces"):
        picture(tmp_path / name / "0000.png", len(name))
        (tmp_path / name / "faces.csv").write_text("file,x0,y0,x1,y1\n0000.png,1,1,9,9\n")
    evaluated = evaluation_digests(tmp_path / "held_out")
    with refused(BadInput, "1 of 1 files", "training data only"):
        load_calibration(spec, tmp_path / "held_out", 3, evaluated=evaluated)
    assert len(load_calibration(spec, tmp_path / "made_of_training_faces", 3, evaluated=evaluated).samples) == 1


def test_tables_name_split_and_face_box(tmp_path):
    picture(tmp_path / "helen" / "images" / "a.jpg", 0)
    with (tmp_path / "helen" / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "split", "box_x0", "box_y0", "box_x1", "box_y1"])
        writer.writerows([["images/a.jpg", "train", 4, 6, 14, 12], ["images/b.jpg", "val", 0, 0, 1, 1]])
    (found,) = find_raw(tmp_path, "train")
    assert found.path == tmp_path / "helen" / "images" / "a.jpg"
    assert found.box == (1.0, 1.0, 17.0, 17.0)  # 1.6 times the longer side, about the centre (9, 9)
    assert [raw.path.name for raw in find_raw(tmp_path, "val")] == ["b.jpg"]


def test_damaged_table(tmp_path, refused):
    (tmp_path / "index.csv").write_text("split,name\ntrain,a.jpg\n")
    with refused(BadInput, "index.csv", "no column file or image"):
        find_raw(tmp_path, "train")
    (tmp_path / "index.csv").write_text("file,split,box_x0\na.jpg,train,x\n")
    with refused(BadInput, "a.jpg", "no four numbers"):
        find_raw(tmp_path, "train")


def test_files_that_only_a_table_knows(spec, tmp_path, refused):
    (tmp_path / "index.csv").write_text("file,split\na.png,train\nb.png,val\n")
    with refused(BadInput, "a.png", "table", "mend"):
        load_calibration(spec, tmp_path)
    with refused(BadInput, "b.png", "table", "mend"):
        evaluation_digests(tmp_path)
    (tmp_path / "index.csv").write_bytes(b"file,split\n\xff\xfe.png,train\n")
    with refused(BadInput, "index.csv", "UTF-8"):
        load_calibration(spec, tmp_path)


def test_a_folder_is_no_picture(spec, tmp_path, refused):
    (tmp_path / "a.png").mkdir()
    with refused(BadInput, "no picture in"):
        load_calibration(spec, tmp_path)


def test_empty_or_missing(spec, tmp_path, refused):
    with refused(BadInput, "no picture in", ".png"):
        load_calibration(spec, tmp_path)
    with refused(BadInput, "no folder", "--calibration"):
        load_calibration(spec, tmp_path / "nowhere")


def test_wrong_kind(spec, tmp_path, refused):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with refused(BadInput, "a.png"):
        load_calibration(spec, tmp_path)
    picture(tmp_path / "a.png", 0)
    with refused(BadInput, "a.png", "16-bit grey"):
        load_calibration(get_spec("voxel64"), tmp_path)


def test_the_detectors_second_network_sees_squares_of_faces(tmp_path, refused):
    picture(tmp_path / "0.png", 1)
    picture(tmp_path / "1.png", 2)
    table = tmp_path / "faces.csv"
    table.write_text("file,x0,y0,x1,y1\n0.png,5,5,15,13\n1.png,,,,\n")
    second = get_spec("face_detector_refined")
    face, plain = images(load_calibration(second, tmp_path, 5))
    assert face.shape == plain.shape == (1, 3, 48, 48)
    region = square_of_box(5, 5, 15, 13)
    shown = sample_picture(load_picture(tmp_path / "0.png"), region, (48, 48))
    assert face == pytest.approx(shown, abs=1e-6)
    table.write_text("name,x0,y0,x1,y1\n0.png,5,5,15,13\n")
    with refused(BadInput, "faces.csv", "no column file"):
        load_calibration(second, tmp_path, 5)
    table.write_text("file,x0,y0,x1,y1\n0.png,5,five,15,13\n")
    with refused(BadInput, "0.png", "no four numbers"):
        load_calibration(second, tmp_path, 5)
