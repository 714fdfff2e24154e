"""Normalisation folded into the next convolution is the same function, to the border's last pixel."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from reference.networks.layers import Normalize
from sdk_build.errors import LoweringError
from sdk_build.lowering.normalization import SubtractMean, fold_normalization


@settings(max_examples=40)
@given(
    mean=st.lists(st.floats(-2, 2), min_size=1, max_size=4),
    std=st.floats(0.05, 3),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 2),
    padding=st.integers(0, 3),
    bias=st.booleans(),
    mode=st.sampled_from(["zeros", "reflect", "replicate"]),
    seed=st.integers(0, 99),
)
def test_folding_changes_nothing(mean, std, kernel, stride, padding, bias, mode, seed):
    torch.manual_seed(seed)
    channels = len(mean)
    convolution = nn.Conv2d(channels, 3, kernel, stride, padding, bias=bias, padding_mode=mode)
    network = nn.Sequential(Normalize(mean, [std * (i + 1) for i in range(channels)]), convolution).double()
    x = torch.rand(2, channels, 6, 5, dtype=torch.float64)
    with torch.no_grad():
        before = network(x)
        assert fold_normalization(network) is network
        torch.testing.assert_close(network(x), before, rtol=1e-9, atol=1e-9)
    assert not any(isinstance(m, Normalize) for m in network.modules())


def test_the_border_is_why_the_mean_stays_an_operation():
    """Zeros are padded after normalisation. This input is the mean: every output is the bias, also at the border."""
    network = nn.Sequential(Normalize((0.5, 0.25), (0.5, 2.0)), nn.Conv2d(2, 3, 3, padding=1)).double()
    fold_normalization(network)
    x = torch.tensor([0.5, 0.25], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    with torch.no_grad():
        out = network(x)
    torch.testing.assert_close(out, network[1].bias.view(1, 3, 1, 1).expand_as(out))


def test_the_division_is_gone():
    convolution = nn.Conv2d(2, 3, 3)
    kernel = convolution.weight.detach().clone()
    network = fold_normalization(nn.Sequential(Normalize((0.5, 0.25), (0.5, 2.0)), convolution))
    assert isinstance(network[0], SubtractMean)
    assert network[0].mean.flatten().tolist() == [0.5, 0.25]
    torch.testing.assert_close(convolution.weight, kernel / torch.tensor([0.5, 2.0]).view(1, 2, 1, 1))


def test_a_mean_of_zero_leaves_no_operation():
    network = fold_normalization(nn.Sequential(Normalize((0.0,), (0.5,)), nn.Conv2d(1, 2, 3)))
    assert isinstance(network[0], nn.Identity)


class Inner(nn.Module):
    """Normalisation under a name of its own, inside another module."""

    def __init__(self):
        super().__init__()
        self.scale = Normalize((0.5, 0.5), (0.5, 0.5))
        self.body = nn.Sequential(nn.Sequential(nn.Conv2d(2, 2, 3)))

    def forward(self, x):
        return self.body(self.scale(x))


def test_a_convolution_inside_a_block_counts_as_right_behind():
    network = nn.ModuleDict({"inner": Inner().double()})
    x = torch.rand(1, 2, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        before = network["inner"](x)
        fold_normalization(network)
        torch.testing.assert_close(network["inner"](x), before, rtol=1e-9, atol=1e-9)
    assert isinstance(network["inner"].scale, SubtractMean)


TWO = Normalize((0.5, 0.5), (0.5, 0.5))


@pytest.mark.parametrize(
    "following",
    [
        [],
        [nn.Linear(5, 5)],
        [nn.Conv2d(3, 2, 3)],
        [nn.Conv2d(2, 2, 3, groups=2)],
        [nn.Hardswish(), nn.Conv2d(2, 2, 3)],
        [nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3)],
    ],
    ids=["nothing", "linear", "other channels", "grouped", "activation between", "batch norm between"],
)
def test_what_can_not_be_folded_is_refused(following, refused):
    network = nn.Sequential(TWO, *following)
    with refused(
        LoweringError,
        "no convolution over 2 channels follows the normalisation '0'",
        "allowed: an ungrouped Conv2d right behind it",
        "reorder the network's modules",
    ):
        fold_normalization(network)
