"""Node mapping (document I, row I11): which source node drives each target node.

Two ways, as in the document:

- ``degree``: from the root, the node with the most branches, down: branches with branches of as many ends, equals by
  their place; see :mod:`reference.animation.retarget.degree`.
- ``error``: least mapping error. Leaves are assigned to leaves (Hungarian method over their places in the figure),
  then dynamic programming runs along the branches: every target node gets a node on the way from the source's root to
  the leaf that belongs to it, in order, where source nodes may be skipped and several target nodes may share one.

Left and right stay consistent because places are compared in one common view of both figures, never mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from reference.animation.motion.rotations import best_rotation, principal_rotations
from reference.animation.motion.skeleton import Array, Skeleton, reroot
from reference.animation.retarget.degree import map_by_degree, root_by_degree
from reference.errors import BadInput

METHODS = ("error", "degree")

# Costs are squared distances in a figure of size 1 x 1 x 1, so 0.05 is about a fifth of the figure.
SKIP = 0.004
SHARE = 0.02
FARTHEST_EXTRA_LEAF = 0.12
FARTHEST_LEAF = 0.75
CHOSEN_ALONE = 0.3
# Weights of the terms of a cost. A limb's pose differs between figures, so places count for little along it; where
# it leaves the body, how long it is, and how far along it a joint lies say more.
_LEAF_PLACE, _LEAF_BASE, _LEAF_LENGTH = 1.0, 0.35, 0.7
_MOST_OF_LENGTH = 0.36  # a coiled tail may be as long as it likes
_LEAF_LONG = 0.28
_LEFT_OVER = 0.05  # for each limb without a partner
_LIMB_PLACE, _LIMB_SHARE, _TRUNK_SHARE, _LIMB_TO_TRUNK = 0.15, 0.5, 0.5, 0.04


@dataclass(frozen=True, eq=False)
class Mapping:
    """Which source node drives which target node.

    Attributes:
        target: the target, perhaps hung up at another root than before.
        pairs: (source node, target node); a target node in no pair is merged into its parent.
        view: (3, 3) rotation that the source was seen in, so that it looks like the target.
        error: mean cost per target node; comparable between sources for one target.
    """

    target: Skeleton
    pairs: tuple[tuple[int, int], ...]
    view: Array
    error: float


def map_nodes(
    source: Skeleton,
    target: Skeleton,
    views: Sequence[Array] | None = None,
    method: str = "error",
    leaf_costs: Array | None = None,
    view_costs: Sequence[float] | None = None,
) -> Mapping:
    """Maps target nodes to source nodes.

    Args:
        views: rotations to look at the source from; the best is taken. Without any, rotations that bring the
            principal axes of both figures together are tried, which finds a copy in any position.
        method: one of METHODS.
        leaf_costs: (S, T) further costs of mapping a leaf to a leaf, e.g. of a thin tail to a thick head.
        view_costs: what else speaks against each of the views; it says nothing about the fit and isn't in the error.
    """
    if method not in METHODS:
        raise BadInput(f"mapping method is '{method}'; allowed: {', '.join(METHODS)}")
    flat = views is not None
    tried = [_least_error(source, target, view, flat, leaf_costs) for view in views or _views_of_copies(source, target)]
    against = view_costs or [0.0] * len(tried)
    best = min(zip(tried, against, strict=True), key=lambda pair: pair[0].error + pair[1])[0]
    # Degrees are the same from every side: where a figure looks is read from the places of its limbs.
    return best if method == "error" else _by_degree(source, target, best.view, flat, leaf_costs)


def _by_degree(source: Skeleton, target: Skeleton, view: Array, flat: bool, leaf_costs: Array | None = None) -> Mapping:
    """The mapping by degree in one view, and its mean cost by the same measure as the least error's."""
    seen = Skeleton(source.names, source.parents, source.positions @ view.T)
    places = _squared_distances(_places(seen.positions, flat), _places(target.positions, flat))
    hung = reroot(target, root_by_degree(seen, target, places))
    numbers = [target.names.index(name) for name in hung.names]
    pairs = map_by_degree(seen, hung, places[:, numbers])
    costs = _node_costs(seen, hung, places[:, numbers])
    if leaf_costs is not None:
        ends = np.ix_(seen.leaves, hung.leaves)
        costs[ends] += leaf_costs[:, numbers][ends]
    error = sum(float(costs[s, t]) for s, t in pairs) / len(pairs) + _LEFT_OVER * (1 - len(pairs) / len(hung))
    return Mapping(hung, pairs, view, error)


def _views_of_copies(source: Skeleton, target: Skeleton) -> list[Array]:
    """Candidate rotations, each refined by matching nearest joints (as in ICP), without repetitions."""
    a, b = (_unit_cloud(s.positions) for s in (source, target))
    if len(source) < 3 or len(target) < 3:
        return [np.eye(3)]
    views: list[Array] = []
    for start in [np.eye(3), *principal_rotations(a, b)]:
        view = start
        for _ in range(10):
            nearest = _squared_distances(a @ view.T, b).argmin(axis=0)
            view = best_rotation(a[nearest], b)
        if not any(np.abs(view - other).max() < 1e-6 for other in views):
            views.append(view)
    scores = [_squared_distances(a @ view.T, b).min(axis=0).sum() for view in views]
    return [views[i] for i in np.argsort(scores, kind="stable")[:4]]


