"""A Core ML package rewritten is the same program on the same numbers, smaller."""

import shutil
import struct
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from reference.spec import TensorSpec
from sdk_build.backends import coreml, executorch_coreml
from sdk_build.backends.quantizers import shrink_mlpackage
from sdk_build.backends.quantizers.shrink_mlpackage import shrink
from sdk_build.errors import LoweringError
from sdk_build.mil.compare import compare_traces
from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.quiet import quiet

PRECISIONS = ("fp32", "fp16", "w8")


class Twins(nn.Module):
    """Layers with equal weights, and constants of every kind: settings, biases, scales, kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 48, 3, padding=1)
        self.left, self.right = nn.Conv2d(48, 48, 1), nn.Conv2d(48, 48, 1)
        self.right.load_state_dict(self.left.state_dict())
        self.head = nn.Conv2d(48, 600, 1)

    def forward(self, image):
        x = self.first(image).relu()
        return self.head((self.left(x) + self.right(x.neg())).mean((2, 3), keepdim=True)).flatten(1)


@pytest.fixture(scope="module")
def twins():
    torch.manual_seed(1)
    return Twins().eval()


@pytest.fixture(scope="module")
def twins_spec(spec):
    return replace(spec, outputs=(TensorSpec("logits", (1, 600), "NC", "logit"),))


@pytest.fixture(scope="module")
def packages(twins, twins_spec, tmp_path_factory):
    """By precision, what coremltools writes and what becomes of it."""
    folder = tmp_path_factory.mktemp("packages")
    found = {}
    for precision in PRECISIONS:
        before, after = folder / precision / "before.mlpackage", folder / precision / "after.mlpackage"
        with quiet(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(shrink_mlpackage, "shrink", lambda package: None)
            coreml.lower(twins, twins_spec, precision, before)
        shutil.copytree(before, after)
        shrink(after)
        found[precision] = before, after
    return found


def block_of(package):
    from coremltools.proto import Model_pb2

    model = Model_pb2.Model()
    model.ParseFromString(next(package.rglob("model.mlmodel")).read_bytes())
    function = model.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def size_bytes(package):
    return sum(file.stat().st_size for file in package.rglob("*") if file.is_file())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_results_are_equal_to_the_bit(packages, precision, samples):
    before, after = (EmulatedCoreML(package) for package in packages[precision])
    assert before.program.inputs == after.program.inputs
    assert before.program.outputs == after.program.outputs
    assert before.program.op_counts() == after.program.op_counts()
    for sample in samples:
        expected, found = before.predict(sample)["logits"], after.predict(sample)["logits"]
        assert np.ptp(expected) > 0
        np.testing.assert_array_equal(expected.view(np.uint32), found.view(np.uint32))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_is_smaller_and_settled(packages, precision, tmp_path):
    before, after = packages[precision]
    assert size_bytes(after) < size_bytes(before) - 4000
    again = shutil.copytree(after, tmp_path / "again.mlpackage")
    shrink(again)
    for file in after.rglob("*"):
        assert file.is_dir() or (again / file.relative_to(after)).read_bytes() == file.read_bytes()
    assert not (after / shrink_mlpackage.DEBUG_FILE).exists()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_constants_are_there_once(packages, precision):
    before, after = (
        Counter(
            o.attributes["val"].SerializeToString(deterministic=True)
            for o in block_of(p).operations
            if "val" in o.attributes
        )
        for p in packages[precision]
    )
    assert max(before.values()) > 1
    assert max(after.values()) == 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_names_are_short_unique_and_known_where_they_are_used(packages, precision):
    block = block_of(packages[precision][1])
    known = {"image"}
    for operation in block.operations:
        used = {argument.name for given in operation.inputs.values() for argument in given.arguments}
        assert used <= known
        made = {output.name for output in operation.outputs}
        assert not made & known
        known |= made
    assert known >= set(block.outputs) == {"logits"}
    assert all(name.isidentifier() and len(name) < 6 for name in known - {"image", "logits"})


def test_large_weights_stay_in_the_file_in_blocks_of_64_bytes(packages):
    """The entries are read as Core ML does, from the program's references."""
    package = packages["w8"][1]
    content = next(package.rglob("weight.bin")).read_bytes()
    places = {v.blobFileValue.offset for v in shrink_mlpackage._stored_values(block_of(package))}
    assert struct.unpack_from("<II", content) == (len(places), 2)
    sizes = []
    for place in places:
        mark, _, size, start, _ = struct.unpack_from("<IIQQQ", content, place)
        assert (mark, place % 64, start) == (0xDEADBEEF, 0, place + 64)
        sizes.append(size)
    assert {48 * 48, 27 * 48, 48 * 600} <= set(sizes)
    assert sizes.count(48 * 48) == 1  # both twins
    assert len(content) < 64 + sum(128 + size + 63 for size in sizes)


def test_an_operation_has_one_name_in_every_precision(packages, samples):
    half, full = (EmulatedCoreML(packages[precision][1]) for precision in ("fp16", "fp32"))
    found = compare_traces(full, half, samples[0])
    assert len(found) >= sum(full.program.op_counts().values()) - 1
    assert min(entry.sqnr_db for entry in found) > 50


def test_another_weight_file_is_refused(packages, tmp_path):
    package = shutil.copytree(packages["fp16"][0], tmp_path / "m.mlpackage")
    weights = next(package.rglob("weight.bin"))
    weights.write_bytes(bytes(len(weights.read_bytes())))
    with pytest.raises(LoweringError, match=r"no entry at byte 64 of \d+; only files of coremltools 9"):
        shrink(package)


def test_the_model_inside_a_pte_is_as_small(packages, twins, twins_spec, samples, tmp_path):
    path = tmp_path / "model.pte"
    with quiet():
        executorch_coreml.lower(twins, twins_spec, "fp16", path)
        runner = executorch_coreml.load(path, twins_spec)
    root = executorch_coreml.unpack(executorch_coreml.read_program(path), path.name, tmp_path)
    assert {file.name for file in root.iterdir()} == {"model.mlpackage", "metadata.json"}
    assert size_bytes(root / "model.mlpackage") < size_bytes(packages["fp16"][1]) + 500
    expected = EmulatedCoreML(packages["fp16"][0]).predict(samples[0])["logits"]
    np.testing.assert_array_equal(runner.predict(samples[0])["logits"], expected)
