"""``python -m sdk_build.report``: every bundle in a table that fits, on a page that needs nothing else."""

import json
import re
import shutil

import pytest

from sdk_build.bundle.files import open_bundle
from sdk_build.report import __main__ as report
from sdk_build.report.page import _scatter
from sdk_build.report.table import HEADER, Row, print_table, rows_of

WIDEST = Row(
    model="hierarchical_keypoints",
    target="android",
    file="model_coreml.pte",
    precision="fp16",
    size_mb=123.456,
    executed_by="executorch_coreml (emulated)",
    sqnr_db=123.45,
    max_abs_of_range=1.25e-05,
    task_metric="top1_agreement",
    task_value=0.98765,
    delegated="1234/1234",
    partitions=12,
    fallbacks=("aten_convolution_default", "aten_native_layer_norm_default", "aten_scaled_dot_product_attention"),
)


@pytest.fixture
def dist(bundle, web_bundle):
    """A folder with the bundle twice, as two models would lie there, and what is no bundle."""
    shutil.copytree(web_bundle, bundle.parent / "second")
    (bundle.parent / "notes").mkdir()
    (bundle.parent / ".onpar-tmp-x-1").mkdir()
    shutil.copy2(bundle / "bundle.json", bundle.parent / ".onpar-tmp-x-1")
    return bundle.parent


def run(capsys, *arguments):
    code = report.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_table_tells_the_bundles_numbers(web_dist, web_bundle, capsys):
    code, out, err = run(capsys, web_dist)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == " ".join(HEADER[2:]).split()
    assert lines[1] == "template_keypoints for web, accuracy is nme_percent"
    manifest = open_bundle(web_bundle).manifest
    worst = min(c.value for c in manifest.parity if c.runtime == "litert" and c.metric == "sqnr_db")
    delegation = manifest.model_files[0].delegation
    whole = f"{delegation.delegated}/{delegation.total}"
    cells = lines[2].split()
    megabytes = f"{manifest.model_files[0].bytes / 1e6:.2f}"
    assert cells[:5] == ["model.tflite", "fp16", megabytes, "runtime", f"{worst:.1f}"]
    assert cells[-2:] == [whole, "1"]
    assert "NME +" in lines[2]


def test_the_widest_row_fits_100_columns(capsys):
    print_table([WIDEST, WIDEST])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    text = " ".join(" ".join(lines).split())
    assert text.count("hierarchical_keypoints for android") == 1  # one heading for its artifacts
    assert "outside the delegate: aten_convolution_default" in text
    assert "1234/1234" in text
    assert "123.46" in text


def test_json_is_one_document(dist, capsys):
    code, out, err = run(capsys, dist, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out, parse_constant=pytest.fail)
    assert document.keys() == {"artifacts", "broken"}
    assert document["broken"] == []
    assert len(document["artifacts"]) == 2  # hidden and other folders are no bundles
    row = document["artifacts"][0]
    assert (row["model"], row["target"], row["file"]) == ("template_keypoints", "web", "model.tflite")
    assert row["sqnr_db"] > 40
    assert row["partitions"] == 1
    assert row["fallbacks"] == []


def test_markdown_is_one_table(dist, capsys):
    code, out, _ = run(capsys, dist, "--markdown")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[0] == f"| {' | '.join(HEADER)} |"
    assert {line.count("|") for line in lines} == {len(HEADER) + 1}


def test_the_page_needs_nothing_from_outside(dist, tmp_path, capsys):
    page = tmp_path / "report.html"
    code, out, _ = run(capsys, dist, "--html", page)
    assert code == 0
    assert out.endswith(f"wrote {page}\n")
    text = page.read_text()
    assert not re.search(r"https?://|<script|<link|@import|url\(|\ssrc=", text)
    assert text.startswith("<!doctype html>")
    assert "2 bundles" in text
    assert text.count("<h2>template_keypoints-web-fp16</h2>") == 2
    assert "{bodies}" not in text
    assert "name=viewport" in text


def test_the_page_with_json_leaves_stdout_to_the_document(dist, tmp_path, capsys):
    code, out, _ = run(capsys, dist, "--json", "--html", tmp_path / "report.html")
    assert code == 0
    json.loads(out)
    assert (tmp_path / "report.html").is_file()


