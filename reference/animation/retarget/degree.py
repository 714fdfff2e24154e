"""Node mapping in order of degree, the document's first method (row I11).

The node with the most branches is the root; roots belong together. Below two nodes that belong together their branches
are paired: first those that branch the most, then down to plain limbs, and among equals by their place in the figure.
Along a pair of branches the nodes follow each other in order, where several target nodes may share a source node or
source nodes are skipped. Where branches of a pair meet further nodes with branches, the same begins there.

Two things make it usable on skeletons that were found in pictures. Twigs (fingers, ears, horns) don't count as
branches. And where the body of one skeleton branches in one place and that of the other in two (arms and legs leave
one joint), the branching joint of the one is taken as part of the other's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.animation.motion.skeleton import Array, Skeleton

TWIG = 0.1  # of the figure's size: shorter limbs are no branches
_DEGREE = 0.35  # cost of a difference of one branch, in squared distances of a figure of size 1
_ALONE = 0.6  # cost of a limb without a partner
_FARTHEST = 0.2  # cost up to which a limb that is left over joins another limb's partner


@dataclass(frozen=True)
class _Branch:
    """A way down from a joint: to the next joint with several branches, or to the end of a limb."""

    path: tuple[int, ...]  # without the joint above
    ends: tuple[int, ...]  # the limbs that it leads to

    @property
    def is_limb(self) -> bool:
        return len(self.ends) == 1


class _Tree:
    """A skeleton without its twigs."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.ends = _long_limbs(skeleton)
        self.below: list[list[int]] = [[] for _ in skeleton.names]
        for end in self.ends:
            for joint in skeleton.path_to_root(end):
                self.below[joint].append(end)

    def branches(self, joint: int) -> list[_Branch]:
        found = []
        for child in self.skeleton.children[joint]:
            if not self.below[child]:
                continue
            path = [child]
            while True:
                onward = [c for c in self.skeleton.children[path[-1]] if self.below[c]]
                if len(onward) != 1:
                    break
                path.append(onward[0])
            found.append(_Branch(tuple(path), tuple(self.below[child])))
        return found

    def degree(self, joint: int) -> int:
        """Branches that meet at a joint, twigs not counted."""
        inner = [c for c in self.skeleton.children[joint] if self.below[c]]
        above = self.skeleton.parents[joint] >= 0 and len(self.below[joint]) < len(self.ends)
        return len(inner) + int(above)


def root_by_degree(source: Skeleton, target: Skeleton, places: Array) -> int:
    """The target's joint with the most branches; among equals the nearest to the source's root in (S, T) places."""
    tree = _Tree(target)
    degrees = [tree.degree(joint) for joint in range(len(target))]
    return max(range(len(target)), key=lambda joint: (degrees[joint], -float(places[0, joint])))


def map_by_degree(source: Skeleton, target: Skeleton, places: Array) -> tuple[tuple[int, int], ...]:
    """(source node, target node) pairs from the roots down.

    Args:
        target: its root belongs to the source's root.
        places: (S, T) squared distances of the joints' places in the figures' boxes.
    """
    trees = _Tree(source), _Tree(target)
    partner = {0: 0}
    waiting = [(0, 0)]
    for s, t in waiting:  # grows while it is read
        ours, theirs, pairs = _best_pairs(trees[0], trees[0].branches(s), trees[1], trees[1].branches(t), places)
        for i, j in pairs:
            path, way = theirs[j].path, ours[i].path
            if theirs[j].is_limb != ours[i].is_limb:  # one is a limb, the other branches again: on to its nearest end
                path, way = _to_nearest_ends(target, theirs[j], source, ours[i], places)
            elif not theirs[j].is_limb:
                waiting.append((way[-1], path[-1]))
            for joint, number in zip(path, _in_order(len(path), len(way)), strict=True):
                partner.setdefault(joint, way[number])
    return tuple((s, t) for t, s in sorted(partner.items()))


