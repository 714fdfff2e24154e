"""What the voxel networks are trained on: shares, people with hair, the camera's faults, the cache."""

import gzip
from dataclasses import fields

import numpy as np
import pytest
import torch

from reference.data.meshes import load_objects
from reference.data.solids import frames, pack_busts
from reference.data.solids.busts import FILE, Busts, Hair, crop_pair, load_busts
from reference.data.solids.cache import PairCache, mirrored
from reference.data.solids.samples import Sources, VoxelSamples, fit_size, load_sources
from reference.data.solids.sensor import through_sensor
from reference.errors import BadInput
from reference.geometry.depth import FARTHEST_VALUE
from reference.geometry.mesh import Mesh
from reference.geometry.mesh_io import write_mesh
from reference.train.recipes.voxel import near_surface
from tests.reference.data.test_voxel_data import box, names

CAP = Hair(
    np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]], np.int32),
    np.array([[1, 0, 0]] * 3, np.float32),
    np.array([[0, 1, 0]] * 3, np.float32),
    np.array([[0, 4], [0, 2], [0, 1]], np.int32),
    np.array([1, 1, 1], np.float32),
    np.array([[0, 1, 2]], np.int32),
)


def busts():
    """A cube as body, whose one target makes it wider, and a triangle as hair."""
    cube = box(0.7, 0.7, 0.7)
    wider = (np.arange(8, dtype=np.int32), cube.vertices * [1, 0, 0])
    return Busts(
        cube.vertices,
        cube.faces,
        (wider,),
        lambda rng: np.float32([1]),
        np.arange(8).repeat(9)[:68],
        np.full(8, -1),
        (CAP,),
    )


def test_hair_sits_on_the_body_and_grows_with_it():
    body = box().vertices
    plain = CAP.on(body)
    np.testing.assert_allclose(plain, body[:3] + np.float32([0, 2, 0]))  # the span along y is 2, the unit 1
    np.testing.assert_allclose(CAP.on(body * np.float32(3)), 3 * plain)


def test_a_person_has_weights_and_sometimes_hair():
    people = [busts().mesh(*busts().draw(np.random.default_rng(seed))) for seed in range(40)]
    assert all(np.abs(p.vertices[:8, 0]).max() == pytest.approx(1.4) for p in people)
    assert {len(p.vertices) for p in people} == {8, 11}


def together(a, b):
    return Mesh(np.concatenate([a.vertices, b.vertices]), np.concatenate([a.faces, b.faces + len(a.vertices)]))


def test_a_crop_shows_what_lies_in_it_and_is_filled_to_its_border():
    # A wide plate with a knob inside: the crop sees its middle, and the plate is solid from border to border.
    depth, voxels = crop_pair(together(box(9, 9, 0.5), box(0.1, 0.1, 0.5)), (0, 0), 1.5, 16)
    assert (depth == 1).all()
    filled = voxels.any(axis=(1, 2))
    assert voxels[filled].all()
    assert filled.sum() == pytest.approx(16 / 3, abs=1)
    with pytest.raises(BadInput, match="no vertex lies within"):
        crop_pair(box(), (90, 0), 1, 16)


def test_what_is_out_of_reach_is_no_measurement():
    depth, _ = crop_pair(together(box(0.5, 0.5, 0.1), box(1, 1, 0.1, (0, 0, -20))), (0, 0), 1.2, 16)
    assert (depth == 0).any()
    assert set(np.unique(depth[depth > 0])) == {1}


