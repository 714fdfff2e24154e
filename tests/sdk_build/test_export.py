"""``python -m sdk_build.export``: the command as a user and as CI meet it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from reference.registry import MODELS
from sdk_build import export
from sdk_build.bundle.files import open_bundle

from .conftest import MODEL, ROOT

HEAVY = {
    "torch", "numpy", "cv2", "PIL", "rich", "yaml", "scipy", "skimage", "safetensors", "cryptography",
    "coremltools", "executorch", "litert_torch", "ai_edge_litert", "torchao", "tensorflow", "jax",
}  # fmt: skip
BUNDLE_KEYS = ["id", "path", "model", "target", "precision", "passed", "size_bytes", "seconds", "cached", "parity"]
CHECK_KEYS = ["runtime", "stage", "output", "metric", "value", "limit", "passed"]
WEB = ("--target", "web", "--model", MODEL, "--precision", "fp16")


@pytest.mark.parametrize("module", ["export", "verify", "predict", "report", "quantize"])
def test_help_imports_nothing_heavy(module):
    script = f"""
import runpy, sys
sys.argv[1:] = ["--help"]
try:
    runpy.run_module("sdk_build.{module}", run_name="__main__", alter_sys=True)
except SystemExit as ended:
    assert ended.code == 0
print(sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    *text, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    assert text[0].startswith(f"usage: python -m sdk_build.{module}")
    assert "Exit codes: 0 " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "watch"], "BadInput: target is 'watch'; allowed: ios, android, web, all; see --help"),
        (["--target", "web", "--precision", "int4"], "precision is 'int4'; allowed: default, fp32, fp16"),
        (["--target", "web", "--model", "resnet"], f"model is 'resnet'; allowed: {', '.join(MODELS)}"),
        (["--target", "web", "--model", MODEL, "resnet"], "model is 'resnet'"),
        (["--target", "web", "--model", ""], "model is ''"),
    ],
)
def test_unknown_words_are_refused_with_the_known_ones(arguments, message, tmp_path, fails):
    fails(export.main, [*arguments, "--output-dir", tmp_path / "dist"], 2, message)
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("arguments", [[], ["--target"], ["--target", "web", "--speed", "9"]])
def test_wrong_use_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        export.main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m sdk_build.export")


def test_all_is_every_model_that_does_not_need_to_be_named():
    names = [spec.name for spec in export.choose_models(["all"])]
    assert names == [name for name, spec in MODELS.items() if spec.in_all]
    assert MODEL in names
    assert [spec.name for spec in export.choose_models(["voxel64", MODEL, "voxel64"])] == ["voxel64", MODEL]


def test_a_second_model_option_adds_to_the_first():
    given = ["--target", "web", "--model", MODEL, "--model", "voxel64", "face3d"]
    assert export.parse(given).model == [MODEL, "voxel64", "face3d"]


@pytest.mark.parametrize("place", ["file", "/proc/dist", "/sys/dist"])
def test_an_output_folder_that_can_not_be_written(place, tmp_path, fails):
    (tmp_path / "file").write_text("mine")
    target = tmp_path / place
    if not target.parent.is_dir():
        pytest.skip(f"no {target.parent} here")
    fails(export.main, [*WEB, "--output-dir", target], 2, f"{MODEL}: BadInput: can't write {target}", "choose another")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_is_part_of_the_json(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert export.main([*WEB, "--output-dir", str(tmp_path / "file"), "--json"]) == 2
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert list(document) == ["bundles", "failed"]
    assert document["bundles"] == []
    (failed,) = document["failed"]
    assert (failed["model"], failed["error"]) == (MODEL, "BadInput")
    assert "can't write" in failed["message"]
    assert err.count("\n") == 1


def test_one_model_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    built = []

    def pretend(spec, precision, reporter, given, shared, workers):
        built.append(spec.name)
        return export.choose_models(["nothing of that name"]) if spec.name == "voxel64" else []

    monkeypatch.setattr(export, "_build", pretend)
    code = export.main(["--target", "all", "--model", "voxel64", MODEL, "--output-dir", str(tmp_path), "--json"])
    assert code == 2
    assert sorted(built) == [MODEL, "voxel64"]
    assert [f["model"] for f in json.loads(capsys.readouterr().out)["failed"]] == ["voxel64"]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--jobs", "0"], ["--jobs is 0", "1 or more"]),
        (["--cache-limit", "0"], ["--cache-limit is 0", "--no-cache"]),
        (["--cache", __file__], ["which is no folder", "--no-cache"]),
    ],
)
def test_workers_and_caches_that_can_not_be(options, parts, tmp_path, fails):
    fails(export.main, [*WEB, "--output-dir", tmp_path, *options], 2, *parts)


