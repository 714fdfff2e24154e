"""From stored files to artifacts: what may be missing or wrong, and that nothing half-made stays."""

import contextlib
import dataclasses
import json
import resource
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from reference.errors import BadInput, WeightsError
from reference.golden import LARGEST, Golden, thin
from reference.registry import get_spec
from sdk_build.build import bundles as build_module
from sdk_build.build import default as default_module
from sdk_build.build.artifact import make_artifact
from sdk_build.build.bundles import build, write_bundle
from sdk_build.build.default import build_default
from sdk_build.build.measured import load_measured
from sdk_build.build.reference import check_limits, load_reference
from sdk_build.bundle.artifact import Artifact
from sdk_build.bundle.contents import git_commit, tool_versions, write_golden_files
from sdk_build.bundle.files import open_bundle
from sdk_build.errors import BackendUnavailable, LoweringError, ParityError

SPEC = get_spec("template_keypoints")


@pytest.fixture(scope="module")
def reference():
    return load_reference(SPEC)


@pytest.fixture
def stored(models_dir):
    """The stored model's own folder, to be damaged."""
    return models_dir / SPEC.name


def fails_to_load(stored, refused, kind, *parts):
    with refused(kind, *parts):
        build(SPEC, ("web",), "fp16", stored.parents[2] / "dist", models_dir=stored.parent)
    assert not list((stored.parents[2] / "dist").iterdir())


@pytest.mark.parametrize("share", [None, 0, 0.5])
def test_missing_or_truncated_weights(share, stored, refused):
    path = stored / "weights.safetensors"
    if share is None:
        path.unlink()
        fails_to_load(stored, refused, WeightsError, "no weights at", path)
    else:
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        fails_to_load(stored, refused, WeightsError, "can't read weights", path, "restore the file")


def test_weights_of_another_network(stored, refused):
    save_file({"other": np.zeros(3, np.float32)}, stored / "weights.safetensors")
    fails_to_load(stored, refused, WeightsError, "use the weights of this very model")


def test_weights_with_a_flipped_bit_do_not_reproduce_the_golden_files(stored, refused):
    path = stored / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1001] ^= 0x40  # a high bit of a stored float
    path.write_bytes(content)
    with pytest.raises((ParityError, WeightsError)) as caught:
        load_reference(SPEC, stored.parent)
    assert "golden_vs_reference" in str(caught.value) or "not finite" in str(caught.value)


@pytest.mark.parametrize("text", [None, "", "- a\n- b\n", "summary: [", "summary: x\n", "other: 1\n"])
def test_a_missing_or_damaged_card(text, stored, refused):
    card = stored / "card.yaml"
    card.unlink() if text is None else card.write_text(text)
    fails_to_load(stored, refused, BadInput, card, "can't be used")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("sqnr_db: 55.0", "snr_db: 55.0", "parity fp16 has 'snr_db'; allowed: max_abs_of_range, sqnr_db"),
        ("1.0e-9", "1e-9", "max_abs_of_range is '1e-9'; a number is needed"),
        ("1.0e-9", "yes", "max_abs_of_range is True; a number is needed"),
        ("  golden: ", "  gold: ", "parity lacks 'golden'; give limits for golden, lowered, fp32 and fp16"),
        ("  fp16: ", "  half: ", "parity lacks 'fp16'"),
    ],
)
def test_a_card_whose_limits_would_not_be_looked_at(old, new, part, stored, refused):
    card = stored / "card.yaml"
    assert old in card.read_text()
    card.write_text(card.read_text().replace(old, new))
    fails_to_load(stored, refused, BadInput, "card of template_keypoints", part)


def test_the_stored_cards_limits_are_all_looked_at(reference):
    check_limits(SPEC, reference.card)


@pytest.mark.parametrize("name", ["tensors.safetensors", "input_0.png", "input_1.png"])
def test_a_missing_golden_file(name, stored, refused):
    (stored / "golden" / name).unlink()
    parts = ("golden files in", "incomplete", "python -m reference.golden template_keypoints")
    fails_to_load(stored, refused, BadInput, *parts)


def test_truncated_golden_tensors(stored, refused):
    path = stored / "golden" / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    fails_to_load(stored, refused, BadInput, "golden files in", "python -m reference.golden")


def change_golden(stored, name, change):
    path = stored / "golden" / "tensors.safetensors"
    tensors = load_file(path)
    tensors[name] = np.ascontiguousarray(change(tensors[name]))
    save_file(tensors, path)


