"""A deliberate regression of each kind turns its gate red."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks import gates
from benchmarks.gates import Figures, compare, read_baseline, write_baseline
from reference.errors import BadInput
from sdk_build.backends import litert
from sdk_build.bundle.records import Peer
from sdk_build.quiet import quiet
from tests.sdk_build.bundle.test_records import RECORD
from tests.sdk_build.quantize.conftest import SPEC, Tiny

GOOD = Figures("tiny-android-fp32", "model.tflite", 10_000, 0, 1, 0.5)


def red(now, allowed=GOOD):
    return [gate.gate for gate in compare([now], [allowed]) if not gate.passed]


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Figures of a network as LiteRT holds it."""

    def of(network):
        path = tmp_path_factory.mktemp("made") / "model.tflite"
        with quiet():
            delegation = litert.lower(network.eval(), SPEC, "fp32", path)
        return replace(GOOD, bytes=path.stat().st_size, outside=delegation.outside, partitions=delegation.partitions)

    return of


@pytest.fixture(scope="module")
def tiny(figures):
    return figures(Tiny())


def test_unchanged_is_green(tiny):
    assert red(tiny, tiny) == []


def test_an_extra_layer_is_seen(figures, tiny):
    class Larger(Tiny):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(8, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())

    assert "bytes" in red(figures(Larger()), tiny)


def test_a_missing_delegate_is_seen(figures, tiny):
    class Sorted(Tiny):
        def forward(self, image):
            return super().forward(image).cumsum(1)  # XNNPACK has none

    assert {"fallbacks"} <= set(red(figures(Sorted()), tiny))


def test_a_wrong_mean_is_seen(bundle, reseal):
    """The bundle's artifact, made from a network whose normalisation subtracts another mean."""
    from reference.registry import get_spec
    from sdk_build.build.reference import load_reference

    reference = load_reference(get_spec("template_keypoints"))
    wrong = copy.deepcopy(reference.lowered)
    with torch.no_grad():
        for name, tensor in wrong.named_buffers():
            if "mean" in name:
                tensor += 0.1
    with quiet():
        litert.lower(wrong, reference.spec, "fp16", bundle / "model.tflite")

    def update(document):
        from sdk_build.bundle.files import sha256_of

        document["model_files"][0]["sha256"] = sha256_of(bundle / "model.tflite")

    assert gates.prove([bundle.parent / bundle.name]) != []  # the checksum alone
    reseal(bundle, update)
    broken = gates.prove([bundle])
    assert broken and all("parity" in line for line in broken)
    assert any("nme_percent" in line for line in broken)


def test_a_slower_artifact_is_seen():
    assert red(replace(GOOD, ratio=0.64)) == []
    assert red(replace(GOOD, ratio=0.66)) == ["x eager"]
    assert red(replace(GOOD, ratio=None)) == []


def test_ratios_come_from_the_records(bundle):
    record = replace(RECORD, bundle=bundle.name, peers=(Peer("eager", (2.0, 4.0, 6.0, 8.0)),))
    (found,) = gates.collect([bundle], [record])
    assert found.ratio == 0.5
    assert found.bytes == (bundle / "model.tflite").stat().st_size


def test_a_missing_artifact_is_seen():
    other = replace(GOOD, file="model.pte")
    elsewhere = replace(GOOD, bundle="other-android-fp32")
    missing = [g for g in compare([GOOD], [GOOD, other, elsewhere]) if not g.passed]
    assert [(g.bundle, g.file, g.gate) for g in missing] == [
        ("tiny-android-fp32", "model.pte", "missing"),
        ("other-android-fp32", "model.tflite", "missing"),
    ]
    assert [g.file for g in compare([GOOD], [GOOD, other, elsewhere], True) if not g.passed] == ["model.pte"]


def test_unknown_artifacts_and_baselines(tmp_path, refused):
    with refused(BadInput, "no committed figures", "--update"):
        compare([replace(GOOD, bundle="new-web-fp16")], [GOOD])
    with refused(BadInput, "can't read", "--update"):
        read_baseline(tmp_path / "none.json")
    (tmp_path / "old.json").write_text('{"schema_version": 0}')
    with refused(BadInput, "another version"):
        read_baseline(tmp_path / "old.json")
    (tmp_path / "old.json").write_text('{"schema_version": 1, "artifacts": 3}')
    with refused(BadInput, "no list of artifacts"):
        read_baseline(tmp_path / "old.json")
    (tmp_path / "file").write_text("")
    with refused(BadInput, "can't write", "--baseline"):
        write_baseline(tmp_path / "file" / "gates.json", [GOOD], [])


def test_update_keeps_what_is_not_here(tmp_path):
    path, other = tmp_path / "gates.json", replace(GOOD, bundle="other-web-fp16")
    write_baseline(path, [GOOD, other], [])
    write_baseline(path, [replace(GOOD, bytes=9_000, ratio=None)], read_baseline(path))
    assert read_baseline(path) == [other, replace(GOOD, bytes=9_000)]


def test_the_command(bundle, tmp_path, capsys):
    dist, baseline = str(bundle.parent), str(tmp_path / "gates.json")
    arguments = [dist, "--baseline", baseline, "--no-latency"]
    assert gates.main([*arguments, "--update", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"wrote": baseline, "artifacts": 1}
    assert gates.main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["gates"]
    assert {g["gate"] for g in found} == {"bytes", "fallbacks", "partitions"} and all(g["passed"] for g in found)
    (bundle / "model.tflite").write_bytes(b"damaged")
    assert gates.main(arguments) == 1
    assert "RED" in capsys.readouterr().out
