"""Rows I11 to I14: exact on copies, one-to-one on anything, bones of constant length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from reference.animation.motion.library import load_motion, read_library
from reference.animation.motion.rotations import shortest_arcs
from reference.animation.motion.skeleton import Clip, Skeleton, forward, reroot
from reference.animation.retarget.alignment import align_topology
from reference.animation.retarget.mapping import map_nodes
from reference.animation.retarget.transfer import align_nodes, in_place, lowest, stand, transfer
from reference.errors import BadInput

from .generated import random_clip, skeletons

LIBRARY = read_library()
seeds = st.integers(0, 2**32 - 1)


def carried(source, clip, target):
    """Map, align, transfer; the final target and its pose."""
    mapping = map_nodes(source, target)
    aligned = align_topology(source, clip, mapping.target, mapping.pairs)
    moved = transfer(aligned.source, aligned.clip, aligned.target, align_nodes(aligned.source, aligned.target))
    return aligned.target, forward(aligned.target, moved)


def copy_of(skeleton, turn, scale, move, root):
    moved = Skeleton(skeleton.names, skeleton.parents, skeleton.positions @ turn.T * scale + move)
    return reroot(moved, root)


def largest_error(source, clip, target, pose, turn, scale):
    """Largest distance of a joint from where the undone transform says, relative to the height of the figure."""
    assert sorted(target.names) == sorted(source.names)
    numbers = [source.names.index(name) for name in target.names]
    root = numbers[0]
    at_rest = source.positions[root]
    wanted = (forward(source, clip).positions[:, numbers] - at_rest) @ turn.T * scale
    got = pose.positions - target.positions[0]
    return np.abs(wanted - got).max() / (scale * np.ptp(source.positions, axis=0).max())


@pytest.mark.parametrize("name", LIBRARY)
def test_every_clip_of_the_library_on_its_own_skeleton(name):
    for clip in LIBRARY[name].clips:
        motion = load_motion(LIBRARY[name], clip)
        target, pose = carried(motion.skeleton, motion.clip, motion.skeleton)
        assert largest_error(motion.skeleton, motion.clip, target, pose, np.eye(3), 1.0) <= 1e-6


@pytest.mark.parametrize("name", LIBRARY)
@settings(max_examples=4)
@given(seed=seeds, scale=st.floats(0.01, 100), root=st.integers(0, 10**6))
def test_real_skeletons_scaled_turned_moved_and_rerooted(name, seed, scale, root):
    motion = load_motion(LIBRARY[name], next(iter(LIBRARY[name].clips)))
    clip = Clip("short", 30.0, motion.clip.rotations[:5], motion.clip.translations[:5])
    turn = Rotation.random(random_state=seed).as_matrix()
    copy = copy_of(motion.skeleton, turn, scale, np.array([3.0, -2, 7]) * scale, root % len(motion.skeleton))
    target, pose = carried(motion.skeleton, clip, copy)
    assert largest_error(motion.skeleton, clip, target, pose, turn, scale) <= 1e-6


@settings(max_examples=60)
@given(skeleton=skeletons(least=3), seed=seeds, scale=st.floats(0.01, 100), root=st.integers(0, 10**6))
def test_random_trees_scaled_turned_moved_and_rerooted(skeleton, seed, scale, root):
    clip = random_clip(skeleton, seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    copy = copy_of(skeleton, turn, scale, np.ones(3) * scale, root % len(skeleton))
    target, pose = carried(skeleton, clip, copy)
    assert largest_error(skeleton, clip, target, pose, turn, scale) <= 1e-6


def test_the_error_can_fail():
    motion = load_motion(LIBRARY["knight"], "walk")
    still = Clip("still", 30.0, motion.clip.rotations[:1].repeat(len(motion.clip), 0), motion.clip.translations)
    target, pose = carried(motion.skeleton, still, motion.skeleton)
    assert largest_error(motion.skeleton, motion.clip, target, pose, np.eye(3), 1.0) > 0.01


@settings(max_examples=80)
@given(source=skeletons(), target=skeletons(), data=st.data())
def test_any_mapping_ends_one_to_one_with_every_target_node_driven(source, target, data):
    """Merges, copies and skips in any mixture: several per node on both sides, unmapped nodes, any order."""
    pair = st.tuples(st.integers(0, len(source) - 1), st.integers(0, len(target) - 1))
    pairs = data.draw(st.lists(pair, min_size=1, max_size=2 * len(target)))
    aligned = align_topology(source, random_clip(source, 1), target, pairs)
    assert np.array_equal(aligned.source.parents, aligned.target.parents)
    assert {node for group in aligned.target_nodes for node in group} == set(range(len(target)))
    assert all(group for group in aligned.source_nodes)
    moved = transfer(aligned.source, aligned.clip, aligned.target, align_nodes(aligned.source, aligned.target))
    pose = forward(aligned.target, moved)
    assert np.isfinite(pose.positions).all()
    assert_rigid(aligned.target, pose)


@settings(max_examples=40)
@given(source=skeletons(), target=skeletons(), method=st.sampled_from(["error", "degree"]), seed=seeds)
def test_both_mappings_drive_every_node_of_any_target(source, target, method, seed):
    mapping = map_nodes(source, target, method=method)
    if method == "error":  # along every branch the partners go down, too
        partner = {t: s for s, t in mapping.pairs}
        for t, s in partner.items():
            above = [partner[p] for p in mapping.target.path_to_root(t)[1:] if p in partner]
            assert set(above) <= set(source.path_to_root(s))
    aligned = align_topology(source, random_clip(source, seed), mapping.target, mapping.pairs)
    assert {node for group in aligned.target_nodes for node in group} == set(range(len(target)))


def assert_rigid(skeleton, pose):
    for joint in range(1, len(skeleton)):
        lengths = np.linalg.norm(pose.positions[:, joint] - pose.positions[:, skeleton.parents[joint]], axis=1)
        rest = np.linalg.norm(skeleton.offsets[joint])
        assert np.abs(lengths - rest).max() <= 1e-6 * max(skeleton.size, rest)


def chain(*heights, names=None):
    count = len(heights)
    places = np.stack([np.zeros(count), np.array(heights, float), np.zeros(count)], axis=1)
    return Skeleton(names or tuple(f"n{i}" for i in range(count)), np.arange(-1, count - 1), places)


def test_nodes_of_one_branch_merge_to_their_mean_and_multiply_their_matrices():
    source, target = chain(0, 1, 2, 3), chain(0, 1.5, 3)
    clip = random_clip(source, 5)
    aligned = align_topology(source, clip, target, [(0, 0), (1, 1), (2, 1), (3, 2)])
    assert aligned.source_nodes == ((0,), (1, 2), (3,))
    assert np.allclose(aligned.source.positions[1], (0, 1.5, 0))
    assert np.allclose(aligned.clip.rotations[:, 1], clip.rotations[:, 1] @ clip.rotations[:, 2])


def test_a_node_without_a_partner_is_merged_into_its_parent():
    """The document's example: the source's second node has none."""
    source, target = chain(0, 1, 2, 3), chain(0, 2, 3)
    clip = random_clip(source, 6)
    aligned = align_topology(source, clip, target, [(0, 0), (2, 1), (3, 2)])
    assert np.allclose(aligned.clip.rotations[:, 0], clip.rotations[:, 0] @ clip.rotations[:, 1])
    assert np.allclose(aligned.clip.rotations[:, 1], clip.rotations[:, 2])
    assert np.allclose(aligned.source.positions, source.positions[[0, 2, 3]])


def test_a_node_without_a_partner_is_merged_into_its_child_where_the_parent_branches():
    """A skipped neck must not turn the arms that leave its parent."""
    parents = np.array([-1, 0, 0, 1])
    places = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 2, 0]], float)
    source = Skeleton(tuple("abcd"), parents, places)
    target = Skeleton(tuple("xyz"), np.array([-1, 0, 0]), places[[0, 3, 2]])
    clip = random_clip(source, 6)
    aligned = align_topology(source, clip, target, [(0, 0), (3, 1), (2, 2)])
    assert np.allclose(aligned.clip.rotations[:, 0], clip.rotations[:, 0])
    assert np.allclose(aligned.clip.rotations[:, 1], clip.rotations[:, 1] @ clip.rotations[:, 3])


def test_a_root_without_a_partner_is_merged_into_its_child():
    source, target = chain(0, 1, 2), chain(-1, 1, 2)
    aligned = align_topology(source, random_clip(source, 6), target, [(1, 1), (2, 2)])
    assert aligned.source_nodes == ((1,), (2,)) and aligned.target_nodes == ((0, 1), (2,))


def test_target_nodes_of_one_branch_merge_too():
    aligned = align_topology(chain(0, 2), random_clip(chain(0, 2), 7), chain(0, 1, 2), [(0, 0), (1, 1), (1, 2)])
    assert aligned.target_nodes == ((0,), (1, 2))
    assert np.allclose(aligned.target.positions[1], (0, 1.5, 0))


def test_a_branch_is_copied_where_several_branches_meet_one():
    """The document's example: two target branches below one node, one source branch."""
    source = chain(0, 1, 2, 3)
    places = np.array([[0, 0, 0], [0, 1, 0], [-1, 2, 0], [1, 2, 0], [-1, 3, 0], [1, 3, 0]], float)
    target = Skeleton(tuple("abcdef"), np.array([-1, 0, 1, 1, 2, 3]), places)
    clip = random_clip(source, 8)
    aligned = align_topology(source, clip, target, [(0, 0), (1, 1), (2, 2), (2, 3), (3, 4), (3, 5)])
    assert aligned.source_nodes == ((0,), (1,), (2,), (2,), (3,), (3,))
    for joint, partner in enumerate((0, 1, 2, 2, 3, 3)):
        assert np.allclose(aligned.clip.rotations[:, joint], clip.rotations[:, partner])


