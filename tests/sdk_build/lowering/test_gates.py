"""A folded gate is the same function as the hard sigmoid that it replaces."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from reference.networks.layers import SqueezeExcite
from sdk_build.lowering.gates import FoldedGate, fold_hard_sigmoids


@settings(max_examples=40)
@given(
    channels=st.integers(1, 24),
    side=st.integers(1, 5),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_folding_changes_nothing(channels, side, scale, seed):
    torch.manual_seed(seed)
    gate = SqueezeExcite(channels)
    nn.init.normal_(gate.expand.weight, 0, scale)  # gates that are open, shut and between
    nn.init.normal_(gate.expand.bias, 0, 3)
    project = nn.Sequential(nn.Conv2d(channels, 4, 1), nn.ReLU())
    network = nn.Sequential(nn.Conv2d(3, channels, 1), nn.Sequential(gate, project)).double().eval()
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        before = network(x)
        folded = fold_hard_sigmoids(network)
        torch.testing.assert_close(folded(x), before, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(network(x), before, rtol=0, atol=0)  # the original is left alone
    assert isinstance(folded[1][0], FoldedGate)


def test_a_gate_before_anything_else_stays():
    network = nn.Sequential(SqueezeExcite(4), nn.ReLU(), nn.Conv2d(4, 4, 1), SqueezeExcite(4))
    assert [type(module) for module in fold_hard_sigmoids(network)] == [type(module) for module in network]


def test_a_float_executorch_program_has_no_hard_sigmoid(tmp_path, monkeypatch):
    """The gate is the convolution with its own clamp; with 8 bits the graph stays as it was calibrated."""
    from reference.registry import get_spec
    from sdk_build.backends import executorch
    from sdk_build.quiet import quiet

    lowered = []
    monkeypatch.setattr(executorch, "lower_with", lambda network, *_: lowered.append(network))
    network = nn.Sequential(SqueezeExcite(3), nn.Conv2d(3, 8, 3))
    with quiet():  # the toolchain warns of itself when it is imported
        executorch.lower(network, get_spec("classifier"), "fp32", tmp_path / "model.pte")
    assert [type(module) for module in lowered[0]] == [FoldedGate, nn.Conv2d]
