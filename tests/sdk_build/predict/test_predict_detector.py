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


def test_a_lying_face_is_found_at_a_quarter_turn(web_bundle, detector_bundle, tmp_path, capsys):
    """The picture turned: the same points, turned; without the option nothing, or nothing alike."""
    with Image.open(PHOTO) as opened:
        upright = np.array(opened.convert("RGB"))
    Image.fromarray(np.rot90(upright, 1)).save(tmp_path / "lying.png")
    detector = ("--detector", detector_bundle)
    (face,) = run(capsys, web_bundle, PHOTO, *detector)["predictions"][0]["results"]
    (lying,) = run(capsys, web_bundle, tmp_path / "lying.png", *detector, "--any-roll")["predictions"][0]["results"]
    points, turned = np.array(face["points_px"]), np.array(lying["points_px"])
    expected = np.stack([points[:, 1], upright.shape[1] - 1 - points[:, 0]], 1)
    eyes = np.linalg.norm(points[45] - points[36])
    assert np.linalg.norm(turned - expected, axis=1).mean() < 0.05 * eyes


def test_a_small_face_is_found_in_a_tile(detector_bundle, tmp_path, capsys):
    with Image.open(PHOTO) as opened:
        near = opened.convert("RGB").resize((160, 120))
    far = Image.new("RGB", (1600, 1200), (90, 90, 90))
    far.paste(near, (1000, 700))
    far.save(tmp_path / "far.png")
    assert faces(capsys, detector_bundle, tmp_path / "far.png") == []
    (found,) = faces(capsys, detector_bundle, tmp_path / "far.png", "--tiles", "4")
    x0, y0, x1, y1 = found["box_px"]
    assert 1000 < x0 < x1 < 1160 and 700 < y0 < y1 < 820


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["{detector}", "--refined", "{keypoints}"], "--refined is template_keypoints-web-fp16"),
        (["{detector}", "--refined", "{classifier}"], "classifier-web-fp16, which does not tell face from background"),
        (["{detector}", "--detector", "{detector}"], "--detector is of no use to face_detector-web-fp16"),
        (["{detector}", "--refined", "{judge}", "--box", "0,0,9,9"], "--box and --refined were given"),
        (["{keypoints}", "--detector-refined", "{judge}"], "--detector-refined goes with --detector"),
        (["{classifier}", "--refined", "{judge}"], "--refined is of no use to classifier-web-fp16; allowed: none"),
        (["{classifier}", "--tiles", "2"], "--tiles is of no use to classifier-web-fp16"),
        (["{detector}", "--any-roll"], "--any-roll is of no use to face_detector-web-fp16"),
        (["{detector}", "--tiles", "9"], "allowed: 1 to 8"),
        (["{detector}", "--tiles", "2", "--box", "0,0,9,9"], "--box and --tiles were given"),
        (["{keypoints}", "--tiles", "2"], "--tiles needs a detector of ours"),
        (["{keypoints}", "--any-roll"], "--any-roll needs a detector of ours"),
        (["{keypoints}", "--detector", "{detector}", "--tiles", "0"], "--tiles is 0; allowed: 1 to 8"),
        (["{keypoints}", "--smooth"], "--smooth steadies the points of a video"),
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
