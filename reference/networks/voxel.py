"""From one depth image to voxels (document V, row V2), at five resolutions.

3x3 convolutions halve the depth image down to 5x5 (or 4x4), the last one's channels are reshaped to a small 3-D
volume, and 3-D transposed convolutions double it back to the input's resolution, ReLU after each.

Source: the document gives the 320 network: convolutions 16, 32, 64, 128, 256, 512 with stride 2 and 1280 with
stride 1; 1280x5x5 as 256x5x5x5; transposed convolutions 256, 128, 64, 32, 16, 1.
Differs from the source: the document leaves the kernel of the transposed convolutions open; it is 4 with stride 2
and padding 1, which doubles exactly. Smaller members keep the first convolutions and the last transposed ones.
"""

from __future__ import annotations

from torch import Tensor, nn

from reference.networks.layers import initialize
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

ENCODER_CHANNELS = (16, 32, 64, 128, 256, 512)
DECODER_CHANNELS = (256, 128, 64, 32, 16, 1)
VOLUME_CHANNELS = 256
SIZES = (64, 80, 128, 160, 320)
THRESHOLD = 0.5


class ToVolume(nn.Module):
    """The change-of-dimension layer: (B, 256 * d, d, d) to (B, 256, d, d, d) as (C, depth, height, width)."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        d = self.side
        return x.reshape(-1, VOLUME_CHANNELS, d, d, d)


class VoxelNetwork(nn.Module):
    """Depth image to occupancy.

    Args:
        size: side of the depth image and of the voxel cube: 4 or 5 times a power of two.

    Attributes:
        encoder: convolutions with ReLU; ends at (B, 256 * d, d, d) with d = 4 or 5.
        decoder: transposed convolutions with ReLU; ends at (B, 1, size, size, size).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        side = 5 if size % 5 == 0 else 4
        stages = (size // side).bit_length() - 1
        if side << stages != size or not 1 <= stages <= len(ENCODER_CHANNELS):
            raise ValueError(f"size is {size}; allowed: 4 or 5 times 2, 4, ... 64, e.g. {SIZES}")
        encoder: list[nn.Module] = []
        cin = 1
        for cout in ENCODER_CHANNELS[:stages]:
            encoder += [nn.Conv2d(cin, cout, 3, stride=2, padding=1), nn.ReLU()]
            cin = cout
        encoder += [nn.Conv2d(cin, VOLUME_CHANNELS * side, 3, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(*encoder)
        self.to_volume = ToVolume(side)
        decoder: list[nn.Module] = []
        cin = VOLUME_CHANNELS
        for cout in DECODER_CHANNELS[-stages:]:
            decoder += [nn.ConvTranspose3d(cin, cout, 4, stride=2, padding=1), nn.ReLU()]
            cin = cout
        self.decoder = nn.Sequential(*decoder)
        initialize(self)
        # A rectifier follows the last layer too: a positive start keeps its gradient alive.
        nn.init.constant_(self.decoder[-2].bias, 0.1)  # type: ignore[arg-type]

    def forward(self, depth: Tensor) -> Tensor:
        """Occupancy (B, size, size, size), slices ordered from the viewer away, of depth (B, 1, size, size).

        Depth is 1 at the nearest surface, 1/16 at the farthest, 0 in holes. Occupancy is >= 0, about 0 or 1.
        """
        volume: Tensor = self.decoder(self.to_volume(self.encoder(depth)))
        return volume.flatten(1, 2)  # one channel: (B, 1, D, H, W) to (B, D, H, W)


def build64() -> VoxelNetwork:
    """The 64^3 member, the smallest for phones."""
    return VoxelNetwork(64)


def build80() -> VoxelNetwork:
    """The 80^3 member."""
    return VoxelNetwork(80)


def build128() -> VoxelNetwork:
    """The 128^3 member."""
    return VoxelNetwork(128)


def build160() -> VoxelNetwork:
    """The 160^3 member."""
    return VoxelNetwork(160)


def build320() -> VoxelNetwork:
    """The document's own network."""
    return VoxelNetwork(320)


def spec(size: int) -> ModelSpec:
    """The spec of one member of the family."""
    return ModelSpec(
        name=f"voxel{size}",
        task="depth_to_voxels",
        document="V",
        network=f"voxel:build{size}",
        inputs=(TensorSpec("depth", (1, 1, size, size), "NCHW", "relative_nearness", (0.0, 1.0)),),
        outputs=(TensorSpec("occupancy", (1, size, size, size), "NDHW", "occupancy", (0.0, 1.0)),),
        preprocess=PreprocessSpec(
            size=(size, size),
            color="DEPTH",
            resize="contain",
            interpolation="nearest",
            mean=(0.0,),
            std=(1.0,),
            box_grow=0.2,
        ),
        postprocess=PostprocessSpec("VoxelGrid", threshold=THRESHOLD),
        intermediate="encoder",
        in_all=size != 320,  # minutes and gigabytes: exported when named
        description=f"A solid {size}^3 voxel model from one depth image",
    )
