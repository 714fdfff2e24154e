"""``python -m sdk_build.verify``: what it proves, what it says, how it ends."""

import json

import numpy as np
import pytest
from PIL import Image

from sdk_build import verify
from sdk_build.bundle.files import MANIFEST


def run(capsys, *arguments):
    code = verify.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_an_untouched_bundle_is_proved(web_bundle, capsys):
    code, out, err = run(capsys, web_bundle)
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first == f"proved  {web_bundle.name}  (not signed, checksums ok)"
    assert lines[0].startswith("  ok      python preprocess 'image': max_abs_of_range ")
    assert any(line.startswith("  ok      litert golden_replay 'template_keypoints': sqnr_db ") for line in lines)
    assert all(line.startswith("  ok ") for line in lines)


def test_json_is_one_document_for_several_bundles(web_bundle, bundle, tmp_path, capsys):
    (bundle / "card.md").write_text("")
    code, out, err = run(capsys, "--json", web_bundle, bundle, tmp_path / "none")
    good, bad, none = json.loads(out, parse_constant=pytest.fail)["bundles"]
    assert code == 1  # the first failure's code
    assert err.count("\n") == 2
    found = (good["bundle"], good["passed"], good["signature"], good["skipped"])
    assert found == (web_bundle.name, True, "not signed", [])
    assert {c["stage"] for c in good["parity"]} == {"preprocess", "golden_replay"}
    judged = [c for c in good["parity"] if c["limit"] is not None]
    assert {"sqnr_db", "nme_percent", "max_abs_of_range"} == {c["metric"] for c in judged}
    assert all(c["passed"] for c in judged)
    assert (bad["bundle"], bad["passed"], bad["error"]) == (str(bundle), False, "ChecksumMismatch")
    assert "card.md differs" in bad["message"]
    assert (none["passed"], none["error"]) == (False, "BundleNotFound")


def test_one_bad_bundle_does_not_hide_the_others(web_bundle, tmp_path, capsys):
    code, out, err = run(capsys, tmp_path / "none", web_bundle)
    assert code == 2
    assert "proved" in out
    assert err.startswith("BundleNotFound: ")


def test_golden_tensors_that_the_artifact_does_not_give_fail(bundle, reseal, capsys):
    """Whoever exchanges artifact or golden files consistently still fails the replay."""
    file = bundle / "golden" / "keypoints_1.bin"
    (np.fromfile(file, "<f4") + np.float32(0.05)).tofile(file)
    reseal(bundle)
    code, out, err = run(capsys, bundle)
    assert (code, err) == (1, "")
    assert out.startswith(f"FAILED  {bundle.name}")
    failed = [line for line in out.splitlines() if line.startswith("  FAILED")]
    assert len(failed) == 2
    assert all("litert golden_replay 'keypoints'" in line for line in failed)
    assert "dB < 55 dB" in failed[0]
    assert "% > 0.15 %" in failed[1]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda pixels: pixels[..., ::-1], id="channels swapped"),
        pytest.param(lambda pixels: np.roll(pixels, 1, axis=1), id="one pixel aside"),
        pytest.param(lambda pixels: np.clip(pixels.astype(int) + 1, 0, 255).astype(np.uint8), id="one level brighter"),
    ],
)
def test_a_raw_input_that_gives_another_tensor_fails(change, bundle, reseal, capsys):
    file = bundle / "golden" / "input_0.png"
    with Image.open(file) as opened:
        pixels = np.array(opened.convert("RGB"))
    Image.fromarray(np.ascontiguousarray(change(pixels))).save(file)
    reseal(bundle)
    code, out, _ = run(capsys, bundle)
    assert code == 1
    failed = [line for line in out.splitlines() if line.startswith("  FAILED")]
    assert len(failed) == 1
    assert "python preprocess 'image': max_abs_of_range" in failed[0]


def test_a_raw_input_that_is_no_picture_fails(bundle, reseal, fails):
    (bundle / "golden" / "input_0.png").write_bytes(b"none")
    reseal(bundle)
    fails(verify.main, [bundle], 2, "BadInput", "input_0.png is not a picture")


def test_limits_are_the_bundles_own(bundle, reseal, capsys):
    def tighten(document):
        for check in document["parity"]:
            if check["metric"] == "sqnr_db" and check["limit"]:
                check["limit"] = 199.0

    reseal(bundle, tighten)
    code, out, _ = run(capsys, bundle)
    assert code == 1
    assert "dB < 199 dB" in out


@pytest.mark.parametrize("arguments", [[], ["--public-key"], ["--unknown", "x"]])
def test_wrong_use_ends_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        verify.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m sdk_build.verify" in capsys.readouterr().err


def test_the_command_works_from_any_folder(web_bundle, tmp_path, command):
    (tmp_path / "here").symlink_to(web_bundle)
    done = command("sdk_build.verify", "here", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (entry,) = json.loads(done.stdout)["bundles"]
    assert entry["passed"] is True


def test_a_manifest_of_a_newer_format_says_so(bundle, fails):
    document = json.loads((bundle / MANIFEST).read_bytes()) | {"format_version": 2}
    (bundle / MANIFEST).write_text(json.dumps(document))
    fails(verify.main, [bundle], 1, "BundleInvalid: bundle.json has format_version 2; allowed: 1; update onpar")