def _unit_cloud(points: Array) -> Array:
    centred = points - points.mean(axis=0)
    return centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-12)


def _squared_distances(a: Array, b: Array) -> Array:
    return ((a[:, None] - b[None]) ** 2).sum(axis=2)


def _least_error(
    source: Skeleton, target: Skeleton, view: Array, flat: bool, leaf_costs: Array | None = None
) -> Mapping:
    """The best mapping in one view, over the target's most plausible roots."""
    seen = Skeleton(source.names, source.parents, source.positions @ view.T)
    source_places, target_places = _places(seen.positions, flat), _places(target.positions, flat)
    costs = _squared_distances(source_places, target_places)
    # A picture's root lies inside the figure; a copy's may be any joint. Its place gives it away.
    inner = [joint for joint in range(len(target)) if target.degrees[joint] > 1 or not flat] or [0]
    roots = sorted(inner, key=lambda joint: (costs[0, joint], joint))[:3]
    best: Mapping | None = None
    for root in roots:
        hung = reroot(target, root)
        numbers = [target.names.index(name) for name in hung.names]
        extra = None if leaf_costs is None else leaf_costs[:, numbers]
        pairs, error = _map_rooted(seen, hung, costs[:, numbers], extra)
        if best is None or error < best.error - 1e-12:
            best = Mapping(hung, pairs, view, error)
    assert best is not None
    return best


def _places(positions: Array, flat: bool) -> Array:
    """Places in the figure's box, so that thin and fat figures compare; a flat figure's depth counts for less."""
    low, extent = positions.min(axis=0), np.ptp(positions, axis=0)
    longest = max(float(extent.max()), 1e-12)
    if not flat:
        return (positions - low) / longest
    places = (positions - low) / np.maximum(extent, 0.3 * longest)
    places[:, 2] = 0.0
    return places


def _map_rooted(
    source: Skeleton, target: Skeleton, places: Array, extra: Array | None
) -> tuple[tuple[tuple[int, int], ...], float]:
    """Leaves by assignment, the nodes between by dynamic programming; the pairs and the mean cost."""
    leaf_of, leaf_cost = _assign_leaves(source, target, places, extra)
    if not leaf_of:  # a skeleton of one node
        return ((0, 0),), float(places[0, 0])
    allowed = _allowed(source, target, leaf_of)
    partner, total = _program(source, target, _node_costs(source, target, places), allowed, leaf_of)
    unmatched = len(source.leaves) - len(set(leaf_of.values()))
    missed = len(target.leaves) - len(leaf_of)
    error = (total + leaf_cost + _LEFT_OVER * (unmatched + missed)) / max(len(partner), 1)
    return tuple((s, t) for t, s in sorted(partner.items())), float(error)


def _assign_leaves(
    source: Skeleton, target: Skeleton, places: Array, extra: Array | None
) -> tuple[dict[int, int], float]:
    """Target leaf to source leaf, and the cost: one-to-one as far as both last, then the surplus to near leaves."""
    from scipy.optimize import linear_sum_assignment

    source_leaves, target_leaves = source.leaves, target.leaves
    if not source_leaves or not target_leaves:
        return {}, 0.0
    costs = _leaf_costs(source, target, places)
    if extra is not None:
        costs += extra[np.ix_(source_leaves, target_leaves)]
    # A corner of a skirt is no arm: long limbs go first. It says nothing about the fit, so it isn't in the error.
    lengths = np.array([_limb_length(target, leaf) for leaf in target_leaves])
    wished = costs - _LEAF_LONG * lengths / max(float(lengths.max()), 1e-12)
    # Columns of their own: rather no partner than a foot for a muzzle.
    alone = np.full((len(source_leaves), len(source_leaves)), FARTHEST_LEAF)
    # Where every partner is that far, as for a coiled snake, any is better than a figure that can't move.
    rows, columns = linear_sum_assignment(np.hstack([wished, alone]) if wished.min() < FARTHEST_LEAF else wished)
    real = columns < len(target_leaves)
    rows, columns = rows[real], columns[real]
    chosen = {target_leaves[c]: source_leaves[r] for r, c in zip(rows, columns, strict=True)}
    for column, leaf in enumerate(target_leaves):
        nearest = int(costs[:, column].argmin())
        if leaf not in chosen and costs[nearest, column] < FARTHEST_EXTRA_LEAF:
            chosen[leaf] = source_leaves[nearest]
    alone_by_choice = min(len(source_leaves), len(target_leaves)) - len(rows)
    return chosen, float(costs[rows, columns].sum()) + CHOSEN_ALONE * alone_by_choice


