"""Sheets for people to look at: names that can be read, and the gallery's columns."""

import numpy as np
import pytest
from PIL import Image

from reference.animation import gallery
from reference.animation.output.sheet import spread

from .generated import animal, person, picture_of


def boxes(places, side=300, gap=10):
    sizes = [(70, 22)] * len(places)
    return [(x, y, x + 70, y + 22) for x, y in spread(places, sizes, side, gap)]


def test_names_stand_beside_their_places_away_from_the_root():
    root, left, right = boxes([(150, 150), (90, 60), (210, 60)])
    assert root[0] == 160 and (root[1] + root[3]) / 2 == 150
    assert left[2] == 80 and right[0] == 220


def test_names_stay_inside_and_apart():
    places = [(150, 150), (2, 298), (20, 295), (298, 3), (280, 5), (150, 152), (160, 299), (170, 299)]
    found = boxes(places)
    for i, (a, b, c, d) in enumerate(found):
        assert min(a, b) >= 0 and max(c, d) <= 300
        for e, f, g, h in found[:i]:
            assert not (a < g and e < c and b < h and f < d)


@pytest.fixture
def characters(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "salient_region", lambda picture: None)
    monkeypatch.setattr(gallery, "class_scores", lambda picture: None)
    for name, mask in (("a", person()), ("b", animal())):
        (tmp_path / name).mkdir()
        Image.fromarray(picture_of(mask)).save(tmp_path / name / "texture.png")
    return tmp_path


def test_the_gallery_has_a_row_for_each_drawing_below_its_captions(characters):
    out = characters / "sheet.png"
    assert gallery.main([str(characters), str(out), "--motion", "walk", "idle"]) == 0
    with Image.open(out) as opened:
        sheet = np.array(opened)
    assert sheet.shape == (26 + 2 * 200, 8 * 200, 3)
    for column, width in ((0, 200), (200, 200), (400, 600), (1000, 600)):
        assert sheet[:26, column : column + width].min() < 100, "each has a caption"


def test_the_gallery_of_mappings(characters, capsys):
    out = characters / "sheet.png"
    assert gallery.main([str(characters), str(out), "--mappings"]) == 0
    with Image.open(out) as sheet:
        assert sheet.size == (4 * 520, 260)
    assert gallery.main([str(out.parent / "a" / "none"), str(out)]) == 2
    assert "give a folder of characters" in capsys.readouterr().err
