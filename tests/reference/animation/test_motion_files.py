"""Rows I10: BVH and GLB files, the library and its labels, and files that can't be used."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from reference.animation.motion.bvh import read_bvh
from reference.animation.motion.files import FileOptions, load_file
from reference.animation.motion.gait import GAITS, to_bvh
from reference.animation.motion.gltf import clip_names, read_skeleton, strip
from reference.animation.motion.library import (
    MOTIONS_DIR,
    load_motion,
    read_labels,
    read_library,
    with_motion,
)
from reference.animation.motion.rigs import heading
from reference.animation.motion.rotations import about_y
from reference.animation.motion.skeleton import Skeleton, forward, resample
from reference.animation.motion.source import TOPOLOGIES
from reference.errors import BadInput
from reference.geometry.glb import Buffers, pack, read_glb

LIBRARY = read_library()
BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 10 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Chest
  {
    OFFSET 0 5 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 4 0
    }
  }
  JOINT Leg
  {
    OFFSET 2 -5 0
    CHANNELS 1 Xrotation
    End Site
    {
      OFFSET 0 -5 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.05
0 10 0 0 0 0 0 0 0 0
1 12 3 90 0 0 0 90 0 45
"""


def written(tmp_path, text, name="a.bvh"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_a_bvh_file_by_hand(tmp_path):
    skeleton, clip = read_bvh(written(tmp_path, BVH))
    assert skeleton.names == ("Hips", "Chest", "Chest_end", "Leg", "Leg_end")
    assert skeleton.parents.tolist() == [-1, 0, 1, 0, 3]
    assert clip.frame_rate == pytest.approx(20)
    pose = forward(skeleton, clip)
    assert np.allclose(pose.positions[0], skeleton.positions)
    # A quarter turn about z takes the chest from above the hips to their left (x negative) ...
    assert np.allclose(pose.positions[1, 1], (1 - 5, 12, 3))
    # ... and the chest's own quarter turn about x then takes its end, in the turned frame, to +z.
    assert np.allclose(pose.positions[1, 2], (1 - 5, 12, 3 + 4))


def test_radians_and_the_order_of_channels(tmp_path):
    _, clip = read_bvh(written(tmp_path, BVH))
    rows = BVH.splitlines()
    values = [float(v) for v in rows[-1].split()]
    turned = [v if i < 3 else np.radians(v) for i, v in enumerate(values)]
    text = "\n".join([*rows[:-1], " ".join(map(repr, map(float, turned)))])
    _, radians = read_bvh(written(tmp_path, text, "r.bvh"), "radians")
    assert np.allclose(radians.rotations, clip.rotations)
    mixed = BVH.replace("CHANNELS 3 Zrotation Xrotation Yrotation", "CHANNELS 3 Xrotation Zrotation Yrotation")
    _, other = read_bvh(written(tmp_path, mixed.replace("0 90 0 45", "90 90 0 45"), "m.bvh"))
    wanted = Rotation.from_euler("XZ", [90, 90], degrees=True).as_matrix()
    assert np.allclose(other.rotations[1, 1], wanted)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("HIERARCHY", "HIER"), ("no HIERARCHY and MOTION",)),
        (("    CHANNELS 3 Zrotation Xrotation Yrotation\n", ""), ("joint 'Chest' has no CHANNELS",)),
        (("CHANNELS 1 Xrotation", "CHANNELS 2 Xrotation"), ("CHANNELS 2 Xrotation", "allowed")),
        (("CHANNELS 1 Xrotation", "CHANNELS 1 Wrotation"), ("Wrotation", "Xrotation")),
        (("0 90 0 45", "0 90 0"), ("line 29", "9 numbers", "need 10")),
        (("0 90 0 45", "0 90 0 x"), ("line 29", "allowed: numbers")),
        (("0 90 0 45", "0 90 0 nan"), ("NaN",)),
        (("Frames: 2", "Frames: 3"), ("2 lines of motion", "says 3", "cut short")),
        (("Frames: 2", "Frames: 0"), ("0 frames",)),
        (("Frame Time: 0.05", "Frame Time: 0"), ("of 0.0 s",)),
        (("Frame Time: 0.05\n", ""), ("allowed: Frames: and Frame Time:",)),
        (("}\nMOTION", "}\nROOT Other\n{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n}\nMOTION"), ("second ROOT",)),
        (("}\nMOTION", "MOTION"), ("1 braces", "cut short")),
        (("OFFSET 2 -5 0\n", "\n"), ("joint 'Leg' has no OFFSET",)),
        (("OFFSET 2 -5 0", "OFFSET 2 -5"), ("2 numbers",)),
        (("JOINT Leg", "BONE Leg"), ("BONE Leg", "allowed: ROOT, JOINT")),
        (("1 12 3 90 0 0 0 90 0 45", "1 12 3 1.5 0 0 0 1.5 0 0.7"), ("radians", "--angles")),
    ],
)
def test_bvh_files_that_can_t_be_used(tmp_path, refused, change, parts):
    assert change[0] in BVH
    with refused(BadInput, *parts):
        read_bvh(written(tmp_path, BVH.replace(*change)))