def test_a_target_branch_is_copied_where_several_source_branches_meet_it():
    places = np.array([[0, 0, 0], [-1, 1, 0], [1, 1, 0], [-1, 2, 0], [1, 2, 0]], float)
    source = Skeleton(tuple("abcde"), np.array([-1, 0, 0, 1, 2]), places)
    aligned = align_topology(source, random_clip(source, 9), chain(0, 1, 2), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)])
    assert sorted(aligned.source_nodes) == [(0,), (1,), (2,), (3,), (4,)]
    assert sorted(aligned.target_nodes) == [(0,), (1,), (1,), (2,), (2,)]
    assert len(set(aligned.target.names)) == 5


def test_bones_without_length_don_t_break_anything():
    source, target = chain(0, 0, 1, 2), chain(0, 1, 1, 2)
    clip = random_clip(source, 10)
    aligned = align_topology(source, clip, target, [(i, i) for i in range(4)])
    pose = forward(aligned.target, transfer(aligned.source, aligned.clip, aligned.target,
                                            align_nodes(aligned.source, aligned.target)))  # fmt: skip
    assert np.isfinite(pose.positions).all()
    assert_rigid(aligned.target, pose)


def test_keep_one_leaves_the_targets_own_pose_at_rest():
    source, target = (
        chain(0, 1, 2),
        Skeleton(tuple("abc"), np.array([-1, 0, 1]), np.array([[0, 0, 0], [0, 1, 0], [1, 1, 0.0]])),
    )
    still = Clip("still", 30.0, np.broadcast_to(np.eye(3), (1, 3, 3, 3)).copy(), np.zeros((1, 3)))
    for keep, wanted in ((1.0, (1, 1, 0)), (0.0, (0, 2, 0))):
        offsets = align_nodes(source, target, np.eye(3), keep)
        pose = forward(target, transfer(source, still, target, offsets))
        assert np.allclose(pose.positions[0, 2], wanted)


