"""card.md, the card for people."""

from dataclasses import replace

from reference.card import load_card
from reference.registry import get_spec
from sdk_build.bundle.card_page import card_page

ROWS = ({"training": "photos only", "top1_mean": 33.4}, {"training": "the full method", "top1_mean": 44.3})


def test_ways_of_training_are_shown_beside_each_other():
    card = replace(load_card("voxel64"), comparison=ROWS)
    lines = card_page(get_spec("voxel64"), card, "voxel64", (), ()).splitlines()
    start = lines.index("## Ways of training, on one budget")
    assert lines[start + 2 : start + 6] == [
        "| training | top1_mean |",
        "| --- | --- |",
        "| photos only | 33.4 |",
        "| the full method | 44.3 |",
    ]


def test_a_card_without_comparison_has_no_empty_table():
    card = replace(load_card("voxel64"), comparison=())
    assert "Ways of training" not in card_page(get_spec("voxel64"), card, "voxel64", (), ())
