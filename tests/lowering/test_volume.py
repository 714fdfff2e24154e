"""3-D transposed convolutions as 2-D ones are the same function, whatever the order of the slices."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from reference.voxel import ToVolume, VoxelNetwork
from sdk_build.errors import LoweringError
from sdk_build.lowering import lower_volumes
from sdk_build.lowering.volume import TransposedConv3dAs2d, restore_order, shift_runs, take_runs

EXACT = {"rtol": 1e-9, "atol": 1e-9}


def moved(x, order, shift):
    """The stored slices of the volume at z + shift: by the definition, one slice after another."""
    natural = {position: x[stored] for stored, position in enumerate(order)}
    return torch.stack([natural.get(position + shift, torch.zeros_like(x[0])) for position in order])


@settings(max_examples=150)
@given(st.integers(1, 9).flatmap(lambda n: st.permutations(range(n))), st.integers(-9, 9))
def test_runs_move_a_volume(order, shift):
    assume(abs(shift) < len(order))  # else all is zero, which the caller leaves out
    x = torch.arange(1.0, len(order) * 2 + 1).view(len(order), 1, 1, 2)
    runs = shift_runs(np.array(order), shift)
    torch.testing.assert_close(take_runs(x, runs), moved(x, order, shift))
    assert sum(count for _, count in runs) == len(order)


def test_runs_are_as_long_as_they_can_be():
    """Each run is one operation on the phone."""
    assert shift_runs(np.arange(6), 0) == [(0, 6)]
    assert shift_runs(np.arange(6), 1) == [(1, 5), (-1, 1)]
    assert shift_runs(np.arange(6), -2) == [(-1, 2), (0, 4)]
    assert shift_runs(np.array([0, 2, 4, 1, 3, 5]), 1) == [(3, 3), (1, 2), (-1, 1)]
    assert shift_runs(np.arange(2), 5) == [(-1, 2)]


@st.composite
def layers(draw):
    """Any layer that the rewrite allows: along the depth it grows by its stride, in the plane it is free."""
    stride = draw(st.integers(1, 4))
    padding = draw(st.integers(0, 4))
    extra = draw(st.integers(0, min(padding, stride - 1)))
    plane = []
    for _ in range(2):
        s = draw(st.integers(1, 3))
        plane.append((draw(st.integers(2, 4)), s, draw(st.integers(0, 1)), draw(st.integers(0, s - 1))))
    kernel, strides, paddings, extras = zip((stride + 2 * padding - extra, stride, padding, extra), *plane, strict=True)
    return nn.ConvTranspose3d(
        draw(st.integers(1, 3)), draw(st.integers(1, 3)), kernel, strides, paddings, extras, bias=draw(st.booleans())
    )


@settings(max_examples=120)
@given(layer=layers(), order=st.integers(1, 6).flatmap(lambda n: st.permutations(range(n))), seed=st.integers(0, 99))
def test_one_layer(layer, order, seed):
    torch.manual_seed(seed)
    layer = layer.double()
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.normal_(layer.bias)
    order = np.array(order)
    x = torch.randn(1, layer.in_channels, len(order), 3, 4, dtype=torch.float64)
    slices = x[0].transpose(0, 1)  # (D, C, H, W)
    with torch.no_grad():
        expected = layer(x)[0].transpose(0, 1)
        lowered = TransposedConv3dAs2d(layer, order)
        out = lowered(slices[torch.from_numpy(order)])
    assert sorted(lowered.output_order) == list(range(len(expected)))
    torch.testing.assert_close(out, expected[torch.from_numpy(lowered.output_order)], **EXACT)


@settings(max_examples=25)
@given(
    depth=st.integers(1, 5),
    channels=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    kernel=st.sampled_from([2, 4, 6]),
    seed=st.integers(0, 99),
)
def test_chained_layers_end_in_natural_order(depth, channels, kernel, seed):
    """Kernel 6 reaches two slices far: in a stored order that is not the natural one, zeros stand in the middle."""
    torch.manual_seed(seed)
    padding = (kernel - 2) // 2
    stack = [
        nn.ConvTranspose3d(cin, cout, kernel, 2, padding)
        for cin, cout in zip(channels, [*channels[1:], 1], strict=True)
    ]
    network = nn.Sequential(*(module for layer in stack for module in (layer, nn.ReLU()))).double()
    x = torch.randn(1, channels[0], depth, 2, 3, dtype=torch.float64)
    order = np.arange(depth)
    with torch.no_grad():
        expected = network(x)[:, 0]
        slices = x[0].transpose(0, 1)
        for layer in stack:
            lowered = TransposedConv3dAs2d(layer, order)
            slices, order = lowered(slices).relu(), lowered.output_order
        out = restore_order(slices, len(stack))
    assert out.shape == (1, depth * 2 ** len(stack), 2 * 2 ** len(stack), 3 * 2 ** len(stack))
    torch.testing.assert_close(out, expected, **EXACT)


@pytest.mark.parametrize("doublings", range(7))
@pytest.mark.parametrize("depth", [1, 4, 5])
def test_restore_order_sorts_the_slices(depth, doublings):
    order = np.arange(depth)
    for _ in range(doublings):
        order = np.concatenate([2 * order, 2 * order + 1])
    stored = torch.from_numpy(order).view(-1, 1, 1, 1).expand(-1, 1, 2, 3)
    out = restore_order(stored, doublings)
    assert out.shape == (1, len(order), 2, 3)
    assert out[0, :, 1, 2].tolist() == list(range(len(order)))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose3d(2, 2, 4, 2, 1, groups=2),
        nn.ConvTranspose3d(2, 2, 4, 2, 1, dilation=2),
        nn.ConvTranspose3d(2, 2, 3, 2, 0),
        nn.ConvTranspose3d(2, 2, 1, 2, 0, output_padding=1),
    ],
    ids=["groups", "dilation", "grows otherwise", "output padding"],
)
def test_other_layers_are_refused(layer, refused):
    with refused(LoweringError, f"can't rewrite {layer}", "allowed: groups 1, dilation 1", "output_padding = stride"):
        TransposedConv3dAs2d(layer, np.arange(3))


def test_a_network_without_volumes_is_left_alone():
    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    assert lower_volumes(network) is network


@pytest.mark.parametrize("module", [nn.Conv3d(1, 1, 3), nn.ConvTranspose3d(1, 1, 4, 2, 1), ToVolume(4)])
def test_volumes_outside_the_voxel_network_are_refused(module, refused):
    with refused(
        LoweringError,
        f"Sequential holds {type(module).__name__}, which no phone runtime has",
        "allowed: 3-D operations inside VoxelNetwork",
        "sdk_build/lowering/volume.py",
    ):
        lower_volumes(nn.Sequential(nn.Sequential(module)))


def test_the_last_volume_needs_no_shuffle_of_channels():
    """The encoder's last convolution emits slice by slice: the reshape that follows moves no data."""
    network = VoxelNetwork(64).double().eval()
    x = torch.rand(1, 1, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        volume = network.to_volume(network.encoder(x))[0]  # (256, D, H, W)
        lowered = lower_volumes(network)
        slices = lowered.encoder(x).reshape(4, 256, 4, 4)
    torch.testing.assert_close(slices, volume.transpose(0, 1), **EXACT)
