"""Row I5: how complete an outline is, what it encloses, and what the filter takes out."""

import csv

import cv2
import numpy as np
import pytest

from reference.data.drawings import enclosed, find_lines, measure_outline, report_removed
from reference.data.pictures import complete_drawings, list_pictures
from reference.errors import BadInput
from reference.networks import classifier


def ring(gap_degrees=0, size=160, paper=255):
    """A circle of radius 50 with a gap at its bottom."""
    picture = np.full((size, size, 3), paper, np.uint8)
    half = gap_degrees / 2
    cv2.ellipse(picture, (80, 80), (50, 50), 90, half, 360 - half, (0, 0, 0), 3)
    return picture


def test_a_closed_outline_is_complete():
    outline = measure_outline(ring())
    assert outline.completeness > 0.95
    assert outline.region.sum() == pytest.approx(np.pi * 52.5**2, rel=0.01)  # the pen is 3 wide and round


def test_a_slip_of_the_pen_does_not_count_and_a_missing_part_does():
    assert measure_outline(ring(4)).completeness > 0.95  # 3.5 pixels
    gaps = [measure_outline(ring(gap)).completeness for gap in (20, 40)]  # 17 and 35 pixels
    assert all(0.02 < value < 0.35 for value in gaps)


def test_wider_gaps_are_never_more_complete():
    values = [measure_outline(ring(gap)).completeness for gap in (0, 5, 10, 20, 40)]
    assert values == sorted(values, reverse=True)


def test_paper_may_be_tinted_and_unevenly_lit():
    shade = np.linspace(0.75, 1, 160)[None, :, None]
    picture = (ring(paper=230) * shade * [1, 0.98, 0.9]).astype(np.uint8)
    assert measure_outline(picture).completeness > 0.9


def test_an_empty_page_has_no_outline():
    outline = measure_outline(np.full((40, 50, 3), 255, np.uint8))
    assert outline.completeness == 0
    assert not outline.region.any()


def test_lines_are_found_and_nothing_else():
    picture = ring()
    assert (find_lines(picture) == (picture[..., 0] < 128)).mean() > 0.995


def test_the_largest_of_several_regions_is_kept():
    lines = find_lines(ring())
    lines[2:10, 2] = lines[2:10, 9] = lines[2, 2:10] = lines[9, 2:10] = True
    region = enclosed(lines, 0)
    assert region[80, 80] and not region[5, 5]


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


@pytest.fixture
def sketches(picture_folder):
    for label in classifier.LABELS:
        folder = picture_folder / "train" / "sketch" / label
        (folder / "0.png").unlink()
        save(folder / "whole.png", ring())
        save(folder / "open.png", ring(60))
    return picture_folder


def listed(folder):
    return list_pictures(folder, "train", classifier.LABELS, classifier.IMAGE_TYPES)


def test_the_filter_takes_incomplete_drawings_and_no_other_type(sketches, tmp_path):
    save(sketches / "train" / "photo" / "dog" / "ring.png", ring(60))
    files = listed(sketches)
    left, removed = complete_drawings(files, "sketch", 0.5)
    assert sorted({path.name for path, _ in removed}) == ["open.png"]
    assert len(removed) == 7
    assert set(left.paths) == set(files.paths) - {path for path, _ in removed}
    report_removed(removed, tmp_path / "report")
    with (tmp_path / "report" / "removed_drawings.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [float(row["completeness"]) < 0.5 for row in rows] == [True] * 7
    sheet = cv2.imread(str(tmp_path / "report" / "removed_drawings.png"))
    assert sheet.shape == (150, 1200, 3)
    assert (np.ptp(sheet.reshape(150, 10, 120, 3), axis=(0, 2, 3)) > 100).tolist() == [True] * 7 + [False] * 3


def test_a_class_without_a_complete_drawing_is_refused(sketches, refused):
    (sketches / "train" / "sketch" / "horse" / "whole.png").unlink()
    with refused(BadInput, "every drawing in", "horse", "use a smaller --min-outline"):
        complete_drawings(listed(sketches), "sketch", 0.5)
