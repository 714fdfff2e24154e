"""3-D transposed convolutions as 2-D ones: no phone runtime has the former, every one has the latter.

**A volume as blocks.** The depth slices of a volume are the batch of 2-D tensors. A volume of D = n * m slices is held
as m blocks of n slices, block r with the slices r, r + m, r + 2m, ...: natural position z = m * i + r. The slice before
or after each slice of a block is then the same place of the block before or after it; only at the first and last block
the neighbour lies one slice further (:func:`neighbours`). Nothing is ever interleaved or put in order: a stage of
stride s turns block r into the blocks s * r, ..., s * r + s - 1, and the last volume's blocks, side by side, *are* in
order.

**One stage** (:class:`TransposedConv3dAs2d`). Output slice z of a 3-D transposed convolution with kernel K, stride s
and padding p sums the taps k with z + p - k divisible by s, each a 2-D transposed convolution of input slice
(z + p - k) / s. So each phase z mod s is *one* 2-D transposed convolution of its neighbouring slices, joined as
channels. For K = 4, s = 2, p = 1:

    even slices: channels of slices i - 1 and i, taps 3 and 1        odd slices: of i and i + 1, taps 2 and 0

Where neighbouring slices lie in neighbouring blocks, two output slices share a product
(:class:`PairedTransposedConv3d`).

**The last stage** (:class:`LastTransposedConv3d`) has one output channel, of which a transposed convolution would use
one lane of a processor's vector unit in sixteen. There 2 x 2 x 2 windows of the input give all their eight output
voxels at once, for two neighbouring windows, as the 16 channels of one ordinary convolution.

**Memory.** Blocks are read once and become free one after another. The last stage asks for the blocks of the one before
it one by one: the largest tensor of the network is never there as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from reference.networks.voxel import ToVolume, VoxelNetwork
from sdk_build.errors import LoweringError

LARGEST_CAT = 4  # XNNPACK joins no more tensors at once
# Pairs have half as many weights again: little where the volume is large, as channels are few there, and much before.
PAIRED_CHANNELS = 64
Blocks = list[Tensor]  # m tensors of (n, C, H, W)


def neighbours(blocks: Blocks, shift: int) -> Blocks:
    """The volume moved by ``shift`` slices: the result at position z is the volume at z + shift, zero outside."""
    count = len(blocks)
    return [move_slices(blocks[(r + shift) % count], (r + shift) // count) for r in range(count)]


def move_slices(block: Tensor, shift: int) -> Tensor:
    """A block (n, C, H, W) whose slice i is the slice i + ``shift`` of the given one, zero outside."""
    size = block.shape[0]
    if shift == 0:
        return block
    if abs(shift) >= size:
        return block * 0.0
    if shift > 0:
        return nn.functional.pad(block[shift:], (0, 0) * 3 + (0, shift))
    return nn.functional.pad(block[: size + shift], (0, 0) * 3 + (-shift, 0))


def join(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate (N, C, H, W) tensors of any C along it, a few at a time.

    Between two levels the slices are laid under one another: a converter makes one join of two that follow each other,
    which then has too many parts.
    """
    height, width = parts[0].shape[2:]
    stacked = False
    while len(parts) > 1:
        groups = [parts[i : i + LARGEST_CAT] for i in range(0, len(parts), LARGEST_CAT)]
        joined = [torch.cat(tuple(group), 1) if len(group) > 1 else group[0] for group in groups]
        if len(joined) == 1 and not stacked:
            return joined[0]
        stacked = not stacked
        size = (-1, width) if stacked else (-1, height, width)
        parts = [part.reshape(len(part), *size) for part in joined]
    return parts[0].reshape(len(parts[0]), -1, height, width)


