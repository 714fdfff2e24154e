"""Collecting from phones: recorded files, adb's real listing, and every refusal. No phone takes part."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import collect
from benchmarks.collect import accept, choose_phone, digests, from_ios
from benchmarks.devices import UNMEASURED, judge, load_devices
from reference.errors import BadInput
from sdk_build.backends import RUNTIMES
from sdk_build.bundle.records import read_records
from sdk_build.errors import BackendUnavailable, BenchmarkFailed
from tests.sdk_build.bundle.test_records import RECORD

LISTING = "List of devices attached\n"


@pytest.fixture
def named(tmp_path):
    """A bundle folder, and a phone's record about it."""
    folder = tmp_path / "tiny-android-w8a8"
    folder.mkdir()
    (folder / "bundle.json").write_text("{}")
    return folder, replace(RECORD, bundle_sha256=digests([folder])[folder.name])


def write(folder, record):
    folder.mkdir(exist_ok=True)
    (folder / "r.json").write_text(json.dumps(record.to_json()))
    return folder


def test_records_of_a_folder(named, tmp_path, capsys):
    folder, record = named
    records = write(tmp_path / "from phone", record)
    assert collect.main(["--ios", str(records), str(folder), "--output", str(tmp_path / "out")]) == 0
    assert read_records(tmp_path / "out" / "A_phone.json") == [record]
    out = capsys.readouterr().out
    assert "A phone" in out and "A phone: tiny litert w8a8 2.50 ms, no budget" in out
    assert "no phone measured" not in out
    assert max(map(len, out.splitlines())) <= 100


def test_another_export_is_refused(named, tmp_path, refused):
    folder, record = named
    files = [write(tmp_path / "r", replace(record, bundle_sha256="f" * 64)) / "r.json"]
    with refused(BadInput, "another export", "ffffffffffff", "measure again"):
        accept(files, digests([folder]))
    with refused(BadInput, "tiny-android-w8a8", "name its bundle"):
        accept(files, {"other": "0"})


def test_a_hosts_record_is_no_phones(named, tmp_path, refused):
    folder, record = named
    host = replace(record, device=replace(record.device, kind="host"))
    with refused(BadInput, "no phone", "benchmarks.run"):
        accept([write(tmp_path / "r", host) / "r.json"], digests([folder]))


def test_nothing_there(tmp_path, refused, monkeypatch):
    with refused(BadInput, "no folder"):
        from_ios(tmp_path / "none", tmp_path)
    with refused(BadInput, "no record in", "LatencyBenchmark"):
        from_ios(tmp_path, tmp_path)
    with refused(BadInput, "no bundle"):
        digests([tmp_path])
    (tmp_path / "a.xcresult").mkdir()
    monkeypatch.setattr(collect.shutil, "which", lambda _: None)
    with refused(BadInput, "a.xcresult", "Mac"):
        from_ios(tmp_path / "a.xcresult", tmp_path)
    with refused(BackendUnavailable, "adb is not installed"):
        collect.from_android([], None, tmp_path)


def test_choosing_a_phone(refused):
    one, two = "R58\tdevice\n", "emulator-5554\tdevice\n"
    assert choose_phone(LISTING + one, None) == "R58"
    assert choose_phone(LISTING + one + two, "emulator-5554") == "emulator-5554"
    with refused(BadInput, "sees no phone", "USB debugging"):
        choose_phone(LISTING, None)
    with refused(BadInput, "R58 is unauthorized"):
        choose_phone(LISTING + "R58\tunauthorized\n", None)
    with refused(BadInput, "2 phones", "--serial"):
        choose_phone(LISTING + one + two, None)
    with refused(BadInput, "'X'", "R58"):
        choose_phone(LISTING + one, "X")


STARTED = "INSTRUMENTATION_RESULT: "


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"{STARTED}stream=tiny p50 2.50 ms\n\nINSTRUMENTATION_CODE: -1\n", ""),
        (f"{STARTED}stream=FAILURES: tiny is damaged\n\nINSTRUMENTATION_CODE: 0\n", "tiny is damaged"),
        (f"{STARTED}shortMsg=Process crashed.\nINSTRUMENTATION_CODE: 0\n", "Process crashed."),
        (
            f"{STARTED}shortMsg=java.lang.X\n{STARTED}longMsg=java.lang.X: no memory\nINSTRUMENTATION_CODE: 0\n",
            "java.lang.X: no memory",
        ),
        ("INSTRUMENTATION_STATUS: Error=Unable to find\nINSTRUMENTATION_FAILED: org.onpar.demo/x\n", "Unable to find"),
        ("", "it said nothing"),
    ],
)
def test_what_the_instrumentation_says(said, reason):
    assert collect.failure(said) == reason