def test_pairs_of_people_are_fixed_by_their_seed():
    first, again, other = (busts().pair(np.random.default_rng(seed), 24) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    assert first[1].any()


def test_the_file_of_people(tmp_path, refused):
    (tmp_path / "3dobjs").mkdir()
    cube = box()
    lines = [f"v {x} {y} {z}" for x, y, z in cube.vertices] + ["g body"]
    lines += ["f " + " ".join(str(i + 1) for i in face) for face in cube.faces]
    (tmp_path / "3dobjs" / "base.obj").write_text("\n".join(lines))
    target = tmp_path / "targets" / "nose" / "nose-hump-decr.target.gz"
    target.parent.mkdir(parents=True)
    target.write_bytes(gzip.compress(b"# a comment\n1 0.5 0 0\n"))
    clothes = "# hair\nx_scale 0 4 2.0\nverts 0\n3\n0 1 2 0.5 0.25 0.25 0 1 0\n7\nmaterial none\n"
    for style in pack_busts.STYLES:
        (tmp_path / style).mkdir()
        (tmp_path / style / f"{style}.mhclo").write_text(clothes)
        (tmp_path / style / f"{style}.obj").write_text("v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n")
    heads = tmp_path / "heads.npz"
    ids = np.zeros(5071, np.int32)
    ids[9] = 5
    quads = {"group_names": ["body", "l-eye", "r-eye"], "quads": [[0, 9, 9, 9]], "quad_group": [0]}
    names = ["nose/nose-hump-decr", "measure/unused"]
    np.savez(heads, base_vertex_ids=ids, vertices=np.zeros((5071, 3)), target_names=names, **quads)
    out = tmp_path / FILE
    assert pack_busts.main([str(tmp_path), str(tmp_path), str(heads), str(out)]) == 0
    people = load_busts(out)
    np.testing.assert_array_equal(people.neutral, cube.vertices)
    assert [(m.tolist(), d.tolist()) for m, d in people.offsets] == [([1], [[0.5, 0, 0]])]
    assert people.head_vertices.tolist() == [0, -1, -1, -1, -1, 1, -1, -1]
    assert people.hair[0].anchors.tolist() == [[3, 3, 3], [0, 1, 2], [7, 7, 7]]
    assert people.hair[0].units[0] == 2 and len(people.hair) == len(pack_busts.STYLES)
    with refused(BadInput, f"{heads} is no file of busts"):
        load_busts(heads)


def test_frames_that_can_not_be_rendered(tmp_path, capsys):
    assert frames.main([str(tmp_path), "--data", str(tmp_path)]) == 2
    assert "makehuman_busts.npz is no file of busts" in capsys.readouterr().err
    assert frames.main([str(tmp_path), "--data", str(tmp_path), "--count", "0"]) == 2
    assert capsys.readouterr().err == "BadInput: --count is 0; allowed: 1 or more\n"


def test_another_file_is_another_cache(tmp_path):
    for number in (0, 1):
        write_mesh(box(0.5 + 0.1 * number), tmp_path / names(False)[number])
    before = load_sources(tmp_path, None, 0.3, 0.5).key
    assert load_sources(tmp_path, None, 0.3, 0.5).key == before
    write_mesh(box(0.9), tmp_path / names(False)[1])  # as many vertices
    assert load_sources(tmp_path, None, 0.3, 0.5).key != before


def test_packing_from_the_wrong_folder(tmp_path, capsys):
    assert pack_busts.main([*[str(tmp_path)] * 3, str(tmp_path / "out.npz")]) == 2
    assert capsys.readouterr().err.startswith("can't read MakeHuman's files: ")
    assert not (tmp_path / "out.npz").exists()


def test_a_sensor_changes_depth_within_its_range():
    depth = np.zeros((48, 48), np.float32)
    depth[8:40, 8:40] = np.linspace(0.3, 1, 32, dtype=np.float32)
    seen = [through_sensor(depth, np.random.default_rng(seed)) for seed in range(12)]
    for image in seen:
        assert image.dtype == np.float32 and image.shape == depth.shape
        measured = image[image > 0]
        assert measured.min() >= FARTHEST_VALUE and measured.max() <= 1
        both = (image > 0) & (depth > 0)
        assert np.abs(image - depth)[both].mean() < 0.05
    assert len({image.tobytes() for image in seen}) == 12


def made(number):
    rng = np.random.default_rng(number)
    return np.float32(rng.random((9, 9))).astype(np.float16).astype(np.float32), rng.random((9, 9, 9)) > 0.5


def test_the_cache_keeps_what_was_made(tmp_path):
    asked = []

    def make(number):
        asked.append(number)
        return made(number)

    caches = [PairCache(tmp_path, 9, 5, "key", make) for _ in range(2)]
    for cache in caches:
        for number in (1, 4, 6):  # 6 is 1 again
            for kept, true in zip(cache[number], made(number % 5), strict=True):
                np.testing.assert_array_equal(kept, true)
    assert asked == [1, 4]
    PairCache(tmp_path, 9, 5, "another key", make)[1]
    assert asked == [1, 4, 1] and len(list(tmp_path.iterdir())) == 2
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't keep pairs in"):
        PairCache(tmp_path / "file", 9, 5, "key", make)


def test_a_mirror_turns_depth_and_voxels_alike():
    depth, voxels = made(0)
    twice = mirrored(mirrored((depth, voxels)))
    np.testing.assert_array_equal(twice[0], depth)
    np.testing.assert_array_equal(twice[1], voxels)
    assert mirrored((depth, voxels))[1][2, 3, 0] == voxels[2, 3, 8]


def sources(*shares):
    """Sources whose pairs tell which one they are of."""

    def draw(value):
        return lambda rng, size: (np.full((size, size), value, np.float32), np.full((size,) * 3, value > 0.5))

    return Sources([], tuple((draw((k + 1) / len(shares)), share) for k, share in enumerate(shares)), "")


def test_sources_are_drawn_by_their_shares():
    drawn = [sources(0.2, 0.3, 0.5).draw(np.random.default_rng(seed), 5)[1].mean() for seed in range(400)]
    assert np.mean(np.array(drawn) > 0) == pytest.approx(0.8, abs=0.08)  # the second and third are filled


def test_samples_repeat_in_a_mirror_with_other_faults(tmp_path):
    def draw(rng, size):
        return np.float32(rng.uniform(0.3, 1, (size, size))), rng.random((size,) * 3) > 0.5

    whole = Sources([], ((draw, 1.0),), "")
    cache = PairCache(tmp_path, 8, 4, "", lambda n: draw(np.random.default_rng(n), 8))
    first, second = (VoxelSamples(whole, 8, 0, start, 4, cache) for start in (0, 4))
    assert len(first) == 4
    for i in range(4):
        torch.testing.assert_close(second[i][1], first[i][1].flip(2))
    assert any(not torch.equal(second[i][0], first[i][0].flip(2)) for i in range(4))
    again = VoxelSamples(whole, 8, 0, 0, 4, cache)
    assert all(torch.equal(again[i][0], first[i][0]) for i in range(4))


def test_a_pair_of_another_size_is_cut_or_padded_and_normalised_anew():
    depth, voxels = np.full((12, 12), 0.5, np.float32), np.ones((12, 12, 12), bool)
    depth[0] = 1  # is cut off
    cut, solid = fit_size(depth, voxels, 8)
    assert (cut == 1).all() and solid.all() and solid.shape == (8, 8, 8)
    padded, solid = fit_size(depth[:6, :6], voxels[:6, :6, :6], 8)
    assert (padded[[0, -1]] == 0).all() and not solid[0].any() and solid[3, 3, 3]


def test_a_small_folder_counts_by_its_square_root(tmp_path):
    kept = names(False)
    for folder, count in (("crates", 16), ("busts", 1)):
        (tmp_path / folder).mkdir()
        for name in kept[:count]:
            write_mesh(box(), tmp_path / folder / name)
        kept = kept[count:]
    chances = load_objects(tmp_path).chances
    assert sorted(chances)[-1] == pytest.approx(1 / 5)  # 1 of 1 + 4
    assert chances.sum() == pytest.approx(1)


def test_objects_alone_and_beside_people(tmp_path):
    for name in names(False)[:2]:
        write_mesh(box(), tmp_path / name)
    assert [share for _, share in load_sources(tmp_path, None, 0.3, 0.5).draws] == [1.0]
    people = busts()
    arrays = {"vertices": people.neutral, "faces": people.faces, "face68": people.face68, "hair_names": ["cap"]}
    arrays["head_vertices"] = people.head_vertices
    arrays |= {f"hair_cap_{field.name}": getattr(CAP, field.name) for field in fields(Hair)}
    arrays |= {"target_names": ["x"], "target_indptr": [0, 0], "target_indices": [], "target_deltas": []}
    np.savez(tmp_path / FILE, **arrays)
    assert [share for _, share in load_sources(tmp_path, None, 0.3, 0.5).draws] == [0.7, 0.3]


def test_voxels_near_a_surface():
    voxels = torch.zeros(1, 9, 9, 9)
    voxels[:, 3:, :, :] = 1
    near = near_surface(voxels)[0]
    assert near[:, 4, 4].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0]