def test_degrees_taken_for_radians_are_refused(tmp_path, refused):
    with refused(BadInput, "can't be radians"):
        read_bvh(written(tmp_path, BVH), "radians")
    with refused(BadInput, "angles are 'turns'"):
        read_bvh(written(tmp_path, BVH), "turns")
    with refused(BadInput, "no motion"):
        read_bvh(tmp_path / "none.bvh")


@given(rate=st.sampled_from([12.0, 24.0, 25.0, 60.0, 120.0]))
def test_other_frame_rates_give_the_same_motion(rate):
    motion = load_motion(LIBRARY["knight"], "walk")
    changed = resample(motion.clip, rate)
    assert changed.duration_s == pytest.approx(motion.clip.duration_s, abs=1 / rate)
    there_and_back = resample(changed, motion.clip.frame_rate)
    if rate >= 60:
        count = len(there_and_back)
        a, b = (forward(motion.skeleton, c).positions[:count] for c in (motion.clip, there_and_back))
        assert np.abs(a[:count] - b).max() < 0.02 * motion.skeleton.size


def test_the_library_holds_three_of_each_topology_with_walk_idle_and_jump():
    for topology in ("two_feet", "four_feet"):
        figures = [f for f in LIBRARY.values() if f.topology == topology]
        assert sum("walk" in f.clips for f in figures) >= 3
        assert {"idle", "jump"} <= {clip for f in figures for clip in f.clips}


@pytest.mark.parametrize("name", LIBRARY)
def test_library_figures_stand_upright_face_front_and_have_no_helpers(name):
    motion = load_motion(LIBRARY[name], next(iter(LIBRARY[name].clips)))
    skeleton, places = motion.skeleton, motion.skeleton.positions
    assert not [n for n in skeleton.names if any(w in n for w in ("IK", "Pole", "PT.", "Thumb", "Ear"))]
    feet = {"two_feet": 2, "four_feet": 4, "winged": 2, "two_feet_tail": 2, "no_feet": 0, "many_feet": 2}
    assert len(motion.feet) == feet[motion.topology]
    head = places[[n.lower().startswith("head") for n in skeleton.names]]
    if motion.feet:
        assert places[list(motion.feet), 1].max() < places[:, 1].mean() < head[:, 1].min()
        lefts = [n.endswith((".L", ".l", ".L_end", "_L")) or n.startswith("Left") for n in skeleton.names]
        rights = [n.endswith((".R", ".r", ".R_end", "_R")) or n.startswith("Right") for n in skeleton.names]
        assert places[lefts, 0].mean() > places[rights, 0].mean(), "their left is +x"
    if motion.topology not in ("two_feet", "many_feet"):
        assert head[:, 2].mean() > places[:, 2].max() - 0.4 * np.ptp(places[:, 2])


