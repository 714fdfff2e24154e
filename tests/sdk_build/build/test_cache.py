"""Entries are whole or not there, whoever else is at work; the least recently used go first."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from reference.registry import get_spec
from sdk_build.backends.quantizers.recipes import Quantization
from sdk_build.build.cache import Cache, default_folder, digest
from sdk_build.build.keys import artifact_key, bundle_key, program_digest
from sdk_build.build.tracing import ONE_AT_A_TIME

SPEC = get_spec("face_detector_refined")


@pytest.fixture
def made(tmp_path):
    """A folder as a backend leaves it."""
    folder = tmp_path / "made"
    (folder / "model.mlpackage" / "Data").mkdir(parents=True)
    (folder / "model.mlpackage" / "Data" / "weights").write_bytes(b"x" * 1000)
    (folder / "other").write_bytes(b"y")
    return folder


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_put_is_got(made, tmp_path):
    cache = Cache(tmp_path / "cache")
    assert cache.get("a", tmp_path / "none") is None and not (tmp_path / "none").exists()
    cache.put("a", made, {"total": 3})
    assert cache.get("a", tmp_path / "back") == {"total": 3} and contents(tmp_path / "back") == contents(made)
    assert Cache(tmp_path / "cache").has("a") == {"total": 3}


@pytest.mark.parametrize("damage", [b"z", b"", None])
def test_a_damaged_entry_is_none_and_goes(damage, made, tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.put("a", made, {})
    file = tmp_path / "cache" / "a" / "content" / "other"
    file.unlink() if damage is None else file.write_bytes(damage)
    assert cache.get("a", tmp_path / "back") is None and not (tmp_path / "back").exists()
    assert cache.has("a") is None


def test_half_an_entry_of_a_killed_export_is_never_seen_and_goes(made, tmp_path):
    """Killed while it writes: what it left is no entry, and the next export removes it."""
    ready = tmp_path / "cache"
    code = (
        "import os, signal, shutil, sys; from pathlib import Path; from sdk_build.build.cache import Cache\n"
        "copy = shutil.copytree\n"
        "def killed(*a):\n    copy(*a); os.kill(os.getpid(), signal.SIGKILL)\n"
        "shutil.copytree = killed\n"
        f"Cache(Path({str(ready)!r})).put('a', Path({str(made)!r}), {{}})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == -9 and len(list(ready.iterdir())) == 1
    cache = Cache(ready)
    assert list(ready.iterdir()) == [] and cache.get("a", tmp_path / "back") is None


def test_the_least_recently_used_goes(made, tmp_path):
    cache = Cache(tmp_path / "cache", limit_bytes=2500)  # an entry has 1,001 bytes and a short record
    for age, key in enumerate("ab"):
        cache.put(key, made, {})
        os.utime(tmp_path / "cache" / key, (age + 1, age + 1))
    assert cache.get("a", tmp_path / "back") == {}  # used now, so b is the older one
    cache.put("c", made, {})
    assert [cache.has(key) is not None for key in "abc"] == [True, False, True]


def test_a_second_writer_changes_nothing(made, tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.put("a", made, {"who": 1})
    cache.put("a", made, {"who": 2})
    assert cache.has("a") == {"who": 1}
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["a"]


def test_a_folder_that_can_not_be_written_is_empty(made, tmp_path):
    (tmp_path / "file").write_text("x")
    cache = Cache(tmp_path / "file" / "cache")
    cache.put("a", made, {})
    assert cache.get("a", tmp_path / "back") is None


def test_the_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("ONPAR_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("ONPAR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "onpar" / "export"


def test_keys_follow_what_an_artifact_is_made_from():
    given = ("program", SPEC, "litert", "fp16", Quantization(("a",), {"x": (0.0, 1.0)}))
    key = artifact_key(*given)
    assert key == artifact_key(*given) and len(key) == len(digest({})) == 64
    others = [
        ("other", *given[1:]),
        (*given[:2], "executorch", *given[3:]),
        (*given[:3], "fp32", given[4]),
        (*given[:4], Quantization(("b",), {"x": (0.0, 1.0)})),
        (*given[:4], Quantization(("a",), {"x": (0.0, 1.5)})),
    ]
    assert len({key, *(artifact_key(*other) for other in others)}) == 6


def test_a_bundle_follows_its_card_too(tmp_path):
    folder = tmp_path / SPEC.name
    folder.mkdir()
    (tmp_path / SPEC.refines).mkdir()
    (folder / "card.yaml").write_text("limit: 1")
    given = ("web", ("litert",), SPEC, tmp_path, "fp16", None, None)
    before = bundle_key(*given)
    assert before == bundle_key(*given) != bundle_key(*given[:4], "fp32", None, None)
    (folder / "card.yaml").write_text("limit: 2")
    assert bundle_key(*given) != before


class Scaled(nn.Module):
    def __init__(self, factor, weight=1.0):
        super().__init__()
        self.factor = factor
        self.register_buffer("weight", torch.tensor(weight), persistent=False)

    def forward(self, image):
        return image * self.factor + self.weight


def test_a_program_is_known_by_its_operations_and_every_number():
    digests = [program_digest(network, SPEC) for network in (Scaled(2.0), Scaled(2.0), Scaled(2.5), Scaled(2.0, 1.5))]
    assert digests[0] == digests[1] and len(set(digests)) == 3
    assert json.dumps(digests)


def test_nothing_else_is_traced_meanwhile(monkeypatch):
    free, trace = [], torch.export.export

    def traced(*arguments, **options):
        other = threading.Thread(target=lambda: free.append(ONE_AT_A_TIME.acquire(blocking=False)))
        other.start()
        other.join()
        return trace(*arguments, **options)

    monkeypatch.setattr(torch.export, "export", traced)
    program_digest(Scaled(2.0), SPEC)
    assert free == [False]
