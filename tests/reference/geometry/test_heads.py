"""Head models and training samples, on small synthetic data packs."""

import pickle

import numpy as np
import pytest
from shapes import head

from reference.data.heads import HeadModel, disturb_depth, load_ict, load_makehuman, random_viewpoint, voxel_sample
from reference.errors import BadInput
from reference.geometry.mesh import Mesh, corners, transform
from reference.geometry.raster import depth_image

AGES, SEXES, LEVELS = ("baby", "child", "young", "old"), ("female", "male"), ("min", "average", "max")


def no_weights(rng: np.random.Generator) -> np.ndarray:
    return np.zeros(1, np.float32)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    mesh = head()
    return HeadModel(mesh.vertices, mesh.faces, np.zeros((1, *mesh.vertices.shape), np.float32), no_weights)


def quads_of(mesh: Mesh) -> np.ndarray:
    """Quads with a doubled last corner, so that any triangle mesh can stand in for a quad mesh."""
    return np.concatenate([mesh.faces, mesh.faces[:, 2:]], axis=1)


@pytest.fixture
def ict_path(tmp_path):
    mesh, rng = head(), np.random.default_rng(0)
    count = len(mesh.vertices)
    # One helper part (number 5) that must not come along, holding a far vertex and a face to it.
    neutral = np.concatenate([mesh.vertices * 10, [[99, 99, 99]]]).astype(np.float32)
    ranges = [[0, count // 2], [count // 2, count]] + [[count, count]] * 3 + [[count, count + 1]] + [[0, 0]] * 11
    np.savez(
        tmp_path / "ict.npz",
        neutral=neutral,
        quads=quads_of(mesh),
        tris=np.array([[0, 1, count]], np.int32),
        identity=rng.normal(0, 0.02, (4, count + 1, 3)).astype(np.float16),
        expression=rng.normal(0, 0.02, (5, count + 1, 3)).astype(np.float16),
        expr_names=np.array(["blink_L", "blink_R", "jawOpen", "smile_L", "smile_R"]),
        landmarks68=np.arange(68),
        part_vertex_ranges=np.array(ranges, np.int32),
    )
    return tmp_path / "ict.npz"


@pytest.fixture
def makehuman_path(tmp_path):
    mesh, rng = head(), np.random.default_rng(0)
    names = [f"macrodetails/{o}-{s}-{a}" for o in ("african", "asian", "caucasian") for s in SEXES for a in AGES]
    names += [
        f"macrodetails/universal-{s}-{a}-{m}muscle-{w}weight"
        for s in SEXES for a in AGES for m in LEVELS for w in LEVELS
    ]  # fmt: skip
    names += ["macrodetails/height/female-young", "eyes/l-eye-scale-incr", "eyes/r-eye-scale-incr"]
    names += [
        "eyes/l-eye-scale-decr",
        "eyes/r-eye-scale-decr",
        "nose/nose-hump-incr",
        "expression/units/asian/smile",
    ]
    entries = 3
    quads = quads_of(mesh)
    np.savez(
        tmp_path / "mh.npz",
        vertices=mesh.vertices,
        quads=quads,
        quad_group=(np.arange(len(quads)) >= len(quads) - 10).astype(np.uint8) * 3,
        group_names=np.array(["body", "l-eye", "r-eye", "upper-teeth"]),
        target_names=np.array(names),
        target_indptr=np.arange(len(names) + 1) * entries,
        target_indices=rng.integers(0, len(mesh.vertices), len(names) * entries).astype(np.uint16),
        target_deltas=rng.normal(0, 0.05, (len(names) * entries, 3)).astype(np.float16),
    )
    return tmp_path / "mh.npz"


def test_ict_takes_only_the_outer_parts(ict_path):
    model = load_ict(ict_path)
    mesh = head()
    assert model.neutral == pytest.approx(mesh.vertices * 10)
    assert model.faces.max() < len(mesh.vertices)
    assert model.offsets.shape == (9, len(mesh.vertices), 3)


def test_ict_weights_are_clipped_and_symmetric(ict_path):
    draw = load_ict(ict_path).draw_weights
    weights = np.array([draw(np.random.default_rng(seed)) for seed in range(300)])
    assert abs(weights[:, :4]).max() == pytest.approx(2.5)
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, 7] == weights[:, 8]).all()
    assert 0 <= weights[:, 4:].min() <= weights[:, 4:].max() <= 0.8


