"""Faces with landmarks: mirror, crops, the CSV format, weights and templates."""

import csv

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.data import augment
from reference.data.faces import (
    CANVAS,
    CANVAS_SCALE,
    MIRROR,
    FaceDataset,
    Faces,
    Jitter,
    attribute_weights,
    cut_square,
    join,
    learn_templates,
    load_faces,
    select,
    yaw_index,
)
from reference.errors import BadInput
from reference.inputs.square import roll_of, square_around, upright_square


def test_mirror_swaps_the_sides_of_a_face():
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(68))
    for left, right in ((36, 45), (0, 16), (39, 42), (31, 35), (48, 54), (17, 26), (21, 22), (60, 64)):
        assert MIRROR[left] == right
        assert MIRROR[right] == left
    middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]  # chin, nose ridge and base, lips
    np.testing.assert_array_equal(np.flatnonzero(MIRROR == np.arange(68)), middle)


def test_mirror_keeps_the_parts_of_a_face():
    for first, end in ((0, 17), (17, 27), (27, 36), (36, 48), (48, 60), (60, 68)):
        assert set(MIRROR[first:end]) == set(range(first, end))


def spot_in(picture):
    """Centre of light, in pixels."""
    light = picture[..., 0].astype(float)
    ys, xs = np.mgrid[: light.shape[0], : light.shape[1]]
    return np.array([(light * xs).sum(), (light * ys).sum()]) / light.sum()


@settings(max_examples=40)
@given(
    x=st.integers(30, 70),
    y=st.integers(30, 60),
    shift=st.tuples(st.floats(-8, 8), st.floats(-8, 8)),
    side=st.floats(40, 160),
    angle=st.floats(-180, 180),
    size=st.integers(50, 120),
)
def test_the_matrix_of_a_cut_maps_points_to_where_they_are_seen(x, y, shift, side, angle, size):
    picture = np.zeros((90, 100, 3), np.uint8)
    picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    left, top = x + shift[0] - side / 2, y + shift[1] - side / 2  # the spot is near the middle: no turn loses it
    crop, matrix = cut_square(picture, left, top, side, size, angle)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_allclose(spot_in(crop), matrix @ [x, y, 1], atol=0.25 * max(1, size / side))


def test_an_unturned_cut_of_whole_pixels_is_a_slice():
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    crop, matrix = cut_square(picture, 4.5, 9.5, 20, 20)  # from pixel centre 5 on
    np.testing.assert_array_equal(crop, picture[10:30, 5:25])
    np.testing.assert_allclose(matrix, [[1, 0, -5], [0, 1, -10]], atol=1e-5)


def test_square_around_a_box():
    points = np.array([[10, 20], [30, 20], [20, 30]], np.float32)
    assert square_around(points, 1.5) == (5, 10, 30)


@pytest.fixture
def faces(face_shape):
    """Two black canvases with a white spot on the outer corner of the right eye, point 36."""
    points = np.stack([face_shape * 60 + [88, 90], face_shape * 50 + [85, 88]]).astype(np.float32)
    canvases = np.zeros((2, CANVAS, CANVAS, 3), np.uint8)
    for canvas, xy in zip(canvases, points, strict=True):
        cv2.circle(canvas, tuple(np.rint(xy[36] * 16).astype(int).tolist()), 3 * 16, (255, 255, 255), -1, shift=4)
    return Faces(canvases, points, np.zeros(2, np.float32), ("a", "a"))


def test_points_follow_the_picture_through_crop_and_mirror(faces, monkeypatch):
    """In a mirrored picture the spot is at point 45, and point 36 is again on the left."""
    for change in ("random_color", "random_blur", "random_resolution", "random_occlusion"):
        monkeypatch.setattr(augment, change, lambda picture, *_: picture)
    data = FaceDataset(faces, 112, Jitter())
    seen = []
    for epoch in range(20):
        data.epoch = epoch
        image, points, *_ = data[epoch % 2]
        spot = (spot_in(image.permute(1, 2, 0).numpy()) + 0.5) / 112
        distances = np.linalg.norm(points.numpy().T - spot, axis=1) * 112
        seen.append(36 if distances[36] < 1.5 else 45 if distances[45] < 1.5 else None)
        assert points[0, 36] < points[0, 45]
    assert set(seen) == {36, 45}


def test_plain_items_are_repeatable_crops_with_points_inside(faces):
    weights = np.array([2.0, 0.5], np.float32)
    image, points, weight, attributes = FaceDataset(faces, 112, None, weights)[1]
    assert image.shape == (3, 112, 112)
    assert points.shape == (2, 68)
    assert (image.min(), image.max()) == (0, 1)
    assert weight == 0.5
    assert attributes.tolist() == pytest.approx([0, 0, 0], abs=0.01)
    low, high = points.min(1).values, points.max(1).values
    np.testing.assert_allclose((low + high) / 2, 0.5, atol=1e-4)  # the landmarks' box is in the middle
    assert float((high - low).max()) == pytest.approx(1 / 1.6, abs=1e-4)


