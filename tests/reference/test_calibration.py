"""Calibrated scores: known errors, the temperature that was put in, and a fold that changes no answer."""

import pytest
import torch
from torch import nn

from reference.tasks.calibration import calibration_error, fit_temperature, fold


def test_calibration_error_of_known_scores():
    """Four answers at 90 % of which two are right: off by 40 points."""
    logits = torch.tensor([[0.9, 0.1]]).log().repeat(4, 1)
    assert calibration_error(logits, torch.tensor([0, 0, 1, 1])) == pytest.approx(40, abs=1e-3)
    assert calibration_error(logits, torch.tensor([0, 0, 0, 0])) == pytest.approx(10, abs=1e-3)


def test_errors_in_two_bins_do_not_cancel():
    logits = torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log()
    assert calibration_error(logits, torch.tensor([1, 0])) == pytest.approx((90 + 40) / 2, abs=1e-3)


def test_a_score_of_one_falls_into_the_last_bin():
    assert calibration_error(torch.tensor([[100.0, 0.0]]), torch.tensor([0])) == pytest.approx(0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature):
    true = torch.randn(20_000, 4)
    labels = torch.multinomial(true.softmax(1), 1)[:, 0]
    found = fit_temperature(true * temperature, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    assert calibration_error(true * temperature / found, labels) < 1.5


def test_too_little_to_say():
    logits = torch.randn(60, 3)
    assert fit_temperature(logits, logits.argmax(1)) == 1.0  # all right
    assert fit_temperature(logits[:49], torch.zeros(49, dtype=torch.long)) == 1.0  # too few
    assert fit_temperature(logits, torch.zeros(60, dtype=torch.long)) != 1.0


def test_a_hopeless_network_stays_within_the_range():
    logits = torch.randn(500, 3) * 50
    assert fit_temperature(logits, torch.randint(0, 3, (500,))) == pytest.approx(5.0)


def test_folding_divides_the_logits():
    layer, x = nn.Linear(5, 3), torch.randn(4, 5)
    before = layer(x)
    fold(layer, 2.0)
    torch.testing.assert_close(layer(x), before / 2)
