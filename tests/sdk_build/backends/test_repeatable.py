"""The same network gives the same bytes, in every runtime; another network gives others."""

import copy

import pytest
import torch
from torch import nn

from reference.spec import ModelSpec, TensorSpec
from sdk_build.backends import RUNTIMES, get_backend
from sdk_build.backends.quantizers.shrink_mlpackage import content_uuid
from sdk_build.bundle.files import hash_files, sha256_of
from sdk_build.quiet import quiet

SPEC = ModelSpec(
    name="repeated",
    task="tensors",
    document="R",
    network="unused:build",
    inputs=(TensorSpec("image", (1, 3, 8, 8), "NCHW", "", None),),
    outputs=(TensorSpec("scores", (1, 4), "NC", ""),),
    preprocess=None,
    postprocess=None,
    intermediate=None,
    description="made twice",
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 4)).eval()


def digest(network, runtime, folder):
    path = folder / RUNTIMES[runtime].file
    with quiet():
        get_backend(runtime).lower(network, SPEC, "fp32", path)
    return hash_files(path) if path.is_dir() else sha256_of(path)


@pytest.mark.parametrize("runtime", ["coreml", "executorch_coreml", "executorch", "litert"])
def test_two_exports_are_equal_byte_for_byte(runtime, network, tmp_path):
    once, twice = (digest(copy.deepcopy(network), runtime, tmp_path / name) for name in ("once", "twice"))
    assert once == twice


def test_an_identifier_is_of_names_and_contents(tmp_path):
    for name, files in {"a": {"x": b"1", "y": b"2"}, "b": {"y": b"2", "x": b"1"}, "c": {"x": b"1", "z": b"2"}}.items():
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_bytes(content)
    a, b, c = (content_uuid(tmp_path / name) for name in "abc")
    assert a == b != c
    (tmp_path / "b" / "x").write_bytes(b"3")
    assert content_uuid(tmp_path / "b") != a
