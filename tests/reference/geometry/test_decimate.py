"""Coarser meshes whose vertices are a choice of the fine one's."""

import numpy as np
import pytest

from reference.errors import BadInput
from reference.geometry.decimate import decimate


def grid(side):
    """A flat square of (side + 1)^2 vertices in the xy plane."""
    x, y = np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0))
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1)
    a = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).ravel()
    quads = np.stack([a, a + 1, a + side + 2, a + side + 1], axis=1)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def ball(rings=12, sectors=20):
    """A closed sphere."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1, None]
    turn = np.linspace(0, 2 * np.pi, sectors, endpoint=False)[None]
    band = np.stack(np.broadcast_arrays(np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)), 2)
    vertices = np.concatenate([[[0, 0, 1.0]], band.reshape(-1, 3), [[0, 0, -1.0]]])
    faces = []
    for s in range(sectors):
        t = (s + 1) % sectors
        faces.append((0, 1 + s, 1 + t))
        for r in range(rings - 2):
            a, b = 1 + r * sectors, 1 + (r + 1) * sectors
            faces += [(a + s, b + s, b + t), (a + s, b + t, a + t)]
        last = 1 + (rings - 2) * sectors
        faces.append((last + t, last + s, len(vertices) - 1))
    return vertices, np.array(faces, np.int32)


def area(vertices, faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def signed_volume(vertices, faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


def test_a_flat_square_keeps_its_outline_and_area():
    vertices, faces = grid(8)
    kept, coarse = decimate(vertices[None], faces, 20, np.array([], np.int64), np.ones(len(vertices)))
    assert len(kept) == 20
    assert coarse.max() == 19
    assert {0, 8, 72, 80} <= set(kept.tolist())  # the corners
    assert area(vertices[kept], coarse) == pytest.approx(64)
    a, b, c = (vertices[kept][coarse[:, i]] for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()  # no triangle turned over


def test_a_closed_surface_stays_closed_and_keeps_its_volume():
    vertices, faces = ball()
    kept, coarse = decimate(vertices[None], faces, 100, np.array([], np.int64), np.ones(len(vertices)))
    edges = np.sort(np.concatenate([coarse[:, [0, 1]], coarse[:, [1, 2]], coarse[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert len(kept) - len(edges) // 2 + len(coarse) == 2  # Euler
    assert signed_volume(vertices[kept], coarse) == pytest.approx(signed_volume(vertices, faces), rel=0.1)


def test_locked_vertices_stay_and_the_weight_decides_where_vertices_are():
    vertices, faces = ball()
    locked = np.array([5, 50, 120])
    weights = np.where(vertices[:, 2] > 0, 50.0, 1.0)
    kept, _ = decimate(vertices[None], faces, 80, locked, weights)
    assert set(locked.tolist()) <= set(kept.tolist())
    assert (vertices[kept, 2] > 0).sum() > 1.5 * (vertices[kept, 2] < 0).sum()


def test_what_folds_in_a_second_shape_stays():
    vertices, faces = grid(8)
    folded = vertices.copy()
    folded[:, 2] = -np.abs(vertices[:, 0] - 4)
    plain = np.array([], np.int64)
    kept, coarse = decimate(np.stack([vertices, folded]), faces, 14, plain, np.ones(len(vertices)))
    assert area(folded[kept], coarse) == pytest.approx(area(folded, faces), rel=1e-6)


def test_too_few_vertices_are_refused(refused):
    vertices, faces = ball()
    with refused(BadInput, "10 were asked for", "ask for more"):
        decimate(vertices[None], faces, 10, np.arange(100), np.ones(len(vertices)))
