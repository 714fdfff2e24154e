"""Every shipped model, to every target, with the real converters: proved, and wholly in the delegates."""

import pytest

from reference.card import MODELS_DIR
from reference.registry import MODELS
from sdk_build.backends import RUNTIMES, TARGETS
from sdk_build.build import build, load_reference, make_artifact
from sdk_build.bundle import open_bundle

QUICK = ("classifier", "template_keypoints", "voxel64")


# Models with weights and card; those that take minutes are slow.
SHIPPED = [
    pytest.param(spec, id=name, marks=() if name in QUICK else pytest.mark.slow)
    for name, spec in MODELS.items()
    if all((MODELS_DIR / name / file).is_file() for file in ("weights.safetensors", "card.yaml"))
]


@pytest.mark.parametrize("spec", SHIPPED)
def test_every_target_is_proved_and_wholly_delegated(spec, tmp_path):
    made = []
    built = build(spec, ("ios", "android", "web"), "fp16", tmp_path / "dist", artifact_done=made.append)

    assert [b.path.name for b in built] == [f"{spec.name}-{target}-fp16" for target in ("ios", "android", "web")]
    assert [a.runtime for a in made] == ["coreml", "executorch", "executorch_coreml", "litert"]
    for artifact in made:
        assert all(check.passed for check in artifact.checks)
        assert any(check.limit is not None for check in artifact.checks)
        if artifact.runtime in ("executorch", "litert"):
            assert artifact.delegation.complete, artifact.delegation
    for bundle in built:
        manifest = open_bundle(bundle.path).manifest
        assert [entry.runtime for entry in manifest.model_files] == list(TARGETS[manifest.target])
        assert [entry.file for entry in manifest.model_files] == [RUNTIMES[r].file for r in TARGETS[manifest.target]]
        assert manifest.labels == spec.labels
        assert (bundle.path / "labels.txt").is_file() == bool(spec.labels)
    assert sorted(p.name for p in (tmp_path / "dist").iterdir()) == sorted(b.path.name for b in built)


@pytest.mark.parametrize("spec", SHIPPED)
def test_float32_on_litert_is_the_reference_up_to_rounding(spec, tmp_path):
    artifact = make_artifact(load_reference(spec), "litert", "fp32", tmp_path)
    worst = max(check.value for check in artifact.checks if check.metric == "max_abs_of_range")
    assert 0 < worst <= 1e-4  # 0 would mean that the reference was compared to itself
    assert artifact.delegation.complete, artifact.delegation
