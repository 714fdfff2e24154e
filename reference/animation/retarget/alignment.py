"""Topology alignment (document I, row I12): two skeletons and a mapping become two skeletons of one topology.

The rules, applied while walking the target from its root to its leaves:

- several nodes of one branch that share one partner become one node; its place is their mean, and where they are source
  nodes their animation matrices are multiplied;
- where the nodes that share a partner lie on different branches, the partner's branch is copied, animation included;
- a node without a partner is merged into its parent, animation included, and doesn't pull at the parent's place. It is
  merged into its child where the parent has no partner (a root), and where other branches leave the parent: the motion
  of a skipped neck would else turn both arms.

In the end every node of the target carries animation. Source nodes beyond the last partner of their branch have none
to merge with that shows them, and stay out; the document allows such nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reference.animation.motion.skeleton import Clip, Pose, Skeleton, clip_of, forward
from reference.errors import BadInput

Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two skeletons with the same parents; node i of one belongs to node i of the other.

    Attributes:
        source: final source skeleton.
        clip: its motion.
        target: final target skeleton.
        source_nodes: per node the numbers of the original source nodes that were merged into it.
        target_nodes: per node the same for the target; a copied node occurs more than once.
    """

    source: Skeleton
    clip: Clip
    target: Skeleton
    source_nodes: tuple[tuple[int, ...], ...]
    target_nodes: tuple[tuple[int, ...], ...]


@dataclass
class _Node:
    parent: int
    source: tuple[int, ...]  # of one branch, the topmost first
    target: list[int] = field(default_factory=list)
    absorbed: list[int] = field(default_factory=list)  # target nodes without a partner: they don't pull at the mean


def align_topology(source: Skeleton, clip: Clip, target: Skeleton, pairs: Pairs) -> Aligned:
    """Makes a mapping one-to-one.

    Args:
        pairs: (source node, target node), any number per node on either side.

    Raises:
        BadInput: a pair names a node that doesn't exist, or no pair is given.
    """
    partners = _partners(source, target, pairs)
    depth = _depths(source)
    nodes = [_Node(-1, group) for group in _branches(source, partners.get(0) or _meeting(source, partners), depth)[:1]]
    nodes[0].target.append(0)
    waiting = [(child, 0) for child in target.children[0]]
    for joint, above in waiting:  # grows while it is read: parents come before children
        places = _place(source, depth, nodes, above, partners.get(joint, []))
        if not places:
            nodes[above].absorbed.append(joint)
        for group in places:
            if group == nodes[above].source:
                nodes[above].target.append(joint)
            else:
                nodes.append(_Node(above, group, [joint]))
        below = [above if not places or group == nodes[above].source else len(nodes) - len(places) + i
                 for i, group in enumerate(places or [()])]  # fmt: skip
        waiting += [(child, number) for child in target.children[joint] for number in dict.fromkeys(below)]
    return _build(source, clip, target, nodes)


def _partners(source: Skeleton, target: Skeleton, pairs: Pairs) -> dict[int, list[int]]:
    """Source nodes of each target node."""
    result: dict[int, list[int]] = {}
    for s, t in pairs:
        if not (0 <= s < len(source) and 0 <= t < len(target)):
            raise BadInput(
                f"the mapping pairs source node {s} with target node {t}; "
                f"allowed: below {len(source)} and {len(target)}"
            )
        result.setdefault(t, []).append(s)
    if not result:
        raise BadInput("the mapping is empty; allowed: at least one pair; map the roots to each other")
    return result


def _meeting(source: Skeleton, partners: dict[int, list[int]]) -> list[int]:
    """For a root without a partner: the source node where the ways to all partners meet, its child's if it has one."""
    ways = [source.path_to_root(s) for group in partners.values() for s in group]
    return [next(joint for joint in ways[0] if all(joint in way for way in ways))]


def _depths(skeleton: Skeleton) -> list[int]:
    return [len(skeleton.path_to_root(joint)) for joint in range(len(skeleton))]


def _branches(source: Skeleton, joints: list[int], depth: list[int]) -> list[tuple[int, ...]]:
    """Splits nodes into groups that lie on one way from the root, each sorted from the top down."""
    groups: list[list[int]] = []
    for joint in sorted(set(joints), key=lambda j: (depth[j], j)):
        above = source.path_to_root(joint)
        home = next((group for group in groups if group[-1] in above), None)
        if home is None:
            groups.append([joint])
        else:
            home.append(joint)
    return [tuple(group) for group in groups]


def _place(
    source: Skeleton, depth: list[int], nodes: list[_Node], above: int, partners: list[int]
) -> list[tuple[int, ...]]:
    """The source branches that a target node below final node ``above`` stands for.

    Where the target was copied, each copy takes the partners below its own source nodes; partners that belong to no
    copy's branch go to all of them.
    """
    top = nodes[above].source[-1]
    inside = [p for p in partners if top in source.path_to_root(p)]
    # A partner that the parent already has means: same node; both then share the parent's whole group.
    if any(p in nodes[above].source for p in partners) and not [p for p in inside if p != top]:
        return [nodes[above].source]
    own = [p for p in inside if p not in nodes[above].source] or list(partners)
    return _branches(source, own, depth)


def _build(source: Skeleton, clip: Clip, target: Skeleton, nodes: list[_Node]) -> Aligned:
    parents = np.array([node.parent for node in nodes], np.int32)
    source_places = np.array([source.positions[list(node.source)].mean(axis=0) for node in nodes])
    target_places = np.array([target.positions[node.target].mean(axis=0) for node in nodes])
    final_source = Skeleton(_names(source, [node.source for node in nodes]), parents, source_places)
    final_target = Skeleton(_names(target, [tuple(node.target) for node in nodes]), parents, target_places)
    pose = forward(source, clip)
    deepest = _with_skipped(source, nodes)
    # The root's place follows the mean of its nodes, so that the mean's motion is kept and not one node's.
    rotations = pose.rotations[:, deepest]
    root = list(nodes[0].source)
    positions = np.repeat(pose.positions[:, root].mean(axis=1)[:, None], len(nodes), axis=1)
    final_clip = clip_of(final_source, Pose(rotations, positions), clip.name, clip.frame_rate)
    return Aligned(
        final_source,
        final_clip,
        final_target,
        tuple(node.source for node in nodes),
        tuple(tuple(sorted(node.target + node.absorbed)) for node in nodes),
    )


def _with_skipped(source: Skeleton, nodes: list[_Node]) -> list[int]:
    """Per final node the source node whose world rotation it takes: its deepest, or the last skipped one below it.

    World rotations are products along the ancestors, so the skipped nodes' matrices are multiplied into the parent's;
    where several branches leave it, it keeps its own and they are in the child's.
    """
    below: list[list[int]] = [[] for _ in nodes]
    for number, node in enumerate(nodes):
        if node.parent >= 0:
            below[node.parent].append(number)
    deepest = [node.source[-1] for node in nodes]
    for number, children in enumerate(below):
        if len(children) == 1:
            above = int(source.parents[nodes[children[0]].source[0]])
            if above >= 0 and deepest[number] in source.path_to_root(above):
                deepest[number] = above
    return deepest


def _names(skeleton: Skeleton, groups: list[tuple[int, ...]]) -> tuple[str, ...]:
    """One name per final node: its deepest node's, numbered where copies need it."""
    names: list[str] = []
    for group in groups:
        name, count = skeleton.names[group[-1]], 2
        while name in names:
            name, count = f"{skeleton.names[group[-1]]}#{count}", count + 1
        names.append(name)
    return tuple(names)
