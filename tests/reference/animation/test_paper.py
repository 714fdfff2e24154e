"""Masks of drawings on real paper: lines printed on it, shadows, pale parts, several drawings."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from reference.animation.figure.mask import clean_mask, load_figure, salient_figure
from reference.animation.figure.paper import NoFigure, figure_on_paper
from reference.errors import BadInput

from .generated import person, picture_of


def outlined(mask, paper, ink=(40, 40, 60), width=5):
    """A pen's outline of a mask on paper (H, W, 3)."""
    edge = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((width, width))).astype(bool)
    picture = paper.copy()
    picture[edge] = ink
    return picture


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def plain(size=384):
    return np.full((size, size, 3), (248, 247, 243), np.uint8)


@pytest.mark.parametrize("squared", [False, True])
def test_printed_lines_are_no_ink(squared):
    mask, paper = person(384), plain()
    for level in range(20, 384, 28):
        cv2.line(paper, (0, level), (383, level + 6), (150, 180, 225), 2, cv2.LINE_AA)
        if squared:
            cv2.line(paper, (level, 0), (level - 5, 383), (150, 180, 225), 2, cv2.LINE_AA)
    assert overlap(figure_on_paper(outlined(mask, paper)), mask) > 0.93


def test_a_shadow_is_paper():
    mask = person(384)
    y, x = np.mgrid[:384, :384]
    light = 1 - 0.35 / (1 + np.exp(-(x + 0.4 * y - 330) / 12))
    shaded = (outlined(mask, plain()) * light[..., None]).astype(np.uint8)
    assert overlap(figure_on_paper(shaded), mask) > 0.9


def test_a_photograph_is_no_paper(refused):
    random = np.random.default_rng(5).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    noise = cv2.resize(random, (384, 384), interpolation=cv2.INTER_CUBIC)
    with refused(BadInput, "no plain background", "--bundle"):
        figure_on_paper(noise)


def two(tmp_path):
    picture, left, right = plain(512), np.zeros((512, 512), bool), np.zeros((512, 512), bool)
    left[120:376, 10:266], right[200:400, 300:500] = person(256), person(200)
    picture = outlined(right, outlined(left, picture))
    Image.fromarray(picture).save(tmp_path / "two.png")
    return tmp_path / "two.png", left, right


def test_of_several_drawings_the_salient_one_is_meant(tmp_path):
    path, left, right = two(tmp_path)
    assert overlap(load_figure(path).mask, left) > 0.9, "the largest without a network"
    figure = load_figure(path, None, lambda picture: right.astype(np.float32))
    assert overlap(figure.mask, right) > 0.9 and figure.origin == "paper"


def test_pale_parts_are_filled_where_a_network_saw_them(tmp_path):
    mask = person(256)
    picture = picture_of(mask)
    picture[100:160, 120:136] = (246, 244, 238)  # a white stripe as pale as the paper, open to no side
    picture[100:104, 100:160] = (246, 244, 238)  # and a gap in the outline
    Image.fromarray(picture).save(tmp_path / "p.png")
    seen = load_figure(tmp_path / "p.png", None, lambda _: mask.astype(np.float32)).mask
    assert overlap(seen, mask) > 0.9


def test_a_photograph_in_which_only_scraps_stand_out_is_refused(tmp_path, refused):
    picture = np.random.default_rng(4).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "p.png")
    region = np.zeros((200, 300), np.float32)
    region[40:80, 40:100] = 1.0
    region[150:170, ::4] = 1.0  # many, none of them large
    with refused(BadInput, "covers 4.0 % of it; allowed without plain paper: 5 % or more", "crop the picture"):
        load_figure(tmp_path / "p.png", None, lambda _: region)
    region[40:90, 40:110] = 1.0
    assert load_figure(tmp_path / "p.png", None, lambda _: region).origin == "saliency"
    with refused(BadInput, "covers 0.0 % of it"):
        load_figure(tmp_path / "p.png", None, lambda _: np.zeros_like(region))