@settings(max_examples=20)
@given(skeleton=skeletons(least=3), seed=seeds)
def test_without_twist_every_joint_is_where_it_was(skeleton, seed):
    clip, offsets = random_clip(skeleton, seed), align_nodes(skeleton, skeleton)
    with_twist, without = (transfer(skeleton, clip, skeleton, offsets, twist=t) for t in (True, False))
    a, b = (forward(skeleton, c) for c in (with_twist, without))
    assert np.allclose(a.positions, b.positions, atol=1e-9 * skeleton.size)
    for joint, below in enumerate(skeleton.children):
        if len(below) == 1 and joint > 0:
            bone = skeleton.offsets[below[0]]
            axis = Rotation.from_matrix(without.rotations[:, joint]).as_rotvec()
            assert np.abs(axis @ bone).max() < 1e-6 * np.linalg.norm(bone)


def test_opposite_and_empty_directions():
    a = np.array([[0, 1.0, 0], [0, 0, 0], [0, 2, 0]])
    b = np.array([[0, -3.0, 0], [1, 0, 0], [2, 0, 0]])
    turns = shortest_arcs(a, b)
    assert np.allclose(turns @ turns.swapaxes(1, 2), np.eye(3)) and np.allclose(np.linalg.det(turns), 1)
    assert np.allclose(turns[0] @ a[0], (0, -1, 0)) and np.allclose(turns[1], np.eye(3))
    assert np.allclose(turns[2] @ a[2], (2, 0, 0))


def test_in_place_removes_the_way_and_stand_puts_the_lowest_foot_on_the_ground():
    motion = load_motion(LIBRARY["human"], "walk")
    assert np.abs(np.ptp(motion.clip.translations, axis=0)).max() > motion.skeleton.size
    still = in_place(motion.clip)
    assert np.allclose(still.translations[0, [0, 2]], still.translations[-1, [0, 2]])
    clearance = np.linspace(0, 1, len(still))
    stood = stand(still, motion.skeleton, list(motion.feet), clearance)
    ground = motion.skeleton.positions[list(motion.feet), 1].min()
    heights = lowest(motion.skeleton, forward(motion.skeleton, stood), list(motion.feet))
    assert np.allclose(heights, ground + clearance)


def test_wrong_use_is_named(refused):
    source, target = chain(0, 1, 2), chain(0, 1)
    with refused(BadInput, "mapping method is 'best'", "error, degree"):
        map_nodes(source, target, method="best")
    with refused(BadInput, "pairs source node 7"):
        align_topology(source, random_clip(source, 0), target, [(7, 0)])
    with refused(BadInput, "mapping is empty"):
        align_topology(source, random_clip(source, 0), target, [])
    with refused(BadInput, "different topologies", "align_topology"):
        align_nodes(source, target)
    with refused(BadInput, "keep is 2"):
        align_nodes(source, source, keep=2)
    with refused(BadInput, "moves 3 joints, the skeleton has 2"):
        forward(target, random_clip(source, 0))