def _leaf_costs(source: Skeleton, target: Skeleton, places: Array) -> Array:
    """(source leaves, target leaves): places of the ends, places where the limbs leave the body, limbs' lengths."""
    leaves = source.leaves, target.leaves
    bases = [[_base(skeleton, leaf) for leaf in skeleton.leaves] for skeleton in (source, target)]
    lengths = [
        np.array([_limb_length(skeleton, leaf) for leaf in skeleton.leaves]) / max(skeleton.size, 1e-12)
        for skeleton in (source, target)
    ]
    return np.asarray(
        _LEAF_PLACE * places[np.ix_(*leaves)]
        + _LEAF_BASE * places[np.ix_(*bases)]
        + _LEAF_LENGTH * np.minimum((lengths[0][:, None] - lengths[1][None]) ** 2, _MOST_OF_LENGTH)
    )


def _base(skeleton: Skeleton, leaf: int) -> int:
    """Where a limb leaves the body: the nearest ancestor with more than one branch, else the root."""
    above = skeleton.path_to_root(leaf)[1:]
    return next((joint for joint in above if len(skeleton.children[joint]) > 1), above[-1])


def _limb_length(skeleton: Skeleton, leaf: int) -> float:
    ways = skeleton.lengths_from_root
    return float(ways[leaf] - ways[_base(skeleton, leaf)])


def _node_costs(source: Skeleton, target: Skeleton, places: Array) -> Array:
    """(S, T) costs of partners: limb to limb, body to body, and with a penalty limb to body."""
    (limb_s, share_s), (limb_t, share_t) = _shares(source), _shares(target)
    both = limb_s[:, None] & limb_t[None]
    neither = ~limb_s[:, None] & ~limb_t[None]
    shares = ((share_s[:, None] - share_t[None]) ** 2).mean(axis=2)
    limbs = _LIMB_PLACE * places + _LIMB_SHARE * shares
    trunks = places + _TRUNK_SHARE * shares
    return np.where(both, limbs, np.where(neither, trunks, 0.5 * places + _LIMB_TO_TRUNK))


def _shares(skeleton: Skeleton) -> tuple[NDArray[np.bool_], Array]:
    """Which joints belong to a limb, and (J, 2) how far along they are: by length, and counted in joints.

    Along a limb from where it leaves the body to its end; in the body from the root to the farthest end.
    """
    ways = skeleton.lengths_from_root
    limb, share = np.zeros(len(skeleton), bool), np.zeros((len(skeleton), 2))
    share[:, :] = (ways / max(float(ways.max()), 1e-12))[:, None]
    for leaf in skeleton.leaves:
        path = skeleton.path_to_root(leaf)
        path = path[: path.index(_base(skeleton, leaf)) + 1][::-1]
        total = max(float(ways[leaf] - ways[path[0]]), 1e-12)
        limb[path[1:]] = True
        share[path[1:], 0] = (ways[path[1:]] - ways[path[0]]) / total
        share[path[1:], 1] = np.arange(1, len(path)) / (len(path) - 1)
    return limb, share


def _allowed(source: Skeleton, target: Skeleton, leaf_of: dict[int, int]) -> dict[int, list[int]]:
    """Source nodes that a target node may take: on the common way from the root to all its leaves' partners."""
    allowed: dict[int, list[int]] = {}
    for leaf, partner in leaf_of.items():
        way = source.path_to_root(partner)
        for joint in target.path_to_root(leaf):
            allowed[joint] = [s for s in allowed.get(joint, way) if s in way]
    return {joint: sorted(nodes) for joint, nodes in allowed.items()}


def _program(
    source: Skeleton, target: Skeleton, costs: Array, allowed: dict[int, list[int]], leaf_of: dict[int, int]
) -> tuple[dict[int, int], float]:
    """Least total cost of partners that follow the order of the branches; root to root, leaf to its leaf."""
    steps = _steps(source)
    children = target.children

    @cache
    def best(t: int, s: int) -> tuple[float, tuple[tuple[int, int], ...]]:
        total = float(costs[s, t])
        chosen: tuple[tuple[int, int], ...] = ((t, s),)
        for child in children[t]:
            if child not in allowed:
                continue
            options = []
            for other in [leaf_of[child]] if child in leaf_of else allowed[child]:
                if steps[s, other] < 0:
                    continue
                below, pairs = best(child, other)
                between = SHARE if other == s else SKIP * (steps[s, other] - 1)
                options.append((below + between, pairs))
            if not options:
                return float("inf"), ()
            cost, pairs = min(options, key=lambda option: option[0])
            total, chosen = total + cost, chosen + pairs
        return total, chosen

    total, chosen = best(0, 0)
    return dict(chosen), total


def _steps(source: Skeleton) -> NDArray[np.int64]:
    """(S, S) number of bones from an ancestor down to a descendant; -1 where there is no such way."""
    steps = np.full((len(source), len(source)), -1)
    for joint in range(len(source)):
        for count, above in enumerate(source.path_to_root(joint)):
            steps[above, joint] = count
    return steps
