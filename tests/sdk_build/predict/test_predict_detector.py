"""The face detector with its second network: boxes, keypoints, frames of a video, and bundles that do not belong."""

import json

import numpy as np
import pytest
from PIL import Image

from reference.card import MODELS_DIR
from sdk_build.predict import __main__ as predict

PHOTO = MODELS_DIR / "face_detector" / "golden" / "input_0.png"


def run(capsys, *arguments):
    assert predict.main([str(a) for a in (*arguments, "--json")]) == 0
    return json.loads(capsys.readouterr().out)


def faces(capsys, *arguments):
    (prediction,) = run(capsys, *arguments)["predictions"]
    return prediction["results"][0]["faces"]


@pytest.fixture
def small(tmp_path):
    """The photo far away, so that the detector is not sure of its face."""
    with Image.open(PHOTO) as opened:
        near = opened.convert("RGB").resize((240, 180))
    far = Image.new("RGB", (640, 480), (90, 90, 90))
    far.paste(near, (200, 100))
    far.save(tmp_path / "small.png")
    return tmp_path / "small.png"


def test_both_scores_count(detector_bundle, judge_bundle, small, capsys):
    (alone,), (judged,) = (
        faces(capsys, detector_bundle, small, *options) for options in ((), ("--refined", judge_bundle))
    )
    assert 0.58 < alone["score"] < 0.8
    assert judged["box_px"] == alone["box_px"] and judged["points_px"] == alone["points_px"]
    assert judged["score"] != alone["score"]
    # The square of the geometric mean over the detector's score is the second network's.
    assert 0.9 < judged["score"] ** 2 / alone["score"] <= 1.0


def test_frames_of_a_video_are_judged_as_pictures_are(detector_bundle, judge_bundle, tmp_path, capsys):
    film = tmp_path / "film"
    film.mkdir()
    with Image.open(PHOTO) as opened:
        photo = np.array(opened)
    Image.fromarray(photo).save(film / "0.png")
    Image.fromarray(photo[::-1]).save(film / "1.png")
    found = run(capsys, detector_bundle, film, "--refined", judge_bundle)["frames"]
    assert found[0]["faces"] == faces(capsys, detector_bundle, PHOTO, "--refined", judge_bundle)
    assert found[1]["faces"] == []


def test_keypoints_of_judged_boxes(web_bundle, detector_bundle, judge_bundle, capsys):
    options = (web_bundle, PHOTO, "--detector", detector_bundle)
    (alone,) = run(capsys, *options)["predictions"]
    (judged,) = run(capsys, *options, "--detector-refined", judge_bundle)["predictions"]
    assert judged["results"] == alone["results"] and len(alone["results"]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["{detector}", "--refined", "{keypoints}"], "--refined is template_keypoints-web-fp16"),
        (["{detector}", "--refined", "{classifier}"], "classifier-web-fp16, which does not tell face from background"),
        (["{detector}", "--detector", "{detector}"], "--detector is of no use to face_detector-web-fp16"),
        (["{detector}", "--refined", "{judge}", "--box", "0,0,9,9"], "--box and --refined were given"),
        (["{keypoints}", "--detector-refined", "{judge}"], "--detector-refined goes with --detector"),
        (["{classifier}", "--refined", "{judge}"], "--refined is of no use to classifier-web-fp16; allowed: none"),
    ],
)
def test_bundles_that_do_not_belong(
    detector_bundle, judge_bundle, web_bundle, classifier_bundle, options, message, fails
):
    named = {
        "detector": detector_bundle, "judge": judge_bundle, "keypoints": web_bundle, "classifier": classifier_bundle,
    }  # fmt: skip
    bundle, *others = (option.format(**named) for option in options)
    fails(predict.main, [bundle, PHOTO, *others], 2, "BadInput: ", message)
