"""``python -m tests.foreign_bundles DIST``: bundles of networks that OnPar does not know, for the tests of the apps.

A classifier, two detectors, a segmenter, depth, points, an embedder, one that makes pictures, a network with two inputs
and one with every type, each made by ``sdk_build.new`` of a few lines of PyTorch. Their weights are random, but outputs
differ from input to input.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdk_build import build_bundles, new_model
from sdk_build.command import exit_with

NETWORKS = """
import torch
from torch import nn


def body():
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 4, 1), nn.ReLU()]
    return nn.Sequential(*layers)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = body()
        self.out = nn.Linear(16 * 36, 4)

    def forward(self, image):
        return 6 * self.out(self.body(image).flatten(1))


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = body()
        self.box, self.score = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 3, 1)

    def forward(self, image):
        x = self.body(image)
        boxes = (3 * self.box(x)).flatten(2).transpose(1, 2).sigmoid()
        return {"boxes": boxes, "scores": 9 * self.score(x).flatten(2).transpose(1, 2)}


class Listing(Detector):
    def forward(self, image):
        found = super().forward(image)
        scores, classes = found["scores"].sigmoid().max(2)
        middle, side = found["boxes"][..., :2] * 64, found["boxes"][..., 2:] * 32
        return torch.cat([middle - side, middle + side], 2), scores, classes


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = body()
        self.out = nn.Conv2d(16, 3, 1)

    def forward(self, image):
        x = self.out(self.body(image))
        return 9 * (x - x.mean((2, 3), keepdim=True))


class Depth(Segmenter):
    def forward(self, image):
        return super().forward(image)[:, :1].exp()


class Points(Segmenter):
    def forward(self, image):
        return nn.functional.interpolate(super().forward(image), scale_factor=2.0, mode="bilinear")


class Embedder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = body()
        self.out = nn.Linear(16, 12)

    def forward(self, image):
        return nn.functional.normalize(self.out(self.body(image).mean((2, 3))), dim=1)


class Restorer(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.out = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 3, 3, 1, 1))

    def forward(self, image):
        return nn.functional.interpolate((image + self.out(image)).clamp(0, 1), scale_factor=2.0)


class Twin(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.out = nn.Embedding(100, 8), nn.Linear(24, 4)

    def forward(self, features, words):
        x = torch.cat([features, self.table(words).flatten(1)], 1)
        return {"scores": self.out(x), "best": self.out(x).argmax(1)}


class Types(nn.Module):
    def forward(self, half, whole, byte, flag):
        total = half.float() + whole.float() + byte.float() * flag.float()
        return {"half_out": total.half(), "whole_out": whole * 3, "byte_out": byte // 2, "flag_out": total > 4}
"""
# Model, class, and how sdk_build.new is told about it: pictures of this size, or tensors.
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "foreign_classifier": (
        "Classifier",
        {"size": (48, 48), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    ),
    "foreign_detector": (
        "Detector",
        {"task": "object_detection", "size": (64, 64), "units": {"boxes": "cxcywh_fraction", "scores": "logit"}},
    ),
    "foreign_listing": (
        "Listing",
        {"task": "object_detection", "size": (64, 64), "units": {"boxes": "xyxy_pixels", "scores": "probability"}},
    ),
    "foreign_segmenter": ("Segmenter", {"task": "image_segmentation", "size": (64, 96)}),
    "foreign_depth": ("Depth", {"task": "depth_estimation", "size": (64, 64), "units": {"depth": "relative_depth"}}),
    "foreign_points": ("Points", {"task": "keypoints", "size": (64, 64)}),
    "foreign_embedder": ("Embedder", {"task": "embedding", "size": (64, 64)}),
    "foreign_restorer": (
        "Restorer",
        {"task": "image_to_image", "size": (32, 48), "units": {"picture": "zero_to_one"}},
    ),
}
TENSORS = {"foreign_twin": "Twin", "foreign_types": "Types"}
LABELS = {"foreign_classifier": ("cat", "dog", "cow", "hen"), "foreign_listing": ("cat", "dog", "cow")}


def picture(seed: int) -> NDArray[np.uint8]:
    """(90, 120, 3) soft shapes, of which every network here makes something else."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((120, 90)))


def tensors(seed: int) -> dict[str, dict[str, NDArray[Any]]]:
    """The inputs of one case of the networks that take no picture."""
    rng = np.random.default_rng(seed)
    return {
        "foreign_twin": {
            "features": rng.normal(size=(1, 16)).astype(np.float32),
            "words": rng.integers(0, 100, (1, 1)),
        },
        "foreign_types": {
            "half": rng.normal(size=(2, 3)).astype(np.float16),
            "whole": rng.integers(-9, 9, (2, 3)).astype(np.int32),
            "byte": rng.integers(0, 200, (2, 3)).astype(np.uint8),
            "flag": rng.integers(0, 2, (2, 3)).astype(bool),
        },
    }


def make_folders(folder: Path) -> list[Path]:
    """A model's folder of each network, in this folder."""
    code = folder / "networks.py"
    code.write_text(NETWORKS, encoding="utf-8")
    for seed in range(2):
        Image.fromarray(picture(seed)).save(folder / f"{seed}.png")
    made = []
    for name, (network, more) in PICTURES.items():
        labels = folder / f"{name}.txt"
        labels.write_text("\n".join(LABELS.get(name, ())), encoding="utf-8")
        inputs = [[str(folder / f"{seed}.png")] for seed in range(2)]
        named = {"labels": labels} if name in LABELS else {}
        made.append(new_model(folder / name, network=f"{code}:{network}", inputs=inputs, **more, **named).folder)
    for name, network in TENSORS.items():
        inputs = [[f"{key}={_save(folder / f'{name}_{key}_{seed}.npy', values)}"
                   for key, values in tensors(seed)[name].items()] for seed in range(2)]  # fmt: skip
        made.append(new_model(folder / name, network=f"{code}:{network}", inputs=inputs).folder)
    return made


def _save(path: Path, values: NDArray[Any]) -> Path:
    np.save(path, values)
    return path


def write(dist: Path) -> int:
    """Make the bundles; the apps' tests run the .tflite file that the web's hold."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for model in make_folders(Path(folder)):
            for built in build_bundles(model, "web", dist, "fp32"):
                print(f"{built.path.name}: made")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command's body; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.foreign_bundles", description=__doc__.splitlines()[0])
    parser.add_argument("dist", type=Path, metavar="DIST", help="folder for the bundles")
    a = parser.parse_args(arguments)
    return exit_with(lambda: write(a.dist.resolve()))


if __name__ == "__main__":
    sys.exit(main())
