"""Small synthetic meshes whose size, volume and depth are known."""

import numpy as np

from reference.geometry.mesh import Mesh, scaling, transform, triangulate


def cube(half: float = 0.5) -> Mesh:
    """An axis-aligned cube around the origin with outward faces."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) * half
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return Mesh(corners, triangulate(np.array(quads, np.int32)))


def ellipsoid(radii: tuple[float, float, float] = (0.8, 0.8, 0.8), rings: int = 48, open_below: float = -2.0) -> Mesh:
    """An ellipsoid of latitude rings; without faces below ``open_below`` (unit sphere's y)."""
    theta = np.linspace(0, np.pi, rings + 1)[:, None]
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)[None]
    unit = np.stack(np.broadcast_arrays(np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)), -1)
    i, j = (index.ravel() for index in np.mgrid[:rings, : 2 * rings])
    k, width = (j + 1) % (2 * rings), 2 * rings
    quads = np.stack([i * width + j, (i + 1) * width + j, (i + 1) * width + k, i * width + k], axis=1)
    unit = unit.reshape(-1, 3)
    quads = quads[unit[quads].mean(axis=1)[:, 1] >= open_below]
    return Mesh((unit * radii).astype(np.float32), triangulate(quads.astype(np.int32)))


def head() -> Mesh:
    """A rough head, open at the neck: an ellipsoid with a nose towards the viewer and an ear at +x."""
    mesh = ellipsoid((0.6, 0.85, 0.7), open_below=-0.85)
    nose = transform(ellipsoid((0.12, 0.2, 0.25), 12), scaling(1, (0, 0, 0.65)))
    ear = transform(ellipsoid((0.12, 0.18, 0.1), 12), scaling(1, (0.62, 0, 0)))
    vertices = np.concatenate([mesh.vertices, nose.vertices, ear.vertices])
    offsets = np.cumsum([0, len(mesh.vertices), len(nose.vertices)])
    faces = [part.faces + offset for part, offset in zip((mesh, nose, ear), offsets, strict=True)]
    return Mesh(vertices, np.concatenate(faces))
