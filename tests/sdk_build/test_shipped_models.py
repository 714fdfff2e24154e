"""Every shipped model, through the real toolchains and runtimes, for every target."""

from __future__ import annotations

import pytest

from reference.card import MODELS_DIR
from reference.registry import MODELS, get_spec
from sdk_build.backends import TARGETS
from sdk_build.build import build, load_reference, make_artifact
from sdk_build.verify import verify

# The larger members of the voxel family take minutes each; their networks differ from these in size only.
FAST = ("classifier", "template_keypoints", "voxel64")
ALL = [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in MODELS]


@pytest.mark.parametrize("name", MODELS)
def test_every_registered_model_is_shipped(name):
    for file in ("weights.safetensors", "card.yaml", "training_log.csv", "golden/tensors.safetensors"):
        assert (MODELS_DIR / name / file).is_file(), f"models/{name}/{file} is missing"


@pytest.mark.parametrize("name", ALL)
def test_every_target_is_proved_and_replayed(name, tmp_path):
    built = build(get_spec(name), TARGETS, "fp16", tmp_path)
    assert [b.manifest.id for b in built] == [f"{name}-{target}-fp16" for target in TARGETS]
    for bundle in built:
        assert bundle.manifest.parity and all(check.passed for check in bundle.manifest.parity)
        for entry in bundle.manifest.model_files:
            if entry.runtime in ("litert", "executorch"):
                assert entry.delegation.complete, f"{entry.file}: {entry.delegation}"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(b.path.name for b in built)
    replayed = verify(built[0].path)  # ios: the target with the most runtimes
    assert replayed.passed and not replayed.skipped
    assert {c.runtime.split()[0] for c in replayed.checks} == {"python", *TARGETS["ios"]}


@pytest.mark.parametrize("name", ALL)
def test_float32_is_within_a_ten_thousandth_of_the_range(name, tmp_path):
    artifact = make_artifact(load_reference(get_spec(name)), "litert", "fp32", tmp_path)
    worst = [check.value for check in artifact.checks if check.metric == "max_abs_of_range"]
    assert worst and max(worst) <= 1e-4
