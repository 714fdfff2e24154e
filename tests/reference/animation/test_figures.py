"""Row I9: masks, meshes and skeletons, and what is said about pictures that don't work."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reference.animation.animate import map_motion, rig_figure
from reference.animation.figure.mask import Figure, clean_mask, figure_on_paper, load_figure
from reference.animation.figure.medial import find_skeleton
from reference.animation.figure.shape import find_contours, inflate
from reference.animation.figure.skinning import skin_weights
from reference.animation.motion.library import load_motion, read_library
from reference.errors import BadInput

from .generated import animal, person, picture_of


def rig_of(mask):
    clean, notes = clean_mask(mask)
    return rig_figure(Figure(picture_of(mask), clean, "mask", notes))


def volume(vertices, faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def assert_closed(body):
    edges = np.concatenate([body.faces[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))])
    forward = {tuple(edge) for edge in edges.tolist()}
    assert len(forward) == len(edges), "an edge is used twice in one direction"
    assert all((b, a) in forward for a, b in forward), "the mesh has a border"
    assert volume(body.vertices, body.faces) > 0, "faces look inwards"


@pytest.mark.parametrize(
    "mask", [person(), animal(), person(512), animal(90)], ids=["person", "animal", "large", "small"]
)
def test_meshes_are_closed_and_cover_the_figure(mask):
    rig = rig_of(mask)
    assert_closed(rig.body)
    drawn = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(drawn, [np.round(rig.body.pixels[t]).astype(np.int32) for t in rig.body.flat_faces], 1)
    assert (drawn.astype(bool) & mask).sum() / (drawn.astype(bool) | mask).sum() > 0.88
    # The outline is one unit tall; the mesh has points on it, not always the outermost.
    assert rig.body.vertices[:, 1].min() == pytest.approx(0, abs=0.005)
    assert rig.body.vertices[:, 1].max() == pytest.approx(1, abs=0.005)
    assert rig.body.vertices[:, 2].max() == -rig.body.vertices[:, 2].min() > 0.03


def test_a_disc_becomes_an_ellipsoid():
    y, x = np.mgrid[:200, :200]
    body = inflate(find_contours((x - 100) ** 2 + (y - 100) ** 2 < 90**2))
    assert body.vertices[:, 2].max() == pytest.approx(0.55 * 0.5, rel=0.05)


def test_a_person_has_five_limbs_and_an_animal_six():
    assert len(rig_of(person()).skeleton.leaves) == 5
    assert len(rig_of(animal()).skeleton.leaves) == 6


def test_every_joint_lies_inside_and_limbs_end_at_the_figures_ends():
    mask = person()
    rig = rig_of(mask)
    places = np.round(rig.body.to_pixels(rig.skeleton.positions)).astype(int)
    assert mask[places[:, 1], places[:, 0]].all()
    ends = rig.body.to_pixels(rig.skeleton.positions[rig.skeleton.leaves])
    for wanted in ((215, 120), (41, 120), (165, 235), (91, 235), (128, 42)):
        assert np.linalg.norm(ends - wanted, axis=1).min() < 22


def test_skeletons_don_t_depend_on_the_size_of_the_picture():
    small, large = rig_of(person(200)), rig_of(person(800))
    assert len(small.skeleton) == len(large.skeleton)
    gaps = np.linalg.norm(small.skeleton.positions[:, None] - large.skeleton.positions[None], axis=2)
    assert gaps.min(axis=0).max() < 0.05 and gaps.min(axis=1).max() < 0.05


def test_a_limb_across_a_gap_does_not_follow_its_neighbour():
    """The hand hangs beside the hip; inside the figure they are far apart."""
    mask = np.zeros((260, 200), bool)
    mask[20:240, 60:120] = True
    mask[30:60, 60:160] = True
    mask[30:200, 135:160] = True
    rig = rig_of(mask)
    joints, weights = skin_weights(rig.body, rig.skeleton)
    hand = np.linalg.norm(rig.body.pixels - (147, 190), axis=1).argmin()
    hip = np.linalg.norm(rig.body.pixels - (112, 190), axis=1).argmin()
    assert set(joints[hand][weights[hand] > 0.05]).isdisjoint(joints[hip][weights[hip] > 0.05])


@pytest.mark.parametrize("mask", [person(), animal()], ids=["person", "animal"])
def test_weights_sum_to_one_and_are_smooth(mask):
    rig = rig_of(mask)
    joints, weights = skin_weights(rig.body, rig.skeleton)
    assert np.allclose(weights.sum(axis=1), 1) and weights.min() >= 0
    assert joints.max() < len(rig.skeleton) and (joints[weights == 0] == 0).all()
    dense = np.zeros((len(weights), len(rig.skeleton)))
    for column in range(4):
        np.add.at(dense, (np.arange(len(weights)), joints[:, column]), weights[:, column])
    a, b = rig.body.faces[:, 0], rig.body.faces[:, 1]
    assert np.abs(dense[a] - dense[b]).max() < 0.65
    assert (dense.max(axis=0) > 0.9).sum() >= 6, "every limb's bones lead some vertices"


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6))
def test_any_blot_gives_a_closed_mesh_and_a_skeleton(seed):
    random = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(random.normal(size=(120, 120)), (0, 0), random.uniform(3, 12))
    mask = noise > np.quantile(noise, random.uniform(0.4, 0.9))
    rig = rig_of(mask)
    assert_closed(rig.body)
    _, weights = skin_weights(rig.body, rig.skeleton)
    assert np.isfinite(weights).all()


def test_an_empty_mask_is_refused(refused):
    with refused(BadInput, "mask is empty", "--mask"):
        clean_mask(np.zeros((50, 50), bool))
    with refused(BadInput, "mask is empty"):
        find_contours(np.zeros((50, 50), bool))
    with refused(BadInput, "fills 100 %"):
        clean_mask(np.ones((50, 50), bool))
    speck = np.zeros((400, 400), bool)
    speck[10:14, 10:14] = True
    with refused(BadInput, "0.5 %"):
        clean_mask(speck)


def test_of_several_parts_the_largest_is_taken_and_said_so():
    mask = np.zeros((200, 200), bool)
    mask[20:120, 20:80] = True
    mask[20:100, 120:180] = True
    mask[190:192, 190:192] = True
    clean, notes = clean_mask(mask)
    assert clean.sum() == 6000 and notes == ("the mask has 2 large parts; the largest is used",)


def test_a_ring_keeps_its_hole_and_gets_a_skeleton_opened_somewhere():
    y, x = np.mgrid[:200, :200]
    far = np.hypot(x - 100, y - 100)
    rig = rig_of((far < 80) & (far > 50))
    assert not rig.figure.mask[100, 100]
    assert len(rig.contours.lines) == 2
    assert_euler(rig.body, 0)
    assert len(rig.skeleton) >= 4


def assert_euler(body, wanted):
    edges = {tuple(sorted(e)) for f in body.faces.tolist() for e in (f[:2], f[1:], f[::2])}
    assert len(body.vertices) - len(edges) + len(body.faces) == wanted


def test_pinholes_are_filled():
    mask = person()
    mask[120:123, 120:123] = False
    assert clean_mask(mask)[0][121, 121]


def test_a_line_one_pixel_wide_is_thickened_and_said_so():
    mask = np.zeros((200, 200), bool)
    for i in range(20, 180):
        mask[i, i] = mask[i, i + 1] = True
    rig = rig_of(mask)
    assert rig.figure.notes == ("the figure is a thin line; it was thickened to be animated",)
    assert_closed(rig.body)
    assert len(rig.skeleton) == 5


def test_a_blob_without_limbs_gets_one_bone():
    y, x = np.mgrid[:200, :200]
    rig = rig_of(((x - 100) / 90) ** 2 + ((y - 100) / 70) ** 2 < 1)
    assert not rig.has_limbs
    assert len(rig.skeleton) == 2 and rig.skeleton.positions[1, 1] > rig.skeleton.positions[0, 1]


def test_pixels_and_frame_are_inverse():
    rig = rig_of(animal())
    points = np.array([[10.0, 20], [200, 33]])
    assert np.allclose(rig.body.to_pixels(rig.body.to_frame(points)), points)
    assert np.allclose(rig.body.to_pixels(rig.body.vertices), rig.body.pixels)


@pytest.mark.parametrize("draw", [person, animal])
def test_a_drawing_on_paper_is_found(draw):
    mask = draw()
    picture = picture_of(mask)
    shade = np.linspace(0, 12, picture.shape[1])[None, :, None]
    found, _ = clean_mask(figure_on_paper(np.clip(picture - shade, 0, 255).astype(np.uint8)))
    assert (found & mask).sum() / (found | mask).sum() > 0.93


def test_an_outline_with_gaps_is_filled():
    mask = animal()
    picture = np.full((*mask.shape, 3), 255, np.uint8)
    outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.polylines(picture, outline, True, (0, 0, 0), 2)
    for x, y in ((70, 95), (190, 90)):
        picture[y - 3 : y + 3, x - 3 : x + 3] = 255
    found, _ = clean_mask(figure_on_paper(picture))
    assert (found & mask).sum() / (found | mask).sum() > 0.85


def test_a_picture_without_plain_background_is_refused(refused):
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3)).astype(np.uint8)
    with refused(BadInput, "no plain background", "--mask"):
        figure_on_paper(noise)
    with refused(BadInput, "nothing in the picture differs"):
        figure_on_paper(np.full((100, 100, 3), 240, np.uint8))


def test_where_the_mask_comes_from(tmp_path, refused):
    mask = person()
    picture = Image.fromarray(picture_of(mask))
    picture.save(tmp_path / "plain.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    clear = picture.copy()
    clear.putalpha(Image.fromarray(mask.astype(np.uint8) * 255))
    clear.save(tmp_path / "clear.png")
    left = np.zeros(mask.shape, np.float32)
    left[:, :100] = 1
    plain = tmp_path / "plain.png"
    assert load_figure(plain).origin == "paper"
    given = load_figure(plain, tmp_path / "mask.png", lambda _: left)
    assert given.origin == "mask" and (given.mask == mask).all()
    assert load_figure(tmp_path / "clear.png").origin == "transparency"
    seen = load_figure(plain, saliency=lambda _: left, trusted=True)
    assert seen.origin == "saliency" and seen.mask.sum() == 100 * 256
    Image.fromarray(mask[:100]).save(tmp_path / "cut.png")
    with refused(BadInput, "256x100, the picture 256x256"):
        load_figure(plain, tmp_path / "cut.png")
    Image.new("L", (256, 256)).save(tmp_path / "black.png")
    with refused(BadInput, "is empty", "inverted"):
        load_figure(plain, tmp_path / "black.png")


def test_large_pictures_are_scaled_down(tmp_path):
    mask = person(1600)
    Image.fromarray(picture_of(mask)).save(tmp_path / "large.png")
    assert max(load_figure(tmp_path / "large.png").mask.shape) == 1024


def test_the_root_is_where_most_branches_meet():
    medial = find_skeleton(find_contours(person()))
    degrees = np.bincount(medial.parents[1:], minlength=len(medial.parents)) + (medial.parents >= 0)
    assert degrees[0] == degrees.max() >= 3


def coiled():
    """A snake in an S of 300 pixels, with a tongue that makes it a figure with forks."""
    mask = np.zeros((300, 300), np.uint8)
    bends = [
        (60, 50),
        (260, 40),
        (270, 260),
        (200, 260),
        (180, 170),
        (110, 170),
        (90, 255),
        (30, 230),
        (45, 130),
        (100, 110),
    ]
    cv2.polylines(mask, [np.array(bends)], False, 1, 30)
    for tip in ((30, 35), (30, 68)):
        cv2.line(mask, (60, 50), tip, 1, 9)
    return mask > 0


def test_a_coiled_snake_moves():
    snake = read_library()["snake"]
    mapping = map_motion(rig_of(coiled()), load_motion(snake, next(iter(snake.clips))))
    assert len(mapping.pairs) > 2, "its ends are far from the source's, and still they are its ends"


def test_bones_follow_a_body_that_winds():
    contours = find_contours(coiled())
    medial = find_skeleton(contours)
    near = cv2.dilate(contours.grid.astype(np.uint8), np.ones((9, 9))) > 0
    for joint, parent in enumerate(medial.parents):
        for share in np.linspace(0, 1, 20) if parent >= 0 else ():
            x, y = (1 - share) * medial.points[joint] + share * medial.points[parent]
            assert near[round(y), round(x)]
    assert len(medial.points) < 24, "no more joints than the bends need"


def test_limbs_thinner_than_the_mesh_is_fine_stay():
    mask = np.zeros((400, 400), bool)
    mask[20:180, 120:280] = True
    mask[180:390, 150:153] = mask[180:390, 250:253] = True
    rig = rig_of(mask)
    low = rig.body.vertices[rig.body.vertices[:, 1] < 0.1]
    assert low[:, 0].min() < -0.05 and low[:, 0].max() > 0.05, "a leg was cut off"
