"""A bundle is written whole, and no change of it goes unnoticed."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from reference.errors import BadInput
from sdk_build import verify
from sdk_build.bundle.files import (
    MANIFEST,
    SIGNATURE,
    clean_up,
    hash_files,
    open_bundle,
    place,
    seal,
    sha256_of,
    size_of,
    workspace,
)
from sdk_build.errors import BundleInvalid, BundleNotFound, ChecksumMismatch, ParityError, SignatureInvalid

EMPTY_SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def files_of(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def flip(path, position, mask=0x01):
    data = bytearray(path.read_bytes())
    data[position] ^= mask
    path.write_bytes(data)


def test_a_bundle_holds_what_the_design_promises(web_bundle):
    names = {p.relative_to(web_bundle).as_posix() for p in files_of(web_bundle)}
    assert names >= {MANIFEST, SIGNATURE, "card.md", "model.tflite", "golden/tensors.safetensors", "golden/input_0.png"}
    bundle = open_bundle(web_bundle)
    assert {entry.path for entry in bundle.manifest.files} == names - {MANIFEST, SIGNATURE}
    assert bundle.signature == "not signed"
    assert bundle.manifest.id == web_bundle.name
    assert not list(web_bundle.parent.glob(".*"))


def test_golden_tensors_are_the_stored_ones(web_bundle):
    from safetensors.numpy import load_file

    bundle = open_bundle(web_bundle)
    stored = load_file(web_bundle / "golden" / "tensors.safetensors")
    for case in range(2):
        for name, shape in (("image", (1, 3, 112, 112)), ("keypoints", (1, 68, 2)), ("template_keypoints", (1, 68, 2))):
            values = bundle.golden_tensor(case, name)
            assert values.shape == shape
            np.testing.assert_array_equal(values, stored[f"{name}_{case}"])
    with pytest.raises(BundleInvalid, match="no golden tensor 'none' in case 1; export it again"):
        bundle.golden_tensor(1, "none")


def test_one_flipped_byte_in_any_file_is_noticed(bundle, fails):
    for path in files_of(bundle):
        whole = path.read_bytes()
        for position in {0, len(whole) // 2, len(whole) - 1}:
            flip(path, position)
            name = path.relative_to(bundle).as_posix()
            special = {MANIFEST: "bundle.json", SIGNATURE: SIGNATURE}
            fails(verify.main, [bundle], 1, special.get(name, f"{name} differs from its sha256; export"))
            path.write_bytes(whole)
    open_bundle(bundle)


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURE])
def test_any_flipped_byte_of_the_manifest_or_signature_is_a_clear_error(name, bundle):
    whole = (bundle / name).read_bytes()
    rng = np.random.default_rng(0)
    for position in {int(p) for p in rng.integers(0, len(whole), 150)}:
        flip(bundle / name, position, 1 << int(rng.integers(8)))
        if json_or_none((bundle / name).read_bytes()) != json_or_none(whole) or name == MANIFEST:
            with pytest.raises(BundleInvalid):
                open_bundle(bundle)
        (bundle / name).write_bytes(whole)


def json_or_none(content):
    try:
        return json.loads(content)
    except ValueError:
        return None


def test_a_missing_file_is_named(bundle, fails):
    for path in files_of(bundle):
        if path.name == MANIFEST:
            continue
        path.rename(bundle.parent / "aside")
        fails(
            verify.main,
            [bundle],
            1,
            f"ChecksumMismatch: {bundle.name} lacks {path.relative_to(bundle).as_posix()}; export",
        )
        (bundle.parent / "aside").rename(path)


@pytest.mark.parametrize("name", ["extra.bin", "golden/input_9.png", ".hidden", "sub/dir/file"])
def test_an_unlisted_file_is_named(name, bundle, fails):
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_bytes(b"")
    fails(verify.main, [bundle], 1, f"BundleInvalid: {bundle.name} holds {name}, which bundle.json does not list")


@pytest.mark.parametrize("outside", ["../secret", "/etc/hostname", "golden/../../secret"])
def test_a_listed_path_outside_the_bundle_is_refused(outside, bundle, reseal, refused):
    (bundle.parent / "secret").write_bytes(b"")
    entry = {"path": outside, "sha256": EMPTY_SHA, "bytes": 0}
    reseal(bundle, lambda document: document["files"].append(entry))
    with refused(BundleInvalid, outside, "lies outside the bundle; don't use this bundle"):
        open_bundle(bundle)


def test_a_link_in_place_of_a_file_is_refused(bundle, refused):
    shutil.move(bundle / "card.md", bundle.parent / "card.md")
    (bundle / "card.md").symlink_to(bundle.parent / "card.md")
    with refused(BundleInvalid, "card.md is a symbolic link; a bundle holds files only"):
        open_bundle(bundle)


def test_a_linked_folder_is_refused(bundle, refused):
    (bundle / "more").symlink_to(bundle.parent)
    with refused(BundleInvalid, "more is a symbolic link"):
        open_bundle(bundle)


def test_a_bundle_may_lie_behind_a_link(web_bundle, tmp_path):
    (tmp_path / "link").symlink_to(web_bundle)
    assert open_bundle(tmp_path / "link").manifest.model == "template_keypoints"


def test_a_consistently_changed_bundle_opens(bundle, reseal):
    """The counterpart of the tests above: their errors come from the damage, not from resealing."""
    (bundle / "card.md").write_text("# another card\n")
    reseal(bundle)
    assert open_bundle(bundle).manifest.id == bundle.name


def test_a_golden_tensor_of_another_length_is_refused(bundle, reseal, refused):
    np.zeros(5, "<f4").tofile(bundle / "golden" / "keypoints_1.bin")
    reseal(bundle)
    with refused(BundleInvalid, "golden/keypoints_1.bin holds 5 values", "(1, 68, 2) with stride 1", "export it again"):
        open_bundle(bundle).golden_tensor(1, "keypoints")


def test_what_is_no_bundle_ends_with_code_2(tmp_path, fails):
    fails(
        verify.main, [tmp_path], 2, f"BundleNotFound: {tmp_path} is no bundle: it has no bundle.json; give the folder"
    )
    fails(verify.main, [tmp_path / "none"], 2, f"{tmp_path / 'none'} does not exist; give the folder")
    file = tmp_path / "file"
    file.write_text("{}")
    fails(verify.main, [file], 2, "BundleNotFound")


def test_a_manifest_that_is_a_folder_is_no_bundle(tmp_path):
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(BundleNotFound):
        open_bundle(tmp_path)


def test_hashes_of_files_and_folders(tmp_path):
    (tmp_path / "b").write_bytes(b"")
    assert sha256_of(tmp_path / "b") == EMPTY_SHA
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"12")
    before = sha256_of(tmp_path)
    assert [(e.path, e.bytes) for e in hash_files(tmp_path)] == [("a/x", 2), ("b", 0)]
    assert size_of(tmp_path) == size_of(tmp_path / "a" / "x") == 2
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")  # the name counts, not only the content
    assert sha256_of(tmp_path) != before


def test_a_failed_check_is_never_sealed(web_bundle, tmp_path, refused):
    manifest = open_bundle(web_bundle).manifest
    failed = dataclasses.replace(manifest.parity[-1], metric="sqnr_db", value=31.2, limit=35.0, passed=False)
    with refused(ParityError, manifest.id, "sqnr_db 31.2 dB < 35 dB", "no bundle was written"):
        seal(tmp_path, dataclasses.replace(manifest, parity=(*manifest.parity, failed)), None)
    assert not list(tmp_path.iterdir())


def finished(parent, text):
    """A folder as :func:`seal` leaves it, as far as moving is concerned."""
    folder = parent / f".finished-{text}"
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text(text)
    return folder


def test_place_replaces_an_older_bundle(tmp_path):
    place(finished(tmp_path, "old"), tmp_path, "b")
    (tmp_path / "b" / "only-in-old").touch()
    path = place(finished(tmp_path, "new"), tmp_path, "b")
    assert path == tmp_path / "b"
    assert [p.name for p in tmp_path.rglob("*")] == ["b", MANIFEST]
    assert (path / MANIFEST).read_text() == "new"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_place_does_not_touch_what_is_no_bundle(kind, tmp_path, refused):
    mine = tmp_path / "b" / "thesis.txt" if kind == "folder" else tmp_path / "b"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("years of work")
    with refused(BadInput, tmp_path / "b", "is no bundle; move it elsewhere"):
        place(finished(tmp_path, "new"), tmp_path, "b")
    assert mine.read_text() == "years of work"


def test_place_puts_the_older_bundle_back_when_it_fails(tmp_path):
    place(finished(tmp_path, "old"), tmp_path, "b")
    with pytest.raises(FileNotFoundError):
        place(tmp_path / "never made", tmp_path, "b")
    assert (tmp_path / "b" / MANIFEST).read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("error", [None, ParityError("m"), KeyboardInterrupt()])
def test_a_workspace_vanishes_whatever_happens(error, tmp_path):
    def work():
        with workspace(tmp_path / "dist", "b") as folder:
            (folder / "half").write_text("x")
            assert folder.name.startswith(".")
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    assert not list((tmp_path / "dist").iterdir())


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_clean_up_removes_what_killed_exports_left_and_nothing_else(tmp_path):
    dead, alive = tmp_path / f".onpar-tmp-a-b-{dead_pid()}", tmp_path / f".onpar-tmp-a-{os.getpid()}"
    for folder in (dead, alive, tmp_path / ".onpar-tmp-odd-name", tmp_path / "bundle", tmp_path / ".git"):
        (folder / "inner").mkdir(parents=True)
    clean_up(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([alive.name, ".onpar-tmp-odd-name", "bundle", ".git"])


def test_clean_up_puts_back_a_bundle_that_was_set_aside(tmp_path):
    finished(tmp_path, "old").rename(tmp_path / ".onpar-old-b")
    clean_up(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b" / MANIFEST).read_text() == "old"


def test_clean_up_drops_a_bundle_that_was_replaced(tmp_path):
    finished(tmp_path, "old").rename(tmp_path / ".onpar-old-b")
    finished(tmp_path, "new").rename(tmp_path / "b")
    clean_up(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b" / MANIFEST).read_text() == "new"


def test_clean_up_of_a_folder_that_does_not_exist(tmp_path):
    clean_up(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_errors_are_kinds_of_an_invalid_bundle():
    assert issubclass(ChecksumMismatch, BundleInvalid)
    assert issubclass(SignatureInvalid, BundleInvalid)
