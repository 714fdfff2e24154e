"""Folders of meshes for training and evaluation of the voxel networks."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reference import evaluate
from reference.data.meshes import chosen_meshes, find_meshes, front_view, is_held_out, load_objects
from reference.errors import BadInput
from reference.geometry.mesh import Mesh, scaling, transform, triangulate
from reference.geometry.mesh_io import write_mesh
from reference.tasks.depth_to_voxels import measure
from reference.train.__main__ import main as train

# Of a spec what measuring needs, at a size that takes no time.
SMALL = SimpleNamespace(sampling=SimpleNamespace(size=(24, 24)), postprocess=SimpleNamespace(threshold=0.5))


def box(width=1.0, height=1.0, depth=1.0, at=(0, 0, 0)):
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return Mesh(corners * [width, height, depth] + at, triangulate(np.array(quads, np.int32)))


def names(held_out, suffix=".ply"):
    """Names of files that are, or aren't, held out."""
    every = (f"box{number}{suffix}" for number in range(1000))
    return [name for name in every if is_held_out(Path(name)) == held_out]


@pytest.fixture
def folder(tmp_path):
    """Three meshes to train on, in three formats, and two held out."""
    meshes = tmp_path / "meshes"
    (meshes / "deep" / "down").mkdir(parents=True)
    write_mesh(box(), meshes / names(False)[0])
    write_mesh(box(0.5), meshes / "deep" / names(False, ".obj")[0])
    far = transform(box(1, 0.6), scaling(300, (9000, 0, 5)))
    write_mesh(far, meshes / "deep" / "down" / names(False, ".glb")[0])
    for name, width in zip(names(True)[:2], (0.8, 0.4), strict=True):
        write_mesh(box(width), meshes / name)
    (meshes / "readme.txt").write_text("no mesh")
    return meshes


def test_every_mesh_below_a_folder_is_found(folder):
    assert len(find_meshes(folder)) == 5
    assert len(chosen_meshes(folder, held_out=True)) == 2
    assert len(load_objects(folder).meshes) == 3


def test_one_file_in_ten_is_held_out_whatever_its_folder():
    paths = [Path(f"mesh {number}.ply") for number in range(2000)]
    assert 0.08 < np.mean([is_held_out(path) for path in paths]) < 0.12
    assert all(is_held_out(path) == is_held_out("any" / path) for path in paths[:50])


def test_a_mesh_is_fitted_whatever_its_place_and_size(tmp_path):
    write_mesh(box(0.7, 0.4), tmp_path / "a.ply")
    write_mesh(transform(box(0.7, 0.4), scaling(250, (800, -300, 50))), tmp_path / "b.ply")
    (depth, voxels), (far_depth, far_voxels) = (front_view(tmp_path / name, 24) for name in ("a.ply", "b.ply"))
    np.testing.assert_array_equal(depth, far_depth)
    np.testing.assert_array_equal(voxels, far_voxels)
    assert depth.shape == (24, 24)
    assert voxels.any()


def test_too_thin_objects_are_left_out(tmp_path, refused):
    write_mesh(box(0.002, 1, 0.002), tmp_path / "needle1.ply")
    files = "1 files of .ply, .obj, .glb, .stl, .off"
    with refused(BadInput, f"no mesh to train on in {tmp_path} ({files}, none solid enough)"):
        load_objects(tmp_path)


def evaluated(capsys, *arguments):
    code = evaluate.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_command_measures_a_folder_of_meshes(folder, capsys):
    document = evaluated(capsys, "voxel64", "--data", folder, "--json")
    assert document["model"] == "voxel64"
    metrics = document["metrics"]
    assert list(metrics) == ["iou_mean", "iou_worst", "chamfer_percent"]
    assert 0 <= metrics["iou_worst"] < metrics["iou_mean"] <= 1
    assert 0 < metrics["chamfer_percent"] <= 100
    held_out = evaluated(capsys, "voxel64", "--data", folder, "--held-out", "--json")["metrics"]
    assert held_out["iou_mean"] != metrics["iou_mean"]


def test_a_network_that_answers_the_truth_is_perfect(folder):
    truth = {depth.tobytes(): voxels for depth, voxels in (front_view(p, 24) for p in find_meshes(folder))}

    def answers(depth):
        return torch.from_numpy(truth[depth.numpy().tobytes()][None]).float()

    metrics = measure(SMALL, answers, folder)
    assert metrics["iou_mean"] == metrics["iou_worst"] == 1
    assert metrics["chamfer_percent"] == pytest.approx(0, abs=0.1)
    # The check can fail: an answer of nothing.
    nothing = measure(SMALL, lambda depth: torch.zeros(1, 24, 24, 24), folder)
    assert nothing == {"iou_mean": 0, "iou_worst": 0, "chamfer_percent": 100}


@pytest.mark.parametrize(
    ("write", "parts"),
    [
        (lambda f: None, ("no head model and no mesh in", "ict_facekit.npz or makehuman_heads.npz, or .ply, .obj")),
        (lambda f: (f / "a.ply").write_text("nothing"), ("a.ply has no PLY header",)),
        (lambda f: (f / "a.obj").write_text("v 0 0 0\n"), ("a.obj: mesh with 1 vertices and 0 faces, allowed is at",)),
        (lambda f: (f / "a.obj").write_text("v 1 1 1\nv 1 1 1\nf 1 2 1\n"), ("a.obj: mesh has all vertices in one",)),
        (lambda f: (f / "a.obj").write_text("v 0 0 nan\nv 1 1 1\nf 1 2 1\n"), ("a.obj: mesh has 1 vertices with NaN",)),
    ],
    ids=["nothing", "damaged", "empty", "a point", "NaN"],
)
def test_folders_that_can_not_be_measured(write, parts, tmp_path, capsys):
    write(tmp_path)
    assert evaluate.main(["voxel64", "--data", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("BadInput: ") and err.count("\n") == 1
    for part in parts:
        assert part in err


def test_no_held_out_mesh(tmp_path, refused):
    write_mesh(box(), tmp_path / names(False)[0])
    with refused(BadInput, f"none of the 1 mesh files in {tmp_path} is held out"):
        chosen_meshes(tmp_path, held_out=True)


@pytest.mark.parametrize("more", ["", "--cache {tmp}/cache --cached 3 --surface-weight 2 --bf16"])
def test_training_on_a_folder_of_meshes(more, folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = f"--data {folder} --samples 4 --batch 2 --epochs 1 --out {out} --json {more.format(tmp=tmp_path)}"
    assert train(["voxel64", *options.split()]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert set(metrics) == {"iou_mean", "iou_worst"}
    assert (out / "weights.safetensors").is_file()
    before = (out / "log.csv").read_text()
    assert train(["voxel64", *options.replace("--epochs 1", "--epochs 2").split()]) == 0  # resumes
    capsys.readouterr()
    assert (out / "log.csv").read_text().startswith(before)
    assert (out / "log.csv").read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--object-share", "1.5"], ("--object-share is 1.5; allowed: 0 to 1",)),
        (["--bust-share", "-1"], ("--bust-share is -1.0; allowed: 0 to 1",)),
        (["--surface-weight", "-1"], ("--surface-weight is -1.0; allowed: 0",)),
        (["--cached", "0"], ("--cached is 0; allowed: 1 or more",)),
        (["--objects", "{tmp}/none"], ("no folder", "--objects names a folder with meshes")),
    ],
)
def test_wrong_use(options, parts, folder, tmp_path, capsys):
    given = [option.format(tmp=tmp_path) for option in options]
    assert train(["voxel64", "--data", str(folder), *given, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    for part in parts:
        assert part in err
