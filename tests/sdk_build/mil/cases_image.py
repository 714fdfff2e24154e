"""Known answers for resizing, cropping, sampling and pixel shuffles: coremltools' numbers, else torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Case, array, ints, noise, scalar, t

PAIR = array(0, 1).reshape(1, 1, 2)
IMAGE = noise(2, 3, 6, 8)
COUNT = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
TRUE, FALSE = scalar(True), scalar(False)
GRID = np.random.default_rng(5).uniform(-1.6, 1.6, (2, 5, 7, 2)).astype(np.float32)
THETA = array([0.9, 0.2, 0.1, -0.3, 0.8, -0.2], [1.1, 0.0, 0.3, 0.1, 1.3, 0.0])
THETA_GRID = F.affine_grid(t(THETA.reshape(2, 2, 3)), [2, 3, 5, 7], align_corners=True)
# Positions of the samples of [0, 1] that the documents of resize_bilinear list.
SAMPLES = {
    "UNALIGN_CORNERS": (0, 0.1, 0.5, 0.9, 1),
    "STRICT_ALIGN_CORNERS": (0, 0.25, 0.5, 0.75, 1),
    "ALIGN_CORNERS": (0, 0.25, 0.5, 0.75, 1),
    "DEFAULT": (0, 0.4, 0.8, 1, 1),
    "OFFSET_CORNERS": (0.1, 0.3, 0.5, 0.7, 0.9),
}
BLOCKS = np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1)


def _up(label: str, expected: Any, **arguments: Any) -> Case:
    return Case("upsample_bilinear", label, arguments, expected)


def _resample(label: str, expected: torch.Tensor, **settings: Any) -> Case:
    defaults = {
        "sampling_mode": "bilinear",
        "padding_mode": "constant",
        "padding_value": scalar(0.0),
        "coordinates_mode": "normalized_minus_one_to_one",
        "align_corners": FALSE,
    }
    return Case("resample", label, {"x": IMAGE, "coordinates": GRID, **defaults, **settings}, expected.numpy())


def _sample(mode: str = "bilinear", padding: str = "zeros", align: bool = False) -> torch.Tensor:
    return F.grid_sample(t(IMAGE), t(GRID), mode, padding, align_corners=align)


def _crop_resize(label: str, boxes: np.ndarray, expected: Any, size: int = 2, **settings: Any) -> Case:
    arguments = {
        "x": COUNT,
        ("boxes" if boxes.ndim == 2 else "roi"): boxes,
        "target_height": scalar(size),
        "target_width": scalar(size),
        "sampling_mode": "ALIGN_CORNERS",
        **settings,
    }
    shape = (1, 1, size, size) if boxes.ndim == 2 else (1, 1, 1, size, size)
    return Case("crop_resize", label, arguments, np.array(expected, np.float32).reshape(shape))


def _roi(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 1, -1, 1, 1)


CASES = [
    *[
        Case(
            "resize_bilinear",
            mode,
            {
                "x": PAIR,
                "target_size_height": scalar(1),
                "target_size_width": scalar(5),
                "sampling_mode": mode,
            },
            array(*wanted).reshape(1, 1, 5),
        )
        for mode, wanted in SAMPLES.items()
    ],
    Case(
        "resize_bilinear",
        "centre of one pixel",
        {"x": PAIR, "target_size_width": scalar(1), "sampling_mode": "ALIGN_CORNERS"},
        array(0.5).reshape(1, 1, 1),
    ),
    Case(
        "resize_bilinear",
        "shrinks",
        {
            "x": IMAGE,
            "target_size_height": scalar(4),
            "target_size_width": scalar(3),
            "sampling_mode": "UNALIGN_CORNERS",
        },
        F.interpolate(t(IMAGE), (4, 3), mode="bilinear").numpy(),
    ),
    _up(
        "align_corners",
        array(0, 0.2, 0.4, 0.6, 0.8, 1).reshape(1, 1, 6),
        x=PAIR,
        scale_factor_height=scalar(1),
        scale_factor_width=scalar(3),
    ),
    _up(
        "fraction",
        array(0, 0.1, 0.5, 0.9, 1).reshape(1, 1, 5),
        x=PAIR,
        scale_factor_height=scalar(1.0),
        scale_factor_width=scalar(2.6),
        align_corners=FALSE,
    ),
    _up(
        "half pixels",
        F.interpolate(t(IMAGE), scale_factor=2, mode="bilinear").numpy(),
        x=IMAGE,
        scale_factor_height=scalar(2),
        scale_factor_width=scalar(2),
        align_corners=FALSE,
        half_pixel_centers=TRUE,
    ),
    _up(
        "neither",
        array(0, 0.5, 1, 1).reshape(1, 1, 4),
        x=PAIR,
        scale_factor_width=scalar(2),
        align_corners=FALSE,
        half_pixel_centers=FALSE,
    ),
    Case(
        "upsample_nearest_neighbor",
        "integer",
        {"x": IMAGE, "scale_factor_height": scalar(2), "scale_factor_width": scalar(3)},
        IMAGE.repeat(2, axis=2).repeat(3, axis=3),
    ),
    Case(
        "upsample_nearest_neighbor",
        "fraction",
        {"x": IMAGE, "scale_factor_height": scalar(1.5), "scale_factor_width": scalar(0.5)},
        F.interpolate(t(IMAGE), size=(9, 4), mode="nearest").numpy(),
    ),
    Case(
        "resize_nearest_neighbor",
        "grows",
        {
            "x": array(0.37, 6.17).reshape(1, 1, 2, 1),
            "target_size_height": scalar(2),
            "target_size_width": scalar(3),
        },
        array(0.37, 0.37, 0.37, 6.17, 6.17, 6.17).reshape(1, 1, 2, 3),
    ),
    Case(
        "resize_nearest_neighbor",
        "half pixels",
        {
            "x": array(0, 1, 2, 3).reshape(1, 1, 4),
            "target_size_height": scalar(1),
            "target_size_width": scalar(2),
        },
        array(1, 3).reshape(1, 1, 2),
    ),
    Case(
        "resize",
        "nearest",
        {
            "x": array(-6.174, 9.371).reshape(1, 1, 1, 2, 1),
            "shape": ints(1, 1, 3, 2),
            "resized_dims": scalar(2),
            "interpolation_mode": "NEAREST_NEIGHBOR",
            "sampling_mode": "DEFAULT",
        },
        array(-6.174, -6.174, 9.371, 9.371, 9.371, 9.371).reshape(1, 1, 1, 3, 2),
    ),
    Case(
        "resize",
        "linear, 0 keeps",
        {"x": PAIR, "shape": ints(1, 0, 5), "resized_dims": scalar(2)},
        array(0, 0.4, 0.8, 1, 1).reshape(1, 1, 5),
    ),
    Case(
        "crop",
        "edges",
        {"x": COUNT, "crop_height": ints(0, 1), "crop_width": ints(1, 1)},
        array(2, 3, 6, 7, 10, 11).reshape(1, 1, 3, 2),
    ),
    _crop_resize("box", _roi(1, 1, 2, 2), [6, 7, 10, 11]),
    _crop_resize("one pixel", _roi(1, 1, 2, 2), [8.5], size=1),
    _crop_resize(
        "normalized with image number", _roi(0, 0, 0, 1 / 3, 1 / 3), [1, 2, 5, 6], normalized_coordinates=TRUE
    ),
    _crop_resize("inverted", _roi(2, 2, 1, 1), [11, 10, 7, 6]),
    _crop_resize(
        "boxes, centre and size, width first",
        array([1.5, 1.0, 1.0, 2.0]),
        [2, 3, 10, 11],
        box_coordinate_mode="CENTER_SIZE_WIDTH_FIRST",
        box_indices=ints(0),
    ),
    _crop_resize("outside", array([-1.0, 0.0, 1.0, 3.0]), [9, 9, 5, 8], pad_value=scalar(9.0)),
    _crop_resize("spatial scale", _roi(2, 2, 4, 4), [6, 7, 10, 11], spatial_scale=scalar(0.5)),
    _crop_resize("default", _roi(1, 1, 3, 3), [6, 7.5, 12, 13.5], sampling_mode="DEFAULT"),
    _crop_resize("default stays inside", _roi(1, 1, 1, 1), [6, 6, 6, 6], sampling_mode="DEFAULT"),
    _crop_resize("offset corners", _roi(1, 1, 3, 3), [8.5, 9.5, 12.5, 13.5], sampling_mode="OFFSET_CORNERS"),
    Case(
        "crop_resize",
        "the example in Apple's documentation of BNNSCropResize",
        {
            "x": array(
                [0, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 1, 0, 9, 0, 9], [0, 0, 0, 0, 9, 0], [0, 0, 0, 9, 0, 9]
            ).reshape(1, 1, 5, 6),
            "boxes": array([1, 1, 3, 3], [4, 3, 3, 3]),
            "box_indices": ints(0, 0),
            "target_height": scalar(3),
            "target_width": scalar(3),
            "box_coordinate_mode": "CENTER_SIZE_WIDTH_FIRST",
            "sampling_mode": "OFFSET_CORNERS",
        },
        array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[9, 0, 9], [0, 9, 0], [9, 0, 9]]).reshape(2, 1, 3, 3),
    ),
    Case(
        "affine",
        "two matrices",
        {
            "x": IMAGE,
            "transform_matrix": THETA,
            "output_height": scalar(5),
            "output_width": scalar(7),
            "sampling_mode": "bilinear",
            "padding_mode": "constant",
            "padding_value": scalar(0.0),
            "coordinates_mode": "normalized_minus_one_to_one",
            "align_corners": TRUE,
        },
        F.grid_sample(t(IMAGE), THETA_GRID, align_corners=True).numpy(),
    ),
    _resample("zeros", _sample()),
    _resample("zeros aligned", _sample(align=True), align_corners=TRUE),
    _resample("nearest", _sample("nearest"), sampling_mode="nearest"),
    _resample("border", _sample(padding="border"), padding_mode="border"),
    _resample("symmetric", _sample(padding="reflection"), padding_mode="symmetric"),
    _resample("reflection", _sample(padding="reflection", align=True), padding_mode="reflection", align_corners=TRUE),
    _resample(
        "padding value",
        F.grid_sample(t(IMAGE) - 2, t(GRID), align_corners=False) + 2,
        padding_value=scalar(2.0),
    ),
    Case(
        "resample",
        "pixels",
        {
            "x": COUNT,
            "coordinates": array([0.0, 0.0], [1.5, 2.0]).reshape(1, 1, 2, 2),
            "sampling_mode": "bilinear",
            "padding_mode": "constant",
            "padding_value": scalar(0.0),
            "coordinates_mode": "unnormalized",
            "align_corners": TRUE,
        },
        array(1, 10.5).reshape(1, 1, 1, 2),
    ),
    Case(
        "resample",
        "zero to one",
        {
            "x": COUNT,
            "coordinates": array([1.0, 0.0], [0.5, 1.0]).reshape(1, 1, 2, 2),
            "sampling_mode": "bilinear",
            "padding_mode": "border",
            "padding_value": scalar(0.0),
            "coordinates_mode": "normalized_zero_to_one",
            "align_corners": TRUE,
        },
        array(4, 14.5).reshape(1, 1, 1, 2),
    ),
    Case(
        "pixel_shuffle",
        "torch",
        {"x": noise(2, 12, 3, 4), "upscale_factor": scalar(2)},
        F.pixel_shuffle(t(noise(2, 12, 3, 4)), 2).numpy(),
    ),
    Case(
        "pixel_unshuffle",
        "torch",
        {"x": IMAGE, "downscale_factor": scalar(2)},
        F.pixel_unshuffle(t(IMAGE), 2).numpy(),
    ),
    # Two channels tell the order apart: TensorFlow's depth_to_space of 0..7 holds 0, 2, 4, 6 in its first
    # channel.
    Case(
        "depth_to_space",
        "channel order",
        {"x": BLOCKS, "block_size": scalar(2)},
        array([0, 2, 4, 6], [1, 3, 5, 7]).reshape(1, 2, 2, 2),
    ),
    Case(
        "space_to_depth",
        "channel order",
        {"x": array([0, 2, 4, 6], [1, 3, 5, 7]).reshape(1, 2, 2, 2), "block_size": scalar(2)},
        BLOCKS,
    ),
    Case(
        "crop_resize",
        "UNALIGN_CORNERS of the whole picture is resize_bilinear",
        {
            "x": COUNT,
            "boxes": array([0, 0, 3, 3]),
            "target_height": scalar(2),
            "target_width": scalar(2),
            "sampling_mode": "UNALIGN_CORNERS",
        },
        array([3.5, 5.5], [11.5, 13.5]).reshape(1, 1, 2, 2),
    ),
    Case(
        "crop_resize",
        "UNALIGN_CORNERS as in coremltools' tests",
        {
            "x": COUNT,
            "roi": array([2, 2, 1, 1]).reshape(1, 1, 4, 1, 1),
            "target_height": scalar(2),
            "target_width": scalar(2),
            "normalized_coordinates": TRUE,
            "sampling_mode": "UNALIGN_CORNERS",
        },
        array([3.5, 5.5], [11.5, 13.5]).reshape(1, 1, 1, 2, 2),
    ),
    Case(
        "space_to_batch",
        "padded",
        {
            "x": array([1, 2], [3, 4]).reshape(1, 1, 2, 2),
            "block_shape": ints(2, 1),
            "paddings": np.array([[1, 1], [0, 0]], np.int32),
        },
        array([[[0, 0], [3, 4]]], [[[1, 2], [0, 0]]]),
    ),
    Case(
        "batch_to_space",
        "cropped",
        {
            "x": array([[[0, 0], [3, 4]]], [[[1, 2], [0, 0]]]),
            "block_shape": ints(2, 1),
            "crops": np.array([[1, 1], [0, 0]], np.int32),
        },
        array([1, 2], [3, 4]).reshape(1, 1, 2, 2),
    ),
]
