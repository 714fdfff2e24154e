"""Records: exact round trip, derived figures with known answers, and every way a file can be wrong."""

import dataclasses
import json
import math

import pytest

from reference.errors import BadInput
from sdk_build.bundle.records import (
    Device,
    Peer,
    Record,
    Sustained,
    parse_record,
    read_records,
    this_device,
    write_records,
)

RECORD = Record(
    bundle="tiny-android-w8a8",
    bundle_sha256="0" * 64,
    model="tiny",
    runtime="litert",
    runtime_version="2.3.0",
    precision="w8a8",
    delegate="XNNPACK",
    threads=1,
    device=Device("A phone", "phone", "Android 15", "arm64-v8a", 8),
    thermal="nominal",
    warm_up=10,
    samples_ms=(1.0, 2.0, 3.0, 4.0),
    load_samples_ms=(9.0, 5.0, 7.0),
    peak_mb=80.0,
    model_mb=4.5,
    peers=(Peer("eager", (2.0, 4.0, 6.0, 16.0)),),
    sustained=Sustained(60.0, 1000, 1.0, 1.5),
)


@pytest.fixture
def document():
    return json.loads(json.dumps(RECORD.to_json()))


def test_round_trip(tmp_path):
    write_records(tmp_path / "new" / "r.json", [RECORD, RECORD])
    assert read_records(tmp_path / "new" / "r.json") == [RECORD, RECORD]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["r.json"]


def test_what_run_prints_can_be_read_again():
    assert parse_record(json.loads(json.dumps(RECORD.summary()))) == RECORD


def test_a_single_record_as_a_phone_writes_it(tmp_path, document):
    (tmp_path / "r.json").write_text(json.dumps(document))
    assert read_records(tmp_path / "r.json") == [RECORD]


def test_derived_figures():
    summary = RECORD.summary()
    assert summary["p50_ms"] == 2.5
    assert summary["load_ms"] == 7.0
    assert summary["peers"]["eager"] == {"p50_ms": 5.0, "ratio": 0.5}
    assert RECORD.ratios_to("eager") == (0.5, 0.5, 0.5, 0.25)
    assert RECORD.ratios_to("onnxruntime") == () and RECORD.ratio_to("onnxruntime") is None
    assert {"bundle", "model", "runtime", "precision", "threads", "p90_ms", "p99_ms", "peak_mb"} <= set(summary)


def test_ratios_of_processes_are_averaged():
    """One process runs at half of the peer's time and two at a tenth: the median over all would be a tenth."""
    ratios = [0.5, 0.4, 0.6, 0.1, 0.1, 3.0, 0.1, 0.0999, 0.1001]
    record = dataclasses.replace(
        RECORD, samples_ms=tuple(ratios), peers=(Peer("eager", (1.0,) * len(ratios)),), launches=3
    )
    assert record.ratio_to("eager") == pytest.approx((0.5 + 0.1 + 0.1) / 3)
    assert parse_record(json.loads(json.dumps(record.summary()))) == record


def test_a_record_from_before_there_were_launches(document):
    del document["launches"]
    assert parse_record(document) == RECORD


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"schema_version": 1}, ("schema_version 1", "allowed: 2", "measure again")),
        ({"samples_ms": []}, ("tiny-android-w8a8", "no samples")),
        ({"samples_ms": [1.0, -2.0, 3.0, 4.0]}, ("not positive",)),
        ({"thermal": "hot"}, ("'hot'", "nominal")),
        ({"peers": [{"name": "eager", "samples_ms": [1.0]}]}, ("another number of rounds",)),
        ({"launches": 3}, ("4 samples of 3 processes", "measure again")),
        ({"launches": 0}, ("4 samples of 0 processes",)),
        ({"samples_ms": [1.0, 2.0, 3.0, 10**400]}, ("not positive",)),
        ({"peers": {"eager": {"p50_ms": 1.0}}, "raw_peers": [1.0]}, ("raw_peers is a list",)),
        ({"peers": {"eager": {"p50_ms": 1.0}}, "raw_peers": None}, ("raw_peers is a NoneType",)),
        ({"peak_mb": math.nan}, ("a size of memory",)),
        ({"model_mb": -1.0}, ("a size of memory",)),
        ({"threads": 0}, ("0 threads", "allowed: 1")),
        ({"bundle_sha256": "zz"}, ("'zz'", "no sha256")),
        ({"device": {"name": "x", "kind": "toaster", "os": "y", "arch": "z", "cores": 1}}, ("'toaster'", "emulator")),
        ({"runtime": "tensorrt"}, ("'tensorrt'", "litert")),
        ({"colour": "red"}, ("unknown keys", "colour")),
        ({"threads": "1"}, ("threads", "int")),
    ],
)
def test_damaged_records(tmp_path, document, change, parts, refused):
    (tmp_path / "r.json").write_text(json.dumps({"records": [document | change]}))
    with refused(BadInput, "r.json", *parts):
        read_records(tmp_path / "r.json")


def test_truncated_missing_and_empty_files(tmp_path, document, refused):
    path = tmp_path / "r.json"
    with refused(BadInput, "can't read", path):
        read_records(path)
    path.write_text(json.dumps({"records": [document]})[:-20])
    with refused(BadInput, "no JSON", "truncated"):
        read_records(path)
    path.write_text('{"records": []}')
    with refused(BadInput, "no records"):
        read_records(path)
    path.write_text("[1]")
    with refused(BadInput, "a record is a list"):
        read_records(path)


def test_missing_key(document, refused):
    del document["bundle_sha256"]
    with refused(BadInput, "bundle_sha256"):
        parse_record(document)


def test_this_machine():
    device = this_device()
    assert device.kind == "host" and device.name and device.cores >= 1
    assert dataclasses.replace(device) == device
