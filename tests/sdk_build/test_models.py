"""Every shipped model with the real converters: proved, and wholly in the delegates that can be counted here."""

import pytest

from reference.card import MODELS_DIR
from reference.registry import MODELS
from sdk_build.backends import RUNTIMES, TARGETS
from sdk_build.build.artifact import make_artifact
from sdk_build.build.bundles import build
from sdk_build.build.reference import load_reference
from sdk_build.bundle.files import open_bundle

FULL = "template_keypoints"  # converted for every target in each run; the others' Core ML files are slow to make
QUICK = (FULL, "classifier", "voxel64")
SHIPPED = [
    name
    for name in MODELS
    if all((MODELS_DIR / name / file).is_file() for file in ("weights.safetensors", "card.yaml"))
]


def marked(quick):
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in SHIPPED]


def assert_wholly_delegated(artifact):
    delegation = artifact.delegation
    assert delegation.fallbacks == ()
    assert delegation.partitions == 1
    assert delegation.delegated == delegation.total > 5


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", marked([FULL]))
def test_every_target_is_proved(name, tmp_path):
    spec, made = MODELS[name], []
    built = build(spec, ("ios", "android", "web"), "fp16", tmp_path / "dist", artifact_done=made.append)

    assert [b.path.name for b in built] == [f"{name}-{target}-fp16" for target in ("ios", "android", "web")]
    assert [a.runtime for a in made] == ["coreml", "executorch", "executorch_coreml", "litert"]
    for artifact in made:
        assert all(check.passed for check in artifact.checks)
        assert any(check.limit is not None for check in artifact.checks)
        if artifact.runtime in ("executorch", "litert"):
            assert_wholly_delegated(artifact)
    for bundle in built:
        manifest = open_bundle(bundle.path).manifest
        assert [entry.runtime for entry in manifest.model_files] == list(TARGETS[manifest.target])
        assert [entry.file for entry in manifest.model_files] == [RUNTIMES[r].file for r in TARGETS[manifest.target]]
        assert manifest.labels == spec.labels
        assert (bundle.path / "labels.txt").is_file() == bool(spec.labels)
    assert sorted(p.name for p in (tmp_path / "dist").iterdir()) == sorted(b.path.name for b in built)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", marked(QUICK))
def test_float32_on_a_phones_cpu_is_the_reference_up_to_rounding(name, tmp_path):
    reference = load_reference(MODELS[name])
    # The .pte holds float32 whatever the precision, so the model above has had its turn.
    for runtime in ("litert",) if name == FULL else ("litert", "executorch"):
        artifact = make_artifact(reference, runtime, "fp32", tmp_path)
        worst = max(check.value for check in artifact.checks if check.metric == "max_abs_of_range")
        assert 0 < worst <= 1e-4  # 0 would mean that the reference was compared to itself
        assert_wholly_delegated(artifact)