def test_paper_that_a_figure_half_surrounds_stays_paper(tmp_path):
    mask = np.zeros((256, 256), bool)
    mask[150:230, 30:200] = True
    mask[40:150, 180:200] = True  # a tail that stands up
    picture = picture_of(mask)
    picture[165:215, 60:130] = (246, 244, 238)  # a pale patch, with ink around it
    region = mask.copy()
    region[60:150, 100:180] = True  # what a network takes for a part of it, between tail and back
    Image.fromarray(picture).save(tmp_path / "p.png")
    seen = load_figure(tmp_path / "p.png", None, lambda _: region.astype(np.float32)).mask
    assert overlap(seen, mask) > 0.97 and seen[185:200, 85:125].all() and not seen[70:140, 110:170].any()
    picture[mask] = picture_of(mask)[mask]
    picture[210:230, 80:84] = (246, 244, 238)  # a gap as between two paws is no pale part
    Image.fromarray(picture).save(tmp_path / "q.png")
    gap = load_figure(tmp_path / "q.png", None, lambda _: region.astype(np.float32)).mask
    assert not gap[214:228, 81:83].any()


def stickman(apart):
    """A stick figure of 256 pixels whose left arm ends ``apart`` pixels before its body."""
    picture = np.full((256, 256, 3), 255, np.uint8)
    cv2.circle(picture, (128, 50), 25, (0, 0, 0), 3)
    for start, end in (((128, 75), (128, 160)), ((128, 160), (90, 235)), ((128, 160), (166, 235))):
        cv2.line(picture, start, end, (0, 0, 0), 3)
    cv2.line(picture, (128, 95), (185, 120), (0, 0, 0), 3)
    cv2.line(picture, (126 - apart, 96), (70, 120), (0, 0, 0), 3)
    return picture


def test_an_arm_that_stops_short_of_the_body_belongs_to_it():
    found, _ = clean_mask(figure_on_paper(stickman(apart=5)))
    assert found[115:125, 68:76].any() and found[230:238, 86:94].any()
    found, _ = clean_mask(figure_on_paper(stickman(apart=20)))  # what lies farther off may be anything
    assert not found[115:125, 68:76].any() and found[230:238, 86:94].any()


def test_a_body_below_a_head_belongs_to_it(tmp_path):
    picture = picture_of(np.zeros((256, 256), bool))
    cv2.circle(picture, (128, 60), 50, (70, 110, 160), -1)
    cv2.rectangle(picture, (100, 130), (156, 230), (70, 110, 160), 3)  # an outline apart from the head, with a gap
    picture[180:200, 95:105] = (246, 244, 238)
    region = np.zeros((256, 256), np.float32)
    region[10:110, 78:178] = region[108:232, 98:158] = 1.0
    Image.fromarray(picture).save(tmp_path / "p.png")
    seen = load_figure(tmp_path / "p.png", None, lambda _: region).mask
    assert seen[60, 128] and seen[140:220, 110:146].all()


def test_a_region_moves_to_the_pictures_edges_and_an_empty_one_is_refused(refused):
    mask = person(256)
    picture = np.random.default_rng(1).integers(60, 110, (256, 256, 3)).astype(np.uint8)
    picture[mask] = (230, 190, 120)
    coarse = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 6)
    fine = salient_figure(picture, coarse)
    assert overlap(fine, mask) > overlap(coarse >= 0.5, mask) and overlap(fine, mask) > 0.97
    assert np.array_equal(fine, salient_figure(picture, coarse)), "the same every time"
    with refused(BadInput, "nothing stands out", "--mask"):
        salient_figure(picture, np.zeros((256, 256), np.float32))


def test_a_page_of_text_is_refused_at_once(tmp_path, refused):
    page = Image.new("RGB", (500, 600), "white")
    for line in range(40, 560, 24):
        ImageDraw.Draw(page).text((40, line), "The quick brown fox jumps over it", "black", ImageFont.load_default(16))
    page.save(tmp_path / "page.png")
    with refused(NoFigure, "separate marks, as a page of text does", "crop the picture"):
        load_figure(tmp_path / "page.png", None, lambda picture: np.ones(picture.shape[:2], np.float32))


def test_a_figure_that_is_cut_or_tiny_gets_a_note(tmp_path):
    mask = person(256)
    Image.fromarray(picture_of(mask)[:, 60:196]).save(tmp_path / "cut.png")
    assert any("reaches the picture's border" in note for note in load_figure(tmp_path / "cut.png").notes)
    tiny = np.full((64, 64, 3), (246, 244, 238), np.uint8)
    tiny[20:44, 20:44] = cv2.resize(picture_of(mask), (24, 24), interpolation=cv2.INTER_AREA)
    Image.fromarray(tiny).save(tmp_path / "tiny.png")
    assert any("pixels large" in note for note in load_figure(tmp_path / "tiny.png").notes)
    Image.fromarray(picture_of(mask)).save(tmp_path / "good.png")
    assert load_figure(tmp_path / "good.png").notes == ()