def start(output, tmp_path):
    return subprocess.Popen(
        [sys.executable, "-m", "sdk_build.export", *WEB, "--output-dir", str(output)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition, child, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, "the export ended before it could be killed"
        assert time.monotonic() < deadline, "the export made no workspace"
        time.sleep(0.02)  # polling, not waiting: the loop ends with the condition


def test_a_killed_export_leaves_nothing_visible_and_the_next_one_cleans_up(tmp_path, command):
    output = tmp_path / "dist"
    child = start(output, tmp_path)
    try:
        wait_for(lambda: output.is_dir() and any(output.iterdir()), child)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == -signal.SIGKILL
    (left,) = output.iterdir()
    assert left.name == f".onpar-tmp-{MODEL}-{child.pid}"

    done = command("sdk_build.export", *WEB, "--output-dir", "dist", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [p.name for p in output.iterdir()] == [f"{MODEL}-web-fp16"]
    document = json.loads(done.stdout, parse_constant=pytest.fail)  # one document, finite numbers, nothing else
    assert list(document) == ["bundles", "failed"]
    assert document["failed"] == []
    (entry,) = document["bundles"]
    assert list(entry) == BUNDLE_KEYS
    assert {list(check) == CHECK_KEYS for check in entry["parity"]} == {True}
    assert {check["stage"] for check in entry["parity"]} == {
        "golden_vs_reference",
        "reference_vs_lowered",
        "lowered_vs_artifact",
    }
    assert entry["id"] == f"{MODEL}-web-fp16"
    assert (entry["model"], entry["target"], entry["precision"], entry["passed"]) == (MODEL, "web", "fp16", True)
    assert 1_000_000 < entry["size_bytes"] < 5_000_000
    assert entry["seconds"] > 0
    manifest = open_bundle(tmp_path / entry["path"]).manifest
    assert manifest.id == entry["id"]
    assert [vars(check) for check in manifest.parity] == entry["parity"]


def test_a_full_disk_during_conversion_leaves_nothing(tmp_path, command):
    """The .tflite has 1.8 MB; no file may have more than one."""
    done = command("sdk_build.export", *WEB, "--output-dir", "dist", largest_file=1_000_000)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"{MODEL}: BadInput: can't write" in done.stderr
    assert done.stdout == ""
    assert not list((tmp_path / "dist").iterdir())


def test_text_for_people(web_dist, tmp_path, monkeypatch, capsys):
    """One line per artifact and one per bundle, in 100 columns where nobody watches."""
    from sdk_build.build.bundles import Built
    from sdk_build.build.reporter import Reporter
    from sdk_build.bundle.artifact import Artifact

    reporter = Reporter(1, ["web"], quiet=False)
    manifest = open_bundle(next(web_dist.iterdir())).manifest
    entry = manifest.model_files[0]
    checks = tuple(c for c in manifest.parity if c.runtime == "litert")
    path = web_dist / manifest.id / entry.file
    with reporter:
        reporter.step(MODEL, "litert")
        reporter.artifact(MODEL, Artifact("litert", "fp16", path, entry.delegation, checks, "litert", 3.25))
    reporter.summary([Built(tmp_path / manifest.id, manifest, 3.25)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    megabytes = f"{entry.bytes / 1e6:.2f}"
    decibels = lines[0].split()[5]
    assert lines[0].split() == [MODEL, "litert", "fp16", megabytes, "MB", decibels, "dB", "1", "part", "3.2", "s"]
    assert lines[1] == f"{tmp_path / manifest.id}  {megabytes} MB, proved"
