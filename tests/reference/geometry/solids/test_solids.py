"""Solids before a camera: a ball that a sensor saw from the front, and networks that know more or less of it."""

import numpy as np
import pytest

from reference.errors import BadInput
from reference.geometry.mesh import face_normals
from reference.geometry.solids.camera import Placement, make_camera
from reference.geometry.solids.compare import (
    draw_distance,
    ellipse_in,
    relief,
    silhouette_iou,
    surface_distances,
)
from reference.geometry.solids.front import drop_flying, even_edges, smooth_surface, take_front
from reference.geometry.solids.fusion import fuse, place_solid
from reference.geometry.solids.surface import color_vertices, extract, to_cube

SIDE, FOCAL, AWAY, RADIUS = 120, 200.0, 800.0, 150.0
CAMERA = make_camera(SIDE, SIDE, FOCAL)
REGION = (10.0, 10.0, 100.0, 100.0)


def ball_depth(bump=0.0):
    """Distance (SIDE, SIDE) of a ball's front, 0 beside it; with a bump of some millimetres in the middle."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    rays = np.stack([(x - CAMERA.center_px[0]) / FOCAL, (y - CAMERA.center_px[1]) / FOCAL, np.ones_like(x)], -1)
    a, b, c = (rays**2).sum(-1), -2 * AWAY * rays[..., 2], AWAY**2 - RADIUS**2
    inside = b * b - 4 * a * c
    depth = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / (2 * a), 0)
    middle = np.exp(-((x - CAMERA.center_px[0]) ** 2 + (y - CAMERA.center_px[1]) ** 2) / 2 / 4**2)
    return np.where(depth > 0, depth - bump * middle, 0).astype(np.float32)


def ball_voxels(radius=0.79, size=64):
    places = (np.arange(size) + 0.5) * 2 / size - 1
    z, y, x = np.meshgrid(places, places, places, indexing="ij")
    return (np.sqrt(x * x + y * y + z * z) < radius).astype(np.float32)


def made(depth, raw=None, voxels=None):
    raw = np.where(depth > 0, depth, 2000).astype(np.float32) if raw is None else raw
    front = take_front(depth, raw, (10, 10, 110, 110), 1 / FOCAL, 192)
    voxels = ball_voxels() if voxels is None else voxels
    place = place_solid(voxels, 0.5, front, REGION, CAMERA)
    return extract(fuse(voxels, 0.5, front, place), CAMERA), place


def points_of(depth):
    rows, columns = np.nonzero(depth)
    return CAMERA.to_points(columns.astype(float), rows.astype(float), depth[depth > 0])


def test_points_and_pixels_undo_each_other():
    camera = make_camera(640, 480, 500, (300, 250))
    points = camera.to_points(np.array([300.0, 350]), np.array([250.0, 200]), np.array([1000.0, 2000]))
    np.testing.assert_allclose(points, [[0, 0, -1000], [200, 200, -2000]])
    np.testing.assert_allclose(camera.to_pixels(points), [[300, 250, 1000], [350, 200, 2000]])


def test_what_is_not_told_of_a_camera_is_assumed():
    camera = make_camera(640, 480)
    assert (camera.focal_px, camera.center_px) == (525, (319.5, 239.5))
    assert make_camera(480, 640).focal_px == 525


@pytest.mark.parametrize(("focal", "center"), [(3.5, None), (50_000, None), (float("nan"), None), (500, (700, 10))])
def test_cameras_that_can_t_be(focal, center):
    with pytest.raises(BadInput, match=r"allowed: .*(pixels)"):
        make_camera(640, 480, focal, center)


def test_the_cube_and_the_camera_undo_each_other():
    place = Placement((60, 50), (40, 40), 800, 700, 160)
    inside = np.array([[0.0, 0, 1], [0.5, -0.25, -1], [-1, 1, 0]])
    np.testing.assert_allclose(place.to_cube(*place.from_cube(inside)), inside, atol=1e-6)
    # On the front side, in the middle; and half as far to the right where rays have spread.
    np.testing.assert_allclose(place.from_cube(inside[:1]), [[60], [50], [700]])
    assert place.from_cube(np.array([[0.5, 0, 1 - 2 * 100 / 320]]))[0][0] == pytest.approx(60 + 20)


def test_single_pixels_in_the_air_are_dropped_and_surfaces_stay():
    depth = np.full((20, 20), 700, np.float32)
    depth[:, 10:] = 1000
    depth[5, 5], depth[12, 10] = 640, 850
    kept = drop_flying(depth, 1 / 500)
    assert kept[5, 5] == kept[12, 10] == 0
    assert (kept == 0).sum() == 2


def test_smoothing_takes_noise_and_leaves_steps_and_slopes():
    rng = np.random.default_rng(0)
    depth = np.full((40, 40), 700, np.float32)
    depth[:, 20:] = 760
    noisy = depth + rng.normal(0, 1.5, depth.shape).astype(np.float32)
    smooth = smooth_surface(noisy, 1 / 500)
    assert np.abs(smooth - depth).mean() < 0.4 * np.abs(noisy - depth).mean()
    assert np.abs(smooth - depth).max() < 4
    slope = np.tile(700 + 2 * np.arange(40, dtype=np.float32), (40, 1))
    np.testing.assert_allclose(smooth_surface(slope, 1 / 500)[8:-8, 8:-8], slope[8:-8, 8:-8], atol=1e-2)
    holes = np.where(depth == 700, depth, 0)
    np.testing.assert_allclose(smooth_surface(holes, 1 / 500), holes, rtol=1e-6)


def test_edges_go_by_majority():
    depth = np.full((20, 20), 700, np.float32)
    empty = np.zeros((20, 20), bool)
    empty[:, 12:] = True
    depth[:, 12:] = 0
    depth[8, 12], empty[8, 12] = 705, False  # a pixel that sticks out
    depth[15, 11], empty[15, 11] = 0, True  # and one that is missing
    depth[3, 4] = 0  # a hole
    even, past = even_edges(depth, empty)
    np.testing.assert_array_equal(past[:, 10:], np.tile(np.arange(10, 20) >= 12, (20, 1)))
    assert (even[:, :12] == 700).all()


def test_the_front_of_a_solid_is_what_was_measured():
    depth = ball_depth()
    solid, _ = made(depth)
    off = surface_distances(points_of(depth), solid.mesh)
    assert off.mean() < 0.6  # of 300 mm; a cell of the network is 12 mm
    radius = np.linalg.norm(solid.mesh.vertices + np.array([0, 0, AWAY]), axis=1)
    assert np.abs(radius[solid.sure] - RADIUS).mean() < 0.6
    # Closed, outwards, about as large as the ball.
    mesh = solid.mesh
    volume = float((mesh.vertices[mesh.faces[:, 0]].astype(float) * face_normals(mesh)).sum() / 6)
    assert volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.2)
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_relief_finer_than_the_network_s_cells_is_kept():
    depth = ball_depth(bump=8)
    solid, _ = made(depth)
    drawn = draw_distance(solid.mesh, CAMERA, SIDE, SIDE)
    gain, correlation = relief(drawn, depth, ellipse_in((45, 45, 75, 75), SIDE, SIDE))
    assert gain > 0.85
    assert correlation > 0.95
    flat = draw_distance(made(ball_depth())[0].mesh, CAMERA, SIDE, SIDE)
    assert abs(relief(flat, depth, ellipse_in((45, 45, 75, 75), SIDE, SIDE))[0]) < 0.1


def test_holes_are_filled_from_the_network_and_the_background_cuts():
    depth = ball_depth()
    holed = depth.copy()
    holed[50:60, 50:60] = 0
    raw = np.where(depth > 0, holed, 2000).astype(np.float32)
    drawn = draw_distance(made(holed, raw)[0].mesh, CAMERA, SIDE, SIDE)
    np.testing.assert_allclose(drawn[50:60, 50:60], depth[50:60, 50:60], atol=6)
    # A network that is wider than what was seen ends at the outline; a narrower one goes on to it.
    for radius in (0.95, 0.55):
        drawn = draw_distance(made(depth, None, ball_voxels(radius))[0].mesh, CAMERA, SIDE, SIDE)
        assert silhouette_iou(drawn > 0, depth > 0, np.ones_like(depth, bool)) > 0.95


def test_a_network_that_filled_nothing_leaves_the_measured_surface():
    depth = ball_depth()
    solid, _ = made(depth, None, np.zeros((64, 64, 64), np.float32))
    assert surface_distances(points_of(depth), solid.mesh).mean() < 1


def test_a_large_map_is_joined_to_blocks():
    depth = ball_depth()
    front = take_front(depth, depth, (10, 10, 110, 110), 1 / FOCAL, 30)
    assert (front.step, front.distance_mm.shape) == (4, (25, 25))
    np.testing.assert_allclose(front.columns()[:2], [11.5, 15.5])
    middle = front.distance_mm[12, 12]
    assert AWAY - RADIUS < middle < AWAY - RADIUS + 4  # the mean of 16 pixels and some around


def test_the_mesh_in_the_network_s_cube():
    solid, place = made(ball_depth())
    cube = to_cube(solid, place)
    np.testing.assert_allclose(cube.vertices.max(axis=0), 0.79, atol=0.12)
    np.testing.assert_allclose(cube.vertices.min(axis=0)[:2], -0.79, atol=0.12)


def test_colours_are_the_picture_s_where_it_shows_the_solid():
    depth = ball_depth()
    picture = np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8)
    picture[:, :SIDE], picture[:, SIDE:] = (200, 0, 0), (0, 0, 200)
    picture[np.repeat(np.repeat(depth == 0, 2, 0), 2, 1)] = (0, 255, 0)
    solid, _ = made(depth)
    colors = color_vertices(solid, picture, (2, 2))
    x = solid.mesh.vertices[:, 0]
    assert (colors[:, 1] < 30).all()  # nothing of the background
    assert colors[x < -30, 0].min() > 150
    assert colors[x > 30, 2].min() > 150


def test_distances_from_a_triangle_are_exact():
    from reference.geometry.mesh import Mesh

    mesh = Mesh(np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0]], np.float32), np.array([[0, 1, 2]], np.int32))
    points = np.array([[1, 1, 3], [2, -2, 0], [-3, -4, 0], [4, 4, 0], [1, 1, 0]], float)
    np.testing.assert_allclose(surface_distances(points, mesh), [3, 2, 5, np.sqrt(8), 0], atol=1e-9)


def test_a_drawn_plane_has_its_distance_at_every_pixel():
    from reference.geometry.mesh import Mesh

    corners = np.array([[-900, -900, -1000], [900, -900, -1000], [900, 900, -500], [-900, 900, -500]], np.float32)
    drawn = draw_distance(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32)), CAMERA, SIDE, SIDE)
    rows = np.arange(SIDE)
    up = (CAMERA.center_px[1] - rows) / FOCAL  # y of a ray at distance 1
    np.testing.assert_allclose(drawn[:, 60], 750 / (1 + up * 500 / 1800), rtol=1e-4)


def test_silhouettes_count_where_something_is_known():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    a[:, :2], b[:, 1:3] = True, True
    assert silhouette_iou(a, b, np.ones_like(a)) == pytest.approx(1 / 3)
    assert silhouette_iou(a, b, a) == 0.5
    assert silhouette_iou(a, b, np.zeros_like(a)) == 1


def test_relief_is_what_no_quadric_explains():
    y, x = np.mgrid[:40, :40] / 20 - 1
    wave = np.sin(9 * x) * np.cos(7 * y)
    bent = 800 + 30 * x - 12 * y + 25 * x * x - 9 * x * y + 14 * y * y
    everywhere = np.ones((40, 40), bool)
    for share, sign in ((1, 1), (0.5, 1), (0.25, -1)):
        found = 500 - 40 * x + 6 * y * y + sign * share * wave
        gain, correlation = relief(found.astype(np.float32), (bent + wave).astype(np.float32), everywhere)
        assert gain == pytest.approx(sign * share, abs=1e-3)
        assert correlation == pytest.approx(sign, abs=1e-3)
    assert relief(np.zeros((40, 40), np.float32), bent.astype(np.float32), everywhere) is None
    assert ellipse_in((10, 5, 30, 15), 20, 40).sum() == pytest.approx(np.pi * 10 * 5, rel=0.02)
