"""Core AI artifacts through the real converter, run by Apple's interpreter."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reference.registry import get_spec
from sdk_build.backends import ON_REQUEST, RUNTIMES, TARGETS, coreai, missing_package, precisions_of, runtimes_of
from sdk_build.build.artifact import make_artifact
from sdk_build.build.reference import load_reference
from sdk_build.errors import BackendUnavailable, BadInput, LoweringError
from sdk_build.export import main
from sdk_build.lowering.core_ai import nearest_places
from sdk_build.mil import sqnr_db
from sdk_build.quiet import quiet

here = pytest.mark.skipif(
    importlib.util.find_spec("coreai") is None,
    reason="coreai-core is not installed (pip install 'onpar[coreai]': Python 3.11, glibc 2.34)",
)


class Layer(nn.Module):
    """One function of the picture."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def antialiased(x):
    return F.interpolate(x, size=(6, 10), mode="bilinear", antialias=True)


class Mixed(nn.Module):
    """A small network with a layer of most kinds, and enough weights to compress."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.Hardswish(), nn.Conv2d(32, 64, 1), nn.SiLU()
        )
        self.first, self.second = nn.Linear(64, 96), nn.Linear(96, 3)

    def forward(self, x):
        features = self.body(x)
        hidden = self.first(features.mean((2, 3))).relu()
        return self.second(hidden), hidden


def spec_of(network, shape=(1, 4, 12, 20)):
    """What a backend reads of a spec, for networks that no preprocessing has."""
    with torch.no_grad():
        outputs = network(torch.zeros(shape))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    tensor = SimpleNamespace(name="picture", shape=shape, dtype="float32")
    named = tuple(
        SimpleNamespace(name=f"out_{i}", shape=tuple(o.shape), dtype="float32") for i, o in enumerate(outputs)
    )
    return SimpleNamespace(name="small", description="a test", input=tensor, inputs=(tensor,), outputs=named)


def through(network, tmp_path, precision="fp32", shape=(1, 4, 12, 20)):
    """Outputs of the artifact and of the network itself for one picture around zero."""
    network, path = network.eval(), tmp_path / "model.aimodel"
    spec = spec_of(network, shape)
    x = torch.rand(shape) - 0.5
    with quiet():
        delegation = coreai.lower(network, spec, precision, path)
        found = coreai.load(path, spec).predict({"picture": x.numpy()})
    with torch.no_grad():
        expected = network(x)
    expected = expected if isinstance(expected, tuple) else (expected,)
    return [found[t.name] for t in spec.outputs], [e.numpy() for e in expected], delegation, path


def test_it_is_in_a_bundle_only_if_asked_for():
    assert runtimes_of("ios") == TARGETS["ios"]
    assert runtimes_of("ios", ("coreai",)) == (*TARGETS["ios"], "coreai")
    assert runtimes_of("android", ("coreai",)) == TARGETS["android"]
    assert "w4" not in precisions_of("ios") and "w4" in precisions_of("ios", ("coreai",))
    assert {name for names in ON_REQUEST.values() for name in names} <= set(RUNTIMES)
    assert RUNTIMES["coreai"].minimum_for("w8a8") == "iOS 27"


def test_a_missing_package_names_its_extra():
    assert "onpar[coreai]" in str(missing_package("coreai", ImportError(name="coreai")))
    assert "onpar[export]" in str(missing_package("litert", ImportError(name="litert_torch")))


@pytest.mark.parametrize(
    ("system", "machine", "libc", "python", "part"),
    [
        ("Linux", "x86_64", ("glibc", "2.31"), (3, 11, 2), "glibc 2.31; coreai-core needs 2.34"),
        ("Linux", "x86_64", ("glibc", "2.36"), (3, 10, 2), "coreai-core needs 3.11"),
        ("Linux", "aarch64", ("glibc", "2.36"), (3, 11, 2), "Linux on aarch64; coreai-core has wheels"),
        ("Windows", "AMD64", ("", ""), (3, 11, 2), "Windows on AMD64; coreai-core has wheels"),
        (
            "Linux",
            "x86_64",
            ("glibc", "2.36"),
            (3, 11, 2),
            "no coreai-core (No module named 'coreai'); run",
        ),
    ],
)
def test_what_a_machine_lacks_is_said(monkeypatch, refused, system, machine, libc, python, part):
    monkeypatch.setattr(coreai.platform, "system", lambda: system)
    monkeypatch.setattr(coreai.platform, "machine", lambda: machine)
    monkeypatch.setattr(coreai.platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(sys, "version_info", python)
    monkeypatch.setitem(sys.modules, "coreai.runtime", None)
    monkeypatch.setattr(coreai, "unavailable", lambda why, real=coreai.unavailable: real("No module named 'coreai'"))
    with refused(BackendUnavailable, part, "Core AI"):
        coreai.require()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--target", "android", "--with", "coreai"], ("--with coreai is for target ios, not android",)),
        (["--target", "ios", "--with", "onnx"], ("--with is 'onnx'; allowed: coreai",)),
        (["--target", "ios", "--precision", "w4"], ("w4 is not possible for target ios",)),
        (["--target", "all", "--with", "coreai", "--precision", "w4"], ("w4 is not possible for target android",)),
    ],
)
def test_wrong_use_is_refused_at_once(monkeypatch, capsys, arguments, parts):
    monkeypatch.setattr(coreai, "require", lambda: None)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(part in error for part in parts), error


@here
def test_a_shipped_model_is_proved_in_a_child_process(tmp_path):
    reference = load_reference(get_spec("face_detector_refined"))
    artifact = make_artifact(reference, "coreai", "fp16", tmp_path, witness=True)
    assert artifact.executed_by == "Core AI interpreter" and artifact.path.name == "model.aimodel"
    assert all(check.passed for check in artifact.checks) and any(check.limit for check in artifact.checks)
    assert len(artifact.answers) == len(reference.golden) + 1  # the mirrored input's
    largest = {c.metric: c.value for c in artifact.checks}["max_abs_of_range"]
    assert 0 < largest < 0.02  # 0 would mean that the reference was compared to itself


@here
def test_an_artifact_runs_without_pytorch():
    """Its import takes longer than the artifact."""
    code = (
        "import sys; import sdk_build.proof.sandbox; from sdk_build.backends import coreai;"
        "coreai.require(converter=False); import coreai.authoring; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@here
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 2e-3), ("w8", 1e-2), ("w4", 0.1)])
def test_a_small_network_in_every_precision(tmp_path, precision, tolerance):
    found, expected, delegation, path = through(Mixed(), tmp_path, precision)
    for actual, wanted in zip(found, expected, strict=True):
        assert actual.dtype == np.float32 and actual.shape == wanted.shape
        assert 0 < np.abs(actual - wanted).max() <= tolerance * np.abs(wanted).max()
    assert delegation.total > 5 and delegation.outside == 0
    held = sum(file.stat().st_size for file in path.rglob("*"))
    largest = {"fp32": 60_000, "fp16": 40_000, "w8": 26_000, "w4": 24_000}[precision]
    assert held < largest


@here
def test_the_same_weights_give_the_same_bytes(tmp_path):
    torch.manual_seed(3)
    network = Mixed()
    files = []
    for name in ("first", "second"):
        path = through(network, tmp_path / name)[3]
        files.append({file.name: file.read_bytes() for file in path.iterdir()})
    assert files[0] == files[1] and len(files[0]) == 3


# What the converter refuses or gets wrong by itself, and what must stay as it was.
REWRITTEN = {
    "nearest 1.5": nn.Upsample(scale_factor=1.5),
    "nearest 2.3": nn.Upsample(scale_factor=2.3),
    "nearest to 7x9": nn.Upsample(size=(7, 9)),
    "nearest to a half": nn.Upsample(scale_factor=0.5),
    "nearest to 24x30": nn.Upsample(size=(24, 30)),
    "elu": nn.ELU(0.5),
    "selu": nn.SELU(),
    "remainder": Layer(lambda x: x % 0.3),
    "remainder of a tensor": Layer(lambda x: torch.remainder(x, x.abs() + 0.1)),
    "var": Layer(lambda x: x.var((2, 3))),
    "std": Layer(lambda x: x.std(1, keepdim=True)),
    "var_mean": Layer(lambda x: torch.var_mean(x, 1, correction=0)),
    "adaptive max": nn.AdaptiveMaxPool2d((3, 5)),
    "antialiased resize": Layer(antialiased),
    "grid sample": Layer(lambda x: F.grid_sample(x, 2 * x[:, :2].permute(0, 2, 3, 1), align_corners=False)),
    "mean without padding": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "mean with ceil_mode": nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    "mean with both": nn.AvgPool2d((3, 5), (2, 3), (1, 2), ceil_mode=True, count_include_pad=False),
}
KEPT = {
    "nearest x 2": nn.Upsample(scale_factor=2.0),
    "nearest x 3": nn.Upsample(size=(36, 60)),
    "bilinear": nn.Upsample(size=(7, 9), mode="bilinear"),
    "mean": nn.AvgPool2d(3, 2, 1),
    "mean with a divisor": nn.AvgPool2d(3, 2, divisor_override=2),
    "transposed": nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2),
    "group norm": nn.GroupNorm(2, 4),
}


@here
@pytest.mark.parametrize("name", [*REWRITTEN, *KEPT])
def test_an_operation_is_the_networks(tmp_path, name):
    found, expected, _, _ = through({**REWRITTEN, **KEPT}[name], tmp_path)
    for actual, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=3e-6, err_msg=name)


@here
@pytest.mark.parametrize(("shape", "has_bias"), [((1, 2560), True), ((3, 2560), False), ((1, 2, 3, 1024), True)])
def test_long_sums_in_half_precision(tmp_path, shape, has_bias):
    """One by one in half precision, 2,560 products of one sign keep some 40 dB."""
    torch.manual_seed(0)
    layer = nn.Linear(shape[-1], 8, bias=has_bias)
    layer.weight.data.abs_()
    found, expected, _, _ = through(nn.Sequential(Layer(torch.abs), layer), tmp_path, "fp16", shape)
    assert found[0].shape == expected[0].shape
    assert sqnr_db(expected[0], found[0]) > 55


@here
def test_nearest_in_half_precision(tmp_path):
    """Places are counted in float32 whatever the network computes in: float16 has no 2049."""
    found, expected, _, _ = through(nn.Upsample(size=(1, 3001)), tmp_path, "fp16", (1, 1, 1, 3000))
    np.testing.assert_allclose(found[0], expected[0], atol=3e-4)


@pytest.mark.parametrize("out", [1, 2, 7, 19, 20, 23, 30, 40, 41, 57, 99])
@pytest.mark.parametrize("n", [1, 3, 10, 20, 48])
def test_places_are_those_of_pytorch(n, out):
    x = torch.arange(float(n))[None, None]
    np.testing.assert_array_equal(nearest_places(n, out, None), F.interpolate(x, size=out)[0, 0].long())
    factor = (out + 0.3) / n
    if out in (n, 2 * n):
        return  # refused, see below
    given = F.interpolate(x, scale_factor=factor)[0, 0].long()
    np.testing.assert_array_equal(nearest_places(n, len(given), factor), given)


@here
@pytest.mark.parametrize(
    ("layer", "shape", "part"),
    [
        (nn.Upsample(scale_factor=2.05), (1, 4, 12, 20), "12 by 2.05 gives 24"),
        (nn.ConvTranspose3d(2, 2, 3), (1, 2, 4, 4, 4), "3"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(tmp_path, layer, shape, part):
    with quiet(), pytest.raises((LoweringError, ValueError, NotImplementedError, RuntimeError), match=part):
        coreai.lower(layer.eval(), spec_of(layer, shape), "fp32", tmp_path / "model.aimodel")
    assert not (tmp_path / "model.aimodel").exists()


@here
def test_weights_that_stay_float_are_refused(tmp_path, refused):
    network = nn.Conv3d(8, 16, 3)
    with quiet(), refused(LoweringError, "w8 reaches 0% of the weights", "fp16"):
        coreai.lower(network, spec_of(network, (1, 8, 4, 4, 4)), "w8", tmp_path / "model.aimodel")


@here
def test_transposed_convolutions_have_8_bits_too(tmp_path):
    found, expected, _, path = through(nn.ConvTranspose2d(32, 64, 4, 2, 1), tmp_path, "w8", (1, 32, 4, 4))
    assert 0 < np.abs(found[0] - expected[0]).max() < 0.02 * np.abs(expected[0]).max()
    assert sum(file.stat().st_size for file in path.rglob("*")) < 45_000  # of 32,768 weights


@here
@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "metadata", "missing"])
def test_a_damaged_artifact_is_refused(tmp_path, damage):
    network = Mixed().eval()
    spec, path = spec_of(network), tmp_path / "model.aimodel"
    with quiet():
        coreai.lower(network, spec, "fp32", path)
    program = path / "main.mlirb"
    content = program.read_bytes()
    if damage == "empty":
        program.write_bytes(b"")
    elif damage == "cut":
        program.write_bytes(content[: len(content) // 2])
    elif damage == "noise":
        program.write_bytes(np.random.default_rng(0).bytes(1000))
    elif damage == "missing":
        program.unlink()
    else:
        (path / "metadata.json").write_text("{")
    with quiet(), pytest.raises(BadInput, match="export it again"):
        coreai.load(path, spec)
