"""3-D transposed convolutions as 2-D ones: no phone runtime has the former, every one has the latter.

**One stage.** Let the depth slices of a volume be the batch of a 2-D tensor, x: (D, C, H, W). Output slice z of a
3-D transposed convolution with kernel K, stride s and padding p sums the taps k with z + p - k divisible by s, each
a 2-D transposed convolution of input slice (z + p - k) / s. All K taps become the output channels of *one* 2-D
transposed convolution C -> K * Co, done once per input slice. Writing z = s * i + r, output phase r then is the sum
over its taps k of that tap's channels, shifted by (r + p - k) / s slices. For K = 4, s = 2, p = 1:

    even slices = tap1[i] + tap3[i - 1]        odd slices = tap2[i] + tap0[i + 1]

**Order of slices.** Interleaving the phases after each stage would cost a transpose of the whole volume in every
runtime that keeps channels last. The phases are only concatenated instead, so the slices are stored out of order;
the order is known when the graph is built, and a shift by one slice is a handful of contiguous runs
(:func:`shift_runs`). The last volume, which has the fewest channels, is put in order once (:func:`restore_order`).

**Memory.** Nothing but the two tensors of the running stage is alive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reference.voxel import ToVolume, VoxelNetwork
from sdk_build.errors import LoweringError

Order = NDArray[np.int64]
Run = tuple[int, int]  # first stored slice and count; first = -1 stands for zeros


def shift_runs(order: Order, shift: int) -> list[Run]:
    """Runs of stored slices that, concatenated, are the volume moved by ``shift`` slices.

    Args:
        order: natural position of each stored slice.
        shift: the result at position z is the volume at z + shift, zero outside.
    """
    where = np.argsort(order)
    wanted = order + shift
    inside = (wanted >= 0) & (wanted < len(order))
    stored = np.where(inside, where[np.clip(wanted, 0, len(order) - 1)], -1)
    runs: list[Run] = []
    for slot in stored.tolist():
        first, count = runs[-1] if runs else (0, 0)
        if runs and (slot == first == -1 or (first >= 0 and slot == first + count)):
            runs[-1] = (first, count + 1)
        else:
            runs.append((slot, 1))
    return runs


def take_runs(x: Tensor, runs: Sequence[Run]) -> Tensor:
    """Concatenate runs of slices of x: (D, C, H, W); at least one run must not be zeros."""
    parts: list[Tensor] = []
    front = 0
    # Zeros come by padding the run beside them: a tensor of zeros would be an operation that no delegate takes.
    for first, count in runs:
        if first >= 0:
            part = x[first : first + count]
            parts.append(nn.functional.pad(part, (0, 0) * (x.ndim - 1) + (front, 0)) if front else part)
            front = 0
        elif parts:
            parts[-1] = nn.functional.pad(parts[-1], (0, 0) * (x.ndim - 1) + (0, count))
        else:
            front = count
    return torch.cat(parts) if len(parts) > 1 else parts[0]


class TransposedConv3dAs2d(nn.Module):
    """One 3-D transposed convolution over slices, (D, C, H, W) to (s * D, Co, s' * H, s'' * W), phases concatenated.

    Args:
        source: the layer to rewrite; groups 1, no dilation, and a depth that grows by exactly its stride.
        order: natural position of each slice of the input.

    Attributes:
        output_order: natural position of each slice of the output.

    Raises:
        LoweringError: the layer has another form.
    """

    def __init__(self, source: nn.ConvTranspose3d, order: Order) -> None:
        super().__init__()
        kernel, stride = source.kernel_size[0], source.stride[0]
        padding, extra = int(source.padding[0]), source.output_padding[0]
        grows_by_stride = kernel - 2 * padding + extra == stride and extra <= padding
        if not grows_by_stride or source.groups != 1 or set(source.dilation) != {1}:
            raise LoweringError(
                f"can't rewrite {source}; allowed: groups 1, dilation 1, and along the depth kernel - 2 * padding + "
                "output_padding = stride with output_padding <= padding"
            )
        self.channels = source.out_channels
        self.phases = []
        for r in range(stride):
            shifts = {k: (r + padding - k) // stride for k in range(kernel) if (r + padding - k) % stride == 0}
            # A tap that is shifted by the whole depth or more adds nothing.
            self.phases.append([(k, shift_runs(order, s)) for k, s in shifts.items() if abs(s) < len(order)])
        self.output_order = np.concatenate([stride * order + r for r in range(stride)])
        self.conv = nn.ConvTranspose2d(
            source.in_channels,
            kernel * source.out_channels,
            source.kernel_size[1:],  # type: ignore[arg-type]
            source.stride[1:],  # type: ignore[arg-type]
            source.padding[1:],  # type: ignore[arg-type]
            source.output_padding[1:],  # type: ignore[arg-type]
        ).to(source.weight)
        taps = source.weight.detach().transpose(1, 2)  # (C, Co, K, Kh, Kw) to (C, K, Co, Kh, Kw)
        bias = torch.zeros(kernel, source.out_channels).to(source.weight)
        if source.bias is not None:
            # Each phase has one tap that is not shifted, k = r + padding: it alone reaches every output slice.
            bias[padding : padding + stride] = source.bias.detach()
        self.conv.weight.data.copy_(taps.flatten(1, 2))
        self.conv.bias.data.copy_(bias.flatten())  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)  # (D, K * Co, H', W')
        c = self.channels
        phases = []
        for taps in self.phases:
            shifted = [take_runs(y[:, k * c : (k + 1) * c], runs) for k, runs in taps]
            total = shifted[0]
            for term in shifted[1:]:
                total = total + term
            phases.append(total)
        return torch.cat(phases)


def restore_order(x: Tensor, doublings: int) -> Tensor:
    """Put the slices of x: (D, 1, H, W) in natural order after ``doublings`` stages of stride 2, as (1, D, H, W).

    The stored index has the digits (r_n, ..., r_1, i) and the natural one (i, r_1, ..., r_n). Core ML allows five
    dimensions, so two digits move at a time.
    """
    slices, _, height, width = x.shape
    head, tail, plane = slices, 1, height * width
    while doublings >= 2:
        x = x.reshape(2, 2, head // 4, tail, plane).permute(2, 1, 0, 3, 4)
        head, tail, doublings = head // 4, tail * 4, doublings - 2
    if doublings:
        x = x.reshape(2, head // 2, tail, plane).permute(1, 0, 2, 3)
    return x.reshape(1, slices, height, width)


class LoweredVoxelNetwork(nn.Module):
    """A :class:`reference.voxel.VoxelNetwork` without 3-D operations, for a batch of one.

    Takes (1, 1, size, size), gives (1, size, size, size), as the original does.
    """

    def __init__(self, source: VoxelNetwork) -> None:
        super().__init__()
        self.encoder = source.encoder
        side = source.to_volume.side
        self._order_channels_by_slice(side)
        order: Order = np.arange(side)
        layers: list[nn.Module] = []
        for layer in source.decoder:
            if isinstance(layer, nn.ConvTranspose3d):
                layer = TransposedConv3dAs2d(layer, order)
                order = layer.output_order
            layers.append(layer)
        self.decoder = nn.Sequential(*layers)
        self.side = side
        self.doublings = sum(isinstance(m, TransposedConv3dAs2d) for m in layers)

    def _order_channels_by_slice(self, side: int) -> None:
        """Let the last convolution emit slice by slice, so that its channels become a batch without a transpose."""
        last = [m for m in self.encoder if isinstance(m, nn.Conv2d)][-1]
        channels = last.out_channels // side
        by_slice = torch.arange(last.out_channels).view(channels, side).t().flatten()
        last.weight.data = last.weight.data[by_slice].contiguous()
        last.bias.data = last.bias.data[by_slice].contiguous()  # type: ignore[union-attr]

    def forward(self, depth: Tensor) -> Tensor:
        features: Tensor = self.encoder(depth)  # (1, side * 256, side, side)
        slices = features.reshape(self.side, -1, self.side, self.side)
        return restore_order(self.decoder(slices), self.doublings)


def lower_volumes(network: nn.Module) -> nn.Module:
    """The network in 2-D operations if it holds 3-D ones, else the network itself."""
    if isinstance(network, VoxelNetwork):
        return LoweredVoxelNetwork(network)
    volumes = [m for m in network.modules() if isinstance(m, (ToVolume, nn.ConvTranspose3d, nn.Conv3d))]
    if volumes:
        raise LoweringError(
            f"{type(network).__name__} holds {type(volumes[0]).__name__}, which no phone runtime has; allowed: 3-D "
            "operations inside VoxelNetwork; write its 2-D form in sdk_build/lowering/volume.py"
        )
    return network
