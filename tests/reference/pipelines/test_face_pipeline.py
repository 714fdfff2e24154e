"""The face pipeline with networks of known behaviour: crops, the way back, tracking and its ends."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.errors import BadInput
from reference.inputs.preprocess import Region
from reference.inputs.square import Square, square_from_points, square_of_box
from reference.pipelines.faces import FaceKeypointDetector, likeness, thumbnail_of
from tests.reference.conftest import rough_face

SHAPE = rough_face() - (rough_face().min(0) + rough_face().max(0)) / 2
SPAN = float(np.ptp(SHAPE, axis=0).max())


def scene(*places, size=(240, 320)):
    """A dark picture with a bright disc (x, y, radius) for each face."""
    picture = np.full((*size, 3), 30, np.uint8)
    for x, y, radius in places:
        cv2.circle(picture, (round(x), round(y)), round(radius), (250, 250, 250), -1)
    return picture


def disc_points(tensor):
    """A stand-in for the network: a face whose box is that of the bright disc in the crop."""
    ys, xs = np.nonzero(tensor[0, 0] > 0.5)
    if len(xs) < 20:
        wild = np.random.default_rng(0).random((68, 2)).astype(np.float32)
        return wild, wild + 0.5
    size = tensor.shape[-1]
    center = (np.array([xs.mean(), ys.mean()]) + 0.5) / size
    span = 2 * np.sqrt(len(xs) / np.pi) / size
    points = (SHAPE / SPAN * span + center).astype(np.float32)
    return points, points + np.float32(0.01)


def regions_of(*places):
    return [Region(x - 1.6 * r, y - 1.6 * r, 3.2 * r, 3.2 * r) for x, y, r in places]


@settings(max_examples=40)
@given(
    x=st.floats(40, 60), y=st.floats(40, 60), side=st.floats(20, 90), angle=st.floats(-180, 180),
    u=st.floats(0.1, 0.9), v=st.floats(0.1, 0.9),
)  # fmt: skip
def test_a_place_in_the_crop_is_that_place_in_the_picture(x, y, side, angle, u, v):
    """A smooth picture, whose colour tells the place, looks in the crop as it looks where the square says."""
    rows, columns = np.mgrid[:101, :101]
    picture = np.stack([columns * 2, rows * 2, 0 * rows], -1).astype(np.uint8)
    square = Square(x, y, side, angle)
    column, row = int(u * 64), int(v * 64)
    place = square.to_picture(np.array([(column + 0.5) / 64, (row + 0.5) / 64], np.float32))
    if (place > 3).all() and (place < 97).all():
        seen = square.sample(picture, 64)[0, :2, row, column] * 255 / 2
        np.testing.assert_allclose(seen, place, atol=0.02)


@settings(max_examples=40)
@given(angle=st.floats(-175, 175), scale=st.floats(10, 80))
def test_the_square_of_turned_points_is_upright(angle, scale):
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    points = (SHAPE @ np.array([[cos, sin], [-sin, cos]]) * scale + [150, 140]).astype(np.float32)
    square = square_from_points(points)
    upright = ((SHAPE / (1.6 * SPAN)) + 0.5).astype(np.float32)
    np.testing.assert_allclose(square.to_picture(upright), points, atol=0.01 * scale)


def test_all_faces_largest_first():
    places = [(80, 90, 20), (220, 120, 40)]
    pipeline = FaceKeypointDetector(lambda _: regions_of(*places), disc_points)
    faces = pipeline.detect(scene(*places))
    assert [round(f.points_px.mean(0)[0], -1) for f in faces] == [220, 80]
    for face, (x, y, radius) in zip(faces, places[::-1], strict=True):
        box = face.points_px
        np.testing.assert_allclose((box.min(0) + box.max(0)) / 2, [x, y], atol=0.7)
        assert np.ptp(box, axis=0).max() == pytest.approx(2 * radius, rel=0.05)
        assert not face.tracked
    assert FaceKeypointDetector(lambda _: [], disc_points).detect(scene()) == []


def test_the_second_network_has_the_last_word():
    place = (150, 120, 30)

    def shifted(tensor):
        points, template = disc_points(tensor)
        return points + np.float32(0.1), template

    one = FaceKeypointDetector(lambda _: regions_of(place), disc_points).detect(scene(place))[0]
    two = FaceKeypointDetector(lambda _: regions_of(place), disc_points, shifted).detect(scene(place))[0]
    np.testing.assert_allclose(two.points_px - one.points_px, 0.1 * one.square.side, atol=0.2)
    assert two.disagreement > one.disagreement


def test_a_face_is_followed_without_the_detector():
    path = [(100 + 3 * t, 110 + t, 30) for t in range(20)]
    now = {}
    pipeline = FaceKeypointDetector(lambda _: regions_of(now["at"]), disc_points)
    for t, place in enumerate(path):
        now["at"] = place
        (face,) = pipeline.detect_for_video(scene(place), 33.0 * t)
        np.testing.assert_allclose((face.points_px.min(0) + face.points_px.max(0)) / 2, place[:2], atol=1)
        assert face.tracked == (t > 0)
    assert pipeline.detector_runs == 1


def test_a_lost_face_is_searched_and_a_new_one_seen():
    first, other = (80, 100, 30), (240, 140, 30)
    now = {"faces": [first]}
    pipeline = FaceKeypointDetector(lambda _: regions_of(*now["faces"]), disc_points, check_every=5)
    assert len(pipeline.detect_for_video(scene(first), 0)) == 1
    now["faces"] = [other]  # a cut in the video
    (face,) = pipeline.detect_for_video(scene(other), 40)
    assert (face.tracked, pipeline.detector_runs) == (False, 2)
    now["faces"] = []
    assert pipeline.detect_for_video(scene(), 80) == []
    now["faces"] = [first]
    assert len(pipeline.detect_for_video(scene(first), 120)) == 1
    now["faces"] = [first, other]
    counts = [len(pipeline.detect_for_video(scene(first, other), 160 + 40 * t)) for t in range(5)]
    assert counts[0] == 1
    assert counts[-1] == 2  # the check finds the second face


def test_a_track_that_drifted_off_ends_at_the_next_check():
    """The disc stays, but the detector says that it is no face."""
    place = (150, 120, 30)
    now = {"faces": [place]}
    pipeline = FaceKeypointDetector(lambda _: regions_of(*now["faces"]), disc_points, check_every=4)
    pipeline.detect_for_video(scene(place), 0)
    now["faces"] = []
    counts = [len(pipeline.detect_for_video(scene(place), 40.0 * (t + 1))) for t in range(4)]
    assert counts == [1, 1, 1, 0]


def test_a_flat_frame_ends_a_track_whatever_the_network_says():
    """Networks that learnt a prior see a steady face in a wall."""
    place = (150, 120, 30)
    shape = disc_points(Square(150, 120, 96).sample(scene(place), 112))
    pipeline = FaceKeypointDetector(lambda picture: regions_of(place) if picture.std() > 1 else [], lambda _: shape)
    assert len(pipeline.detect_for_video(scene(place), 0)) == 1
    assert len(pipeline.detect_for_video(scene(place), 40)) == 1
    assert pipeline.detect_for_video(scene(), 80) == []


def test_likeness_of_thumbnails():
    a = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    assert likeness(a, 0.5 * a + 0.2) == pytest.approx(1)
    assert likeness(a, 1 - a) == pytest.approx(-1)
    assert likeness(a, np.full((16, 16), 0.3, np.float32)) == 0
    crop = np.zeros((1, 3, 112, 112), np.float32)
    crop[:, :, :7, 7:14] = 0.6
    assert thumbnail_of(crop)[0, 1] == pytest.approx(0.6)
    assert thumbnail_of(crop).sum() == pytest.approx(0.6)


def test_frames_come_in_order_and_a_new_video_starts_anew(refused):
    place = (150, 120, 30)
    pipeline = FaceKeypointDetector(lambda _: regions_of(place), disc_points)
    pipeline.detect_for_video(scene(place), 100)
    with refused(BadInput, "timestamp is 100 ms", "in order"):
        pipeline.detect_for_video(scene(place), 100)
    pipeline.reset()
    (face,) = pipeline.detect_for_video(scene(place), 0)
    assert not face.tracked


@pytest.mark.parametrize("place", [(2, 5, 30), (318, 238, 40)], ids=["top left", "bottom right"])
def test_faces_cut_by_the_border_give_points(place):
    (face,) = FaceKeypointDetector(lambda _: regions_of(place), disc_points).detect(scene(place))
    assert np.isfinite(face.points_px).all()


def test_a_tiny_picture_gives_points():
    (face,) = FaceKeypointDetector(lambda _: [Region(0, 0, 8, 8)], disc_points).detect(np.zeros((8, 8, 3), np.uint8))
    assert np.isfinite(face.points_px).all()
    assert face.disagreement > 0.25  # nothing there: not a track that would be followed


def test_two_faces_are_confirmed_by_a_check():
    places = [(80, 90, 20), (220, 120, 40)]
    pipeline = FaceKeypointDetector(lambda _: regions_of(*places), disc_points, check_every=2)
    found = [pipeline.detect_for_video(scene(*places), 40.0 * t) for t in range(4)]
    assert [[face.tracked for face in faces] for faces in found] == [[False, False], *[[True, True]] * 3]
    assert pipeline.detector_runs == 2


@pytest.mark.parametrize("wrong", [np.nan, 1e6], ids=["no number", "beyond all bounds"])
def test_points_that_no_face_can_have_are_left_out(wrong):
    place = (150, 120, 30)
    answers = {"spoiled": True}

    def spoiled(tensor):
        points, template = disc_points(tensor)
        return (points * np.float32(wrong), template) if answers["spoiled"] else (points, template)

    pipeline = FaceKeypointDetector(lambda _: regions_of(place), spoiled)
    assert pipeline.detect(scene(place)) == pipeline.detect_for_video(scene(place), 0) == []
    answers["spoiled"] = False
    assert len(pipeline.detect_for_video(scene(place), 40)) == 1
    answers["spoiled"] = True
    assert pipeline.detect_for_video(scene(place), 80) == []


def test_a_crop_is_exact_to_a_fraction_of_a_pixel():
    """A ramp of 255 over 32 pixels: a place rounded to 1/32 of a pixel would show."""
    picture = np.repeat(np.arange(0, 256, 8, np.uint8)[None, :, None], 32, 0).repeat(3, -1)
    crop = Square(15.013, 16, 10).sample(picture, 10)[0, 0, 0] * 255
    np.testing.assert_allclose(crop, 8 * (15.013 + np.arange(10) - 4.5), atol=1e-4)


def test_a_detectors_box_becomes_the_square_of_the_training_crops():
    points = (SHAPE * 50 + [100, 90]).astype(np.float32)
    low, high = points.min(0) + 0.5, points.max(0) + 0.5  # pixels whose outer corner is (0, 0)
    margin = (high - low) / 14
    region, wanted = square_of_box(*(low - margin), *(high + margin)), square_from_points(points)
    assert region.width == region.height == pytest.approx(wanted.side)
    assert (region.left + region.width / 2 - 0.5, region.top + region.height / 2 - 0.5) == pytest.approx(
        (wanted.x, wanted.y), abs=1e-4
    )


def test_smoothing_shows_stiller_points_and_tracks_as_before():
    """The same noise with and without it: what is shown trembles less, what is tracked is the same."""
    place = (150, 120, 30)

    def trembling(seed):
        rng = np.random.default_rng(seed)

        def network(tensor):
            points, template = disc_points(tensor)
            return points + rng.normal(0, 0.004, (68, 2)).astype(np.float32), template

        return network

    plain, calm = (
        FaceKeypointDetector(lambda _: regions_of(place), trembling(7), smooth=smooth) for smooth in (False, True)
    )
    shown = {False: [], True: []}
    for frame in range(25):
        for pipeline in (plain, calm):
            (face,) = pipeline.detect_for_video(scene(place), frame * 33)
            shown[pipeline.smooth].append(face.points_px)
        np.testing.assert_array_equal(plain._tracks[0].points_px, calm._tracks[0].points_px)
    before, after = (np.stack(shown[smooth][8:]).std(0).mean() for smooth in (False, True))
    assert after < 0.5 * before
    calm.reset()
    (face,) = calm.detect_for_video(scene(place), 0)
    np.testing.assert_array_equal(face.points_px, calm._tracks[0].points_px)


def test_a_turned_square_is_the_first_crop():
    """A face of which the detector knows the roll: the network sees it upright."""
    place, seen = (150, 120, 30), []

    def network(tensor):
        seen.append(tensor)
        return disc_points(tensor)

    square = Square(150, 120, 96, 90)
    (face,) = FaceKeypointDetector(lambda _: [square], network).detect(scene(place))
    np.testing.assert_array_equal(seen[0], square.sample(scene(place), 112))
    np.testing.assert_allclose((face.points_px.min(0) + face.points_px.max(0)) / 2, [150, 120], atol=1)
