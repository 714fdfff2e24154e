"""The page's plots: scales with known answers, nothing invented, nothing injected."""

import json
import math
from dataclasses import replace

import pytest

from sdk_build.bundle.records import Peer, bundle_digest, write_records
from sdk_build.report import __main__ as report
from sdk_build.report.page import _free_box, _histogram, _latency, _log_ticks, _parts, _scatter, _ticks
from tests.sdk_build.bundle.test_records import RECORD

LATENCY = replace(
    RECORD,
    model="template_keypoints",
    device=replace(RECORD.device, name="A <fast> host", kind="host"),
    peers=(Peer("onnxruntime", (2.0, 4.0, 6.0, 8.0)),),
)


def test_ticks_are_round():
    assert _ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert _ticks(62.8, 63.3) == [62.8, 62.9, 63.0, 63.1, 63.2, 63.3]
    assert _log_ticks(0.9, 12) == [1.0, 2.0, 5.0, 10.0]
    assert len(_log_ticks(6.9, 14)) >= 3
    assert len(_log_ticks(0.31, 0.7)) >= 3
    assert 3 <= len(_log_ticks(4.05, 4.95)) <= 9


def test_a_word_stands_where_nothing_is():
    mark = (94.0, 94.0, 106.0, 106.0)
    assert _free_box(100, 100, 28, [mark]) == (108, 93, 136, 106)
    right = (110.0, 90.0, 120.0, 110.0)
    assert _free_box(100, 100, 28, [mark, right]) == (64, 93, 92, 106)
    everywhere = [mark, (0.0, 0.0, 92.0, 200.0), (107.0, 0.0, 200.0, 200.0), (0.0, 0.0, 200.0, 93.0)]
    assert _free_box(100, 100, 28, everywhere) is None


def test_larger_files_lie_to_the_right_and_better_ones_higher():
    drawing = _scatter([("litert", "w8", 1.0, 60.0), ("coreml", "fp32", 4.0, 63.0)])
    first, second = (part.split(" r=")[0] for part in drawing.split("<circle cx=")[1:])
    assert float(first.split()[0]) < float(second.split()[0])
    assert float(first.split("cy=")[1]) > float(second.split("cy=")[1])


def test_one_point_has_a_scale_too():
    assert "NaN" not in _scatter([("litert", "w8", 1.0, 0.0)])


def test_parts_are_the_worst_ones_in_order():
    drawing = _parts([["", 20.0], ["features.<1>", 40.0]])
    assert "between the modules" in drawing and "features.&lt;1&gt;" in drawing
    assert "width:50.0%" in drawing and "width:100.0%" in drawing
    assert _parts([]) == ""


def test_histogram_bars_are_logarithmic():
    drawing = _histogram("m.tflite", {"output": "o", "low": -0.5, "high": 0.5, "counts": [0, 9, 99, 0]})
    assert drawing.count("<rect") == 2
    assert f"height={58 * math.log1p(9) / math.log1p(99):.1f}" in drawing
    assert "-0.5" in drawing


def test_latency_is_shown_with_its_device():
    drawing = _latency("template_keypoints", [LATENCY])
    assert "2.50 ms, 0.50 x onnxruntime" in drawing
    assert "A &lt;fast&gt; host (host)" in drawing
    assert _latency("other", [LATENCY]) == ""


def test_the_page_shows_latency_and_says_that_no_phone_was_measured(web_bundle, tmp_path):
    record = replace(LATENCY, bundle=web_bundle.name, bundle_sha256=bundle_digest(web_bundle))
    page, file = tmp_path / "p.html", tmp_path / "r.json"
    command = [str(web_bundle.parent), "--html", str(page), "--latency", str(file)]
    write_records(file, [record, RECORD])  # of another bundle: not shown
    assert report.main(command) == 0
    assert "No phone measured yet." in page.read_text() and "2.50 ms" in page.read_text()
    file.write_text(json.dumps({"records": [record.summary()]}))  # as benchmarks.run --json prints it
    assert report.main(command) == 0
    assert "2.50 ms" in page.read_text()
    write_records(file, [replace(record, device=replace(RECORD.device, name="Pixel 8a"))])
    assert report.main(command) == 0
    assert "Phones measured: Pixel 8a." in page.read_text()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"bundle": "other"}, "no record about"),
        ({"bundle_sha256": "f" * 64}, "another export (ffffffffffff"),
        ({"schema_version": 1}, "schema_version 1"),
        ({"samples_ms": (0.0,)}, "not positive"),
    ],
)
def test_records_that_are_not_these_bundles_latency(change, part, web_bundle, tmp_path, capsys):
    record = replace(LATENCY, bundle=web_bundle.name, bundle_sha256=bundle_digest(web_bundle), peers=())
    (tmp_path / "r.json").write_text(json.dumps({"records": [record.to_json() | change]}))
    page = tmp_path / "p.html"
    assert report.main([str(web_bundle.parent), "--html", str(page), "--latency", str(tmp_path / "r.json")]) == 2
    assert part in capsys.readouterr().err.splitlines()[-1] and not page.exists()


def test_latency_needs_a_page(web_bundle, tmp_path, capsys):
    assert report.main([str(web_bundle.parent), "--latency", str(tmp_path / "r.json")]) == 2
    assert "--html FILE" in capsys.readouterr().err
