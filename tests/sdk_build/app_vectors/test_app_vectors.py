"""The vectors that the apps are tested with are those of today's reference."""

import base64
import json

import numpy as np
import pytest

from sdk_build.app_vectors.__main__ import main
from sdk_build.app_vectors.collection import FOLDER, collect, collect_characters, to_text

FLOAT_ARRAYS = {"tensor", "seen", "points", "points_px", "template_points_px", "values", "actual", "expected"}
MEASURED = {"joints", "rest", "posed", "depth", "evidence", "confidence", "mask"}
FLOAT_ARRAYS |= {"scores", "boxes_px", "nearness", "vertices_px", "neutral", "shape", "rotation", "landmarks_px"}


@pytest.fixture(scope="module")
def vectors():
    return collect()


def same(stored, made):
    """Equal; float32 arrays and numbers may differ in their last bits, as other processors add in another order."""
    if isinstance(made, dict):
        assert stored.keys() == made.keys()
        for key, value in made.items():
            if key in FLOAT_ARRAYS and stored[key] != value and isinstance(value, str):
                arrays = [np.frombuffer(base64.b64decode(text), np.float32) for text in (stored[key], value)]
                np.testing.assert_allclose(*arrays, rtol=1e-6, atol=1e-6)
            else:
                same(stored[key], value)
    elif isinstance(made, list):
        assert len(stored) == len(made)
        for pair in zip(stored, made, strict=True):
            same(*pair)
    else:
        assert stored == (pytest.approx(made, rel=1e-6, abs=1e-9) if isinstance(made, float) else made)


def test_the_committed_file_is_up_to_date(vectors):
    stored = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
    try:
        same(stored, json.loads(to_text(vectors)))
    except AssertionError as error:
        raise AssertionError("run python -m sdk_build.app_vectors and commit tests/vectors/vectors.json") from error


def test_the_committed_characters_are_up_to_date():
    stored = json.loads((FOLDER / "characters.json").read_text(encoding="utf-8"))
    made = json.loads(to_text(collect_characters()))
    assert [c["name"] for c in stored["refused"]] == [c["name"] for c in made["refused"]]
    for old, new in zip(stored["characters"], made["characters"], strict=True):
        assert {k: v for k, v in old.items() if k not in MEASURED} == {
            k: v for k, v in new.items() if k not in MEASURED
        }, f"{new['name']}: run python -m sdk_build.app_vectors and commit tests/vectors/characters.json"
        for key in ("joints", "rest", "posed", "depth"):
            np.testing.assert_allclose(old[key], new[key], atol=1e-4)
        assert old["evidence"] == pytest.approx(new["evidence"], abs=1e-4)


def test_the_characters_differ_as_apps_must_see():
    stored = json.loads((FOLDER / "characters.json").read_text(encoding="utf-8"))["characters"]
    assert {c["mask_from"] for c in stored} == {"paper", "transparency"}
    assert {c["facing"] for c in stored} == {"front", "left", "right"}
    assert len({c["topology"] for c in stored}) >= 4
    for case in stored:
        assert np.abs(np.subtract(case["posed"], case["rest"])).max() > 0.02, f"{case['name']} doesn't move"


def test_a_changed_tensor_is_noticed(vectors):
    changed = json.loads(to_text(vectors))
    changed["pictures"][3]["tensor"] = changed["pictures"][4]["tensor"]
    with pytest.raises(AssertionError):
        same(changed, json.loads(to_text(vectors)))


def test_what_the_apps_rely_on(vectors):
    assert {c["orientation"] for c in vectors["pictures"]} == set(range(1, 9))
    assert {(f["range"], f["matrix"]) for f in vectors["frames"]} == {
        (r, m) for r in ("full", "limited") for m in ("bt601", "bt709")
    }
    assert any(f["planes"]["u"]["pixel_stride"] == 2 for f in vectors["frames"])
    assert any(f["planes"]["y"]["row_stride"] > f["width"] for f in vectors["frames"])
    short = [
        f for f in vectors["frames"] if len(base64.b64decode(f["planes"]["y"]["data"])) % f["planes"]["y"]["row_stride"]
    ]
    assert {f["planes"]["u"]["pixel_stride"] for f in short} == {1, 2}
    outcomes = {s["outcome"] for s in vectors["signatures"]}
    assert outcomes == {"signed by a trusted key", "signed by an unknown key", "not signed", "SignatureInvalid"}
    names = [c["name"] for group in ("pictures", "frames", "depths") for c in vectors[group]]
    assert len(set(names)) == len(names)


def test_small_enough_to_commit(vectors):
    assert len(to_text(vectors)) < 660_000


def test_command(tmp_path, capsys, vectors):
    assert main(["--output-dir", str(tmp_path / "new")], make={"vectors.json": lambda: vectors}) == 0
    assert json.loads((tmp_path / "new" / "vectors.json").read_text())["pictures"]
    assert "kB" in capsys.readouterr().out


def test_the_scripts_of_the_face_pipeline_do_what_their_names_say(vectors):
    tracks = {t["name"]: t for t in vectors["tracks"]}
    runs = {name: [f["detector_runs"] for f in t["frames"]] for name, t in tracks.items()}
    counts = {
        name: [None if f["faces"] is None else len(f["faces"]) for f in t["frames"]] for name, t in tracks.items()
    }
    assert runs["a face is followed"] == [1, 1, 1, 1]
    for lost in ("growth", "shrinking", "a shift", "disagreement", "another picture"):
        assert runs[lost][:3] == [1, 1, 2]  # the milder change of the second frame is followed
        assert not tracks[lost]["frames"][2]["faces"][0]["tracked"]
    assert runs["darkness"] == [1, 1, 1, 2]
    assert counts["out of the frame"] == [1, 1, 0, 0, 0, 1]
    assert counts["a check every 3 frames"] == [1, 1, 1, 2, 2, 2, 1]
    assert counts["two tracks on one face"] == [2, 2, 1, 1]
    assert counts["late and repeated frames"] == [1, 1, None, None]
    assert {c["network"] for t in tracks.values() for f in t["frames"] for c in f["calls"]} == {"first", "second"}


def test_the_meshes_tell_axes_and_outputs_apart(vectors):
    def floats(text):
        return np.frombuffer(base64.b64decode(text), np.float32)

    for case in vectors["meshes"]:
        expected = case["expected"]
        vertices, neutral = (floats(expected[name]).reshape(-1, 3) for name in ("vertices_px", "neutral"))
        assert vertices.shape == neutral.shape == (80, 3)
        assert np.abs(vertices - neutral).max() > 10
        assert np.abs(vertices - vertices[:, [1, 0, 2]]).max() > 10
        jaw = floats(expected["landmarks_px"]).reshape(-1, 2)[:17]
        assert (jaw != vertices[:17, :2]).any()  # it follows the outline
    angles = [tuple(case["expected"]["pose_degrees"].values()) for case in vectors["meshes"]]
    assert angles[0] == angles[-1] == (0, 0, 0)
    assert [round(angles[i][k]) for i, k in ((1, 0), (2, 1), (3, 2))] == [48, 49, 47]
    assert angles[4] == pytest.approx(angles[5])


def test_bad_topologies_are_no_safetensors_or_no_topology(vectors):
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from reference.geometry.face_topology import Topology

    good, *bad = (base64.b64decode(case["content"]) for case in vectors["topologies"])
    faults = {case["name"] for case in vectors["topologies"][-3:]}
    assert Topology(**load(good)).contour.shape == (17, 4)
    assert faults == {"cut", "cut in its header", "empty"}
    for content in bad[-3:]:
        with pytest.raises(SafetensorError):
            load(content)
