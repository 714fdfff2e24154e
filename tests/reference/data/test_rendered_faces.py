import numpy as np
import pytest

from reference.data.face_renders import blend, vary_skins
from reference.data.faces import Faces, yaw_index
from reference.data.heads import HeadModel
from reference.data.rendered_faces import FacePainter, render_faces
from reference.errors import BadInput
from tests.reference.conftest import rough_face


def draw(rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.normal(), rng.uniform()], np.float32)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    """An egg with a nose, as dense as its landmarks need; one offset makes it tall, one opens the mouth."""
    rows, columns = 60, 80
    polar, turn = np.meshgrid(np.linspace(0.02, np.pi - 0.02, rows), np.arange(columns) * 2 * np.pi / columns)
    xyz = np.stack([np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)], -1).reshape(-1, 3)
    xyz[:, 2] += 0.3 * np.exp(-((xyz[:, 0] / 0.12) ** 2) - ((xyz[:, 1] + 0.1) / 0.15) ** 2) * (xyz[:, 2] > 0)
    grid = np.arange(rows * columns).reshape(columns, rows)
    following = np.roll(grid, -1, 0)
    corners = [grid[:, :-1], grid[:, 1:], following[:, 1:], following[:, :-1]]
    a, b, c, d = (corner.ravel() for corner in corners)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    places = rough_face() * [1, -1]
    front = np.flatnonzero(xyz[:, 2] > 0)
    marks = [front[np.argmin(((xyz[front, :2] - places[i]) ** 2).sum(1))] for i in range(68)]
    tall = xyz * [0, 0.1, 0]
    mouth = np.exp(-(((xyz[:, :2] - [0, -0.6]) / 0.2) ** 2).sum(1))[:, None] * [0, -0.1, 0]
    offsets = np.stack([tall, mouth]).astype(np.float32)
    return HeadModel(xyz.astype(np.float32), faces, offsets, draw, np.array(marks), identities=1)


BACKDROP = np.full((40, 60, 3), (0, 0, 200), np.uint8)


def test_rendering_repeats_with_the_seed_and_labels_every_pose(model):
    faces = render_faces([model], 12, seed=3)
    again = render_faces([model], 12, seed=3)
    assert np.array_equal(faces.canvases, again.canvases)
    assert np.array_equal(faces.points, again.points)
    assert not np.array_equal(faces.canvases, render_faces([model], 12, seed=4).canvases)
    assert set(faces.sources) == {"rendered"}
    assert np.abs(faces.yaw).max() > 0.6
    assert faces.yaw == pytest.approx([yaw_index(p) for p in faces.points])


def test_landmarks_lie_on_their_vertices_and_the_backdrop_shows(model):
    painter = FacePainter(model)
    skin = np.full((len(model.neutral), 3), (200, 150, 100), np.float32)
    face = painter.render(model.neutral, skin, BACKDROP, np.random.default_rng(0), yaw_limit=0)
    inner = np.arange(17, 68)
    assert face.points[inner] == pytest.approx(face.vertices[painter.landmarks[inner], :2], abs=1e-3)
    rows, columns = np.nonzero(face.cover == 0)
    assert len(rows) > 1000
    assert (face.picture[rows, columns] == (0, 0, 200)).all()
    ys, xs = face.points[inner].round().astype(int).T[::-1]
    assert (face.cover[ys, xs] == 1).all()
    assert (face.picture[ys, xs, 0] > face.picture[ys, xs, 2]).all()  # skin, not the blue backdrop


@pytest.mark.parametrize("side", [-1, 1])
def test_far_jaw_points_lie_on_the_outline(model, side):
    painter = FacePainter(model)
    for seed in range(40):
        face = painter.render(
            model.neutral, painter.paint(np.random.default_rng(1)), BACKDROP, np.random.default_rng(seed)
        )
        if side * face.angles[0] > 40 and abs(face.angles[2]) < 3:
            break
    far = list(range(3, 6)) if yaw_index(face.points) < 0 else [16 - i for i in range(3, 6)]
    for x, y in face.points[far]:
        row = np.flatnonzero(face.cover[round(float(y))] > 0.5)
        edge = row.min() if yaw_index(face.points) < 0 else row.max()
        assert abs(x - edge) < 6
        assert abs(x - (row.min() + row.max()) / 2) > 10


def test_fit_finds_the_weights_that_made_the_points(model):
    painter = FacePainter(model)
    true = np.array([1.5, 0.8], np.float32)
    points = (painter.shape(true) - painter.center)[painter.landmarks] @ np.diag([40, -40, 40])
    weights, camera, shift = painter.fit((points[:, :2] + [80, 90]).astype(np.float32))
    fitted = (painter.shape(weights)[painter.landmarks] - painter.center) @ camera.T
    assert fitted[:, :2] + shift == pytest.approx(points[:, :2] + [80, 90], abs=0.5)
    neutral = (painter.shape(0 * true)[painter.landmarks] - painter.center) @ np.diag([40, -40, 40])
    assert np.abs(neutral - points).max() > 2


def test_photos_give_their_colours(model):
    painter = FacePainter(model)
    points = ((model.neutral - painter.center)[painter.landmarks] @ np.diag([40, -40, 40]))[:, :2] + [88, 88]
    canvas = np.zeros((176, 176, 3), np.uint8)
    canvas[:, :] = (10, 180, 40)
    _, colors = painter.from_photo(canvas, points.astype(np.float32))
    assert colors == pytest.approx(np.tile([10, 180, 40], (len(colors), 1)), abs=1)


def people(model, yaws):
    """Photographs of the head with a red forehead, and a chin of a blue of its own."""
    painter = FacePainter(model)
    points = ((model.neutral - painter.center)[painter.landmarks] @ np.diag([40, -40, 40]))[:, :2] + [88, 88]
    canvases = np.full((len(yaws), 176, 176, 3), (200, 20, 20), np.uint8)
    for number in range(len(yaws)):
        canvases[number, 88:] = (20, 20, 100 + 30 * number)
    every = np.repeat(points[None].astype(np.float32), len(yaws), 0)
    return Faces(canvases, every, np.array(yaws, np.float32), ("helen",) * len(yaws))


def test_varied_skins_are_never_twice_the_same(model):
    skins = vary_skins(people(model, [0.0, 0.25, 0.9]), FacePainter(model), np.random.default_rng(0), 40)
    assert len({skin.tobytes() for skin in skins}) == 40
    assert {int(skin[:, 2].max().round()) for skin in skins} == {100, 130}  # the third person is turned too far
    borders = [skin[:, 0].mean() for skin in skins]  # how far down the red reaches
    assert 1 < max(borders) - min(borders) < 30


def test_without_people_who_look_at_the_camera_there_are_no_skins(model):
    assert vary_skins(people(model, [0.9]), FacePainter(model), np.random.default_rng(0), 5) == []


def test_blends_lie_between_two_skins_but_for_their_tone(model):
    painter = FacePainter(model)
    one, other = (np.full((len(model.neutral), 3), grey, np.float32) for grey in (50, 150))
    places = (model.neutral - painter.center) / painter.unit
    for seed in range(20):
        mixed = blend(one, other, places, np.random.default_rng(seed))
        assert mixed.min() > 50 * 0.6 and mixed.max() < 150 * 1.4
        assert mixed[:, 0].max() - mixed[:, 0].min() > 0.5  # shares differ from place to place


def test_models_without_landmarks_are_refused(model):
    with pytest.raises(BadInput, match="without landmarks"):
        FacePainter(HeadModel(model.neutral, model.faces, model.offsets, draw))
