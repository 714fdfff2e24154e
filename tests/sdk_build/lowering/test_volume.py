"""3-D transposed convolutions as 2-D ones are the same function, however the volume is cut into blocks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from reference.networks.voxel import ToVolume, VoxelNetwork
from sdk_build.errors import LoweringError
from sdk_build.lowering.volume import (
    LARGEST_CAT,
    LastTransposedConv3d,
    LoweredVoxelNetwork,
    PairedTransposedConv3d,
    TransposedConv3dAs2d,
    join,
    lower_volumes,
    neighbours,
)

EXACT = {"rtol": 1e-9, "atol": 1e-9}


def to_blocks(slices, count):
    """Slices (D, C, H, W) in natural order as ``count`` blocks: block r holds r, r + count, ..."""
    return [slices[r::count] for r in range(count)]


def to_slices(blocks):
    """Back to natural order."""
    return torch.stack(blocks, 1).flatten(0, 1)


def moved(slices, shift):
    """The volume at z + shift: by the definition, one slice after another."""
    none = torch.zeros_like(slices[0])
    return torch.stack([slices[z + shift] if 0 <= z + shift < len(slices) else none for z in range(len(slices))])


@settings(max_examples=120)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(-9, 9))
def test_neighbours_move_a_volume(size, count, shift):
    slices = torch.arange(1.0, size * count * 2 + 1).view(-1, 1, 1, 2)
    blocks = neighbours(to_blocks(slices, count), shift)
    assert len(blocks) == count
    torch.testing.assert_close(to_slices(blocks), moved(slices, shift))


def test_neighbours_inside_move_no_data():
    blocks = to_blocks(torch.rand(12, 2, 3, 3), 4)
    after = neighbours(blocks, 1)
    assert all(a is b for a, b in zip(after[:-1], blocks[1:], strict=True))


@given(st.integers(1, 40))
def test_any_number_of_tensors_is_joined_a_few_at_a_time(count):
    # The first and last have one slice, as the volume's ends do.
    sizes = [1 if i in (0, count - 1) else 2 for i in range(count)]
    parts = [torch.full((3, size, 2, 5), float(i)) for i, size in enumerate(sizes)]
    real, widest, joins = torch.cat, 0, {}

    def counted(tensors, dim):
        nonlocal widest
        widest = max(widest, len(tensors))
        assert not any(id(tensor) in joins for tensor in tensors)  # a converter would make one of both
        result = real(tensors, dim)
        joins[id(result)] = result
        return result

    torch.cat = counted
    try:
        joined = join(parts)
    finally:
        torch.cat = real
    torch.testing.assert_close(joined, real(parts, 1))
    assert widest <= LARGEST_CAT


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
@given(layer=layers(), size=st.integers(1, 4), count=st.integers(1, 4), seed=st.integers(0, 99))
def test_one_layer(layer, size, count, seed):
    torch.manual_seed(seed)
    layer = layer.double()
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.normal_(layer.bias)
    x = torch.randn(1, layer.in_channels, size * count, 3, 4, dtype=torch.float64)
    slices = x[0].transpose(0, 1)  # (D, C, H, W)
    with torch.no_grad():
        expected = layer(x)[0].transpose(0, 1)
        out = list(TransposedConv3dAs2d(layer)(to_blocks(slices, count)))
    assert len(out) == count * layer.stride[0]
    torch.testing.assert_close(to_slices(out), expected, **EXACT)


@settings(max_examples=60)
@given(
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.sampled_from([2, 4]),
    size=st.integers(1, 3),
    pairs=st.integers(1, 3),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_one_layer_by_pairs_of_slices(channels, stride, size, pairs, bias, seed):
    torch.manual_seed(seed)
    layer = nn.ConvTranspose3d(*channels, 2 * stride, stride, stride // 2, bias=bias).double()
    nn.init.normal_(layer.weight)
    x = torch.randn(1, channels[0], 2 * size * pairs, 3, 4, dtype=torch.float64)
    assert PairedTransposedConv3d.fits(layer, 2 * pairs)
    with torch.no_grad():
        expected = layer(x)[0].transpose(0, 1)
        out = list(PairedTransposedConv3d(layer)(to_blocks(x[0].transpose(0, 1), 2 * pairs)))
    assert len(out) == 2 * pairs * stride
    torch.testing.assert_close(to_slices(out), expected, **EXACT)


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (nn.ConvTranspose3d(2, 2, 4, 2, 1), 3),  # an odd number of blocks
        (nn.ConvTranspose3d(2, 2, 2, 2, 0), 2),  # one tap a phase
        (nn.ConvTranspose3d(2, 2, 6, 2, 2), 2),  # three
        (nn.ConvTranspose3d(2, 2, 6, 3, 2, 1), 2),  # one or two, by the phase
        (nn.ConvTranspose3d(65, 2, 4, 2, 1), 2),  # many weights
    ],
)
def test_what_makes_no_pairs(layer, count):
    assert not PairedTransposedConv3d.fits(layer, count)


def test_pairs_are_made_from_the_second_stage_on():
    stages = LoweredVoxelNetwork(VoxelNetwork(64)).stages
    assert [type(stage) for stage in stages] == [TransposedConv3dAs2d, PairedTransposedConv3d, PairedTransposedConv3d]


def test_the_last_stage_asks_for_a_block_when_it_needs_it():
    """The largest tensor of a large network must never be there as a whole."""
    asked, used = 0, []
    layer = LastTransposedConv3d(nn.ConvTranspose3d(2, 1, 4, 2, 1))
    layer.conv.register_forward_hook(lambda *_: used.append(asked))

    def blocks():
        nonlocal asked
        for _ in range(5):
            asked += 1
            yield torch.rand(2, 2, 3, 3)

    layer(blocks())
    assert used == [2, 3, 4, 5, 5]


@settings(max_examples=25)
@given(
    depth=st.integers(1, 5),
    channels=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    kernel=st.sampled_from([2, 4, 6]),
    seed=st.integers(0, 99),
)
def test_chained_layers(depth, channels, kernel, seed):
    """Kernel 6 reaches two slices far: over the end of a block."""
    torch.manual_seed(seed)
    padding = (kernel - 2) // 2
    stack = [
        nn.ConvTranspose3d(cin, cout, kernel, 2, padding)
        for cin, cout in zip(channels, [*channels[1:], 1], strict=True)
    ]
    network = nn.Sequential(*(module for layer in stack for module in (layer, nn.ReLU()))).double()
    x = torch.randn(1, channels[0], depth, 2, 3, dtype=torch.float64)
    blocks = [x[0].transpose(0, 1)]
    with torch.no_grad():
        expected = network(x)[0].transpose(0, 1)
        for layer in stack:
            blocks = [block.relu() for block in TransposedConv3dAs2d(layer)(blocks)]
    torch.testing.assert_close(to_slices(blocks), expected, **EXACT)


@settings(max_examples=60)
@given(
    channels=st.integers(1, 4),
    size=st.integers(1, 4),
    count=st.integers(1, 9),
    height=st.integers(1, 5),
    width=st.integers(1, 6),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_last_layer_as_windows(channels, size, count, height, width, bias, seed):
    torch.manual_seed(seed)
    layer = nn.ConvTranspose3d(channels, 1, 4, 2, 1, bias=bias).double()
    nn.init.normal_(layer.weight)
    x = torch.randn(1, channels, size * count, height, width, dtype=torch.float64)
    with torch.no_grad():
        expected = layer(x)[:, 0].relu()
        out = LastTransposedConv3d(layer)(to_blocks(x[0].transpose(0, 1), count))
    torch.testing.assert_close(out, expected, **EXACT)


def test_the_last_layer_must_have_its_form(refused):
    for layer in (nn.ConvTranspose3d(2, 2, 4, 2, 1), nn.ConvTranspose3d(2, 1, 2, 2), nn.ConvTranspose3d(2, 1, 4, 2, 2)):
        assert not LastTransposedConv3d.fits(layer)
        with refused(LoweringError, "as windows; allowed: one channel, kernel 4, stride 2, padding 1"):
            LastTransposedConv3d(layer)


@pytest.mark.parametrize("size", [8, 10, 16, 20, 32, 40, 64])
def test_the_whole_network(size):
    torch.manual_seed(size)
    network = VoxelNetwork(size).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    x = torch.rand(1, 1, size, size, dtype=torch.float64)
    with torch.no_grad():
        expected = network(x)
        out = lower_volumes(network)(x)
    assert out.shape == (1, size, size, size)
    assert expected.std() > 1e-3
    torch.testing.assert_close(out, expected, **EXACT)


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
        TransposedConv3dAs2d(layer)


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


def test_the_first_volume_needs_no_shuffle_of_channels():
    """The encoder's last convolution emits slice by slice: the reshape that follows moves no data."""
    network = VoxelNetwork(64).double().eval()
    x = torch.rand(1, 1, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        volume = network.to_volume(network.encoder(x))[0]  # (256, D, H, W)
        lowered = lower_volumes(network)
        slices = lowered.encoder(x).reshape(4, 256, 4, 4)
    torch.testing.assert_close(slices, volume.transpose(0, 1), **EXACT)
