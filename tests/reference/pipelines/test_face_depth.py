"""A face fitted to a depth map: known heads before a known camera."""

import numpy as np
import pytest

from reference.errors import BadInput
from reference.geometry.face_topology import load_topology
from reference.geometry.mesh import rotation
from reference.geometry.raster import rasterize
from reference.geometry.solids.camera import Camera
from reference.inputs.preprocess import Region
from reference.pipelines.face_depth import MeasuredFace, fit_to_depth, front_vertices, smooth_offsets
from reference.pipelines.reconstruction import to_glb
from reference.tasks.face_reconstruction import FaceMesh

WIDTH, HEIGHT, FOCAL, AWAY = 320, 240, 300.0, 600.0
CAMERA = Camera(FOCAL, ((WIDTH - 1) / 2, (HEIGHT - 1) / 2))
SCALE = 100 * FOCAL / AWAY  # pixels of a decimetre at that distance


def face_of(shape, turn):
    """The network's answer for a head (V, 3) in decimetres: seen from far, as it sees everything."""
    turned = shape @ turn.T
    pixels = turned * [SCALE, -SCALE, SCALE] + [*CAMERA.center_px, 0]
    return FaceMesh(
        pixels.astype(np.float32), shape.astype(np.float32), turn.astype(np.float32), SCALE,
        np.array(CAMERA.center_px, np.float32), Region(0, 0, 1, 1),
    )  # fmt: skip


def depth_of(shape, turn, away=AWAY):
    """The map that a perfect sensor gives of a head (V, 3) in decimetres."""
    points = 100 * shape @ turn.T
    distance = away - points[:, 2]
    columns = CAMERA.center_px[0] + FOCAL * points[:, 0] / distance + 0.5
    rows = CAMERA.center_px[1] - FOCAL * points[:, 1] / distance + 0.5
    near, _, _ = rasterize(np.stack([columns, rows, 1e3 / distance], 1), load_topology().faces, HEIGHT, WIDTH)
    return np.where(np.isneginf(near), 0, 1e3 / np.where(np.isneginf(near), 1, near)).astype(np.float32)


TURN = rotation(15, 5, 3)[:3, :3]
MEAN = load_topology().mean.astype(np.float64)
# A person whose nose is longer than the network believes, by up to a centimetre.
PERSON = MEAN + 0.1 * np.exp(-((MEAN - MEAN[33]) ** 2).sum(1, keepdims=True) / 0.08) * [0, 0, 1]


def test_the_measured_shape_takes_the_place_of_the_guess():
    fitted = fit_to_depth(face_of(MEAN, TURN), depth_of(PERSON, TURN), CAMERA, (WIDTH, HEIGHT))
    assert isinstance(fitted, MeasuredFace)
    assert 700 < fitted.measured.sum() < 2000
    assert fitted.left_mm < 0.6 < fitted.moved_mm
    nose, ear = np.linalg.norm(PERSON[30] - PERSON[27]), np.linalg.norm(PERSON[0] - PERSON[16])
    assert np.linalg.norm(fitted.shape[30] - fitted.shape[27]) == pytest.approx(nose, rel=0.08)
    assert np.linalg.norm(fitted.shape[0] - fitted.shape[16]) == pytest.approx(ear, rel=0.08)
    # What the face does is told against the network's own neutral face, whatever its size.
    assert fitted.expression == face_of(MEAN, TURN).expression
    seen = fitted.to_json()["depth"]
    assert seen["distance_mm"] == pytest.approx(AWAY - 10, abs=20)
    assert to_glb(fitted, np.full((HEIGHT, WIDTH, 3), 128, np.uint8))[:4] == b"glTF"


def test_a_face_twice_as_far_is_twice_as_large():
    face = face_of(MEAN, TURN)
    sizes = [
        np.ptp(fit_to_depth(face, factor * depth_of(MEAN, TURN), CAMERA, (WIDTH, HEIGHT)).shape, axis=0)
        for factor in (1, 1.1)
    ]
    np.testing.assert_allclose(sizes[1], 1.1 * sizes[0], rtol=0.03)


def test_a_larger_picture_of_the_same_view_changes_nothing():
    face = face_of(MEAN, TURN)
    larger = FaceMesh(
        (face.vertices_px * [2, 2, 2] + [0.5, 0.5, 0]).astype(np.float32), face.neutral, face.rotation, 2 * SCALE,
        2 * face.center_px + 0.5, face.region,
    )  # fmt: skip
    depth = depth_of(PERSON, TURN)
    one, other = (
        fit_to_depth(face, depth, CAMERA, (WIDTH, HEIGHT)),
        fit_to_depth(larger, depth, CAMERA, (2 * WIDTH, 2 * HEIGHT)),
    )
    np.testing.assert_allclose(one.points_mm, other.points_mm, atol=0.5)


def test_hidden_vertices_are_not_measured():
    face = face_of(MEAN, rotation(45, 0, 0)[:3, :3])
    front = front_vertices(face)
    ears = MEAN[:, 0]
    assert front[ears < -0.6].mean() > 2 * front[ears > 0.6].mean()


def test_offsets_are_smooth_and_fade():
    from reference.pipelines.face_depth import _laplacian

    laplacian = _laplacian()
    np.testing.assert_allclose(laplacian @ np.ones(len(MEAN)), 0, atol=1e-9)
    seen = MEAN[:, 2] > 0
    everywhere = smooth_offsets(np.where(seen, 3.0, 0), seen, laplacian)
    np.testing.assert_allclose(everywhere[seen & (MEAN[:, 2] > 0.3)], 3, atol=0.3)
    assert (smooth_offsets(np.zeros(len(MEAN)), seen, laplacian) == 0).all()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda d: np.zeros_like(d), "no distance was measured on the face"),
        (lambda d: np.where(np.arange(WIDTH) % 2 == 0, d, d + 90).astype(np.float32), "no distance was measured"),
        (lambda d: np.where(np.arange(HEIGHT)[:, None] < 72, d, 0).astype(np.float32), "vertices of the face were"),
        (lambda d: np.full_like(d, AWAY), "has 0% of its relief; needed: 40%"),
        (lambda d: 3 * d, "the eyes would be 263 mm apart; faces have 55 to 135"),
    ],
    ids=["nothing", "steps everywhere", "a mask", "a wall", "another unit"],
)
def test_maps_that_do_not_show_the_face(change, part, refused):
    with refused(BadInput, part):
        fit_to_depth(face_of(MEAN, TURN), change(depth_of(MEAN, TURN)), CAMERA, (WIDTH, HEIGHT))