def test_ict_landmarks_follow_the_mesh(ict_path):
    model = load_ict(ict_path)
    mesh = model.sample(np.random.default_rng(1))
    assert model.landmark_positions(mesh) == pytest.approx(mesh.vertices[:68])


@pytest.mark.parametrize("load", [load_ict, load_makehuman])
def test_files_that_are_no_head_model(load, tmp_path):
    path = tmp_path / "heads.npz"
    path.write_bytes(b"junk")
    with pytest.raises(BadInput, match=r"heads\.npz is no head model .*; take it from the data pack"):
        load(path)
    np.savez(path, neutral=np.zeros(3))
    with pytest.raises(BadInput, match=r"heads\.npz is no head model"):
        load(path)


def test_another_cut_of_makehuman_has_no_landmarks(makehuman_path):
    model = load_makehuman(makehuman_path)
    with pytest.raises(BadInput, match="head model without landmarks, allowed is one that has them; use load_ict"):
        model.landmark_positions(model.sample(np.random.default_rng(0)))


def test_makehuman_blend_sums_to_1_and_details_come_in_pairs(makehuman_path):
    model = load_makehuman(makehuman_path)
    for seed in range(20):
        weights = model.draw_weights(np.random.default_rng(seed))
        assert weights[:24].sum() == pytest.approx(1, abs=1e-5)
        assert weights[24:96].sum() == pytest.approx(1, abs=1e-5)
        left_in, right_in, left_de, right_de, hump = weights[96:]
        assert left_in == right_in
        assert left_de == right_de
        assert min(left_in, left_de) == 0
        assert 0 <= hump <= 1


def test_makehuman_leaves_out_teeth(makehuman_path):
    assert len(load_makehuman(makehuman_path).faces) == 2 * (len(head().faces) - 10)


@pytest.mark.parametrize("loader", ["ict", "makehuman"])
def test_samples_fit_the_cube_differ_and_repeat(loader, ict_path, makehuman_path):
    model = load_ict(ict_path) if loader == "ict" else load_makehuman(makehuman_path)
    first, again, other = (corners(model.sample(np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert abs(first).max() == pytest.approx(0.95, abs=1e-5)
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 1e-3


def test_models_can_be_sent_to_worker_processes(ict_path, makehuman_path):
    for model in (load_ict(ict_path), load_makehuman(makehuman_path)):
        copy = pickle.loads(pickle.dumps(model))
        expected, result = (m.sample(np.random.default_rng(0)).vertices for m in (model, copy))
        np.testing.assert_array_equal(result, expected)


def test_plain_sample_is_consistent(model):
    depth, voxels = voxel_sample(model, np.random.default_rng(0), 32, augment=False)
    assert depth.shape == (32, 32)
    assert depth.dtype == np.float32
    assert voxels.shape == (32, 32, 32)
    assert depth.max() == 1
    assert depth[depth > 0].min() == pytest.approx(1 / 16)
    assert voxels.any(axis=0)[depth > 0].all()
    nearest = np.unravel_index(depth.argmax(), depth.shape)
    assert voxels.any(axis=(1, 2)).argmax() == pytest.approx(voxels[:, nearest[0], nearest[1]].argmax(), abs=1)


def test_sample_repeats_with_its_seed(model):
    results = [voxel_sample(model, np.random.default_rng(5), 24, augment=True) for _ in range(2)]
    for first, again in zip(*results, strict=True):
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("seed", range(8))
def test_augmented_pose_stays_in_the_cube(seed):
    mesh = transform(head(), random_viewpoint(head(), np.random.default_rng(seed), augment=True))
    assert abs(corners(mesh)).max() <= 1
    longest = np.ptp(corners(mesh), axis=0).max()
    assert 1.9 * 0.75 <= longest <= 1.9 + 1e-5


def test_disturbed_depth_keeps_range_and_often_changes():
    surface_z = depth_image(head(), 32)
    depth = np.nan_to_num(surface_z * 0.5 + 0.5).astype(np.float32)
    changed = 0
    for seed in range(40):
        result = disturb_depth(depth, np.random.default_rng(seed))
        assert result.dtype == np.float32
        assert 0 <= result.min() <= result.max() <= 1
        changed += not np.array_equal(result, depth)
    assert 20 <= changed < 40