def _long_limbs(skeleton: Skeleton) -> list[int]:
    """Ends of limbs that are no twigs: the longest way from every fork counts in any case."""
    ways = skeleton.lengths_from_root
    ends: list[int] = []
    taken: set[int] = {0}
    for leaf in sorted(skeleton.leaves, key=lambda j: -ways[j]):
        path = skeleton.path_to_root(leaf)
        joins = next(joint for joint in path if joint in taken)
        if ways[leaf] - ways[joins] >= TWIG * skeleton.size or not ends:
            ends.append(leaf)
            taken.update(path)
    return sorted(ends)


def _best_pairs(
    a: _Tree, ours: list[_Branch], b: _Tree, theirs: list[_Branch], places: Array
) -> tuple[list[_Branch], list[_Branch], list[tuple[int, int]]]:
    """Branches of both, perhaps opened, and the pairs of them that cost least.

    The branch with the most ends may give way to the branches behind it, on either side and repeatedly.
    """
    best = None
    for mine in _openings(a, ours):
        for other in _openings(b, theirs):
            cost, pairs = _paired(mine, other, places)
            if best is None or cost < best[0] - 1e-12:
                best = (cost, mine, other, pairs)
    assert best is not None
    return best[1:]


def _openings(tree: _Tree, branches: list[_Branch]) -> list[list[_Branch]]:
    found = [branches]
    while any(not branch.is_limb for branch in branches):
        widest = max((branch for branch in branches if not branch.is_limb), key=lambda branch: len(branch.ends))
        inner = [_Branch((*widest.path, *branch.path), branch.ends) for branch in tree.branches(widest.path[-1])]
        branches = [branch for branch in branches if branch is not widest] + inner
        found.append(branches)
    return found


def _paired(ours: list[_Branch], theirs: list[_Branch], places: Array) -> tuple[float, list[tuple[int, int]]]:
    """Cost, and source branches with target branches: equal degree first, then by place; the rest joins near ones."""
    from scipy.optimize import linear_sum_assignment

    if not ours or not theirs:
        return _ALONE * sum(len(branch.ends) for branch in [*ours, *theirs]), []
    costs = np.array([[_apart(a, b, places) + _DEGREE * abs(len(a.ends) - len(b.ends)) for b in theirs] for a in ours])
    alone = np.array([_ALONE * len(b.ends) for b in theirs])
    # A column of its own for every source branch: it may stay without a partner.
    rows, columns = linear_sum_assignment(np.hstack([costs - alone, np.zeros((len(ours), len(ours)))]))
    pairs = [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if j < len(theirs)]
    total = float(alone.sum() + sum(costs[i, j] - alone[j] for i, j in pairs))
    for j in set(range(len(theirs))) - {j for _, j in pairs}:
        i = int(costs[:, j].argmin())
        if costs[i, j] < _FARTHEST and theirs[j].is_limb:
            pairs.append((i, j))
            total += float(costs[i, j] - alone[j])
    return total, pairs


def _apart(a: _Branch, b: _Branch, places: Array) -> float:
    """Mean over the ends of how far the nearest end of the other branch is."""
    block = places[np.ix_(a.ends, b.ends)]
    return float(max(block.min(axis=0).mean(), block.min(axis=1).mean()))


def _to_nearest_ends(
    target: Skeleton, b: _Branch, source: Skeleton, a: _Branch, places: Array
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ways from the joints above both branches to the pair of their ends that lie nearest to each other."""
    block = places[np.ix_(a.ends, b.ends)]
    i, j = np.unravel_index(int(block.argmin()), block.shape)
    ways = []
    for skeleton, branch, end in ((target, b, b.ends[int(j)]), (source, a, a.ends[int(i)])):
        path = skeleton.path_to_root(end)[::-1]
        ways.append(tuple(path[path.index(branch.path[0]) :]))
    return ways[0], ways[1]


def _in_order(count: int, among: int) -> NDArray[np.int64]:
    """Which of ``among`` nodes each of ``count`` takes, in order, the last the last."""
    return np.round((np.arange(1, count + 1) / count) * among).astype(np.int64).clip(1) - 1
