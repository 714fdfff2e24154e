"""How an artifact's values are recognised, and which step a difference is put down to."""

import numpy as np
import pytest

from sdk_build.backends import Inner
from sdk_build.bisect.finding import _guilty
from sdk_build.bisect.levels import EQUAL_DB, costliest, first_below, measure_levels, nearest
from sdk_build.bisect.steps import Step

RNG = np.random.default_rng(0)


def steps(*names):
    """A chain: each reads the one before it."""
    return [Step(name, "op", name, "", (names[i - 1],) if i else ()) for i, name in enumerate(names)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 2, 1)])
def test_a_value_is_found_in_any_order_of_its_axes(order):
    array = RNG.normal(size=(1, 3, 4, 5))
    others = [Inner("noise", "x", RNG.normal(size=array.shape)), Inner("it", "conv", array.transpose(order))]
    level, found, laid_out = nearest(array, others)
    assert (level, found.name) == (EQUAL_DB, "it")
    assert np.array_equal(laid_out, array)


def test_a_value_of_another_size_is_none():
    assert np.isnan(nearest(np.ones((1, 3)), [Inner("a", "x", np.ones((1, 4)))])[0])


def test_equal_values_flattened_agree():
    array = RNG.normal(size=(1, 6))
    assert nearest(array, [Inner("a", "reshape", array.reshape(2, 3))])[0] == EQUAL_DB


def _case(values, damaged):
    """PyTorch's values, and an artifact's with noise from some places on; None: the artifact lacks that value."""
    inner, noise = [], 0.0
    for name, value in values.items():
        if damaged.get(name, 0.0) is None:
            continue  # fused into the next one
        noise += damaged.get(name, 0.0)
        inner.append(Inner(name, "op", value + noise * RNG.normal(size=value.shape)))
    return values, inner


def _values(*names):
    return {name: RNG.normal(size=(1, 50)) for name in names}


def test_the_step_that_adds_the_noise_is_to_blame():
    names = ("a", "b", "c", "d")
    levels = measure_levels(steps(*names), [_case(_values(*names), {"c": 0.05})])
    assert _guilty(levels, 40.0).step.name == "c" == first_below(levels, 40.0).step.name
    assert costliest(levels)[0].step.name == "c"
    assert levels[0].level_db == EQUAL_DB and levels[2].drop_db == pytest.approx(EQUAL_DB - levels[2].level_db)


def test_a_fused_step_is_as_good_as_what_reads_it():
    names = ("a", "b", "c")
    levels = measure_levels(steps(*names), [_case(_values(*names), {"b": None})])
    assert [entry.level_db for entry in levels] == [EQUAL_DB] * 3 and _guilty(levels, 40.0) is None


def test_where_a_fused_step_is_damaged_it_is_named_and_not_its_reader():
    names = ("a", "b", "c")
    levels = measure_levels(steps(*names), [_case(_values(*names), {"b": None, "c": 0.05})])
    assert _guilty(levels, 40.0).step.name == "b"


def test_a_cancellation_that_does_no_harm_is_excused():
    names = ("a", "b", "c")
    values, inner = _case(_values(*names), {})
    inner[1] = Inner("b", "sub", values["b"] + 0.05 * RNG.normal(size=values["b"].shape))
    levels = measure_levels(steps(*names), [(values, inner)])
    assert levels[1].level_db < 40 and first_below(levels, 40.0) is None


def test_the_worst_input_counts():
    names = ("a", "b")
    good, bad = _case(_values(*names), {}), _case(_values(*names), {"b": 0.05})
    for cases in ([good, bad], [bad, good]):
        assert _guilty(measure_levels(steps(*names), cases), 40.0).step.name == "b"


def test_gradual_loss_is_put_down_to_what_costs_most():
    names = ("a", "b", "c", "d")
    levels = measure_levels(steps(*names), [_case(_values(*names), {"a": 1e-4, "c": 8e-3, "d": 8e-3})], ceiling=62)
    assert first_below(levels, 40.0).step.name == "d"
    assert _guilty(levels, 40.0).step.name == "c"
