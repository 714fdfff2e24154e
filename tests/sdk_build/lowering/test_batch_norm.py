"""Folded batch normalisation is the same function."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sdk_build.lowering.batch_norm import fold_batch_norm


def randomized(norm):
    """Statistics and weights far from the identity that a new layer is."""
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 4)
    return norm


@settings(max_examples=40)
@given(
    groups=st.integers(1, 3),
    per_group=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_folding_changes_nothing(groups, per_group, kernel, stride, padding, bias, seed):
    torch.manual_seed(seed)
    cin, cout = (groups * n for n in per_group)
    convolution = nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups, bias=bias)
    network = nn.Sequential(convolution, randomized(nn.BatchNorm2d(cout)), nn.ReLU()).double().eval()
    x = torch.randn(2, cin, 7, 6, dtype=torch.float64)
    with torch.no_grad():
        before = network(x)
        folded = fold_batch_norm(network)
        assert folded is network
        torch.testing.assert_close(folded(x), before, rtol=1e-9, atol=1e-9)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def test_blocks_inside_blocks_are_folded():
    def block(cin, cout):
        return nn.Sequential(nn.Conv2d(cin, cout, 3), randomized(nn.BatchNorm2d(cout)))

    network = nn.Sequential(block(2, 3), nn.Sequential(block(3, 4), nn.ReLU())).double().eval()
    x = torch.randn(1, 2, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        before = network(x)
        torch.testing.assert_close(fold_batch_norm(network)(x), before, rtol=1e-9, atol=1e-9)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def test_a_norm_that_follows_no_convolution_stays():
    """In front of a convolution that pads, or behind an activation, it can't be folded backwards."""
    network = nn.Sequential(
        randomized(nn.BatchNorm2d(2)), nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), randomized(nn.BatchNorm2d(3))
    )
    network = network.double().eval()
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        before = network(x)
        torch.testing.assert_close(fold_batch_norm(network)(x), before)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 2
