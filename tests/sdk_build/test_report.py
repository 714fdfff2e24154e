"""The report: what a terminal, a page and another program get from a folder of bundles."""

from __future__ import annotations

import json
import re

import pytest

from sdk_build.report import HEADER, main


def test_the_table_fits_a_hundred_columns(web_dist, capsys):
    assert main([str(web_dist)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 100
    assert any("template_keypoints" in line and "web" in line for line in lines)
    row = next(line for line in lines if "model.tflite" in line)
    assert "fp16" in row and "runtime" in row and row.split()[-1] == "1"


def test_json_is_one_document_with_measured_rows(web_dist, capsys):
    assert main([str(web_dist), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["artifacts"]
    assert row["file"] == "model.tflite" and row["precision"] == "fp16" and row["partitions"] == 1
    assert row["size_mb"] > 0.5 and row["sqnr_db"] >= 40 and row["fallbacks"] == []
    assert document["broken"] == []


def test_markdown_is_a_table(web_dist, capsys):
    assert main([str(web_dist), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.count("|") for line in lines} == {len(HEADER) + 1}
    assert lines[1].startswith("| ---") and "model.tflite" in lines[2]


def test_the_page_stands_alone(web_dist, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert main([str(web_dist), "--html", str(page)]) == 0
    text = page.read_text()
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", text)
    assert 'name=viewport content="width=device-width' in text
    assert text.count("<section>") == 1 and "template_keypoints-web-fp16" in text and "No phone measured" in text


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_no_bundle_says_what_to_run(folder, tmp_path, fails):
    (tmp_path / "empty").mkdir()
    fails(main, [tmp_path / folder], 2, "BundleNotFound", folder, "sdk_build.export")


def test_a_damaged_bundle_is_named_and_the_others_are_shown(web_dist, bundle, capsys):
    (bundle / "card.md").write_text("changed")
    bundle.rename(bundle.with_name("damaged"))
    (bundle.parent / "good").symlink_to(web_dist / "template_keypoints-web-fp16")
    assert main([str(bundle.parent)]) == 1
    out, err = capsys.readouterr()
    assert "model.tflite" in out
    assert err.count("\n") == 1 and "ChecksumMismatch" in err and "damaged" in err and "card.md" in err


def test_an_unwritable_page_is_one_line(web_dist, tmp_path, capsys):
    assert main([str(web_dist), "--json", "--html", str(tmp_path / "no" / "such" / "page.html")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "page.html" in err and "writable" in err
