"""How far each vertex follows each joint: weights from heat in the figure's plane, and the skinning itself.

Every joint warms the bones that leave it. Heat spreads inside the figure only, so that a hand beside the hip follows
the arm; what arrives is the weight. It is smooth, never negative and sums to one by construction (Baran and Popovic,
"Automatic rigging and animation of 3D characters", 2007, with distances inside the figure instead of lines of sight).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.animation.figure.shape import Body, laplacian
from reference.animation.motion.skeleton import Array, Pose, Skeleton

INFLUENCES = 4  # joints per vertex, as glTF's JOINTS_0 and phones' GPUs have it
_HEAT = 4.0  # larger: sharper bends


def skin_weights(body: Body, skeleton: Skeleton) -> tuple[NDArray[np.uint8], Array]:
    """Joints (V, 4) uint8 and weights (V, 4) float64 of each vertex; the weights sum to 1.

    A bone's vertices follow the joint at which the bone begins. A joint without bones leads nothing, unless it is
    the only one.
    """
    front = body.vertices[: body.front, :2]
    nearest, distance = _nearest_bone(front, body.flat_faces, skeleton)
    # Distance from the bone plus distance to the outline is about the limb's radius: joints bend over that length.
    radius = np.maximum(distance + _to_outline(front, body.flat_faces), 1e-3)
    dense = _diffuse(front, body.flat_faces, nearest, radius, len(skeleton))
    order = np.argsort(-dense, axis=1, kind="stable")[:, :INFLUENCES]
    if order.shape[1] < INFLUENCES:
        order = np.pad(order, ((0, 0), (0, INFLUENCES - order.shape[1])))
    weights = np.take_along_axis(dense, order, axis=1)
    weights[:, len(skeleton) :] = 0  # repeated joints of a skeleton with fewer than four
    weights[weights < 1e-4] = 0
    order = np.where(weights > 0, order, 0)  # glTF wants joint 0 where the weight is 0
    weights /= weights.sum(axis=1, keepdims=True)
    return order[body.twin].astype(np.uint8), weights[body.twin]


def _nearest_bone(points: Array, triangles: NDArray[np.int32], skeleton: Skeleton) -> tuple[NDArray[np.int64], Array]:
    """The joint whose bone is nearest inside the figure, and how far it is, for each of (V, 2) points."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    bones = [(int(parent), child) for child, parent in enumerate(skeleton.parents) if parent >= 0]
    if not bones:
        return np.zeros(len(points), np.int64), np.ones(len(points))
    places = skeleton.positions[:, :2]
    straight = np.stack([_to_segment(points, places[a], places[b]) for a, b in bones], axis=1)
    edges = np.concatenate([triangles[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))])
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    count = len(points)
    reach = 1.5 * float(np.median(lengths))
    # From points beside a bone on through the mesh; one extra node per bone stands for the bone itself.
    rows, columns, values = [edges[:, 0]], [edges[:, 1]], [lengths]
    for number in range(len(bones)):
        beside = np.flatnonzero(straight[:, number] <= max(reach, float(straight[:, number].min()) * 1.001))
        rows.append(np.full(len(beside), count + number))
        columns.append(beside)
        values.append(np.maximum(straight[beside, number], 1e-6))
    size = count + len(bones)
    # Vertices two triangles share appear twice: coo would add their lengths, the minimum is what is meant.
    graph = _shortest_entries(np.concatenate(rows), np.concatenate(columns), np.concatenate(values), size)
    ways = dijkstra(coo_matrix(graph, (size, size)).tocsr(), directed=False, indices=count + np.arange(len(bones)))
    ways = np.maximum(ways[:, :count].T, straight)
    best = ways.argmin(axis=1)
    owners = np.array([a for a, _ in bones])
    return owners[best], ways[np.arange(count), best]


def _shortest_entries(rows: Any, columns: Any, values: Array, size: int) -> Any:
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    _, first = np.unique(low.astype(np.int64) * size + high, return_index=True)
    return values[first], (low[first], high[first])


def _to_segment(points: Array, a: Array, b: Array) -> Array:
    """Distance of (V, 2) points from the bone between two joints."""
    bone = b - a
    share = np.clip((points - a) @ bone / max(float(bone @ bone), 1e-18), 0, 1)
    return np.linalg.norm(points - a - share[:, None] * bone, axis=1)


def _to_outline(points: Array, triangles: NDArray[np.int32]) -> Array:
    """Distance of (V, 2) points from the nearest vertex on the outline."""
    from scipy.spatial import cKDTree

    edges = np.sort(np.concatenate([triangles[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))]), axis=1)
    single, counts = np.unique(edges, axis=0, return_counts=True)
    rim = np.unique(single[counts == 1])
    return np.asarray(cKDTree(points[rim]).query(points)[0])


def _diffuse(
    points: Array, triangles: NDArray[np.int32], nearest: NDArray[np.int64], radius: Array, joints: int
) -> Array:
    """(V, J) solution of (L + H) w = H p for every joint: p is 1 at vertices whose nearest bone is the joint's."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import splu

    matrix, area = laplacian(points, triangles)
    heat = area * _HEAT / radius**2
    start = np.zeros((len(points), joints))
    start[np.arange(len(points)), nearest] = 1
    solved = splu((matrix + diags(heat)).tocsc()).solve(heat[:, None] * start)
    solved = np.maximum(solved, 0)
    return np.asarray(solved / solved.sum(axis=1, keepdims=True))


def skin_matrices(skeleton: Skeleton, pose: Pose) -> Array:
    """(F, J, 3, 4) matrices that take a vertex from the rest pose to where a joint alone would bring it."""
    moved = pose.positions - np.einsum("fjab,jb->fja", pose.rotations, skeleton.positions)
    return np.concatenate([pose.rotations, moved[..., None]], axis=3)


def skin(vertices: Array, joints: NDArray[np.uint8], weights: Array, matrices: Array) -> Array:
    """Linear blend skinning of one frame: (V, 3) vertices, (V, 4) joints and weights, (J, 3, 4) matrices."""
    blended = np.einsum("vi,viab->vab", weights, matrices[joints])
    return np.einsum("vab,vb->va", blended[:, :, :3], vertices) + blended[:, :, 3]
