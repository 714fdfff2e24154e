"""Small networks with the layers of phone-vision models, and their conversion to packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InvertedResidual(nn.Module):
    """MobileNetV3's block: expand, depthwise, squeeze and excite, project, add; then a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.expand = nn.Sequential(nn.Conv2d(16, 48, 1), nn.BatchNorm2d(48), nn.Hardswish())
        self.depthwise = nn.Sequential(nn.Conv2d(48, 48, 5, 1, 2, groups=48), nn.BatchNorm2d(48), nn.ReLU6())
        self.squeeze, self.excite = nn.Conv2d(48, 12, 1), nn.Conv2d(12, 48, 1)
        self.project = nn.Conv2d(48, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        y = self.depthwise(self.expand(x))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        scores: Tensor = self.head((x + self.project(y * gate)).mean((2, 3)))
        return scores


class Decoder(nn.Module):
    """Pooling, transposed convolutions (one with output padding), a skip, a pixel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 2, 1)
        self.up = nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1)
        self.up_groups = nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=2)
        self.out = nn.Conv2d(16, 12, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.leaky_relu(self.down(image), 0.1)
        low = F.max_pool2d(x, 3, 2, 1)
        merged = torch.cat([self.up(low), F.silu(x)], 1)
        added: Tensor = self.up_groups(x)[:, :3]
        return torch.sigmoid(F.pixel_shuffle(self.out(merged), 2)) + added


class Attention(nn.Module):
    """A transformer block with softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(16), nn.Linear(16, 48)
        self.out, self.classes = nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, _ = tokens.shape
        q, k, v = self.qkv(self.norm(tokens)).reshape(batch, count, 3, 2, 8).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, count, 16)
        return torch.softmax(self.classes(F.gelu(self.out(mixed)) + tokens), -1)


class Voxels(nn.Module):
    """A 3-D encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv3d(2, 6, 4, 2, 1), nn.ConvTranspose3d(6, 3, 4, 2, 1)

    def forward(self, volume: Tensor) -> Tensor:
        return torch.tanh(self.up(F.relu(self.down(volume))))


class Resizer(nn.Module):
    """Resizing in both modes, padding, slicing, normalisation and grid sampling."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 4)
        self.conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")

    def forward(self, image: Tensor, grid: Tensor) -> Tensor:
        x = self.norm(self.conv(image))
        wide = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        near = F.interpolate(x, scale_factor=2, mode="nearest")
        sampled = F.grid_sample(x, grid, align_corners=False)
        return F.avg_pool2d(wide - near, 3, 2, 1)[:, :, 1:, ::2].mean((2, 3)) + sampled.amax((2, 3))


class TopScores(nn.Module):
    """Two outputs, one of them integer."""

    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        values, places = torch.topk(scores * 2, 3, dim=1)
        return values, places.to(torch.int32)


def random_net(kind: type[nn.Module]) -> nn.Module:
    """The network with fixed random weights and batch statistics."""
    torch.manual_seed(0)
    net = kind().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.4 * torch.rand(module.num_features) - 0.2
            module.running_var = 0.5 + torch.rand(module.num_features)
    return net


def export(net: nn.Module, examples: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """The network as coremltools takes it."""
    exported = torch.export.export(net, examples)
    decomposed: torch.export.ExportedProgram = exported.run_decompositions({})
    return decomposed


def convert(exported: torch.export.ExportedProgram, **settings: Any) -> Any:
    """A coremltools model, iOS 17 and fp16 unless the settings say otherwise."""
    import coremltools as ct

    target = settings.pop("minimum_deployment_target", ct.target.iOS17)
    return ct.convert(exported, minimum_deployment_target=target, **settings)


def save(model: Any, path: Path) -> Path:
    model.save(str(path))
    return path
