"""After classification (rows I7 and I8): video, contact sheets, the class on the picture, sounds."""

import json
import shutil
import wave

import cv2
import numpy as np
import pytest
from PIL import Image

from reference import sounds as synthesis
from reference.card import MODELS_DIR
from reference.errors import BadInput
from reference.networks.classifier import LABELS
from reference.pipelines.video import Verdict
from reference.tasks.image_classification import Classification
from sdk_build.bundle.files import open_bundle
from sdk_build.predict import __main__ as predict
from sdk_build.predict import sounds
from sdk_build.predict.base import FrameResult, Prediction
from sdk_build.predict.image_classification import caption, describe, draw_frame
from sdk_build.predict.sheet import page_paths, parse_grid
from tests.reference.mp4 import write_mp4

GOLDEN = [MODELS_DIR / "classifier" / "golden" / f"input_{n}.png" for n in (0, 1)]


def run(capsys, *arguments):
    assert predict.main([str(a) for a in arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def read(path):
    with Image.open(path) as opened:
        return np.array(opened)


def labels(bundle, capsys):
    document = json.loads(run(capsys, bundle, *GOLDEN, "--json"))
    return [p["results"][0]["label"] for p in document["predictions"]]


@pytest.fixture
def frames(tmp_path):
    """Three frames of one picture, one of another, three of the first."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, which in enumerate((0, 0, 0, 1, 0, 0, 0)):
        with Image.open(GOLDEN[which]) as picture:
            picture.convert("RGB").resize((128, 128)).save(folder / f"{number}.png")
    return folder


def test_video_shows_what_several_frames_agree_on(classifier_bundle, frames, capsys):
    first, second = labels(classifier_bundle, capsys)
    assert first != second, "the golden pictures no longer differ in class"
    document = json.loads(run(capsys, classifier_bundle, frames, "--frames", 2, "--json"))
    assert document.keys() == {"bundle", "file", "runtime", "frames"}
    shown = [(f["label"], f["status"], f["shown_label"]) for f in document["frames"]]
    assert shown == [
        (first, "suppressed", None),
        *[(first, "confirmed", first)] * 6,  # smoothed: the one frame of another class does not turn it
    ]
    out = run(capsys, classifier_bundle, frames, "--frames", 2, "--unconfirmed", "mark")
    assert f"frame     1  {first}\n" in out
    assert f"{frames}: 7 frames, 1 marked, 6 confirmed" in out


def test_what_is_not_confirmed_is_not_drawn_as_if_it_were():
    picture = np.full((128, 128, 3), 90, np.uint8)

    def drawn(status, label):
        shown = draw_frame(FrameResult(0, 0.0, picture, (), Verdict(status, label)))
        corner = shown[-60:, :200].astype(int)
        return (corner.max(2) - corner.min(2)).max(), (corner != corner[0, -1]).any()

    colourful, grey = drawn("confirmed", "dog"), drawn("suppressed", "dog")
    assert colourful[0] > 60 and colourful[1]
    assert grey[0] < 30 and grey[1]
    assert drawn("marked", "dog")[0] < 30
    assert not drawn("suppressed", None)[1]


def test_a_picture_of_none_of_the_classes():
    unsure = Classification((("dog", 0.4), ("horse", 0.35), ("house", 0.25)), threshold=0.5)
    prediction = Prediction(GOLDEN[0], (unsure,), np.full((64, 64, 3), 90, np.uint8), "a runtime")
    assert describe(prediction) == "none of these (dog 40.0 %, horse 35.0 %, house 25.0 %)"
    assert caption(prediction) == ("none of these", "40 %")
    assert not unsure.known and not unsure.to_json()["known"]
    assert Classification(unsure.scores, threshold=0.4).known


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "folder"])
def test_annotated_video(classifier_bundle, frames, tmp_path, name, capsys):
    target = tmp_path / "new" / name
    assert f"saved {target}" in run(capsys, classifier_bundle, frames, "--frames", 3, "--save", target)
    if name == "folder":
        written = [cv2.imread(str(p)) for p in sorted(target.iterdir())]
    else:
        video = cv2.VideoCapture(str(target))
        written = [frame for good, frame in iter(video.read, (False, None)) if good]
        video.release()
    assert len(written) == 7
    assert {f.shape for f in written} == {(480, 480, 3)}
    corner = [f[-60:, :200].astype(int) for f in written]
    assert np.abs(corner[2] - corner[0]).mean() > 10  # the label appears with the third frame


def test_a_phones_video_keeps_its_times_and_comes_out_upright(classifier_bundle, tmp_path, capsys):
    """Front camera: mirrored in the file, frames of unequal length, here on a grid of 50 ms."""
    pictures = [np.full((64, 64, 3), 40 + 60 * n, np.uint8) for n in range(3)]
    pictures[0][:, :32] = (200, 40, 40)
    clip = write_mp4(tmp_path / "clip.mp4", pictures, [100, 250, 50], matrix=(-1, 0, 0, 1))
    document = json.loads(run(capsys, classifier_bundle, clip, "--json", "--save", tmp_path / "out.mp4"))
    assert [frame["time_ms"] for frame in document["frames"]] == pytest.approx([0, 100, 350], abs=1)
    video = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(20)
    written = [frame[240, 360] for good, frame in iter(video.read, (False, None)) if good]
    video.release()
    assert np.abs(written[0].astype(int) - (40, 40, 200)).max() < 30  # the red left half is shown on the right; BGR
    assert [round((int(pixel[0]) - 40) / 60) for pixel in written[2:]] == [1, 1, 1, 1, 1, 2, 2, 2, 2]


def test_contact_sheet_with_pages(classifier_bundle, tmp_path, capsys):
    files = []
    for number in range(5):
        files.append(tmp_path / f"{number}.png")
        shutil.copy(GOLDEN[number % 2], files[-1])
    out = run(capsys, classifier_bundle, *files, "--sheet", "2x2", "--save", tmp_path / "sheet.png")
    pages = [tmp_path / "sheet-1.png", tmp_path / "sheet-2.png"]
    assert [line for line in out.splitlines() if line.startswith("saved")] == [f"saved {p}" for p in pages]
    _, last = (read(page) for page in pages)
    assert {read(page).shape for page in pages} == {(16 + 2 * 300, 16 + 2 * 256, 3)}
    assert np.ptp(last[16:256, 16:256]) > 100  # the fifth picture
    assert np.ptp(last[16:256, 288:500, 0]) == 0  # and no sixth


def test_grids_and_pages(tmp_path, refused):
    assert parse_grid("4x3") == (4, 3)
    assert page_paths(tmp_path / "s.png", 12, (4, 3)) == [tmp_path / "s.png"]
    assert [p.name for p in page_paths(tmp_path / "s.png", 13, (4, 3))] == ["s-1.png", "s-2.png"]
    for text in ("4", "0x3", "4x13", "x", "axb", "4x3x2"):
        with refused(BadInput, f"--sheet is {text!r}", "COLUMNSxROWS"):
            parse_grid(text)


def test_the_class_on_the_picture(classifier_bundle, tmp_path, capsys):
    run(capsys, classifier_bundle, GOLDEN[0], "--label", "on", "--save", tmp_path / "on.png")
    run(capsys, classifier_bundle, GOLDEN[0], "--save", tmp_path / "beside.png")
    on, beside = (read(tmp_path / f"{n}.png").astype(int) for n in ("on", "beside"))
    assert on.shape[0] < beside.shape[0]
    difference = np.abs(on - beside[: on.shape[0]]).max(-1) > 30
    assert 0.005 < difference.mean() < 0.15
    rows, columns = np.nonzero(difference)
    assert rows.min() > 0.85 * on.shape[0] and columns.max() < 0.6 * on.shape[1]


def test_every_class_has_its_sound_in_the_bundle(classifier_bundle):
    bundle = open_bundle(classifier_bundle)
    assert [entry.name for entry in bundle.manifest.sounds] == list(LABELS)
    for label in LABELS:
        file = sounds.sound_of(bundle, label)
        with wave.open(str(file)) as sound:
            assert sound.getnchannels() == 1
            seconds = sound.getnframes() / sound.getframerate()
            samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        assert 0.3 < seconds < 1
        assert 0.6 < np.abs(samples).max() / 32767 < 0.75
        assert np.sqrt(np.mean((samples / 32767) ** 2)) > 0.03  # to be heard
    assert sounds.sound_of(bundle, "cat") is None


def test_the_stored_sounds_are_those_of_the_program(tmp_path):
    assert synthesis.main([str(tmp_path)]) == 0
    for label in LABELS:
        stored = (MODELS_DIR / "classifier" / "sounds" / f"{label}.wav").read_bytes()
        fresh = (tmp_path / f"{label}.wav").read_bytes()
        a, b = (np.frombuffer(x[44:], "<i2").astype(int) for x in (stored, fresh))
        assert len(a) == len(b)
        assert np.abs(a - b).max() <= 1  # libraries differ in the last digit of a sine


def test_audio_plays_with_the_first_player_that_works(classifier_bundle, tmp_path, monkeypatch, capsys):
    (label,) = labels(classifier_bundle, capsys)[:1]
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = classifier_bundle / "sounds" / f"{label}.wav"
    assert f"no player or sound device here for {expected}" in run(capsys, classifier_bundle, GOLDEN[0], "--audio")
    for name, code in (("paplay", 1), ("aplay", 0)):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $@" >> {tmp_path}/log\nexit {code}\n')
        (tmp_path / name).chmod(0o755)
    assert f"played {expected}" in run(capsys, classifier_bundle, GOLDEN[0], "--audio")
    assert (tmp_path / "log").read_text() == f"paplay {expected}\naplay -q {expected}\n"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--sheet", "2x2"], ("--sheet has no place to go", "--save sheet.png")),
        (["--sheet", "0x2", "--save", "s.png"], ("--sheet is '0x2'",)),
        (["{frames}"], ("is a video, given with 1 other files",)),
    ],
)
def test_wrong_options(classifier_bundle, frames, arguments, parts, fails):
    fails(predict.main, [classifier_bundle, GOLDEN[0], *(a.format(frames=frames) for a in arguments)], 2, *parts)


def test_wrong_videos(classifier_bundle, web_bundle, frames, tmp_path, fails):
    fails(predict.main, [classifier_bundle, tmp_path / "none.mp4"], 2, "no video", "none.mp4")
    fails(predict.main, [classifier_bundle, frames, "--frames", "0"], 2, "frames that must agree: 0")
    fails(predict.main, [classifier_bundle, frames, "--save", "x.gif"], 2, "--save is x.gif", "ending in .mp4")
    fails(predict.main, [web_bundle, GOLDEN[0], "--audio"], 2, "--audio needs a model with classes")
    fails(predict.main, [web_bundle, GOLDEN[0], "--label", "on"], 2, "--label on needs a model with classes")
    (frames / "3.png").write_bytes(GOLDEN[1].read_bytes())  # its own size
    with Image.open(GOLDEN[1]) as picture:
        picture.convert("RGB").resize((64, 64)).save(frames / "3.png")
    fails(predict.main, [classifier_bundle, frames], 2, "frame 4", "is 64x64, the first is 128x128")


def test_a_bundle_without_sounds(classifier_bundle, tmp_path, reseal, fails):
    bundle = tmp_path / classifier_bundle.name
    shutil.copytree(classifier_bundle, bundle)
    shutil.rmtree(bundle / "sounds")
    reseal(bundle, lambda document: document.pop("sounds"))
    fails(predict.main, [bundle, GOLDEN[0], "--audio"], 2, "carries no sounds", "leave out --audio")


def test_sounds_must_be_listed_and_belong_to_a_class(classifier_bundle, tmp_path, reseal, fails):
    bundle = tmp_path / classifier_bundle.name
    shutil.copytree(classifier_bundle, bundle)
    reseal(bundle, lambda document: document["sounds"].append({"name": "cat", "value": "sounds/dog.wav"}))
    fails(predict.main, [bundle, GOLDEN[0]], 1, "BundleInvalid: bundle.json has a sound for 'cat'")
    (bundle / "sounds" / "dog.wav").unlink()
    reseal(bundle, lambda document: document["sounds"].pop())
    fails(predict.main, [bundle, GOLDEN[0]], 1, "BundleInvalid: bundle.json names 'sounds/dog.wav'")
