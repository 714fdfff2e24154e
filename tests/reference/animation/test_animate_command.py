"""``python -m reference.animate``: files, exit codes, one clear line, nothing half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from reference.animate import main
from reference.animation import bundles
from reference.animation.motion.gltf import clip_names
from reference.animation.motion.library import read_library
from reference.animation.output import preview
from reference.animation.output.character import open_character
from reference.errors import BadInput
from reference.geometry.glb import read_glb
from reference.inputs.preprocess import Region
from reference.tasks.salient_object_detection import Mask

from .generated import animal, person, picture_of

ROOT = Path(__file__).resolve().parents[3]
HORSE = ROOT / "models" / "motions" / "horse.glb"


@pytest.fixture(scope="module")
def drawing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawing")
    Image.fromarray(picture_of(person())).save(folder / "person.png")
    Image.fromarray(picture_of(animal())).save(folder / "animal.png")
    Image.fromarray(person()).save(folder / "mask.png")
    Image.new("L", (256, 256)).save(folder / "black.png")
    Image.new("RGB", (256, 256), "white").save(folder / "white.png")
    return folder


def test_everything_is_written(drawing, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [str(drawing / "person.png"), "--motion", "walk", "wave", "--preview", "both", "--size", "96"]
    assert main([*arguments, "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert captured.err == ""
    assert report["source"] == "adventurer" and report["topology"] == "two_feet" and report["mask_from"] == "paper"
    names = {"person.glb", "person.gif", "person.mp4", "person_steps.png", "person.character.safetensors"}
    assert {path.name for path in out.iterdir()} == names == {Path(file).name for file in report["files"]}
    assert clip_names(read_glb(out / "person.glb")) == report["clips"] == ["walk", "wave"]
    assert [clip["name"] for clip in open_character(out / "person.character.safetensors").clips] == ["walk", "wave"]
    with Image.open(out / "person.gif") as gif:
        assert gif.n_frames > 10 and gif.size == (96, 96) and gif.info["loop"] == 0
    video = cv2.VideoCapture(str(out / "person.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) > 10
    with Image.open(out / "person_steps.png") as sheet:
        assert sheet.width == 1800 and len(sheet.convert("RGB").getcolors(10**7)) > 500


def test_without_a_preview_only_the_sheets_frames_are_drawn(drawing, tmp_path, monkeypatch, capsys):
    drawn = []
    render = preview._render
    monkeypatch.setattr(preview, "_render", lambda *arguments: drawn.append(1) or render(*arguments))
    arguments = [str(drawing / "person.png"), "--preview", "none", "--size", "96", "--out", str(tmp_path)]
    assert main(arguments) == 0 and 6 <= len(drawn) <= 8
    assert {path.suffix for path in tmp_path.iterdir()} == {".glb", ".png", ".safetensors"}


def test_an_animal_by_label_and_by_fit(drawing, tmp_path, capsys):
    alone = {name for name, figure in read_library().items() if figure.topology == "four_feet"}
    for extra, sources in ((["--label", "zebra"], {"horse"}), (["--label", "cow"], {"cow"}), ([], alone)):
        arguments = [str(drawing / "animal.png"), "--preview", "none", "--out", str(tmp_path), "--json"]
        assert main([*arguments, *extra]) == 0
        assert json.loads(capsys.readouterr().out)["source"] in sources


def test_what_it_took_the_figure_for_is_said(drawing, tmp_path, capsys):
    for name, topology, facing in (("person", "two_feet", "front"), ("animal", "four_feet", "right")):
        arguments = [str(drawing / f"{name}.png"), "--preview", "none", "--out", str(tmp_path), "--json"]
        assert main(arguments) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["topology"], report["facing"], report["clips"]) == (topology, facing, ["walk"])
        assert 0 < report["confidence"] <= 1 and report["plausible"]


def test_an_unknown_class_falls_back_to_the_topology(drawing, tmp_path, capsys):
    arguments = [
        str(drawing / "animal.png"),
        "--label",
        "teapot",
        "--preview",
        "none",
        "--out",
        str(tmp_path),
        "--json",
    ]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["topology"] == "four_feet"
    assert "no map has the label 'teapot'; the figure's topology chooses its source" in report["notes"]


def test_a_motion_that_the_topology_lacks_is_replaced_with_a_note(drawing, tmp_path, capsys):
    arguments = [str(drawing / "animal.png"), "--topology", "no_feet", "--motion", "walk", "--preview", "none"]
    assert main([*arguments, "--out", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["clips"] in (["swim"], ["crawl"])
    assert any("no source on no_feet has walk" in note for note in report["notes"])


def test_a_doubtful_result_is_written_with_exit_code_1(drawing, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("reference.animation.plausible.doubts", lambda character: ["'walk' doesn't suit the figure"])
    arguments = [str(drawing / "animal.png"), "--preview", "none", "--out", str(tmp_path), "--json"]
    assert main(arguments) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["plausible"] and "'walk' doesn't suit the figure" in report["notes"]
    assert report["files"] and all(Path(file).is_file() for file in report["files"])


def test_a_motion_file_of_the_user(drawing, tmp_path, capsys):
    file = ROOT / "models" / "motions" / "human_wave.bvh"
    arguments = [str(drawing / "person.png"), "--motion", str(file), "--up", "z", "--heading", "file"]
    arguments += ["--preview", "none"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "driven by 'human_wave' (human_wave)" in out and err == ""


def test_a_blob_is_said_to_have_no_limbs(tmp_path, capsys):
    y, x = np.mgrid[:200, :200]
    Image.fromarray(picture_of(np.hypot(x - 100, y - 100) < 80)).save(tmp_path / "blob.png")
    assert main([str(tmp_path / "blob.png"), "--preview", "none", "--out", str(tmp_path)]) == 0
    assert "note: no limbs found: the figure gets a skeleton of one bone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["none.png"], ("no picture none.png",)),
        (["{d}/person.png", "--mask", "{d}/black.png"], ("black.png is empty", "inverted")),
        (["{d}/white.png"], ("nothing in the picture differs", "--mask")),
        (
            ["{d}/person.png", "--motion", "moonwalk"],
            ("motion is 'moonwalk'", "allowed: cheer, crawl"),
        ),
        (["{d}/person.png", "--motion", "none.bvh"], ("no motion none.bvh",)),
        (["{d}/person.png", "--motion", "walk", "a.bvh"], ("names 2 motions", "one file alone")),
        (["{d}/person.png", "--motion", str(HORSE), "--clip", "Fly"], ("has no clip 'Fly'", "AnimalArmature|Walk")),
        (["{d}/person.png", "--motion", str(HORSE), "--rest", "last"], ("--rest is 'last'", "the number of a frame")),
        (["{d}/person.png", "--motion", str(HORSE), "--rest", "9999"], ("--rest is 9999", "has the frames 0 to")),
        (["{d}/person.png", "--motion", str(HORSE), "--root", "Nose"], ("has no joint 'Nose'",)),
        (["{d}/person.png", "--motion", str(HORSE), "--feet", "Wheel*"], ("has no joint like Wheel*",)),
        (["{d}/person.png", "--motion", str(HORSE), "--heading", "north"], ("--heading is 'north'", "or degrees")),
        (["{d}/person.png", "--motion", str(HORSE), "--heading", "nan"], ("--heading is 'nan'", "or degrees")),
        (["{d}/person.png", "--motion", str(HORSE), "--scale", "0"], ("--scale is 0.0", "above 0")),
        (["{d}/person.png", "--labels", "none.yaml"], ("can't read none.yaml",)),
        (["{d}/person.png", "--keep", "1.5"], ("--keep is 1.5", "0 (the motion's pose) to 1")),
        (["{d}/person.png", "--size", "5"], ("--size is 5", "32 to 2048")),
        (["{d}/person.png", "--bundle", "{d}"], ("is no bundle", "sdk_build.export")),
        (["{d}/person.png", "--out", "{d}/mask.png"], ("mask.png is a file; give a folder",)),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(drawing, tmp_path, monkeypatch, capsys, arguments, parts):
    monkeypatch.chdir(tmp_path)
    assert main([a.format(d=drawing) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("BadInput: ") and err.count("\n") == 1
    for part in parts:
        assert part in err
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_failure_while_writing_leaves_nothing(drawing, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reference.animation.output.character.save_character", full)
    assert main([str(drawing / "person.png"), "--out", str(tmp_path / "o")]) == 2
    assert "No space left" in capsys.readouterr().err
    assert list((tmp_path / "o").iterdir()) == []


def test_the_command_itself(drawing, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "reference.animate", str(drawing / "person.png"), "--motion", "jump",
         "--preview", "none", "--out", str(tmp_path)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", "a pipe gets no progress bar"
    assert "driven by 'knight' (jump)" in done.stdout


def bundle(tmp_path, task):
    (tmp_path / task).mkdir()
    (tmp_path / task / "bundle.json").write_text(json.dumps({"task": task}))
    return tmp_path / task


def test_bundles_give_mask_and_label(drawing, tmp_path, monkeypatch, capsys):
    """The command that runs bundles is replaced: its answers are what counts here."""
    seen = Mask(animal(64).astype(np.float32) * 0.9, Region(0, 0, 256, 256), 0.5)
    answers = {"image_classification": {"label": "cow"}, "salient_object_detection": seen.to_json()}
    asked = []

    def answer(command, **_):
        asked.append(command[1:3])
        name = Path(command[3]).name
        document = {"predictions": [{"results": [answers[name]]}]}
        return subprocess.CompletedProcess(command, 0, json.dumps(document), "")

    monkeypatch.setattr(bundles.subprocess, "run", answer)
    given = [str(arg) for task in answers for arg in ("--bundle", bundle(tmp_path, task))]
    arguments = [str(drawing / "animal.png"), "--preview", "none", "--out", str(tmp_path / "o"), "--json", *given]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["mask_from"] == "saliency" and report["source"] == "cow"
    assert asked == [["-m", "sdk_build.predict"]] * 2


@pytest.mark.parametrize(
    ("code", "out", "err", "part"),
    [
        (1, "", "Traceback\nArtifactCrashed: died", "ArtifactCrashed: died"),
        (0, json.dumps({"predictions": [{"results": []}]}), "", "found nothing"),
        (0, json.dumps({"predictions": [{"results": [{"size": 64}]}]}), "", "allowed: a result with a label"),
    ],
)
def test_bundles_without_an_answer(tmp_path, monkeypatch, refused, code, out, err, part):
    monkeypatch.setattr(
        bundles.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, code, out, err)
    )
    with refused(BadInput, part):
        bundles.scores_from(bundle(tmp_path, "image_classification"), tmp_path / "x.png")
