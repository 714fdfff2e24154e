"""The task's metrics of an artifact: the same figures as those of its weights."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reference import evaluate as reference_evaluate
from reference.networks.classifier import LABELS
from sdk_build import evaluate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pictures(tmp_path):
    """Two image types with one noisy picture of three classes each."""
    rng = np.random.default_rng(5)
    for kind in ("photo", "sketch"):
        for label in LABELS[:3]:
            folder = tmp_path / "data" / "val" / kind / label
            folder.mkdir(parents=True)
            small = rng.integers(0, 255, (4, 4, 3)).astype(np.uint8)
            Image.fromarray(small).resize((150, 130), Image.Resampling.BICUBIC).save(folder / "0.png")
    return tmp_path / "data"


def test_the_artifact_scores_like_its_weights(classifier_bundle, pictures, capsys):
    assert reference_evaluate.main(["classifier", "--data", str(pictures), "--json"]) == 0
    weights = json.loads(capsys.readouterr().out)
    arguments = ["classifier", "--data", str(pictures), "--bundle", str(classifier_bundle), "--json"]
    assert evaluate.main(arguments) == 0
    artifact = json.loads(capsys.readouterr().out)
    error, of_weights = (found["metrics"].pop("calibration_error") for found in (artifact, weights))
    assert error == pytest.approx(of_weights, abs=0.5)  # float16 moves the scores a little, and no answer
    assert artifact["metrics"] == weights["metrics"]
    assert set(weights) == {"model", "data", "metrics"}
    assert (artifact["bundle"], artifact["runtime"]) == ("classifier-web-fp16", "litert")
    assert set(weights["metrics"]["top1_by_type"]) == {"photo", "sketch"}
    assert sum(sum(row.values()) for row in weights["metrics"]["confusion"].values()) == 6


def test_the_reference_command_hands_a_bundle_over(classifier_bundle, pictures):
    command = [
        sys.executable,
        "-m",
        "reference.evaluate",
        "classifier",
        "--data",
        pictures,
        "--bundle",
        classifier_bundle,
    ]
    done = subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("classifier-web-fp16 in litert\ntop1_mean ")
    assert "rows are the truth" in done.stdout


def test_wrong_use(classifier_bundle, web_bundle, pictures, tmp_path, fails, capsys):
    data = ["--data", str(pictures)]
    fails(evaluate.main, ["classifier", *data, "--bundle", str(web_bundle)], 2, "is a bundle of template_keypoints")
    fails(evaluate.main, ["classifier", *data, "--bundle", str(tmp_path)], 2, "BundleNotFound")
    options = ["classifier", "--data", str(tmp_path / "none"), "--bundle", str(classifier_bundle)]
    fails(evaluate.main, options, 2, "no folder", "--data names")
    options = ["classifier", *data, "--bundle", str(classifier_bundle), "--runtime", "coreml"]
    fails(evaluate.main, options, 2, "runtime is 'coreml'", "holds: litert")
    both = ["classifier", *data, "--bundle", str(classifier_bundle), "--weights", "w.safetensors"]
    assert reference_evaluate.main(both) == 2
    assert "--weights and --bundle were given" in capsys.readouterr().err
