"""Pictures and depth maps as files, and the tensors they give."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from reference.inputs.camera import upright
from reference.inputs.preprocess import Box, preprocess_depth, preprocess_picture
from reference.spec import PreprocessSpec
from sdk_build.app_vectors.encoding import Json, encode, noise

COVER = PreprocessSpec((10, 12))
CONTAIN = PreprocessSpec((14, 9), resize="contain")
STRETCH = PreprocessSpec((16, 16), resize="stretch")
GROWN = PreprocessSpec((8, 8), box_grow=0.2)
DEPTH = PreprocessSpec(
    (9, 9), color="DEPTH", resize="contain", interpolation="nearest", mean=(0.0,), std=(1.0,), box_grow=0.2
)


def picture_case(
    name: str, picture: NDArray[np.uint8], spec: PreprocessSpec, orientation: int = 1, box: Box | None = None
) -> Json:
    """A picture as stored, and the tensor and region of it turned upright."""
    tensor, region = preprocess_picture(upright(picture, orientation), spec, box)
    return {
        "name": name,
        "width": picture.shape[1],
        "height": picture.shape[0],
        "rgb": encode(picture),
        "orientation": orientation,
        "preprocess": dataclasses.asdict(spec),
        "box": box,
        "region": dataclasses.astuple(region),
        "tensor": encode(tensor),
    }


def orientations() -> list[Json]:
    """The eight EXIF values."""
    return [picture_case(f"orientation {value}", noise(9, 13, 1), COVER, value) for value in range(1, 9)]


def sizes() -> list[Json]:
    """Odd sizes, enlarging, shrinking, every way to fit."""
    shapes = ((8, 8), (9, 41), (53, 17), (10, 12), (11, 12), (31, 47))
    specs = {"cover": COVER, "contain": CONTAIN, "stretch": STRETCH}
    return [
        picture_case(f"{name} {width}x{height}", noise(height, width, 2), spec)
        for name, spec in specs.items()
        for height, width in shapes
    ]


def boxes() -> list[Json]:
    """Boxes inside, at and across the border, with the margin of the spec."""
    chosen: dict[str, Box] = {
        "inside": (8.25, 5.5, 20.75, 19.0),
        "left border": (0.0, 3.0, 7.5, 12.0),
        "across the corner": (-6.0, -4.0, 9.0, 11.0),
        "across the far corner": (24.0, 15.0, 60.0, 40.0),
        "thin": (10.0, 0.0, 10.5, 23.0),
    }
    return [
        picture_case(f"box {name} {spec.resize}", noise(23, 31, 3), dataclasses.replace(spec, box_grow=0.2), box=box)
        for name, box in chosen.items()
        for spec in (GROWN, CONTAIN)
    ]


def depth_map(width: int, height: int) -> NDArray[np.float32]:
    """A tilted plate with holes and an empty border, in whole millimetres."""
    ys, xs = np.mgrid[:height, :width]
    depth = 400.0 + 7 * xs + 11 * ys
    depth[(xs + 2 * ys) % 7 == 0] = 0
    depth[:2], depth[:, :3], depth[-1:], depth[:, -2:] = 0, 0, 0, 0
    return depth.astype(np.float32)


def depths() -> list[Json]:
    """Depth maps with and without a box."""
    cases: dict[str, tuple[NDArray[np.float32], Box | None]] = {
        "own box": (depth_map(23, 17), None),
        "box inside": (depth_map(23, 17), (5.0, 4.0, 15.0, 14.0)),
        "box across the border": (depth_map(24, 16), (-4.0, 6.0, 12.0, 30.0)),
        "one distance": (np.where(depth_map(12, 12) > 0, 700, 0).astype(np.float32), None),
    }
    found = []
    for name, (depth, box) in cases.items():
        tensor, region = preprocess_depth(depth, DEPTH, box)
        found.append({**depth_json(name, depth, box), "region": dataclasses.astuple(region), "tensor": encode(tensor)})
    return found


def depth_json(name: str, depth: NDArray[np.float32], box: Box | None) -> Json:
    """A depth map without results; millimetres as little-endian uint16."""
    return {
        "name": name,
        "width": depth.shape[1],
        "height": depth.shape[0],
        "millimetres": encode(depth.astype("<u2").tobytes()),
        "preprocess": dataclasses.asdict(DEPTH),
        "box": box,
    }


def bad_pictures() -> list[Json]:
    """Every library answers BadInput; what Python's reader refuses by size has no tensor here either."""
    good = {"width": 16, "height": 12, "rgb": encode(noise(12, 16, 4)), "orientation": 1, "box": None}
    changes: dict[str, Json] = {
        "no pixels": {"width": 0, "height": 0, "rgb": ""},
        "too small": {"width": 7, "height": 12, "rgb": encode(noise(12, 7, 4))},
        "too few bytes": {"height": 13},
        "orientation 0": {"orientation": 0},
        "orientation 9": {"orientation": 9},
        "empty box": {"box": (4.0, 4.0, 4.0, 9.0)},
        "box the wrong way round": {"box": (9.0, 4.0, 4.0, 9.0)},
        "box beside the picture": {"box": (17.0, 0.0, 20.0, 5.0)},
        "box above the picture": {"box": (0.0, -9.0, 5.0, -1.0)},
    }
    preprocess = dataclasses.asdict(COVER)
    return [{"name": name, **good, **change, "preprocess": preprocess} for name, change in changes.items()]


def bad_depths() -> list[Json]:
    """Depth maps without a measurement where one is needed."""
    plate = depth_map(23, 17)
    return [
        depth_json("nothing measured", np.zeros((12, 12), np.float32), None),
        depth_json("nothing measured in the box", np.where(np.arange(23) > 12, plate, 0), (0.0, 0.0, 4.0, 4.0)),
        depth_json("box beside the map", plate, (30.0, 0.0, 40.0, 9.0)),
    ]