def test_changed_golden_outputs_stop_the_export(stored, refused):
    change_golden(stored, "template_keypoints_1", lambda values: values + np.float32(0.01))
    fails_to_load(stored, refused, ParityError, "golden_vs_reference 'template_keypoints': max_abs_of_range")


def test_golden_outputs_of_another_shape_stop_the_export(stored, refused):
    change_golden(stored, "keypoints_0", lambda values: values[:, :5])
    parts = ("golden_vs_reference 'keypoints'", "shape is (1, 68, 2), needed (1, 5, 2)")
    fails_to_load(stored, refused, ParityError, *parts)


def test_equal_golden_inputs_prove_nothing(stored, refused):
    for name in ("image", "keypoints", "template_keypoints"):
        first = load_file(stored / "golden" / "tensors.safetensors")[f"{name}_0"]
        change_golden(stored, f"{name}_1", lambda values, first=first: first)
    fails_to_load(stored, refused, ParityError, "two golden inputs differ by 0 of the range")


class DataDependent(nn.Module):
    """No exporter can know which branch runs."""

    def forward(self, image):
        if image.sum() > 3:
            return image[:, 0], image[:, 1]
        return image[:, 1], image[:, 2]


def test_a_network_that_can_not_be_converted_is_one_line(reference, tmp_path, refused):
    impossible = dataclasses.replace(reference, lowered=DataDependent())
    with refused(LoweringError, "litert can't convert template_keypoints in fp16 (", "); try another precision"):
        make_artifact(impossible, "litert", "fp16", tmp_path)


def test_a_missing_toolchain_is_named(reference, tmp_path, monkeypatch, refused):
    monkeypatch.setitem(__import__("sys").modules, "litert_torch", None)
    with refused(BackendUnavailable, "litert needs the package litert_torch, which is not installed; run 'make setup'"):
        make_artifact(reference, "litert", "fp16", tmp_path)


def test_an_artifact_of_another_network_never_becomes_a_bundle(reference, tmp_path, monkeypatch, refused):
    """The whole way with real tools: one channel's mean is wrong in what is converted, and only there."""
    wrong = load_reference(SPEC).lowered
    means = [m for name, m in wrong.named_buffers() if name.endswith("mean")]
    assert len(means) == 1
    means[0][0, 1] += 0.05
    monkeypatch.setattr(build_module, "load_reference", lambda *_: dataclasses.replace(reference, lowered=wrong))
    with refused(ParityError, "template_keypoints fp16 litert lowered_vs_artifact 'keypoints'", "dB < 55 dB"):
        build(SPEC, ("web",), "fp16", tmp_path / "dist")
    assert not list((tmp_path / "dist").iterdir())


@pytest.fixture
def artifact(web_bundle, tmp_path):
    """The proved artifact of the stored bundle, as :func:`make_artifact` returns it."""
    entry = open_bundle(web_bundle).manifest.model_files[0]
    (tmp_path / "made").mkdir()
    path = shutil.copy2(web_bundle / entry.file, tmp_path / "made" / entry.file)
    checks = tuple(c for c in open_bundle(web_bundle).manifest.parity if c.runtime == "litert")
    errors = json.loads((web_bundle / "analysis.json").read_text())["errors"]["model.tflite"]
    return Artifact("litert", "fp16", path, entry.delegation, checks, "litert", 1.0, errors=errors)