def test_walks_move_their_feet_and_come_back():
    for name, figure in LIBRARY.items():
        if "walk" not in figure.clips:
            continue
        motion = load_motion(figure, "walk")
        positions = forward(motion.skeleton, motion.clip).positions
        relative = positions[:, list(motion.feet)] - positions[:, :1]
        assert np.ptp(relative, axis=0).max() > 0.1 * motion.skeleton.size, name


def test_labels_lead_to_figures_both_ways(tmp_path, refused):
    labels = read_labels()
    assert set(labels.topology) == set(TOPOLOGIES)
    for topology, figures in labels.topology.items():
        assert figures and all(LIBRARY[figure].topology == topology for figure in figures)
    wanted = {
        "giraffe": "four_feet",
        "panda": "four_feet",
        "koala": "four_feet",
        "person": "two_feet",
        "bird": "winged",
    }
    assert {label: LIBRARY[labels.dataset[label]].topology for label in wanted} == wanted
    own = read_labels(written(tmp_path, "topology: {four_feet: cow}\ndataset: {teapot: cow}\n", "l.yaml"))
    assert own.dataset == {"teapot": "cow"}
    assert own.topology["four_feet"] == ("cow",) and own.topology["two_feet"] == labels.topology["two_feet"]
    for text, part in (
        ("topology: {two_feet: knight, four_feet: cow}", "the maps topology and dataset"),
        ("topology: {two_feet: knight, four_feet: cow}\ndataset: {a: ghost}", "'a' to 'ghost'"),
        ("topology: {six_feet: knight}\ndataset: {}", "maps the topologies six_feet; allowed: two_feet"),
        ("[1", "can't read"),
        ("- 1", "holds no map"),
    ):
        with refused(BadInput, part):
            read_labels(written(tmp_path, text, "bad.yaml"))


def test_a_motion_is_looked_for_in_figures_of_the_same_topology(refused):
    figure, clips, notes = with_motion(LIBRARY, "adventurer", ("jump",))
    assert (figure.name, clips, notes) == ("knight", ("jump",), [])
    figure, clips, notes = with_motion(LIBRARY, "horse", ("dab",))
    assert (figure.name, clips) == ("horse", ("walk",)) and "no source on four_feet has dab" in notes[0]
    assert with_motion(LIBRARY, "fish", ())[1] == ("swim",)
    with refused(BadInput, "motion is 'moonwalk'", "allowed: cheer"):
        with_motion(LIBRARY, "horse", ("moonwalk",))
    with refused(BadInput, "'horse' has no motion 'dab'", "walk, run"):
        load_motion(LIBRARY["horse"], "dab")


def test_authored_gaits_are_what_the_library_holds():
    for name, gait in GAITS.items():
        assert (MOTIONS_DIR / f"{name}.bvh").read_text(encoding="utf-8") == to_bvh(gait)


def test_files_of_a_user_lose_their_helpers(refused):
    motion = load_file(MOTIONS_DIR / "horse.glb")
    assert not [n for n in motion.skeleton.names if "IK" in n or "Pole" in n]
    assert len(motion.feet) == 4
    human = load_file(MOTIONS_DIR / "human_wave.bvh", FileOptions(up="z"))
    assert human.skeleton.names[0] == "Hips" and human.clip.frame_rate == 30
    assert human.skeleton.positions[human.skeleton.names.index("Head"), 1] > 10
    with refused(BadInput, "no clip 'Fly'", "AnimalArmature|Walk"):
        load_file(MOTIONS_DIR / "horse.glb", FileOptions("Fly"))
    with refused(BadInput, "up is 'x'"):
        load_file(MOTIONS_DIR / "horse.glb", FileOptions(up="x"))
    with refused(BadInput, "allowed: a name of the library, or a .bvh or .glb file"):
        load_file(MOTIONS_DIR / "library.yaml")


@pytest.mark.parametrize(
    ("file", "topology", "up"),
    [
        ("horse.glb", "four_feet", "y"), ("cow.glb", "four_feet", "y"), ("shiba.glb", "four_feet", "y"),
        ("bird.glb", "winged", "y"), ("fowl_walk.bvh", "winged", "y"), ("dinosaur_walk.bvh", "two_feet_tail", "y"),
        ("adventures.glb", "two_feet", "y"), ("human_wave.bvh", "two_feet", "z"), ("snake_crawl.bvh", "no_feet", "y"),
    ],
)  # fmt: skip
def test_what_a_file_moves_on_is_found(file, topology, up):
    assert load_file(MOTIONS_DIR / file, FileOptions(up=up)).topology == topology