def test_an_android_phone(named, tmp_path, monkeypatch, refused):
    """adb's part is played by a list of its answers: what is asked of it, and that a failure is the phone's."""
    folder, record = named
    asked, answer = [], f"{STARTED}stream=ok\nINSTRUMENTATION_CODE: -1\n"

    def adb(command):
        asked.append(command[1:])
        if command[1:] == ["devices"]:
            return LISTING + "R58\tdevice\n"
        if "pull" in command:
            write(Path(command[-1]) / "records", record)
        return answer if "instrument" in command else ""

    monkeypatch.setattr(collect.shutil, "which", lambda _: "adb")
    monkeypatch.setattr(collect, "_adb", adb)
    assert collect.main(["--adb", str(folder), "--output", str(tmp_path / "out")]) == 0
    assert read_records(tmp_path / "out" / "A_phone.json") == [record]
    removed = next(command for command in asked if "rm" in command)
    assert [place.rsplit("/", 1)[1] for place in removed[-2:]] == ["records", "bundles"]
    answer = f"{STARTED}shortMsg=Process crashed.\nINSTRUMENTATION_CODE: 0\n"
    with refused(BenchmarkFailed, "Process crashed", "verify the bundles"):
        collect.from_android([folder], None, tmp_path)
    assert BenchmarkFailed.exit_code == 1


@pytest.mark.skipif(shutil.which("adb") is None, reason="adb is not installed")
def test_the_real_adb_without_a_phone(named, capsys):
    listing = subprocess.run(["adb", "devices"], capture_output=True, text=True, check=True).stdout
    if any(line.split()[1:] == ["device"] for line in listing.splitlines()):
        pytest.skip("a phone is attached")
    assert collect.main(["--adb", str(named[0])]) == 2
    assert "adb sees no phone" in capsys.readouterr().err


def test_devices():
    phones = load_devices()
    assert {"Pixel 8a", "iPhone 15"} <= {phone.name for phone in phones}
    for phone in phones:
        assert set(phone.runtimes) <= set(RUNTIMES)
        assert all(0 < ms < 100 for ms in phone.budget_ms.values())


def test_budgets_are_judged():
    phone = replace(RECORD.device, name="Google Pixel 8a")
    fast = replace(RECORD, device=phone, model="classifier")
    slow = replace(fast, samples_ms=(50.0, 50.0, 50.0, 50.0))
    lines = judge([fast, slow], load_devices())
    assert "within 6 ms" in lines[0] and "OVER 6 ms" in lines[1]
    assert judge([replace(RECORD, device=replace(phone, kind="host"))], load_devices()) == [UNMEASURED]


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("Google Pixel 6a", "Pixel 6a"),
        ("samsung SM-S921B", "Galaxy S24"),
        ("samsung SM-A546E", "Galaxy A54"),
        ("iPhone15,4", "iPhone 15"),
        ("iPhone14,6", "iPhone SE (3rd generation)"),
        ("iPhone15,5", None),
        ("Google Pixel 8", None),
        ("samsung SM-S928B", None),
    ],
)
def test_phones_are_known_by_what_their_systems_call_them(called, name):
    assert [phone.name for phone in load_devices() if phone.is_called(called)] == ([name] if name else [])


def test_damaged_devices(tmp_path, refused):
    (tmp_path / "d.yaml").write_text("devices: [{name: x, runtimes: []}]")
    with refused(BadInput, "d.yaml", "benchmarks.devices.Phone"):
        load_devices(tmp_path / "d.yaml")
    pattern = "devices: [{name: x, models: ['('], chip: c, arch: a, os: o, runtimes: [], budget_ms: {}}]"
    (tmp_path / "d.yaml").write_text(pattern)
    with refused(BadInput, "d.yaml", "unterminated"):
        load_devices(tmp_path / "d.yaml")