def test_texts_of_a_bundle_can_not_inject_markup(bundle, reseal, tmp_path, capsys):
    def evil(document):
        document["description"] = "<script>alert(1)</script>"

    reseal(bundle, evil)
    run(capsys, bundle.parent, "--html", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_two_precisions_of_a_model_stay_apart(bundle, web_bundle, reseal, tmp_path, capsys):
    """Each section of the page holds its own bundle's artifacts only."""
    other = bundle.parent / "template_keypoints-web-fp32"
    shutil.copytree(web_bundle, other)

    def as_fp32(document):
        document["id"], document["precision"] = other.name, "fp32"
        document["model_files"][0]["precision"] = "fp32"

    reseal(other, as_fp32)
    run(capsys, bundle.parent, "--html", tmp_path / "report.html")
    sections = (tmp_path / "report.html").read_text().split("<section>")[1:]
    assert [section.count("<td data-name='file'>") for section in sections] == [1, 1]


@pytest.fixture
def many(bundle, web_bundle, reseal):
    """A folder with five bundles: one artifact is in two of them, and one leaves an operation to the CPU."""
    for number in range(1, 5):
        other = bundle.parent / f"template_keypoints-web-{number}"
        shutil.copytree(web_bundle, other)

        def change(document, number=number, name=other.name):
            (file,) = document["model_files"]
            document["id"] = name
            if number == 1:
                document["target"] = "android"
            else:
                file["precision"], file["bytes"] = ("fp32", "w8", "w8a8")[number - 2], file["bytes"] * 4 // number
            if number == 4:
                file["delegation"].update(fallbacks=["CUMSUM"], reasons=["no rule for it"])

        reseal(other, change)
    return bundle.parent


def test_a_model_s_artifacts_stand_in_one_table_each_once(many, tmp_path, capsys):
    assert run(capsys, many, "--html", tmp_path / "report.html")[0] == 0
    text = (tmp_path / "report.html").read_text()
    table = text.partition("<h3>Every artifact</h3>")[2].partition("</table>")[0]
    rows = [re.findall(r"<td data-name='[^']*'>([^<]*)</td>", row) for row in table.split("<tr>")[2:]]
    assert [(row[1], row[3], row[8]) for row in rows] == [
        ("fp32", "1.000", "web"),
        ("w8", "0.667", "web"),
        ("fp16", "0.500", "android, web"),
        ("w8a8", "0.500", "web"),
    ]
    assert [row[6].partition(" ")[2] for row in rows] == ["", "", "", "without CUMSUM (no rule for it)"]


@pytest.mark.parametrize(("bundles", "shown"), [(5, 0), (4, 4)])
def test_of_many_bundles_each_is_a_line_that_opens(many, tmp_path, capsys, bundles, shown):
    if bundles == 4:
        shutil.rmtree(many / "template_keypoints-web-4")
    run(capsys, many, "--html", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert (text.count("<details"), text.count("<details open>")) == (bundles, shown)


def test_marks_of_one_precision_that_lie_together_share_a_label():
    near, far = ("coreml", "w8", 1.0, 90.0), ("litert", "w8", 9.0, 80.0)
    assert _scatter([near, ("litert", "w8", 1.01, 90.0), far]).count(">w8</text>") == 2


@pytest.mark.parametrize("name", ["none", "."])
def test_a_folder_without_bundles_ends_with_code_2(name, tmp_path, fails):
    parts = (f"BundleNotFound: no bundle in {tmp_path / name}", "run python -m sdk_build.export")
    fails(report.main, [tmp_path / name], 2, *parts)


def test_a_damaged_bundle_among_good_ones_is_named(dist, bundle, capsys):
    (bundle / "labels.txt").write_text("new")
    code, out, err = run(capsys, dist)
    assert code == 1
    assert err == f"BundleInvalid: {bundle.name} holds labels.txt, which bundle.json does not list; remove it\n"
    assert out.count("model.tflite") == 1
    code, out, _ = run(capsys, dist, "--json")
    assert code == 1
    document = json.loads(out)
    assert document["broken"] == [err.strip()]
    assert len(document["artifacts"]) == 1


def test_only_damaged_bundles(bundle, capsys):
    (bundle / "bundle.json").write_text("{")
    code, _, err = run(capsys, bundle.parent)
    assert code == 1
    assert err.startswith("BundleInvalid: bundle.json has format_version None") or "no JSON" in err


def test_a_page_that_can_not_be_written(web_dist, tmp_path, capsys):
    code, _, err = run(capsys, web_dist, "--html", tmp_path / "none" / "report.html")
    assert code == 2
    assert err.startswith(f"BadInput: can't write {tmp_path / 'none' / 'report.html'} (")
    assert err.count("\n") == 1


def test_rows_take_the_worst_output(web_bundle):
    manifest = open_bundle(web_bundle).manifest
    (row,) = rows_of(manifest)
    values = [c.value for c in manifest.parity if c.runtime == "litert" and c.metric == "max_abs_of_range"]
    assert len(values) == 2
    assert row.max_abs_of_range == max(values)


def test_the_command_runs_on_its_own(web_dist, command):
    done = command("sdk_build.report", web_dist, "--markdown")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("| model | target |")
