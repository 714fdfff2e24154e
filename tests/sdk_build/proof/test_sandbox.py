"""An artifact that dies takes only its child process along."""

import dataclasses

import numpy as np
import pytest

from reference.registry import get_spec
from reference.spec import TensorSpec
from sdk_build import verify
from sdk_build.backends import RUNTIMES, get_backend
from sdk_build.errors import ArtifactCrashed, BackendUnavailable
from sdk_build.predict import __main__ as predict
from sdk_build.proof import sandbox
from sdk_build.proof.sandbox import run_artifact
from tests.sdk_build.tflite_files import write_endless, write_sums

SPEC = get_spec("template_keypoints")
IMAGES = [{"image": np.random.default_rng(i).random((1, 3, 112, 112)).astype(np.float32)} for i in range(2)]
# The sandbox knows a model by its tensors alone, so a spec of other tensors stands for another model.
SMALL = dataclasses.replace(
    SPEC,
    inputs=(TensorSpec("x", (1, 3, 112, 112), "NCHW", "intensity"),),
    outputs=(TensorSpec("y", (1, 4), "NC", "logit"),),
)


def test_outputs_equal_those_of_a_run_in_this_process(web_bundle):
    path = web_bundle / RUNTIMES["litert"].file
    runner = get_backend("litert").load(path, SPEC)
    apart = run_artifact("litert", path, SPEC, IMAGES)
    for given, outputs in zip(IMAGES, apart, strict=True):
        here = runner.predict(given)
        assert outputs.keys() == here.keys() == {"keypoints", "template_keypoints"}
        for name, values in here.items():
            assert values.dtype == np.float32
            np.testing.assert_array_equal(outputs[name], values)
    assert np.abs(apart[0]["keypoints"] - apart[1]["keypoints"]).max() > 1e-3  # each case has its own outputs


def test_a_relative_path_means_the_callers_folder(web_bundle, monkeypatch):
    monkeypatch.chdir(web_bundle)
    (outputs,) = run_artifact("litert", (web_bundle / "model.tflite").relative_to(web_bundle), SPEC, IMAGES[:1])
    assert outputs["keypoints"].shape == (1, 68, 2)


def test_a_native_crash_is_an_error_with_the_signals_name(tmp_path, refused):
    path = write_endless(tmp_path / "endless.tflite")
    with refused(ArtifactCrashed, "litert died with SIGSEGV while running endless.tflite", "export it again"):
        run_artifact("litert", path, SMALL, [{"x": np.zeros(4, np.float32)}])


def test_a_bundle_whose_artifact_crashes_fails_without_a_traceback(bundle, reseal, fails):
    """Signed and hashed correctly, as its maker could: only running it shows what it is."""
    write_endless(bundle / "model.tflite", "image")
    reseal(bundle)
    fails(verify.main, [bundle], 1, "ArtifactCrashed: litert died with SIGSEGV while running model.tflite")
    picture = bundle / "golden" / "input_0.png"
    box = "--box=10,10,90,90"
    fails(predict.main, [bundle, picture, box], 1, "ArtifactCrashed: litert died with SIGSEGV")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_tflite_is_refused(share, web_bundle, tmp_path, refused):
    whole = (web_bundle / "model.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(whole[: int(share * len(whole))])
    with refused(
        ArtifactCrashed, "litert can't run cut.tflite", "no .tflite file that LiteRT can run", "export it again"
    ):
        run_artifact("litert", path, SPEC, IMAGES[:1])


def test_a_truncated_pte_is_refused(tmp_path, refused):
    path = tmp_path / "cut.pte"
    path.write_bytes(b"\x20\x00\x00\x00ET12" + bytes(range(200)))
    with refused(ArtifactCrashed, "executorch can't run cut.pte", "no .pte file that ExecuTorch can run"):
        run_artifact("executorch", path, SPEC, IMAGES[:1])


# Damaged .mlpackage folders: tests/sdk_build/mil/test_reader.py, without the seconds that a child needs.


def test_outputs_of_another_shape_are_refused(tmp_path, refused):
    """A file of another model, under the right name."""
    path = write_sums(tmp_path / "other.tflite", lambda graph, x: _flat(graph, x))
    with refused(ArtifactCrashed, "litert gives 'y' of other.tflite as (4,), the model has (1, 4)", "export it again"):
        run_artifact("litert", path, SMALL, [{"x": np.ones((1, 4), np.float32)}])


def _flat(graph, x):
    from ai_edge_litert import schema_py_generated as schema

    from tests.sdk_build.tflite_files import INT

    shape = graph.tensor("shape", [1], INT, np.array([4], np.int32))
    y = graph.tensor("flat", [4])
    graph.operation("RESHAPE", [x, shape], [y], schema.ReshapeOptionsT())
    return y


def test_other_tensor_names_are_refused(web_bundle, refused):
    with refused(ArtifactCrashed, "litert can't run model.tflite"):
        run_artifact("litert", web_bundle / "model.tflite", SMALL, [{"x": IMAGES[0]["image"]}])


def missing(folder, name, monkeypatch):
    """Child processes can't import ``name``, as where it was never installed."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name={name!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_runtime_that_is_not_installed_is_named(web_bundle, tmp_path, monkeypatch, refused):
    missing(tmp_path, "ai_edge_litert", monkeypatch)
    with refused(
        BackendUnavailable, "litert needs the package ai_edge_litert, which is not installed; run 'make setup'"
    ):
        run_artifact("litert", web_bundle / "model.tflite", SPEC, IMAGES[:1])


def test_verify_proves_nothing_without_a_runtime(web_bundle, tmp_path, monkeypatch, fails):
    missing(tmp_path, "ai_edge_litert", monkeypatch)
    fails(
        verify.main, [web_bundle], 2, "BackendUnavailable", "no runtime for any artifact is installed; run 'make setup'"
    )


def test_a_runtime_that_hangs_is_stopped(web_bundle, monkeypatch, refused):
    monkeypatch.setattr(sandbox, "TIMEOUT_S", 0.05)
    with refused(ArtifactCrashed, "model.tflite did not finish in 0.05 s in litert"):
        run_artifact("litert", web_bundle / "model.tflite", SPEC, IMAGES[:1])
