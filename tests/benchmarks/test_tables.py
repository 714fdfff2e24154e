import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.tables import Choice, kept, wanted
from sdk_build.build.measured import load_measured
from sdk_build.bundle.files import open_bundle
from sdk_build.bundle.records import bundle_digest, read_records, this_device, write_records
from tests.sdk_build.bundle.test_records import RECORD

ALL = Choice(["all"], None, None, False)


def test_a_model_that_was_not_measured_has_its_float_precisions():
    assert wanted(ALL, None) == {"fp32": ["ios", "android", "web"], "fp16": ["ios", "android", "web"]}
    assert wanted(replace(ALL, precisions=["fp16", "w8a8"], targets=["web"]), None) == {"fp16": ["web"]}


def test_a_measured_target_has_what_passed():
    measured = load_measured("classifier")
    assert measured is not None
    found = wanted(replace(ALL, targets=["android"]), measured)
    assert set(found) >= {"fp32", "fp16", "w8a8"}
    litert = replace(measured, artifacts=tuple(a for a in measured.artifacts if a.precision == "fp32"))
    assert wanted(replace(ALL, targets=["android", "web"]), litert) == {"fp32": ["android", "web"]}
    assert wanted(ALL, replace(measured, artifacts=()))["fp16"] == ["ios", "android", "web"]


def test_records_of_models_that_are_not_timed_anew_stay(tmp_path):
    here = replace(RECORD, device=this_device(), bundle_sha256="1" * 64)
    other = replace(here, model="saliency", bundle_sha256="2" * 64)
    write_records(tmp_path / "host.json", [here, replace(here, threads=2), other, RECORD])
    assert kept(tmp_path / "host.json", None) == {}
    assert kept(tmp_path / "host.json", ["saliency"]) == {"1" * 64: [here, replace(here, threads=2)]}
    assert kept(tmp_path / "host.json", ["classifier"]) == {
        "1" * 64: [here, replace(here, threads=2)],
        "2" * 64: [other],
    }


@pytest.fixture
def bundles(web_bundle, bundle, reseal, tmp_path):
    """One for the web and three for Android: two with the web's own .tflite, one with half of one."""
    android = []
    for name in ("same", "again", "half"):
        android.append(Path(shutil.copytree(bundle, tmp_path / f"android-{name}")))

        def rename(document, name=name):
            document.update(target="android", id=f"android-{name}")
            (file,) = document["model_files"]
            if name == "half":
                file.update(sha256="0" * 64, precision="w8", bytes=file["bytes"] // 2)

        reseal(android[-1], rename)
    return [web_bundle, *android]


def test_artifacts_are_timed_once_each_and_stored_one_by_one(bundles, tmp_path, monkeypatch):
    _, same, _, half = bundles
    asked = []

    def measure(paths, protocols, progress, runtimes):
        asked.append((paths[0], *runtimes))
        if len(asked) == 2:
            raise KeyboardInterrupt
        known = {"device": this_device(), "bundle_sha256": bundle_digest(paths[0]), "bundle": paths[0].name}
        return [replace(RECORD, runtime=runtimes[0], **known)]

    monkeypatch.setattr(tables, "measure_all", measure)
    monkeypatch.setattr(tables, "export_all", lambda *_: bundles)
    again = partial(tables.run, threads=[1], rounds=5, launches=1, output=tmp_path, export_only=False)
    chosen = replace(ALL, models=["classifier"])
    with pytest.raises(KeyboardInterrupt):
        again(chosen)
    (stored,) = read_records(tmp_path / "host.json")
    assert again(replace(chosen, timed=[])) == 0
    assert read_records(tmp_path / "host.json")[0] == stored
    # What several bundles hold is timed in the first of Android's; what was stored before is still known.
    assert asked == [(same, "litert"), (half, "litert"), (half, "litert")]


def test_what_bundles_share_is_one_row(bundles):
    manifests = [open_bundle(path).manifest for path in bundles]
    (file,) = manifests[0].model_files
    record = replace(RECORD, runtime="litert", bundle="android-again", model=manifests[0].model)
    floats = {"litert": file.bytes}
    same = tables.row([(manifest, file) for manifest in manifests[:3]], [record], floats)
    assert same[:5] == ("model.tflite", file.precision, "web, android", f"{file.bytes / 1e6:.2f}", "1.000")
    assert same[-4] == f"{record.percentile(50):.2f}"
    text = tables.page(bundles, [record], "")
    assert text.count("| model.tflite | ") == 2 and "\n## template_keypoints\n" in text
    assert "nme_percent +" in text  # the card's budget
