"""Labels that lie beside what they label: found by mirror images, taken off before a training mirrors faces."""

import csv

import cv2
import numpy as np
import pytest
import torch

from reference.data.faces import CANVAS, MIRROR, FaceDataset, Faces, Jitter, load_faces
from reference.errors import BadInput
from reference.train import label_shift


@pytest.fixture
def faces(face_shape):
    points = np.stack([face_shape * s + [88, 90] for s in (60, 50, 55)]).astype(np.float32)
    return Faces(np.zeros((3, CANVAS, CANVAS, 3), np.uint8), points, np.zeros(3, np.float32), ("helen",) * 3)


def test_mirror_images_show_how_far_labels_lie_to_the_right(faces):
    """A network that answers the same symmetric shape for every picture sees no shift; the labels' own remains."""
    labels = np.stack([FaceDataset(faces, 112)[i][1].numpy().T for i in range(3)])
    mirrored = np.stack([1 - labels[..., 0], labels[..., 1]], -1)[:, MIRROR]
    symmetric = ((labels + mirrored) / 2).astype(np.float32)
    moved = Faces(faces.canvases, faces.points, faces.yaw, faces.sources)
    found = label_shift.sideways(lambda crops: symmetric[: len(crops)], moved, 112)
    np.testing.assert_allclose(found, (labels - symmetric)[..., 0].mean(1), atol=1e-6)
    shifted = label_shift.sideways(lambda crops: symmetric[: len(crops)] - [0.01, 0], moved, 112)
    np.testing.assert_allclose(shifted, found, atol=1e-6)  # a network's own constant shift cancels


def test_a_line_through_groups_of_like_scale():
    scales = np.linspace(0.2, 1.0, 400)
    strays = 0.5 + 1.5 * scales
    strays[::10] += 40  # outliers, which medians pass over
    constant, slope = label_shift.fit(scales, strays)
    assert constant == pytest.approx(0.5, abs=0.05)
    assert slope == pytest.approx(1.5, abs=0.05)
    assert label_shift.fit(np.ones(60), np.full(60, 0.9)) == (pytest.approx(0.9), 0.0)


def write_set(folder, shape, shift=None):
    """One face in a picture of 120 pixels, its labels 2 pixels off, with that shift in its column if given."""
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a.png"), np.zeros((120, 120, 3), np.uint8))
    xy = shape * 40 + 60 + 2
    row = {"file": "a.png", "split": "train"} | ({} if shift is None else {"label_shift": shift})
    row |= {f"{c}{i}": f"{xy[i, 'xy'.index(c)]:.4f}" for i in range(68) for c in "xy"}
    with (folder / "annotations.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)


def read_row(folder):
    with (folder / "annotations.csv").open(newline="") as file:
        return next(csv.DictReader(file))


def test_the_column_is_taken_off_on_request(tmp_path, face_shape):
    write_set(tmp_path / "with" / "a", face_shape, 2)
    write_set(tmp_path / "without" / "a", face_shape)
    raw = load_faces(tmp_path / "with", "train")
    corrected = load_faces(tmp_path / "with", "train", corrected=True)
    # The canvas is cut about the labels: they stay in its middle, the picture behind them moves.
    np.testing.assert_allclose(raw.points, corrected.points, atol=1e-3)
    side = label_shift.crop_side(read_row(tmp_path / "with" / "a"))
    assert label_shift.usual_shift(tmp_path / "with", ("a",)) == pytest.approx(2 / side)
    assert label_shift.usual_shift(tmp_path / "without", ("a", "none")) == 0


def test_a_training_learns_labels_beside_the_faces(faces):
    plain = FaceDataset(faces, 112, Jitter(), seed=3)
    offset = FaceDataset(faces, 112, Jitter(), seed=3, offset=0.01)
    for index in range(3):
        torch.testing.assert_close(offset[index][1], plain[index][1] + 0.01)
        torch.testing.assert_close(offset[index][0], plain[index][0])


def test_the_command_writes_the_column_and_says_what_it_found(tmp_path, face_shape, capsys):
    write_set(tmp_path / "a", face_shape)
    assert label_shift.main([str(tmp_path)]) == 0
    assert "a: " in capsys.readouterr().out
    row = read_row(tmp_path / "a")
    assert abs(float(row["label_shift"])) < 20
    assert row["file"] == "a.png"


def test_wrong_folders_and_models_are_refused(tmp_path, capsys, refused):
    with refused(BadInput, "face keypoints"):
        label_shift.measure_folder(tmp_path, "classifier")
    assert label_shift.main([str(tmp_path)]) == 2
    assert "annotations.csv" in capsys.readouterr().err
