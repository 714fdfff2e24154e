"""Row I10: what a figure moves on, from its outline, the fit of the mapping and the class that a network saw."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from reference.animation.animate import rig_figure
from reference.animation.figure.evidence import SHAPE, lean, shape_evidence
from reference.animation.figure.mask import Figure
from reference.animation.fit_topology import Example, collect, cross_validate, fit, fit_both, to_yaml
from reference.animation.fit_topology import main as fit_topology
from reference.animation.judge import judge_all, judgement_table
from reference.animation.measure import main
from reference.animation.motion.library import read_labels, read_library
from reference.animation.motion.source import TOPOLOGIES
from reference.animation.topology import (
    WITH_CLASS,
    WITHOUT_CLASS,
    Weights,
    choose,
    class_evidence,
    read_weights,
    topology_of,
)
from reference.animation.truth import read_truth
from reference.errors import BadInput

from .generated import animal, person, picture_of

LIBRARY, LABELS = read_library(), read_labels()


def rig_of(mask):
    return rig_figure(Figure(picture_of(mask), mask, "mask"))


@pytest.fixture(scope="module")
def rigs():
    return {"two_feet": rig_of(person()), "four_feet": rig_of(animal())}


def test_outline_and_fit_alone_tell_a_person_from_an_animal(rigs):
    for topology, rig in rigs.items():
        choice = choose(rig)
        assert choice.topology == topology and LIBRARY[choice.figure].topology == topology
        assert 1 / len(TOPOLOGIES) < choice.confidence < 1


def test_the_class_chooses_among_the_topologys_figures(rigs):
    choice = choose(rigs["four_feet"], {"elephant": 0.97, "dog": 0.02, "guitar": 0.01})
    assert (choice.topology, choice.figure) == ("four_feet", "cow")
    sure = choose(rigs["two_feet"], {"person": 0.99, "dog": 0.01}).confidence
    unsure = choose(rigs["two_feet"], {"person": 0.3, "dog": 0.7}).confidence
    assert sure > unsure


def test_what_the_user_says_decides(rigs):
    assert choose(rigs["two_feet"], label="snake").figure == "snake"
    assert choose(rigs["two_feet"], label="winged").topology == "winged"
    said = choose(rigs["two_feet"], topology="no_feet")
    assert said.figure in ("fish", "snake") and said.confidence == 1
    unknown = choose(rigs["four_feet"], label="teapot")
    assert unknown.topology == "four_feet" and "no map has the label 'teapot'" in unknown.notes[0]


def test_classes_count_for_the_topology_of_their_figure():
    evidence = class_evidence({"person": 0.6, "dog": 0.2, "horse": 0.1, "house": 0.1}, LABELS, LIBRARY)
    wanted = {"two_feet": 0.6, "four_feet": 0.3, "none": 0.1, "winged": 0.0}
    for name, total in wanted.items():
        assert evidence[f"class_{name}"] == pytest.approx(np.log(0.02 + total))
    assert topology_of("many_feet", LABELS, LIBRARY) == "many_feet", "a classifier with an output for topologies"
    assert topology_of("guitar", LABELS, LIBRARY) is None


def test_measures_are_finite_named_and_turn_with_the_figure(rigs):
    rig = rigs["two_feet"]
    measures = shape_evidence(rig.contours.grid, rig.medial, rig.skeleton)
    assert set(measures) == set(SHAPE) and all(np.isfinite(value) for value in measures.values())
    assert measures["symmetric"] > 0.9 and measures["legs"] == pytest.approx(2, abs=0.1)
    lying = np.zeros((40, 160), bool)
    lying[10:30, 5:155] = True
    for mask, sign in ((lying, -1), (lying.T, 1)):
        other = rig_of(np.pad(mask, 20))
        found = shape_evidence(other.contours.grid, other.medial, other.skeleton)
        assert sign * found["upright"] > 0.8 and sign * found["core_upright"] > 0.5 and sign * found["wide"] < -1


def test_weights_give_the_known_probabilities():
    matrix = np.zeros((6, 1))
    matrix[0], matrix[1] = 1.0, -1.0
    weights = Weights(("a",), np.array([2.0]), np.array([0.5]), matrix, np.zeros(6))
    found = weights.probabilities({"a": 3.0, "unused": 9.0})
    powers = np.exp([2, -2, 0, 0, 0, 0])
    assert list(found.values()) == pytest.approx(powers / powers.sum()) and list(found) == list(TOPOLOGIES)
    assert weights.probabilities({})["two_feet"] == pytest.approx(1 / 6), "what is missing counts as the mean"


def made_up(random):
    """Evidence in which every topology has its own place, and a class that is right for two of them."""
    found = []
    for number, topology in enumerate(TOPOLOGIES):
        for _ in range(12):
            x, y = np.cos(number) + random.normal(0, 0.05), np.sin(number) + random.normal(0, 0.05)
            found.append(({"x": x, "y": y, "class_two_feet": float(topology == "two_feet"), "class_x": 1.0}, topology))
    return found


def test_a_fit_tells_apart_what_can_be_told_apart_and_survives_its_file(tmp_path):
    found = made_up(np.random.default_rng(3))
    both = fit_both(found, penalty=1e-5)
    assert "class_x" not in both[WITH_CLASS].names, "what never varies says nothing"
    assert not [name for name in both[WITHOUT_CLASS].names if name.startswith("class_")]
    path = tmp_path / "w.yaml"
    path.write_text(to_yaml(both, "made up"))
    for title, weights in read_weights(path).items():
        right = 0
        for evidence, topology in found:
            before, after = both[title].probabilities(evidence), weights.probabilities(evidence)
            right += max(after, key=lambda t: after[t]) == topology
            assert after == pytest.approx(before, abs=0.01)
        assert right == len(found)
    assert fit(found, penalty=100.0).matrix.max() < 0.05, "a penalty shrinks"


def test_pictures_are_judged_by_weights_that_have_not_seen_them():
    random = np.random.default_rng(3)
    examples = [Example("a", f"{i}.png", topology, evidence) for i, (evidence, topology) in enumerate(made_up(random))]
    # A thirteenth spider that looks like a fish: weights fitted with it could learn it, others can't.
    fish = next(e for e in examples if e.topology == "no_feet")
    examples += [Example("b", "odd.png", "many_feet", fish.evidence), Example("b", "white.png", "winged", None)]
    text = cross_validate(examples, 5)
    assert text == cross_validate(examples, 5), "the parts are always the same"
    assert "| a | many_feet | 12 | 12 | 12 |" in text and "| a | two_feet | 12 | 12 | 12 |" in text
    assert "| b | many_feet | 1 | 0 | 0 |" in text and "| b | winged | 1 | 0 | 0 |" in text


def test_collected_evidence_is_kept(tmp_path, monkeypatch, capsys):
    folder, kept = judged(tmp_path), tmp_path / "kept.jsonl"
    monkeypatch.setattr("reference.animation.fit_topology.salient_region", lambda picture: None)
    monkeypatch.setattr("reference.animation.fit_topology.class_scores", lambda picture: {"person": 1.0})
    first = collect([folder], kept)
    assert [e.evidence is None for e in first] == [False, False, True]
    monkeypatch.setattr("reference.animation.fit_topology.load_figure", None)
    assert collect([folder], kept) == first
    assert fit_topology([str(folder), "--folds", "1"]) == 2 and "--folds is 1; allowed" in capsys.readouterr().err
    assert fit_topology([str(folder), "--evidence", str(kept)]) == 2
    assert "show 2 topologies; allowed: pictures of all six" in capsys.readouterr().err
    kept.write_text("no json")
    assert fit_topology([str(folder), "--evidence", str(kept)]) == 2
    assert "allowed: what --evidence wrote" in capsys.readouterr().err


def test_weights_that_cannot_be_read(tmp_path, refused):
    path = tmp_path / "w.yaml"
    for text in ("with_class: {}", "[1", "with_class: {bias: {two_feet: 1}, evidence: {a: [1, 2]}}"):
        path.write_text(text)
        read_weights.cache_clear()
        with refused(BadInput, "can't read", "fit_topology"):
            read_weights(path)
    read_weights.cache_clear()


def judged(folder):
    Image.fromarray(picture_of(person())).save(folder / "p.png")
    Image.fromarray(picture_of(animal())).save(folder / "a.png")
    Image.new("RGB", (64, 64), "white").save(folder / "w.png")
    (folder / "truth.csv").write_text("file,topology,facing\np.png,two_feet,\na.png,four_feet,left\nw.png,no_feet,\n")
    return folder


def test_right_and_wrong_ones_are_counted(tmp_path, capsys):
    results = judge_all([judged(tmp_path)], networks=False)
    assert [r.found_topology for r in results] == ["two_feet", "four_feet", ""]
    text = judgement_table(results)
    assert "| four_feet | 1 | 1 | 1 | 0 |" in text and "| two_feet | 1 | 1 | 0 | - |" in text
    assert "a.png: faces right, is left" in text and "w.png: no figure (0 %), is no_feet" in text
    assert main(["--truth", str(tmp_path), "--without-networks", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("file,topology\na.png,six_feet\n", "has 'six_feet'"),
        ("file,topology,facing\na.png,two_feet,up\n", "'up' for a.png; allowed: two_feet"),
        ("file,topology\nb.png,two_feet\n", "names b.png, which isn't there"),
        ("picture\na.png\n", "can't read"),
        ("file,topology\n", "has no rows"),
    ],
)
def test_truth_that_cannot_be_used(tmp_path, refused, text, part):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "truth.csv").write_text(text)
    with refused(BadInput, part):
        read_truth(tmp_path)


def test_which_way_a_figure_leans():
    cut = np.zeros((40, 40), bool)
    cut[10:20, 20:30] = cut[20:30, 10:20] = True  # the upper half on the right, the lower on the left
    middle = np.mean((2 * np.arange(10, 20) - 39) / 19)
    assert lean(cut) == pytest.approx(middle**2)
    assert lean(cut[:, ::-1]) == pytest.approx(-(middle**2)) and lean(cut[::-1]) == pytest.approx(-(middle**2))
    assert lean(np.ones((7, 9), bool)) == pytest.approx(0) and lean(np.ones((1, 1), bool)) == 0


def test_a_chain_stands_for_long_figures_and_for_no_others():
    fish, snake = np.zeros((2, 200, 320), np.uint8)
    cv2.ellipse(fish, (140, 100), (110, 50), 0, 0, 360, 1, -1)
    cv2.fillPoly(fish, [np.array([(240, 100), (310, 60), (310, 140)])], 1)
    places = np.linspace(20, 300, 60)
    cv2.polylines(snake, [np.stack([places, 100 + 40 * np.sin(places / 30)], 1).astype(np.int32)], False, 1, 14)
    for mask, wanted in ((fish, "fish"), (snake, "snake")):
        assert choose(rig_of(mask), topology="no_feet").figure == wanted