@contextlib.contextmanager
def largest_file(size):
    """Writing more than ``size`` bytes to one file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_bundle_from_a_proved_artifact(reference, artifact, web_bundle, tmp_path):
    built = write_bundle(reference, "web", "fp16", [artifact], tmp_path / "dist", None, 0.0)
    assert open_bundle(built.path).manifest.files == open_bundle(web_bundle).manifest.files
    assert [p.name for p in (tmp_path / "dist").iterdir()] == [web_bundle.name]


# The first stops at the artifact, the second at golden tensors, the third at their collection.
@pytest.mark.parametrize("size", [1_000_000, 100_000, 200_000])
def test_a_full_disk_leaves_the_older_bundle_and_nothing_else(size, reference, artifact, bundle, tmp_path, refused):
    if size < 1_000_000:  # the artifact itself fits
        artifact.path.write_bytes(b"small")
    output = bundle.parent
    before = sorted(p.name for p in output.iterdir())
    with refused(BadInput, f"can't write {output / bundle.name}", "choose another --output-dir"), largest_file(size):
        write_bundle(reference, "web", "fp16", [artifact], output, None, 0.0)
    assert sorted(p.name for p in output.iterdir()) == before
    open_bundle(bundle)


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "/proc/dist"])
def test_an_output_folder_that_can_not_be_made_is_refused_first(place, tmp_path, refused):
    (tmp_path / "a-file").write_text("x")
    started = []
    with refused(BadInput, "can't write", "choose another --output-dir"):
        build(SPEC, ("web",), "fp16", tmp_path / place, progress=started.append)
    assert started == []
    assert (tmp_path / "a-file").read_text() == "x"


def test_default_precision_falls_back_and_says_why(monkeypatch):
    asked, notices = [], []

    def pretend(spec, targets, precision, **_):
        asked.append(precision)
        if precision == "fp16":
            raise ParityError("sqnr_db 31 dB < 40 dB; try\nanother")
        return []

    monkeypatch.setattr(default_module, "build", pretend)
    monkeypatch.setattr(default_module, "load_measured", lambda *_: None)
    assert build_default(SPEC, print, notices.append, ("web",)) == []
    assert asked == ["fp16", "fp32"]
    assert "no quantisation is measured" in notices[0] and "sdk_build.quantize template_keypoints" in notices[0]
    assert notices[1:] == [
        "template_keypoints: fp16 is not close enough (sqnr_db 31 dB < 40 dB; try another); fp32 instead"
    ]


def test_without_a_precision_within_the_budget_the_best_is_named(monkeypatch):
    measured = load_measured("template_keypoints")
    failed = [dataclasses.replace(a, passed=False, reason=f"misses by {i}") for i, a in enumerate(measured.artifacts)]
    nothing = dataclasses.replace(measured, artifacts=tuple(failed))
    notices = []
    monkeypatch.setattr(default_module, "build", lambda *_, **__: [])
    monkeypatch.setattr(default_module, "load_measured", lambda *_: nothing)
    build_default(SPEC, print, notices.append, ("web",))
    assert "no quantisation is measured" in notices[0]
    assert notices[1].startswith("template_keypoints: nearest to it came litert") and "misses by" in notices[1]


def test_default_precision_hides_no_other_error(monkeypatch, refused):
    def broken(*_, **__):
        raise LoweringError("no")

    monkeypatch.setattr(default_module, "build", broken)
    with refused(LoweringError, "no"):
        build_default(SPEC, print, print, ("web",))


def test_provenance():
    names = {entry.name: entry.value for entry in tool_versions(["litert"])}
    assert names.keys() == {"torch", "numpy", "ai-edge-litert", "litert-torch", "ai-edge-quantizer"}
    assert names["torch"] == torch.__version__ or torch.__version__.startswith(names["torch"])
    assert git_commit() == "unknown" or len(git_commit().removesuffix("-modified")) == 40


def test_a_large_golden_input_stays_whole_and_a_large_output_is_thinned(tmp_path):
    spec = get_spec("face_detector")
    assert spec.input.size > LARGEST
    raw = tmp_path / "input_0.png"
    raw.write_bytes(b"")
    image = np.arange(spec.input.size, dtype=np.float32).reshape(spec.input.shape)
    faces = np.zeros(spec.outputs[0].shape, np.float32)
    case = Golden({"image": raw}, {"image": image}, np.zeros(1, np.float32), {"faces": faces})
    folder = tmp_path / "bundle"
    folder.mkdir()
    (golden,) = write_golden_files(spec, [case], folder)
    assert {t.tensor: (t.shape, t.stride) for t in golden.tensors} == {
        "image": (spec.input.shape, 1),
        "faces": (spec.outputs[0].shape, 1),
    }
    np.testing.assert_array_equal(np.fromfile(folder / "golden/image_0.bin", "<f4"), image.ravel())
    large = dataclasses.replace(spec.outputs[0], shape=(1, LARGEST, 2))
    case = dataclasses.replace(case, outputs={"faces": thin(np.zeros(large.shape, np.float32))})
    (tmp_path / "other").mkdir()
    wide = SimpleNamespace(inputs=spec.inputs, outputs=(large,), input=spec.input, preprocess=spec.preprocess)
    (golden,) = write_golden_files(wide, [case], tmp_path / "other")
    assert [t.stride for t in golden.tensors] == [1, 3]
