"""A grown voxel network gives the smaller one's answer at twice the resolution."""

import pytest
import torch

from reference.networks.voxel import VoxelNetwork
from reference.train.recipes.grow import grow_from


def test_a_grown_network_is_the_smaller_one_interpolated():
    smaller, grown = VoxelNetwork(20).eval(), VoxelNetwork(40).eval()
    grow_from(grown, smaller)
    depth = torch.rand(1, 1, 20, 20)
    with torch.no_grad():
        expected = smaller(depth)
        actual = grown(depth.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert expected.std() > 1e-3, "the check can fail"
    doubled = torch.nn.functional.interpolate(expected[None], scale_factor=2, mode="trilinear")[0]
    inner = (..., slice(1, -1), slice(1, -1), slice(1, -1))  # a transposed convolution fades at the border
    torch.testing.assert_close(actual[inner], doubled[inner], rtol=1e-4, atol=1e-5)


def test_networks_two_doublings_apart_are_refused():
    with pytest.raises(ValueError, match="one doubling apart"):
        grow_from(VoxelNetwork(80), VoxelNetwork(20))
