"""The whole lowering, on every registered network."""

import pytest
import torch
from torch import nn

from reference.networks.layers import Normalize
from reference.networks.voxel import ToVolume
from reference.registry import MODELS, build_network, get_spec
from sdk_build.errors import LoweringError
from sdk_build.lowering import lower

# voxel320 takes billions of operations a run; its layers are those of the others.
LARGE = [pytest.param("voxel160", marks=pytest.mark.slow)]
NAMES = [name for name in MODELS if name not in ("voxel160", "voxel320")] + LARGE
GONE = (nn.Conv3d, nn.ConvTranspose3d, ToVolume, nn.BatchNorm2d, nn.BatchNorm3d, Normalize)


def trained(network, shape):
    """Stands for a trained network: nothing is at its initial, often neutral, value, and the input matters.

    Batch statistics are those of a batch: random ones would let the signal die out within a few layers.
    """
    network = network.double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.momentum = 1.0
        elif isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
    if hasattr(network, "templates"):
        network.templates.normal_()
    if any(isinstance(m, nn.BatchNorm2d) for m in network.modules()):
        run(network.train(), torch.rand(4, *shape[1:], dtype=torch.float64))
    return network.eval()


def run(network, x):
    with torch.no_grad():
        out = network(x)
    return out if isinstance(out, tuple) else (out,)


@pytest.mark.parametrize("name", NAMES)
def test_lowered_networks_are_equal_and_flat(name):
    spec = get_spec(name)
    network = trained(build_network(spec), spec.input.shape)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    lowered = lower(network)
    first, second = torch.rand(2, *spec.input.shape, dtype=torch.float64)
    expected = run(network, first)
    # Seconds for the large ones, whose smaller sisters answer for them.
    others = run(network, second) if spec.outputs[0].size < 1_000_000 else [0 * target for target in expected]
    for output, target, other in zip(run(lowered, first), expected, others, strict=True):
        assert output.shape == target.shape
        spread = (target.max() - target.min()).item()
        assert (target - other).abs().max() > 1e-3 * spread > 0  # a constant would hide every difference
        assert (output - target).abs().max() <= 1e-9 * spread
    assert not [m for m in lowered.modules() if isinstance(m, GONE)]
    assert not any(p.requires_grad for p in lowered.parameters())
    for key, value in network.state_dict().items():  # the original is left as it was
        assert torch.equal(value, before[key]), key


def test_a_network_in_training_is_lowered_for_evaluation():
    network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    lowered = lower(network)
    assert network.training
    assert not any(m.training for m in lowered.modules())
    x = torch.rand(1, 1, 5, 5)
    torch.testing.assert_close(lowered(x), network.eval()(x))


def test_unsupported_networks_are_refused_before_any_backend(refused):
    with refused(LoweringError, "Sequential holds Conv3d, which no phone runtime has"):
        lower(nn.Sequential(nn.Conv3d(1, 1, 3)))