def test_a_figure_that_looks_elsewhere_is_turned_to_the_front():
    skeleton = load_motion(LIBRARY["horse"], "walk").skeleton
    assert abs(heading(skeleton, "four_feet")) < 5
    for degrees in (90.0, -90.0, 180.0):
        turned = Skeleton(skeleton.names, skeleton.parents, skeleton.positions @ about_y(degrees).T)
        assert abs((heading(turned, "four_feet") - degrees + 180) % 360 - 180) < 5
        nameless = Skeleton(tuple(f"j{i}" for i in range(len(skeleton))), turned.parents, turned.positions)
        assert abs((heading(nameless, "four_feet") - degrees + 180) % 360 - 180) < 5, "by places alone"


@pytest.mark.parametrize("clip", ["Fly", "Glide", "Idle"])
def test_a_bird_that_lays_its_legs_back_is_not_turned(clip):
    motion = load_file(MOTIONS_DIR / "bird.glb", FileOptions(clip=clip))
    head = motion.skeleton.names.index("Head")
    for places in (motion.skeleton.positions, forward(motion.skeleton, motion.clip).positions[0]):
        ahead = places[head] - places[0]
        assert ahead[2] > 0.5 * np.linalg.norm(ahead) and abs(ahead[0]) < 0.1 * np.linalg.norm(ahead)


def on_one_line(folder):
    """A figure whose offsets all run along y, its limbs spread by the frames' rotations alone."""
    text = """HIERARCHY
ROOT Hips
{ OFFSET 0 0 0
CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
JOINT Spine
{ OFFSET 0 2 0
CHANNELS 3 Zrotation Xrotation Yrotation
JOINT LeftArm
{ OFFSET 0 2 0
CHANNELS 3 Zrotation Xrotation Yrotation
End Site
{ OFFSET 0 3 0
}
}
}
JOINT LeftLeg
{ OFFSET 0 0.1 0
CHANNELS 3 Zrotation Xrotation Yrotation
End Site
{ OFFSET 0 4 0
}
}
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 4 0 0 0 0 0 0 0 -90 0 0 180 0 0
0 4 0 0 0 0 0 0 0 -60 0 0 170 0 0
"""
    lines = [line for line in text.replace("{ ", "{\n").splitlines() if line]
    return written(folder, "\n".join(lines) + "\n", "line.bvh")


def test_offsets_on_one_line_are_no_rest_pose(tmp_path):
    path = on_one_line(tmp_path)
    motion = load_file(path, FileOptions(heading="file"))
    assert "no rest pose" in motion.notes[0]
    places = dict(zip(motion.skeleton.names, motion.skeleton.positions - motion.skeleton.positions[0], strict=True))
    assert np.allclose(places["LeftArm_end"], (3, 4, 0), atol=1e-6) and np.allclose(places["LeftLeg_end"], (0, -3.9, 0))
    assert np.ptp(load_file(path, FileOptions(rest="file", heading="file")).skeleton.positions[:, 0]) < 1e-9
    later = load_file(path, FileOptions(rest="1", heading="file"))
    assert not later.notes and later.skeleton.positions[later.skeleton.names.index("LeftArm_end"), 1] > 5


def changed(tmp_path, change):
    glb = read_glb(MOTIONS_DIR / "knight.glb")
    document = json.loads(json.dumps(glb.document))
    change(document)
    (tmp_path / "c.glb").write_bytes(pack(document, glb.binary))
    return tmp_path / "c.glb"