def test_augmented_items_depend_on_seed_epoch_and_item_alone(faces):
    def item(seed, epoch, index):
        data = FaceDataset(faces, 48, Jitter(), seed=seed)
        data.epoch = epoch
        return data[index]

    image, points, *_ = item(0, 0, 0)
    again = item(0, 0, 0)
    assert (image == again[0]).all()
    assert (points == again[1]).all()
    for other in (item(1, 0, 0), item(0, 1, 0), item(0, 0, 1)):
        assert (points - other[1]).abs().max() > 1e-3


def test_attributes_say_what_was_done(faces):
    """Yaw changes its sign in a mirror, roll is seen in the points, and covered points are counted."""
    turned = Faces(faces.canvases, faces.points, np.array([0.4, 0.4], np.float32), faces.sources)
    data = FaceDataset(turned, 112, Jitter())
    yaws, covered, weights = set(), [], {}
    for epoch in range(60):
        data.epoch = epoch
        _, points, weight, attributes = data[epoch % 2]
        yaw, roll, share = attributes.tolist()
        yaws.add(round(yaw, 3))
        assert roll * 45 == pytest.approx(roll_of(points.numpy().T), abs=1e-3)
        covered.append(share)
        weights[share > 0] = weight
    assert yaws == {0.4, -0.4}
    assert 0 < np.mean(np.array(covered) > 0) < 0.5
    assert weights[True] > weights[False]


def test_artificial_occlusion_is_the_same_each_time(faces):
    plain, data = FaceDataset(faces, 64), FaceDataset(faces, 64, occluded=True)
    assert (data[0][0] == data[0][0]).all()
    assert (data[0][0] != plain[0][0]).any()
    assert (data[0][1] == plain[0][1]).all()


@given(angle=st.floats(-170, 170), scale=st.floats(20, 90))
@settings(max_examples=30)
def test_upright_squares_undo_the_roll(face_shape, angle, scale):
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    points = (face_shape @ np.array([[cos, sin], [-sin, cos]]) * scale + [200, 210]).astype(np.float32)
    assert roll_of(points) == pytest.approx(angle, abs=0.1)
    left, top, side, turn = upright_square(points, 1.6)
    _, matrix = cut_square(np.zeros((4, 4, 3), np.uint8), left, top, side, 112, turn)
    seen = points @ matrix[:, :2].T + matrix[:, 2]
    assert roll_of(seen) == pytest.approx(0, abs=0.1)
    np.testing.assert_allclose((seen.min(0) + seen.max(0)) / 2, 55.5, atol=0.05)
    assert float((seen.max(0) - seen.min(0)).max()) == pytest.approx(112 / 1.6, rel=1e-3)


def test_yaw_is_where_the_nose_lies(face_shape):
    points = face_shape.astype(np.float32).copy()
    left, right = points[:3, 0].mean(), points[14:17, 0].mean()
    for place, expected in ((0.5, 0), (0.25, -0.5), (1.0, 1), (1.4, 1)):
        points[30, 0] = left + place * (right - left)
        assert yaw_index(points) == pytest.approx(expected, abs=1e-4)


def test_sets_join_and_part(faces):
    both = join([faces, select(faces, np.array([False, True]))])
    assert both.sources == ("a", "a", "a")
    np.testing.assert_array_equal(both.points[2], faces.points[1])
    assert (both.canvases.shape[0], both.yaw.shape[0]) == (3, 3)


# --- the CSV format ---------------------------------------------------------------------------------------------

COLUMNS = ["file", "split", "yaw_index", *(f"{axis}{i}" for i in range(68) for axis in "xy")]


@pytest.fixture
def table(tmp_path, face_shape):
    """A set of one training and one validation face; ``write`` changes rows first."""
    folder = tmp_path / "faces" / "set"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "face.png"), np.full((90, 100, 3), (10, 20, 200), np.uint8))
    row = {"file": "face.png", "split": "train", "yaw_index": "0.25"}
    for i, (x, y) in enumerate(face_shape * 30 + [50, 45]):
        row |= {f"x{i}": f"{x:.3f}", f"y{i}": f"{y:.3f}"}
    rows = [{**row, "split": "val", "yaw_index": ""}, row]

    def write(change=None, columns=COLUMNS):
        if change is not None:
            change(rows[1])
        with (folder / "annotations.csv").open("w", newline="") as lines:
            writer = csv.DictWriter(lines, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return folder.parent

    return write


def test_faces_are_read(table, face_shape):
    faces = load_faces(table(), "train")
    assert faces.canvases.shape == (1, CANVAS, CANVAS, 3)
    assert faces.canvases[0, 80, 80].tolist() == [200, 20, 10]  # RGB
    assert faces.sources == ("set",)
    assert faces.yaw.tolist() == [0.25]
    zoom = CANVAS / (CANVAS_SCALE * np.ptp(face_shape, axis=0).max())
    np.testing.assert_allclose(faces.points[0, 45] - faces.points[0, 36], [zoom, 0], atol=0.1)
    box = faces.points[0]
    np.testing.assert_allclose((box.min(0) + box.max(0)) / 2, (CANVAS - 1) / 2, atol=0.1)
    assert load_faces(table(), "val").yaw.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda row: row.update(x5="nan"), ("line 3", "a coordinate is not finite")),
        (lambda row: row.update(x5="inf"), ("line 3", "a coordinate is not finite")),
        (lambda row: row.update(y67=""), ("line 3", "could not convert", "need values")),
        (lambda row: row.update(yaw_index="left"), ("line 3", "'left'", "need values")),
        (lambda row: row.update(file="none.png"), ("line 3", "can't read none.png", "mend the picture")),
    ],
    ids=["NaN", "infinite", "empty", "yaw", "no picture"],
)
def test_unusable_lines_are_named(table, change, parts, refused):
    """Line numbers are those of the file, whatever the split of the lines before."""
    folder = table(change)
    with refused(BadInput, folder / "set" / "annotations.csv", *parts):
        load_faces(folder, "train")


