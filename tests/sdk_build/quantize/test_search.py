"""Mixed precision: few parts return to float, in order, and a budget that can't be met says so."""

from hypothesis import given
from hypothesis import strategies as st

from sdk_build.quantize.search import Trial, search

ORDER = [f"part{i}" for i in range(40)]


def run(needed, at_most=None, always=("",)):
    """A budget that holds once the first ``needed`` parts are float; also the attempts that were made."""
    tried = []

    def attempt(keep):
        tried.append(len(keep) - len(always))
        return Trial(keep, None, "" if set(ORDER[:needed]) <= set(keep) else f"{needed} parts are needed")

    return search(ORDER, always, attempt, at_most), tried


@given(st.integers(0, 20))
def test_finds_the_fewest_of_an_ordered_budget(needed):
    best, tried = run(needed)
    assert best.passed
    assert best.keep_float == ("", *ORDER[:needed])
    assert len(tried) <= 12


def test_gives_up_at_half():
    best, tried = run(21)
    assert not best.passed
    assert best.reason == "21 parts are needed"
    assert max(tried) == 20


def test_of_what_misses_the_budget_the_nearest_counts():
    """Accuracy need not rise with every part that returns to float."""
    used = {0: 5.9, 1: 5.3, 2: 7.0, 4: 8.0, 8: 9.9, 16: 9.0, 20: 9.0}
    best = search(
        ORDER, (), lambda keep: Trial(keep, len(keep), f"{used[len(keep)]} times the budget", used[len(keep)])
    )
    assert (best.result, best.reason) == (1, "5.3 times the budget")


def test_nothing_is_tried_twice_when_all_in_8_bits_passes():
    assert run(0)[1] == [0]


def test_parts_that_are_always_float_are_no_candidates():
    best, _ = run(1, always=("part0",))
    assert best.keep_float == ("part0",)


def test_a_limit_on_parts():
    assert not run(3, at_most=2)[0].passed
    assert run(3, at_most=3)[0].passed
