import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.tables import Choice, kept, wanted
from sdk_build.quantize.measured import load_measured
from sdk_build.records import bundle_digest, read_records, this_device, write_records
from tests.sdk_build.test_records import RECORD

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


def test_android_is_timed_and_stored_one_by_one(web_bundle, bundle, reseal, tmp_path, monkeypatch):
    android = []
    for name in ("fp32", "fp16"):
        android.append(Path(shutil.copytree(bundle, tmp_path / f"android-{name}")))
        reseal(android[-1], lambda document, name=name: document.update(target="android", id=f"android-{name}"))
    asked = []

    def measure(paths, protocols, progress):
        asked.extend(paths)
        if paths[0] == android[1] and len(asked) == 2:
            raise KeyboardInterrupt
        return [replace(RECORD, device=this_device(), bundle_sha256=bundle_digest(paths[0]))]

    monkeypatch.setattr(tables, "measure_all", measure)
    monkeypatch.setattr(tables, "export_all", lambda *_: [web_bundle, *android])
    again = partial(tables.run, threads=[1], rounds=5, launches=1, output=tmp_path, export_only=False)
    chosen = replace(ALL, models=["classifier"])
    with pytest.raises(KeyboardInterrupt):
        again(chosen)
    (first,) = read_records(tmp_path / "host.json")
    assert asked == android  # the web's bundle is not timed
    assert again(replace(chosen, timed=["voxel64"])) == 0
    assert asked == [*android, android[1]]  # the first is still known
    assert read_records(tmp_path / "host.json")[0] == first
    assert (tmp_path / "tables.md").read_text().count("| web |") == 1
