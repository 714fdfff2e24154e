"""Every stage must fail for the mistake that it is there for."""

import copy
import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from reference.card import MODELS_DIR, load_card
from reference.checkpoint import load_weights
from reference.golden import load_golden, run_reference
from reference.registry import MODELS, build_network, get_spec
from reference.tasks import get_task
from sdk_build.build.reference import load_reference
from sdk_build.errors import InsensitiveCheck, ParityError
from sdk_build.lowering import lower
from sdk_build.proof import parity

NAME = "template_keypoints"
SPEC = get_spec(NAME)
FIRST, SECOND = (t.name for t in SPEC.outputs)
FP16 = {"sqnr_db": 40.0, "nme_percent": 0.5}


@pytest.fixture(scope="module")
def reference():
    return load_reference(SPEC)


@pytest.fixture(scope="module")
def network():
    net = build_network(SPEC)
    load_weights(net, MODELS_DIR / NAME / "weights.safetensors")
    return net


@pytest.fixture
def exact(network):
    return lower(copy.deepcopy(network).double())


def tensors(seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return {t.name: (scale * rng.random(t.shape)).astype(np.float32) for t in SPEC.outputs}


def test_each_output_gets_every_metric_and_the_first_the_tasks_own():
    checks = parity.compare("litert", "stage", SPEC, FP16, [(tensors(), tensors())])
    assert [c.metric for c in checks if c.output == FIRST] == [*parity.REPORTED, "nme_percent"]
    assert [c.metric for c in checks if c.output == SECOND] == list(parity.REPORTED)
    assert {c.metric: c.limit for c in checks if c.output == FIRST if c.limit is not None} == FP16
    assert all(c.passed and c.runtime == "litert" and c.stage == "stage" for c in checks)


def test_the_worst_pair_counts_in_either_direction():
    expected, slight, strong = tensors(), tensors(), tensors()
    slight[FIRST] = slight[FIRST] + np.float32(0.001)
    strong[FIRST] = strong[FIRST] + np.float32(0.1)
    limits = {"sqnr_db": 40.0, "max_abs_of_range": 0.01}
    for pairs in ([slight, strong], [strong, slight]):
        checks = parity.compare("r", "s", SPEC, limits, [(p, expected) for p in pairs])
        failed = {c.metric: c.value for c in checks if not c.passed}
        assert failed.keys() == limits.keys()
        assert failed["max_abs_of_range"] == pytest.approx(0.1 / np.ptp(expected[FIRST]), rel=1e-3)
        assert failed["sqnr_db"] < 20


def test_an_output_that_is_not_the_first_can_fail():
    actual = tensors()
    actual[SECOND][0, 40] += 1
    checks = parity.compare("r", "s", SPEC, FP16, [(actual, tensors())])
    assert [(c.output, c.metric) for c in checks if not c.passed] == [(SECOND, "sqnr_db")]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_fails_every_limit(bad):
    actual = tensors()
    actual[FIRST][0, 3, 1] = bad
    limits = {"sqnr_db": -100.0, "nme_percent": 1e9, "max_abs_of_range": 1e9, "cosine": -0.5}
    checks = parity.compare("r", "s", SPEC, limits, [(tensors(), tensors()), (actual, tensors())])
    assert {c.metric for c in checks if not c.passed} == set(limits)


def test_another_shape_is_a_failed_proof(refused):
    actual = tensors()
    actual[SECOND] = actual[SECOND][:, :5]
    with refused(ParityError, "litert s 'template_keypoints'", "(1, 5, 2), needed (1, 68, 2)", "anew"):
        parity.compare("litert", "s", SPEC, FP16, [(actual, tensors())])


def test_a_failed_check_says_where_what_and_how_much(refused):
    actual = tensors()
    actual[FIRST] = actual[FIRST] + np.float32(0.1)
    checks = parity.compare("litert", "lowered_vs_artifact", SPEC, FP16, [(actual, tensors())])
    with refused(
        ParityError, "m fp16 litert lowered_vs_artifact 'keypoints': sqnr_db 1", "dB < 40 dB (and 1 more); try"
    ):
        parity.require(checks, "m fp16")
    nme = next(c for c in checks if c.metric == "nme_percent")
    assert " > 0.5 %" in nme.describe()


def test_a_passed_check_says_no_limit_and_raises_nothing():
    checks = parity.compare("r", "s", SPEC, FP16, [(tensors(), tensors())])
    assert checks[1].describe() == "r s 'keypoints': sqnr_db 200 dB"
    parity.require(checks, "m")
    parity.require([], "m")


def test_equal_outputs_are_insensitive(refused):
    with refused(
        InsensitiveCheck, "template_keypoints output 'keypoints'", "differ by 0 of the range", "train the model"
    ):
        parity.check_sensitivity(SPEC, FP16, tensors(), tensors())


def test_outputs_closer_than_100_limits_are_insensitive(refused):
    """What an untrained network does: its outputs hardly follow its input."""
    limits = {"max_abs_of_range": 1e-4}
    near, far = tensors(), tensors()
    for name in near:
        near[name][0, 0, 0] += 0.005
        far[name][0, 0, 0] += 0.05
    with refused(InsensitiveCheck, "differ by 0.005", "needed 0.01"):
        parity.check_sensitivity(SPEC, limits, tensors(), near)
    parity.check_sensitivity(SPEC, limits, tensors(), far)


def test_one_insensitive_output_of_two_is_enough(refused):
    other = tensors(1)
    other[SECOND] = tensors()[SECOND]
    with refused(InsensitiveCheck, "output 'template_keypoints'"):
        parity.check_sensitivity(SPEC, FP16, tensors(), other)


@pytest.mark.parametrize("limits", [{}, {"sqnr_db": 0.0}, {"nme_percent": 1000.0}])
def test_limits_that_two_different_inputs_pass_are_insensitive(limits, refused):
    with refused(InsensitiveCheck, "two different golden inputs pass for each other", "tighten the limits"):
        parity.check_sensitivity(SPEC, limits, tensors(0), tensors(1))
    parity.check_sensitivity(SPEC, FP16, tensors(0), tensors(1))


def test_a_network_that_ignores_its_input_can_not_be_proved(network, reference, refused):
    constant = copy.deepcopy(network)
    for head in (constant.template_logits, constant.similarity, constant.heat, constant.gate):
        head.weight.data.zero_()
    with refused(InsensitiveCheck, "output 'keypoints'", "differ by 0 of the range"):
        parity.check_reference(constant, constant, SPEC, reference.card, reference.golden)


def test_the_stored_model_passes_stages_one_and_two(reference):
    stages = [c.stage for c in reference.checks]
    assert set(stages) == {"golden_vs_reference", "reference_vs_lowered"}
    assert all(c.passed for c in reference.checks)
    for stage in set(stages):
        assert any(c.limit is not None for c in reference.checks if c.stage == stage)


def test_changed_weights_no_longer_reproduce_the_golden_files(network, reference, refused):
    changed = copy.deepcopy(network)
    changed.heat.weight.data *= 1.01
    lowered = lower(copy.deepcopy(changed).double())
    checks = parity.check_reference(changed, lowered, SPEC, reference.card, reference.golden)
    assert {c.stage for c in checks if not c.passed} == {"golden_vs_reference"}
    with refused(ParityError, NAME, "pytorch golden_vs_reference 'keypoints': max_abs_of_range", "> 0.0001"):
        parity.require(checks, NAME)


def first_convolution(module):
    return next(m for m in module.modules() if isinstance(m, torch.nn.Conv2d))


def test_stage_two_sees_one_weight_that_is_off_by_a_millionth(network, exact, reference):
    def run():
        return parity.check_lowering(network, exact, SPEC, reference.card.parity["lowered"], reference.golden)

    assert all(c.passed for c in run())
    weight = first_convolution(exact).weight.data
    weight[0, 0, 1, 1] += 1e-6
    assert {(c.stage, c.metric, c.passed) for c in run() if c.limit is not None} == {
        ("reference_vs_lowered", "max_abs_of_range", False)
    }


def test_stage_two_is_not_measured_in_float32(network, exact, reference):
    """Rounding to float32 and back must show: otherwise float32 would hide small mistakes."""
    rounded = copy.deepcopy(exact).float().double()
    checks = parity.check_lowering(network, rounded, SPEC, reference.card.parity["lowered"], reference.golden)
    assert not all(c.passed for c in checks)


def with_input(reference, change):
    """The lowered network's outputs for changed inputs: what an artifact with a wrong front would give."""
    cases = [
        dataclasses.replace(case, inputs={SPEC.input.name: np.ascontiguousarray(change(case.input))})
        for case in reference.golden
    ]
    return parity.run_lowered(reference.lowered, SPEC, cases)


MEAN = np.array(SPEC.preprocess.mean, np.float32)[:, None, None]
STD = np.array(SPEC.preprocess.std, np.float32)[:, None, None]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(lambda x: x[:, ::-1], id="BGR"),
        pytest.param(lambda x: x + MEAN, id="mean forgotten"),
        pytest.param(lambda x: (x - MEAN) / STD, id="normalised twice"),
        pytest.param(lambda x: x * 255, id="0 to 255"),
        pytest.param(lambda x: x[..., ::-1], id="mirrored"),
        pytest.param(lambda x: np.roll(x, 1, -1), id="one pixel to the right"),
    ],
)
def test_stage_three_sees_a_wrong_front(mistake, precision, reference, refused):
    limits = reference.card.parity[precision]
    actual = with_input(reference, mistake)
    checks = parity.check_artifact("litert", SPEC, limits, actual, reference.expected)
    with refused(ParityError, f"{NAME} litert lowered_vs_artifact 'keypoints'", "try another precision"):
        parity.require(checks, NAME)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_stage_three_passes_the_network_itself(precision, reference):
    actual = with_input(reference, lambda x: x)
    parity.require(
        parity.check_artifact("litert", SPEC, reference.card.parity[precision], actual, reference.expected), NAME
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_stage_three_sees_swapped_outputs(precision, reference):
    swapped = [{FIRST: case[SECOND], SECOND: case[FIRST]} for case in reference.expected]
    checks = parity.check_artifact("r", SPEC, reference.card.parity[precision], swapped, reference.expected)
    assert not all(c.passed for c in checks)


def test_stage_three_wants_an_output_for_every_golden_case(reference):
    with pytest.raises(ValueError, match="zip"):
        parity.check_artifact("r", SPEC, FP16, reference.expected[:1], reference.expected)


def test_checks_are_plain_json(reference):
    for check in reference.checks:
        document = json.loads(json.dumps(check.to_json(), allow_nan=False))
        assert document == dataclasses.asdict(check)


SHIPPED = [n for n in MODELS if (MODELS_DIR / n / "card.yaml").is_file()]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_card_limits_what_its_task_is_about(name):
    limits = load_card(name).parity
    for precision in ("fp32", "fp16"):
        assert limits[precision].keys() & {"sqnr_db", "max_abs_of_range"}, precision
        assert get_task(get_spec(name)).agreement.name in limits[precision]
    assert limits["fp32"]["max_abs_of_range"] <= 1e-4
    assert limits["lowered"]["max_abs_of_range"] <= 1e-8


@pytest.mark.parametrize("name", [n for n in SHIPPED if (MODELS_DIR / n / "golden" / "tensors.safetensors").is_file()])
def test_golden_inputs_differ(name):
    cases = load_golden(get_spec(name))
    assert len(cases) == 2
    for first, second in pairwise(cases):
        assert np.abs(first.input - second.input).max() > 0.1


def test_run_lowered_names_outputs_in_the_order_of_the_spec(network, reference):
    named, _ = run_reference(network, SPEC, reference.golden[0].inputs)
    for name in (FIRST, SECOND):
        np.testing.assert_allclose(reference.expected[0][name], named[name], atol=1e-5)
    assert np.abs(named[FIRST] - named[SECOND]).max() > 1e-3
