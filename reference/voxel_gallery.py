"""``python -m reference.voxel_gallery voxel64 --data DIR --out PICTURE``: held-out results of a voxel network, drawn.

Ten heads that the training never saw, or with ``--objects`` eight of them and two held-out meshes: the depth image, the
predicted surface from two sides, and the true one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.card import MODELS_DIR
from reference.errors import BadInput, OnParError

if TYPE_CHECKING:
    from torch import Tensor

COUNT, OBJECTS = 10, 2
TILE, COLUMNS, GAP = 116, 2, 12
YAWS = (35.0, 110.0)
PAPER, INK = (250, 249, 247), (28, 30, 34)
TITLES = ("depth", "predicted", "true", "predicted", "true")


@dataclass(frozen=True, eq=False)
class Result:
    """One row of tiles: depth (S, S), predicted occupancy and true voxels (S, S, S)."""

    depth: NDArray[np.float32]
    predicted: NDArray[np.float32]
    true: NDArray[np.bool_]


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, predict, draw; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.voxel_gallery", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a registered voxel network, e.g. voxel64")
    parser.add_argument("--data", type=Path, required=True, help="folder with the head models")
    parser.add_argument("--objects", type=Path, help="folder with meshes")
    parser.add_argument("--weights", type=Path, help="other weights than models/NAME/weights.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="the picture, .png")
    a = parser.parse_args(arguments)
    try:
        results = predict(a.name, a.data, a.objects, a.weights or MODELS_DIR / a.name / "weights.safetensors")
        save(draw(results), a.out)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{a.out}: {len(results)} held-out results")
    return 0


def predict(name: str, data: Path, objects: Path | None, weights: Path) -> list[Result]:
    """Held-out heads and objects with the network's answers.

    Raises:
        BadInput, WeightsError: no voxel network, or unusable folders or weights.
    """
    import torch

    from reference.data.heads import load_head_models
    from reference.data.voxels import held_out_heads
    from reference.registry import get_spec, load_network

    spec = get_spec(name)
    if spec.postprocess.result != "VoxelGrid":
        raise BadInput(f"model is {name}; allowed: the voxel networks, e.g. voxel64")
    network = load_network(spec, weights)
    size = spec.sampling.size[0]
    samples = _solid_objects(objects, size) if objects is not None else []
    samples = held_out_heads(load_head_models(data), size)[: COUNT - len(samples)] + samples
    with torch.no_grad():
        return [_result(network, depth, voxels) for depth, voxels in samples]


def _solid_objects(folder: Path, size: int) -> list[tuple[Tensor, Tensor]]:
    """The held-out meshes that fill most of the cube: on thin ones there is little to see."""
    from reference.data.meshes import chosen_meshes, front_view
    from reference.data.voxels import as_tensors

    views = [front_view(path, size) for path in chosen_meshes(folder, held_out=True)]
    views.sort(key=lambda view: -float(view[1].mean()))
    return [as_tensors(*view) for view in views[:OBJECTS]]


def _result(network: Callable[[Tensor], Any], depth: Tensor, voxels: Tensor) -> Result:
    return Result(depth[0].numpy(), network(depth[None])[0].numpy(), voxels.numpy() > 0.5)


def draw(results: list[Result]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: the results in columns, each under a line of titles."""
    from PIL import Image, ImageDraw, ImageFont

    rows = -(-len(results) // COLUMNS)
    block = TILE * len(TITLES)
    head = 24
    sheet = Image.new("RGB", (COLUMNS * block + (COLUMNS + 1) * GAP, head + rows * (TILE + GAP)), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column in range(COLUMNS):
        for number, title in enumerate(TITLES):
            x = GAP + column * (block + GAP) + (number + 0.5) * TILE
            pen.text((x, head / 2), title, INK, font, anchor="mm")
    for number, result in enumerate(results):
        column, row = divmod(number, rows)
        sheet.paste(Image.fromarray(_tiles(result)), (GAP + column * (block + GAP), head + row * (TILE + GAP)))
    return np.array(sheet)


def _tiles(result: Result) -> NDArray[np.uint8]:
    """(TILE, 5 * TILE, 3): depth, then prediction and truth from each side."""
    import cv2

    from reference.geometry.surface import shade, smooth, voxels_to_mesh
    from reference.networks.voxel import THRESHOLD

    grey = np.where(result.depth > 0, 60 + 180 * result.depth, 20).astype(np.uint8)
    tiles = [np.repeat(cv2.resize(grey, (TILE, TILE), interpolation=cv2.INTER_NEAREST)[..., None], 3, axis=2)]
    grids = [np.clip(result.predicted, 0, 1), result.true.astype(np.float32)]
    meshes = [smooth(voxels_to_mesh(grid, THRESHOLD), 12) if (grid > THRESHOLD).any() else None for grid in grids]
    for yaw in YAWS:
        for mesh in meshes:
            blank = np.full((TILE, TILE, 3), PAPER, np.uint8)
            tiles.append(blank if mesh is None else shade(mesh, TILE, yaw, 8))
    return np.concatenate(tiles, axis=1)


def save(picture: NDArray[np.uint8], target: Path) -> None:
    """Write a PNG with 256 colours, a third of the size of one with all of them.

    Raises:
        BadInput: it can't be written.
    """
    from PIL import Image

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
    except OSError as error:
        raise BadInput(f"can't write {target} ({error}); give a path in a writable folder") from error


if __name__ == "__main__":
    sys.exit(main())