def test_draco_is_refused_with_a_way_out(tmp_path, refused):
    path = changed(tmp_path, lambda d: d.update(extensionsRequired=["KHR_draco_mesh_compression"]))
    with refused(BadInput, "compressed (KHR_draco_mesh_compression)", "without compression"):
        load_file(path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda d: d.pop("animations"), "no animation"),
        (lambda d: d["accessors"][0].update(sparse={}), "sparsely"),
        (lambda d: d["accessors"][0].update(count=10**9), "lacks the data"),
        (lambda d: d["skins"][0].update(joints=[10**6]), "joint 1000000 of 45 nodes"),
        (lambda d: d["nodes"][1].update(children=[1]), "hangs at two parents"),
        (lambda d: d["nodes"][1].update(translation=["x", 0, 0]), "damaged skeleton"),
        (lambda d: d["nodes"][0].update(children=[1, 3]), "hangs at two parents"),
        (lambda d: d["scenes"].append({}), None),
    ],
)
def test_damaged_glb_files(tmp_path, refused, change, part):
    path = changed(tmp_path, change)
    if part is None:
        load_file(path)
        return
    with refused(BadInput, part):
        load_file(path)


def test_two_roots_are_refused(tmp_path, refused):
    """Two whole skeletons in one file: nobody could say which one is meant."""
    glb = read_glb(MOTIONS_DIR / "knight.glb")
    document = json.loads(json.dumps(glb.document))
    shift = len(document["nodes"])
    twin = json.loads(json.dumps(document["nodes"]))
    for node in twin:
        node["children"] = [c + shift for c in node.get("children", [])]
    document["nodes"] += twin
    document["skins"][0]["joints"] += [j + shift for j in document["skins"][0]["joints"]]
    (tmp_path / "two.glb").write_bytes(pack(document, glb.binary))
    with refused(BadInput, "2 roots", "save each on its own"):
        load_file(tmp_path / "two.glb")


def test_what_is_no_glb_is_refused(tmp_path, refused):
    for content in (b"", b"glTF", b"PK\x03\x04" + bytes(100), struct.pack("<III", 0x46546C67, 1, 12) + bytes(8)):
        (tmp_path / "x.glb").write_bytes(content)
        with refused(BadInput, "allowed: binary glTF 2.0"):
            read_glb(tmp_path / "x.glb")
    with refused(BadInput, "no motion"):
        read_glb(tmp_path / "none.glb")


def test_stripped_files_hold_what_the_library_needs():
    for figure in LIBRARY.values():
        for path, clip in figure.clips.values():
            if path.suffix == ".glb":
                glb = read_glb(path)
                assert clip in clip_names(glb) and "meshes" not in glb.document
                read_skeleton(glb, [clip])


def test_sparse_and_normalised_clips_survive_stripping(tmp_path):
    """A quarter turn as 16-bit parts of one, stored sparsely: read right, and again from the stripped file."""
    buffers = Buffers()
    times = buffers.add(np.array([0, 1], np.float32))
    numbers = buffers.view(np.array([0, 1], np.uint8).tobytes())
    turns = buffers.view((np.array([[0, 0, 0, 1], [0, 0, 0.5**0.5, 0.5**0.5]]) * 32767).round().astype("<i2").tobytes())
    document = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "root", "children": [1]}, {"name": "tip", "translation": [0, 1, 0]}],
        "skins": [{"joints": [0, 1]}],
        "animations": [
            {
                "name": "turn",
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}],
                "samplers": [{"input": times, "output": 1}],
            }
        ],
        **buffers.document(),
    }
    sparse = {
        "count": 2, "indices": {"bufferView": numbers, "componentType": 5121}, "values": {"bufferView": turns},
    }  # fmt: skip
    document["accessors"].append(
        {"componentType": 5122, "normalized": True, "count": 2, "type": "VEC4", "sparse": sparse}
    )
    (tmp_path / "a.glb").write_bytes(pack(document, buffers.binary))
    (tmp_path / "b.glb").write_bytes(strip(read_glb(tmp_path / "a.glb"), ["turn"]))
    for name in ("a.glb", "b.glb"):
        _, [(pose, _)] = read_skeleton(read_glb(tmp_path / name), ["turn"])
        np.testing.assert_allclose(pose.positions[-1], [[0, 0, 0], [-1, 0, 0]], atol=1e-4)
