"""Recipes are data; what they say about each runtime is consistent."""

import pytest

from reference.errors import BadInput
from sdk_build.backends import RUNTIMES, TARGETS, precisions_of
from sdk_build.backends.quantizers.recipes import PRECISIONS, RECIPES, get_recipe, is_inside


def test_runtimes_hold_known_precisions():
    for runtime in RUNTIMES.values():
        assert set(runtime.precisions) | set(runtime.precisions.values()) <= set(PRECISIONS)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_float_and_static(target):
    assert {"fp32", "fp16", "w8", "w8a8"} <= set(precisions_of(target))


def test_palettes_are_for_core_ml_alone():
    assert [target for target in TARGETS if "p6" in precisions_of(target)] == ["ios"]


def test_only_static_needs_ranges():
    assert [name for name, recipe in RECIPES.items() if recipe.needs_ranges] == ["w8a8"]


def test_static_core_ml_needs_a_newer_system():
    assert RUNTIMES["coreml"].minimum_for("w8") == "iOS 16"
    assert RUNTIMES["coreml"].minimum_for("w8a8") == "iOS 17"
    assert RUNTIMES["executorch_coreml"].minimum_for("w8a8") == "iOS 17, ExecuTorch 1.4"


def test_unknown_name(refused):
    with refused(BadInput, "'w5'", "w8a8"):
        get_recipe("w5")


def test_is_inside():
    assert is_inside("features.1.0", ("features.1",))
    assert not is_inside("features.10", ("features.1",))
    assert is_inside("", ("",))
    assert not is_inside("features", ("",))