class TransposedConv3dAs2d(nn.Module):
    """One 3-D transposed convolution: m blocks (n, C, H, W) to s * m blocks (n, Co, H', W'), one after another.

    Args:
        source: the layer to rewrite; groups 1, no dilation, and a depth that grows by exactly its stride.

    Raises:
        LoweringError: the layer has another form.
    """

    def __init__(self, source: nn.ConvTranspose3d) -> None:
        super().__init__()
        kernel, stride = source.kernel_size[0], source.stride[0]
        padding, extra = int(source.padding[0]), source.output_padding[0]
        grows_by_stride = kernel - 2 * padding + extra == stride and extra <= padding
        if not grows_by_stride or source.groups != 1 or set(source.dilation) != {1}:
            raise LoweringError(
                f"can't rewrite {source}; allowed: groups 1, dilation 1, and along the depth kernel - 2 * padding + "
                "output_padding = stride with output_padding <= padding"
            )
        self.shifts: list[list[int]] = []
        phases = []
        for r in range(stride):
            taps = sorted(((r + padding - k) // stride, k) for k in range(kernel) if (r + padding - k) % stride == 0)
            self.shifts.append([shift for shift, _ in taps])
            phases.append(_phase(source, [k for _, k in taps]))
        self.phases = nn.ModuleList(phases)

    def forward(self, blocks: Blocks) -> Iterator[Tensor]:
        wanted = sorted({shift for shifts in self.shifts for shift in shifts})
        moved = {shift: neighbours(blocks, shift) for shift in wanted}
        for r in range(len(blocks)):
            for shifts, conv in zip(self.shifts, self.phases, strict=True):
                yield conv(join([moved[shift][r] for shift in shifts]))


class PairedTransposedConv3d(nn.Module):
    """A stage of two depth taps a phase in three quarters of :class:`TransposedConv3dAs2d`'s products.

    Two neighbouring output slices of one phase with the taps a and b, of input slices x, y and z, are a x + b y and
    a y + b z. Both share (a + b) y: a x + b y = a (x - y) + (a + b) y, and a y + b z = (a + b) y + b (z - y); three
    products instead of four (Winograd, *Arithmetic complexity of computations*, 1980, F(2, 2)). The slices are those
    of two neighbouring blocks, so that nothing needs to be moved; the differences serve both phases.

    Args:
        source: the layer to rewrite, of a form for which :meth:`fits` holds.
    """

    def __init__(self, source: nn.ConvTranspose3d) -> None:
        super().__init__()
        whole = TransposedConv3dAs2d(source)
        self.shifts = [shifts[0] for shifts in whole.shifts]
        middles, befores, behinds = [], [], []
        for phase in whole.phases:
            assert isinstance(phase, nn.ConvTranspose2d)
            first, second = phase.weight.detach().chunk(2)
            middles.append(_plane(phase, first + second, phase.bias))
            befores.append(_plane(phase, -first, None))  # of y - x, which the pair before needs as z - y
            behinds.append(_plane(phase, second, None))
        self.middles, self.befores, self.behinds = (nn.ModuleList(m) for m in (middles, befores, behinds))

    @staticmethod
    def fits(source: nn.ConvTranspose3d, count: int) -> bool:
        """Whether a layer has two neighbouring taps in each phase and few weights, and ``count`` blocks make pairs."""
        kernel, stride, padding = source.kernel_size[0], source.stride[0], int(source.padding[0])
        few = source.in_channels <= PAIRED_CHANNELS
        return few and count % 2 == 0 and kernel == 2 * stride and 2 * padding == stride

    def forward(self, blocks: Blocks) -> Iterator[Tensor]:
        count = len(blocks)
        moved = {shift: neighbours(blocks, shift) for shift in (-1, 0, 1)}
        steps = [block - before for block, before in zip(blocks, moved[-1], strict=True)]
        steps.append(moved[1][-1] - blocks[-1])
        for r in range(0, count, 2):
            first, second = [], []
            for shift, middle, before, behind in zip(
                self.shifts, self.middles, self.befores, self.behinds, strict=True
            ):
                y = r + shift + 1
                shared = middle(blocks[y])
                first.append(before(steps[y]) + shared)
                second.append(shared + behind(steps[y + 1]))
            yield from first
            yield from second


def _phase(source: nn.ConvTranspose3d, taps: Sequence[int]) -> nn.ConvTranspose2d:
    """The 2-D layer of some depth taps, whose input slices are joined as channels."""
    return _plane(source, torch.cat([source.weight.detach()[:, :, k] for k in taps]), source.bias)


def _plane(source: nn.ConvTranspose3d | nn.ConvTranspose2d, weight: Tensor, bias: Tensor | None) -> nn.ConvTranspose2d:
    """A 2-D layer with the last two dimensions' stride and paddings of ``source`` and other weights (C, Co, K, L)."""
    layer = nn.ConvTranspose2d(
        weight.shape[0],
        weight.shape[1],
        weight.shape[2:],  # type: ignore[arg-type]
        source.stride[-2:],  # type: ignore[arg-type]
        source.padding[-2:],  # type: ignore[arg-type]
        source.output_padding[-2:],  # type: ignore[arg-type]
        bias=bias is not None,
    ).to(weight)
    layer.weight.data.copy_(weight)
    if bias is not None and layer.bias is not None:
        layer.bias.data.copy_(bias.detach())
    return layer


class LastTransposedConv3d(nn.Module):
    """A 3-D transposed convolution to one channel with kernel 4, stride 2, padding 1, and the rectifier after it.

    A window w of 2 neighbouring inputs w - 1 and w holds the output places 2w - 1 (taps 2 and 0) and 2w (taps 3 and 1),
    so that the places of all windows, one after another, are the output with one place too many at either end. Along
    the columns two windows are taken at once.

    Args:
        source: the layer to rewrite.

    Raises:
        LoweringError: the layer has another form.
    """

    TAPS = ((2, 0), (3, 1))  # by place in the window, then by input

    def __init__(self, source: nn.ConvTranspose3d) -> None:
        super().__init__()
        if not self.fits(source):
            raise LoweringError(
                f"can't rewrite {source} as windows; allowed: one channel, kernel 4, stride 2, padding 1"
            )
        channels = source.in_channels
        self.conv = nn.Conv2d(2 * channels, 16, (2, 3), (1, 2), bias=source.bias is not None).to(source.weight)
        kernel = torch.zeros(2, 2, 2, 2, 2, channels, 2, 3).to(source.weight)  # z, y, window, x; slice, C, row, column
        taps = torch.tensor(self.TAPS)
        for window in (0, 1):
            # (C, z, slice, y, row, x, column) of the kernel's taps
            weight = source.weight.detach()[:, 0][:, taps][:, :, :, taps][..., taps]
            kernel[:, :, window, :, :, :, :, window : window + 2] = weight.permute(1, 3, 5, 2, 0, 4, 6)
        self.conv.weight.data.copy_(kernel.reshape(16, 2 * channels, 2, 3))
        if source.bias is not None and self.conv.bias is not None:
            self.conv.bias.data.fill_(float(source.bias.detach()))

    @staticmethod
    def fits(source: nn.ConvTranspose3d) -> bool:
        """Whether a layer has the form that this class rewrites."""
        expected = (1, 1, (4, 4, 4), (2, 2, 2), (1, 1, 1), (0, 0, 0), (1, 1, 1))
        return expected == (
            source.out_channels,
            source.groups,
            source.kernel_size,
            source.stride,
            source.padding,
            source.output_padding,
            source.dilation,
        )

    def forward(self, blocks: Iterable[Tensor]) -> Tensor:
        """Blocks (n, C, H, W) to (1, D, 2H, 2W) with D = 2 * n * m, in natural order; each is asked for when needed."""
        first: Tensor | None = None
        padded: Tensor | None = None
        block: Tensor | None = None
        parts: list[Tensor] = []
        for block in blocks:
            slices, _, height, width = block.shape
            # Columns 2 before and 2 or 3 behind, so that windows come in pairs; the first window then is -1.
            around = (2, 2 + width % 2, 1, 1, 0, 0)
            before, padded = padded, nn.functional.pad(block, (*around, 0, 0))
            if before is None:
                first = nn.functional.pad(block, (*around, 0, 1))
            else:
                parts.append(self._places(torch.cat((before, padded), 1), height, width))
        assert block is not None and first is not None
        # Windows before the first block: they reach from the last block's slice to the first one's, and beyond both.
        last = nn.functional.pad(block, (*around, 1, 0))
        ends = self._places(torch.cat((last, first), 1), height, width)  # (n + 1, 2, 2H, 2W)
        return join([ends[:slices, 1:], *parts, ends[1:, :1]]).reshape(1, -1, 2 * height, 2 * width)

    def _places(self, pair: Tensor, height: int, width: int) -> Tensor:
        """Output slices (N, 2, 2H, 2W) of windows whose inputs (N, 2C, H + 2, W + 4) are joined as channels."""
        windows = self.conv(pair).relu()  # (N, z y window x, H + 1, columns)
        count, _, rows, columns = windows.shape
        places = windows.permute(0, 2, 3, 1)
        places = places.reshape(count, rows * columns, 2, 8).permute(0, 2, 1, 3)  # z to the front
        places = places.reshape(-1, columns, 2, 4).permute(0, 2, 1, 3)  # y before the columns
        lines = places.reshape(count, 2, 2 * rows, 4 * columns)
        return lines[:, :, 1 : 2 * height + 1, 3 : 2 * width + 3]


class LoweredVoxelNetwork(nn.Module):
    """A :class:`reference.networks.voxel.VoxelNetwork` without 3-D operations, for a batch of one.

    Takes (1, 1, size, size), gives (1, size, size, size), as the original does.
    """

    def __init__(self, source: VoxelNetwork) -> None:
        super().__init__()
        self.encoder = source.encoder
        self.side = source.to_volume.side
        self._order_channels_by_slice(self.side)
        transposed = [layer for layer in source.decoder if isinstance(layer, nn.ConvTranspose3d)]
        count, stages = 1, []
        for layer in transposed[:-1]:
            paired = PairedTransposedConv3d.fits(layer, count)
            stages.append(PairedTransposedConv3d(layer) if paired else TransposedConv3dAs2d(layer))
            count *= layer.stride[0]
        self.stages = nn.ModuleList(stages)
        self.last = LastTransposedConv3d(transposed[-1])

    def _order_channels_by_slice(self, side: int) -> None:
        """Let the last convolution emit slice by slice, so that its channels become a batch by one small transpose."""
        last = [m for m in self.encoder if isinstance(m, nn.Conv2d)][-1]
        channels = last.out_channels // side
        by_slice = torch.arange(last.out_channels).view(channels, side).t().flatten()
        last.weight.data = last.weight.data[by_slice].contiguous()
        last.bias.data = last.bias.data[by_slice].contiguous()  # type: ignore[union-attr]

    def forward(self, depth: Tensor) -> Tensor:
        features: Tensor = self.encoder(depth)  # (1, side * 256, side, side)
        waiting: Iterable[Tensor] = [features.reshape(self.side, -1, self.side, self.side)]
        for stage in self.stages:
            waiting = (block.relu() for block in stage(list(waiting)))
        volume: Tensor = self.last(waiting)
        return volume


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