def swap_sides(row):
    old = dict(row)
    for i in range(68):
        row[f"x{i}"], row[f"y{i}"] = old[f"x{MIRROR[i]}"], old[f"y{MIRROR[i]}"]


def move_away(row):
    row.update({f"x{i}": str(float(row[f"x{i}"]) + 300) for i in range(68)})


def test_swapped_sides_and_points_elsewhere_are_found(table, refused):
    with refused(BadInput, "annotations.csv", "left and right are swapped in 1 of 1 faces", "point 36"):
        load_faces(table(swap_sides), "train")
    with refused(BadInput, "line 3", "68 of 68 points lie outside face.png (100 x 90)"):
        load_faces(table(move_away), "train")


@pytest.mark.parametrize("column", ["x0", "y67", "file"])
def test_missing_column(table, column, refused):
    folder = table(columns=[c for c in COLUMNS if c != column])
    with refused(BadInput, "line 3", f"'{column}'", "columns file, x0, y0 ... x67, y67"):
        load_faces(folder, "train")


def test_missing_table_set_and_split(table, tmp_path, refused):
    with refused(BadInput, f"no */annotations.csv in {tmp_path / 'none'}", "<set>/annotations.csv"):
        load_faces(tmp_path / "none", "train")
    with refused(BadInput, "no */annotations.csv"):
        load_faces(table(), "train", ("other",))
    with refused(BadInput, "no face of split 'test'", "train or val"):
        load_faces(table(), "test")


# --- weights and templates --------------------------------------------------------------------------------------


def test_rare_rotations_weigh_more():
    yaw = np.array([0.0] * 16 + [0.7] * 4 + [-0.2], np.float32)
    weights = attribute_weights(yaw)
    assert weights.dtype == np.float32
    assert weights.mean() == pytest.approx(1)
    assert weights[0] < weights[16] < weights[20]
    assert weights[16] / weights[0] == pytest.approx(2)  # a quarter as frequent
    assert weights[20] / weights[0] == pytest.approx(4)


def test_left_and_right_count_alike():
    weights = attribute_weights(np.array([0.7, -0.7, 0.0], np.float32))
    assert weights[0] == weights[1] < weights[2]


def copies(shape, count, seed=0):
    """Turned, scaled and moved copies, as (count, 68, 2) landmarks."""
    rng = np.random.default_rng(seed)
    angles, scales = rng.uniform(-2, 2, count), rng.uniform(20, 200, count)
    complex_shape = (shape[:, 0] + 1j * shape[:, 1]) * (scales * np.exp(1j * angles))[:, None]
    return np.stack([complex_shape.real, complex_shape.imag], 2) + rng.uniform(-500, 500, (count, 1, 2))


def test_one_shape_is_recovered_from_its_copies(face_shape):
    """A similarity is all that is removed, so what is left is the shape: centred, upright, eyes 1 apart."""
    templates = learn_templates(copies(face_shape, 12), 1)
    assert templates.shape == (136, 1)
    assert templates.dtype == np.float32
    np.testing.assert_allclose(templates.reshape(2, 68).T, face_shape, atol=1e-4)


def test_templates_are_centred_upright_and_repeatable(face_shape):
    rng = np.random.default_rng(1)
    points = copies(face_shape, 40) + rng.normal(0, 1.5, (40, 68, 2))
    templates = learn_templates(points, 5, seed=4)
    assert templates.shape == (136, 5)
    np.testing.assert_array_equal(templates, learn_templates(points, 5, seed=4))
    shapes = templates.reshape(2, 68, 5)
    np.testing.assert_allclose(shapes.mean(1), 0, atol=1e-5)
    eyes = shapes[:, 45] - shapes[:, 36]
    np.testing.assert_allclose(eyes[0], 1, atol=0.2)
    np.testing.assert_allclose(eyes[1], 0, atol=0.2)
