"""The export command: what it prints, how it fails, and that no half bundle is ever seen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdk_build.export import main

ROOT = Path(__file__).parents[2]
WEB = ["--target", "web", "--model", "template_keypoints", "--precision", "fp16"]
PARITY_KEYS = {"runtime", "stage", "output", "metric", "value", "limit", "passed"}


def test_help_is_quick_and_imports_no_toolchain(command):
    code = "import sys, sdk_build.export as e\ntry: e.main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "--target" in done.stdout
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "numpy", "cv2", "coremltools", "executorch", "litert_torch", "rich"}


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        (["--target", "windows"], ("target is 'windows'", "ios, android, web, all")),
        (["--model", "resnet"], ("model is 'resnet'", "classifier", "voxel64")),
        (["--precision", "int3"], ("precision is 'int3'", "fp32, fp16")),
    ],
)
def test_unknown_words_list_the_known_ones(changed, parts, tmp_path, fails):
    fails(main, [*WEB, *changed, "--output-dir", tmp_path], 2, "BadInput", *parts)
    assert not list(tmp_path.iterdir())


def test_json_is_one_document(web_dist, tmp_path, command):
    done = command("sdk_build.export", *WEB, "--output-dir", tmp_path / "dist", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (bundle,) = document["bundles"]
    assert document["failed"] == []
    assert {*bundle} == {"id", "path", "model", "target", "precision", "passed", "size_bytes", "seconds", "parity"}
    assert bundle["id"] == "template_keypoints-web-fp16" and bundle["passed"] is True
    assert bundle["size_bytes"] > 500_000 and bundle["seconds"] > 0
    assert all({*check} == PARITY_KEYS and check["passed"] for check in bundle["parity"])
    assert {check["stage"] for check in bundle["parity"]} == {
        "golden_vs_reference",
        "reference_vs_lowered",
        "lowered_vs_artifact",
    }
    assert [p.name for p in (tmp_path / "dist").iterdir()] == [bundle["id"]]


def test_an_output_folder_that_is_a_file(tmp_path, capsys):
    (tmp_path / "dist").write_text("")
    assert main([*WEB, "--output-dir", str(tmp_path / "dist")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "can't write" in err and "--output-dir" in err
    assert (tmp_path / "dist").read_text() == ""


def test_a_place_where_nothing_can_be_written(capsys):
    assert main([*WEB, "--output-dir", "/proc/onpar"]) == 2
    err = capsys.readouterr().err
    assert "can't write /proc/onpar" in err and "--output-dir" in err and err.count("\n") == 1


def test_a_full_disk_leaves_nothing(tmp_path, command):
    """In a process whose files can't pass a megabyte, writing ends with EFBIG as it does with ENOSPC on a full disk."""
    limited = (
        "import resource, runpy, sys; from ai_edge_quantizer import quantizer; import litert_torch; "
        "from sdk_build.backends import litert; whole = litert._halve_weights; "
        "litert._halve_weights = lambda m: (whole(m), resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000,) * 2))[0]; "
        "from sdk_build.export import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *WEB, "--output-dir", str(tmp_path / "dist")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2, done.stderr
    line = done.stderr.splitlines()[-1]
    assert "can't write" in line and "File too large" in line and "--output-dir" in line
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "dist").iterdir())


def test_a_killed_export_is_never_seen_and_the_next_one_works(web_bundle, tmp_path, command):
    dist = tmp_path / "dist"
    dist.mkdir()
    shutil.copytree(web_bundle, dist / web_bundle.name)
    before = (dist / web_bundle.name / "bundle.json").read_bytes()
    export = subprocess.Popen(
        [sys.executable, "-m", "sdk_build.export", *WEB, "--output-dir", str(dist)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(dist.glob(".onpar-tmp-*")) and time.monotonic() < deadline:
        os.sched_yield()
    os.killpg(export.pid, signal.SIGKILL)
    export.wait()
    assert list(dist.glob(".onpar-tmp-*")), "the export was killed in its work"
    assert [p.name for p in dist.glob("[!.]*")] == [web_bundle.name]
    assert (dist / web_bundle.name / "bundle.json").read_bytes() == before
    done = command("sdk_build.export", *WEB, "--output-dir", dist)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in dist.iterdir()] == [web_bundle.name]


@pytest.mark.parametrize(
    ("file", "damage", "code", "parts"),
    [
        ("weights.safetensors", "cut", 2, ("WeightsError", "weights.safetensors", "restore")),
        ("weights.safetensors", "remove", 2, ("WeightsError", "no weights", "train")),
        ("card.yaml", "remove", 2, ("BadInput", "card.yaml")),
        ("golden/tensors.safetensors", "remove", 2, ("BadInput", "golden", "reference.golden")),
        ("golden/input_1.png", "remove", 2, ("BadInput", "golden", "input_1.png")),
    ],
)
def test_damaged_model_files_are_named(file, damage, code, parts, models_dir, tmp_path, monkeypatch, capsys):
    path = models_dir / "template_keypoints" / file
    path.write_bytes(path.read_bytes()[:1000]) if damage == "cut" else path.unlink()
    import sdk_build.build

    whole = sdk_build.build.load_reference
    monkeypatch.setattr(sdk_build.build, "load_reference", lambda spec, _dir: whole(spec, models_dir))
    assert main([*WEB, "--output-dir", str(tmp_path / "dist")]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and all(part in err for part in parts), err
    assert not list((tmp_path / "dist").glob("*"))
