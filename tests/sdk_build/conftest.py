"""One real bundle for the whole run, and ways to damage copies of it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reference.card import MODELS_DIR
from reference.registry import get_spec
from sdk_build.bundle.files import MANIFEST, SIGNATURE, hash_files
from sdk_build.bundle.signing import sign

ROOT = Path(__file__).parents[2]
MODEL = "template_keypoints"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On busy cores torch's threads wait for each other: one thread is up to 200 x faster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # for child processes
        yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """No test finds what another made, or leaves anything in the user's cache."""
    monkeypatch.setenv("ONPAR_CACHE", str(tmp_path_factory.mktemp("cache", numbered=True)))


def _shared_dist(tmp_path_factory, model):
    """A folder with one web bundle of a model, made once; the workers of a run share it."""
    from sdk_build.build.bundles import build

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"{model}-dist"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            build(get_spec(model), ("web",), "fp16", folder)
    return folder


@pytest.fixture(scope="session")
def web_dist(tmp_path_factory, one_thread):
    """A folder with one bundle of the web target, read only by agreement."""
    return _shared_dist(tmp_path_factory, MODEL)


@pytest.fixture(scope="session")
def web_bundle(web_dist):
    """The bundle in ``web_dist``."""
    return web_dist / f"{MODEL}-web-fp16"


@pytest.fixture(scope="session")
def classifier_bundle(tmp_path_factory, one_thread):
    """A classifier's bundle, read only by agreement."""
    return _shared_dist(tmp_path_factory, "classifier") / "classifier-web-fp16"


@pytest.fixture(scope="session")
def voxel_bundle(tmp_path_factory, one_thread):
    """A bundle of the smallest voxel network, read only by agreement."""
    return _shared_dist(tmp_path_factory, "voxel64") / "voxel64-web-fp16"


@pytest.fixture(scope="session")
def detector_bundle(tmp_path_factory, one_thread):
    """A face detector's bundle, read only by agreement."""
    return _shared_dist(tmp_path_factory, "face_detector") / "face_detector-web-fp16"


@pytest.fixture(scope="session")
def judge_bundle(tmp_path_factory, one_thread):
    """A bundle of the detector's second network, read only by agreement."""
    return _shared_dist(tmp_path_factory, "face_detector_refined") / "face_detector_refined-web-fp16"


@pytest.fixture
def bundle(web_bundle, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(web_bundle, tmp_path / web_bundle.name))


@pytest.fixture(scope="session")
def reseal():
    """Make a changed bundle consistent again, as its maker could: hashes, manifest, signature."""

    def write(bundle, change=lambda document: None):
        document = json.loads((bundle / MANIFEST).read_bytes())
        document["files"] = [vars(entry) for entry in hash_files(bundle)]
        change(document)
        content = json.dumps(document).encode()
        (bundle / MANIFEST).write_bytes(content)
        (bundle / SIGNATURE).write_bytes(sign(content, None))

    return write


@pytest.fixture
def models_dir(tmp_path):
    """A copy of the stored model that a test may damage."""
    shutil.copytree(MODELS_DIR / MODEL, tmp_path / "models" / MODEL)
    return tmp_path / "models"


@pytest.fixture
def command(tmp_path):
    """Run ``python -m MODULE ARGUMENTS`` as a user does, in a folder that is not the repository.

    With ``largest_file``, writing more bytes than that to one file fails, as on a full disk.
    """

    def run(module, *arguments, largest_file=None):
        start = [sys.executable, "-m", module]
        if largest_file is not None:
            # Set by the child itself: forking a process with the converters' threads, as preexec_fn does, may hang.
            limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, {largest_file}))"
            start = [
                sys.executable,
                "-c",
                f"import resource, runpy; {limit}; runpy.run_module({module!r}, None, '__main__')",
            ]
        return subprocess.run(
            [*start, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    return run


@pytest.fixture
def fails(capsys):
    """Run a command's main: it must end with this code, nothing on stdout and one line with every part on stderr."""

    def check(main, arguments, code, *parts):
        assert main([str(a) for a in arguments]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.endswith("\n") and err.count("\n") == 1, err
        for part in parts:
            assert str(part) in err, f"{part!r} is not in {err!r}"

    return check
