"""Emulated arm64: the gate's arithmetic everywhere, the emulation itself where its toolchain is."""

import pytest

from benchmarks import arm64
from benchmarks.arm64 import CACHE, Count, calls_of, compare, read_counts, write_counts
from reference.errors import BadInput
from sdk_build.bundle.files import open_bundle
from sdk_build.errors import ArtifactCrashed, BackendUnavailable

ONE = Count("tiny-web-w8a8", "cortex-a53", 1_000_000)
READY = (CACHE / "root" / "site" / "numpy").exists()
COUNTS = READY and (CACHE / "counter" / arm64.LIBRARY).exists()


def test_a_count_may_move_by_a_hundredth():
    for now in (990_001, 1_009_999):
        assert compare([Count(ONE.bundle, ONE.cpu, now)], [ONE]) == []
    for now in (980_000, 1_020_000):
        (line,) = compare([Count(ONE.bundle, ONE.cpu, now)], [ONE])
        assert "emulated arm64 instructions" in line and "1,000,000" in line
    assert "no committed count" in compare([ONE], [])[0]


def test_counts_are_kept(tmp_path, refused):
    write_counts(tmp_path / "c.json", [ONE])
    assert read_counts(tmp_path / "c.json") == [ONE]
    with refused(BadInput, "can't read", "--update"):
        read_counts(tmp_path / "none.json")
    (tmp_path / "c.json").write_text("{}")
    with refused(BadInput, "another version"):
        read_counts(tmp_path / "c.json")


def test_what_lies_between_the_marks_is_counted(refused):
    marks = [1000, 1900, 2300, 2400, 2500, 2601]
    text = "noise\n" + "".join(f"executed: {mark}\n" for mark in marks) + "executed by nobody\n"
    assert calls_of(text) == [900, 400, 100, 100, 101]
    with refused(ArtifactCrashed, "5 marks of 6", "--build"):
        calls_of("".join(f"executed: {mark}\n" for mark in marks[1:]))


@pytest.mark.skipif(not COUNTS, reason="no QEMU with the counter; make arm64-counts builds it")
def test_counts_repeat_to_the_last_instruction(bundle):
    first, second = (arm64.count(CACHE, open_bundle(bundle), "cortex-a76").instructions for _ in range(2))
    assert first == second > 1_000_000


def test_without_the_toolchain(tmp_path, monkeypatch, fails_with):
    monkeypatch.setattr(arm64, "CACHE", tmp_path)
    fails_with(arm64.main, [tmp_path], 2, "BackendUnavailable", "make arm64")


@pytest.fixture
def fails_with(capsys):
    def check(main, arguments, code, *parts):
        assert main([str(a) for a in arguments]) == code
        out, err = capsys.readouterr()
        assert out == "" and all(part in err for part in parts)

    return check


@pytest.mark.skipif(not READY, reason="no arm64 toolchain; make arm64 fetches it")
def test_a_bundle_is_proved_on_an_emulated_core(bundle):
    checks = arm64.prove(CACHE, open_bundle(bundle), "cortex-a53")
    assert checks and all(check.passed for check in checks)
    assert checks[0].runtime == "litert (emulated cortex-a53)"
    assert any(check.limit is not None for check in checks)


def test_counting_needs_the_plugin(tmp_path, refused):
    (tmp_path / "root/site/numpy").mkdir(parents=True)
    (tmp_path / "qemu/usr/bin").mkdir(parents=True)
    (tmp_path / "qemu/usr/bin/qemu-aarch64").touch()
    arm64.check_ready(tmp_path, counting=False)
    with refused(BackendUnavailable, "--build"):
        arm64.check_ready(tmp_path, counting=True)
