"""``python -m benchmarks.volume_rewrites [SIZE]``: two orders of slices in the lowered voxel network, in LiteRT.

The lowering leaves the slices of a volume out of order between stages; the alternative interleaves them after every
stage. Both are exact; this measures what the order is worth, calls interleaved in one process, one thread, with
random weights (time does not depend on them).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reference.registry import get_spec
from reference.voxel import VoxelNetwork
from sdk_build.backends import litert
from sdk_build.lowering import lower
from sdk_build.lowering.volume import LoweredVoxelNetwork, TransposedConv3dAs2d
from sdk_build.quiet import quiet

ROUNDS = 60


class Interleave(nn.Module):
    """Two concatenated phases (2 * D, C, H, W) to natural order."""

    def forward(self, x: Tensor) -> Tensor:
        pairs = x.reshape(2, x.shape[0] // 2, -1)
        return pairs.transpose(0, 1).reshape(x.shape)


class NaturalOrder(LoweredVoxelNetwork):
    """The lowered network with slices in order after every stage."""

    def __init__(self, source: VoxelNetwork) -> None:
        super().__init__(source)
        layers: list[nn.Module] = []
        depth = self.side
        for layer in source.decoder:
            if isinstance(layer, nn.ConvTranspose3d):
                layers += [TransposedConv3dAs2d(layer, np.arange(depth)), Interleave()]
                depth *= 2
            else:
                layers.append(layer)
        self.decoder = nn.Sequential(*layers)
        self.doublings = 0


def main(arguments: Sequence[str]) -> int:
    """Convert both, time both, print medians and the median of the pairs' ratios."""
    size = int(arguments[0]) if arguments else 64
    spec = get_spec(f"voxel{size}")
    torch.manual_seed(0)
    source = VoxelNetwork(size).eval()
    given = {spec.input.name: np.random.default_rng(0).random(spec.input.shape, np.float32)}
    with tempfile.TemporaryDirectory() as folder, quiet():
        runners = []
        for name, network in (("phases", lower(source)), ("natural", NaturalOrder(VoxelNetwork(size)).eval())):
            litert.lower(network, spec, "fp32", Path(folder) / f"{name}.tflite")
            runners.append(litert.load(Path(folder) / f"{name}.tflite", spec))
        times = np.array([[_milliseconds(runner, given) for runner in runners] for _ in range(ROUNDS)])[5:]
    phases, natural = np.median(times, axis=0)
    ratio = np.median(times[:, 0] / times[:, 1])
    print(f"voxel{size} in LiteRT, one thread, {len(times)} pairs, median ms")
    print(f"phases concatenated  {phases:8.2f}")
    print(f"natural order        {natural:8.2f}")
    print(f"ratio of pairs       {ratio:8.2f}")
    return 0


def _milliseconds(runner: litert.LiteRtRunner, given: dict[str, np.ndarray]) -> float:
    began = time.perf_counter()
    runner.predict(given)
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
