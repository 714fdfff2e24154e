"""Fine-tuning with 8 bits simulated: rounding with known answers, gradients that pass, weights that improve."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from reference.errors import WeightsError
from reference.train.qat import round_activations, round_weights, simulate, start_from


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))


def test_weights_round_per_output_channel():
    weight = torch.tensor([[127.0, 1.4], [1.27, 0.004]])
    assert torch.allclose(round_weights(weight), torch.tensor([[127.0, 1.0], [1.27, 0.0]]), atol=1e-6)


def test_activations_round_to_256_levels_that_hold_zero():
    x = torch.tensor([-0.5, 0.0, 0.2, 0.6, 300.0])
    assert torch.equal(round_activations(x, torch.tensor([0.0, 255.0])), torch.tensor([0.0, 0.0, 0.0, 1.0, 255.0]))


def test_gradients_pass_the_rounding():
    weight = torch.randn(3, 5, requires_grad=True)
    round_weights(weight).sum().backward()
    assert torch.equal(weight.grad, torch.ones(3, 5))


def test_state_and_copies_are_those_of_the_plain_network():
    plain = network()
    simulated = copy.deepcopy(plain)
    assert simulate(simulated) == 2
    assert simulated.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(1, 1, 8, 8)
    other = copy.deepcopy(simulated)
    with torch.no_grad():
        assert not torch.equal(simulated(x), plain(x))
        other[0].weight.zero_()
        assert not torch.equal(simulated(x), other(x))  # a copy computes with its own weights


def test_training_with_rounding_lowers_the_rounded_loss():
    net, x = network(), torch.randn(16, 1, 8, 8)
    target = torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3))], 1)
    simulate(net)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = (net(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_start_from(tmp_path, refused):
    trained, net = network(), network()
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    start_from(net, tmp_path / "w.safetensors")
    assert torch.equal(net[0].weight, trained[0].weight)
    with refused(WeightsError, "can't fine-tune", "none.safetensors"):
        start_from(net, tmp_path / "none.safetensors")
    save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="another network"):
        start_from(net, tmp_path / "w.safetensors")
