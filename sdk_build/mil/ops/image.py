"""Resizing, cropping, grid sampling, and moving elements between channels and pixels."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sdk_build.errors import UnsupportedOperation
from sdk_build.mil.ops.sizes import checked

_GRID_MODES = "STRICT_ALIGN_CORNERS, ALIGN_CORNERS, DEFAULT, OFFSET_CORNERS, UNALIGN_CORNERS"


def _grid_points(n_in: float, n_out: int, mode: str) -> Tensor:
    """Where ``n_out`` samples read from ``n_in`` pixels; float64, so that rounding moves no sample."""
    i = torch.arange(n_out, dtype=torch.float64)
    if mode in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        centre = (n_in - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0
        points = i * (n_in - 1) / (n_out - 1) if n_out > 1 else i + centre
    elif mode == "DEFAULT":
        points = i * n_in / n_out
    elif mode == "OFFSET_CORNERS":
        points = (i + 0.5) * max(1, n_in - 1) / n_out
    elif mode == "UNALIGN_CORNERS":
        points = (i + 0.5) * n_in / n_out - 0.5
    else:
        raise UnsupportedOperation(f"sampling_mode '{mode}' is not emulated; allowed: {_GRID_MODES}")
    return points.clamp(0, n_in - 1)


def _neighbours(points: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels around real positions, and the share of the upper one."""
    low = points.floor().long()
    return low, (low + 1).clamp(max=size - 1), (points - low).float()


@functools.lru_cache(maxsize=256)
def _grid_neighbours(n_in: int, n_out: int, mode: str) -> tuple[Tensor, Tensor, Tensor]:
    return _neighbours(_grid_points(n_in, n_out, mode), n_in)


def _lerp_axis(x: Tensor, axis: int, neighbours: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Linear interpolation along one axis."""
    low, high, share = neighbours
    shape = [-1 if dim == axis % x.dim() else 1 for dim in range(x.dim())]
    return torch.lerp(x.index_select(axis, low), x.index_select(axis, high), share.reshape(shape))


def resize_linear(x: Tensor, sizes: list[int], mode: str) -> Tensor:
    """Resizes the last ``len(sizes)`` axes."""
    checked([*x.shape[: -len(sizes)], *sizes])
    for axis, n_out in zip(range(-len(sizes), 0), sizes, strict=True):
        x = _lerp_axis(x, axis, _grid_neighbours(x.shape[axis], n_out, mode))
    return x


def resize_nearest(x: Tensor, sizes: list[int], offset: float) -> Tensor:
    """Takes pixel ``floor((i + offset) * n_in / n_out)`` along the last axes."""
    checked([*x.shape[: -len(sizes)], *sizes])
    for axis, n_out in zip(range(-len(sizes), 0), sizes, strict=True):
        n_in = x.shape[axis]
        points = (torch.arange(n_out, dtype=torch.float64) + offset) * n_in / n_out
        x = x.index_select(axis, points.floor().long().clamp(max=n_in - 1))
    return x


def _scaled_sizes(x: Tensor, height: Tensor | float, width: Tensor | float) -> list[int]:
    """floor(size * factor), multiplied in float32 as coremltools does when it states the shape."""
    factors = (torch.as_tensor(height), torch.as_tensor(width))
    return [math.floor(float(n * factor)) for n, factor in zip(x.shape[-2:], factors, strict=True)]


def _upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: Tensor | float = 1, scale_factor_width: Tensor | float = 1
) -> Tensor:
    return resize_nearest(x, _scaled_sizes(x, scale_factor_height, scale_factor_width), offset=0.0)


def _resize_nearest_neighbor(x: Tensor, target_size_height: Tensor, target_size_width: Tensor) -> Tensor:
    # coremltools' TensorFlow frontend uses this operation for half_pixel_centers=True alone.
    return resize_nearest(x, [int(target_size_height), int(target_size_width)], offset=0.5)


def _upsample_bilinear(
    x: Tensor,
    scale_factor_height: Tensor | float = 1,
    scale_factor_width: Tensor | float = 1,
    align_corners: Tensor | bool = True,
    half_pixel_centers: Tensor | bool | None = None,
) -> Tensor:
    """The spacing follows from the rounded size, as torch's ``recompute_scale_factor=True``."""
    aligned = bool(align_corners)
    centred = not aligned if half_pixel_centers is None else bool(half_pixel_centers)
    if aligned and centred:
        raise UnsupportedOperation("align_corners and half_pixel_centers are both true; allowed: at most one")
    mode = "STRICT_ALIGN_CORNERS" if aligned else "UNALIGN_CORNERS" if centred else "DEFAULT"
    return resize_linear(x, _scaled_sizes(x, scale_factor_height, scale_factor_width), mode)


def _resize_bilinear(
    x: Tensor,
    target_size_height: Tensor | int = 1,
    target_size_width: Tensor | int = 1,
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    return resize_linear(x, [int(target_size_height), int(target_size_width)], sampling_mode)


def _resize(
    x: Tensor,
    shape: Tensor,
    resized_dims: Tensor,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """Resizes the last ``resized_dims`` axes to the last entries of ``shape``; 0 keeps a size."""
    count = int(resized_dims)
    if count == 0:
        return x
    wanted = [int(size) for size in shape.tolist()][-count:]
    sizes = [size or old for size, old in zip(wanted, x.shape[-count:], strict=True)]
    if interpolation_mode == "LINEAR":
        return resize_linear(x, sizes, sampling_mode)
    if interpolation_mode == "NEAREST_NEIGHBOR" and sampling_mode in ("DEFAULT", "UNALIGN_CORNERS"):
        return resize_nearest(x, sizes, offset=0.5)
    raise UnsupportedOperation(
        f"interpolation_mode '{interpolation_mode}' with sampling_mode '{sampling_mode}' is not emulated; "
        "allowed: LINEAR, or NEAREST_NEIGHBOR with DEFAULT or UNALIGN_CORNERS"
    )


def _crop(x: Tensor, crop_height: Tensor, crop_width: Tensor) -> Tensor:
    (top, bottom), (left, right) = crop_height.reshape(-1).tolist(), crop_width.reshape(-1).tolist()
    height, width = x.shape[-2] - top - bottom, x.shape[-1] - left - right
    return x.narrow(-2, top, height).narrow(-1, left, width)


def _corners(box: list[float], mode: str) -> tuple[float, float, float, float]:
    """A box as (top, left, bottom, right)."""
    a, b, c, d = (box[1], box[0], box[3], box[2]) if mode.endswith("WIDTH_FIRST") else box
    if mode.startswith("CENTER_SIZE"):
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return a, b, c, d


def _crop_line(first: float, last: float, size: int, count: int, mode: str) -> Tensor:
    """Where the samples of a box lie along one axis of ``size`` pixels.

    UNALIGN_CORNERS takes the middles of equal parts of the box. Positions count from pixel centres, so that a box
    over all of them, 0 to size - 1, covers the pixels' whole edges, as resize_bilinear does; beyond the edges the
    picture is mirrored, which is what coremltools' one known answer (a box far outside) shows. DEFAULT and
    OFFSET_CORNERS take the box from ``first`` to ``last`` for the interval 0 to X - 1 of their definition
    (``SamplingMode`` in NeuralNetwork.proto), and Apple's example of BNNSCropResize comes out so.
    """
    if mode in ("DEFAULT", "OFFSET_CORNERS"):
        if last < first:
            raise UnsupportedOperation(
                f"sampling_mode '{mode}' is not defined for a box that ends at {last:g}, before its start {first:g}; "
                "give the smaller corner first"
            )
        return first + _grid_points(last - first + 1, count, mode)
    if mode == "UNALIGN_CORNERS":
        stretch = size / max(size - 1, 1)
        parts = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        folded = (stretch * (first + (last - first) * parts)).remainder(2 * size)
        return (torch.minimum(folded, 2 * size - folded) - 0.5).clamp(0, size - 1)
    if count == 1:
        return torch.tensor([(first + last) / 2 if mode == "ALIGN_CORNERS" else first], dtype=torch.float64)
    return torch.linspace(first, last, count, dtype=torch.float64)


def _sample_box(image: Tensor, rows: Tensor, columns: Tensor, pad_value: float) -> Tensor:
    """Bilinear samples of ``image`` (C, H, W) on a grid; ``pad_value`` where a sample lies outside."""
    height, width = image.shape[-2:]
    sampled = _lerp_axis(image, -2, _neighbours(rows.clamp(0, height - 1), height))
    sampled = _lerp_axis(sampled, -1, _neighbours(columns.clamp(0, width - 1), width))
    inside_rows = ((rows >= 0) & (rows <= height - 1)).unsqueeze(1)
    inside_columns = (columns >= 0) & (columns <= width - 1)
    return torch.where(inside_rows & inside_columns, sampled, torch.tensor(pad_value))


def _crop_resize(
    x: Tensor,
    roi: Tensor | None = None,
    boxes: Tensor | None = None,
    box_indices: Tensor | None = None,
    target_height: Tensor | int = 1,
    target_width: Tensor | int = 1,
    normalized_coordinates: Tensor | bool = False,
    spatial_scale: Tensor | float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: Tensor | float = 0.0,
) -> Tensor:
    """Crops boxes: ``roi`` (N, 1, 4 or 5, 1, 1) up to iOS 16, ``boxes`` (N, 4) from iOS 17 on."""
    if sampling_mode not in _GRID_MODES.split(", "):
        raise UnsupportedOperation(f"sampling_mode '{sampling_mode}' is not emulated; allowed: {_GRID_MODES}")
    table = (boxes if roi is None else roi.reshape(roi.shape[0], -1)).double()  # type: ignore[union-attr]
    coordinates = table[:, -4:] * float(spatial_scale)
    images = table[:, 0].long() if roi is not None and table.shape[1] == 5 else box_indices
    crops = []
    for number, box in enumerate(coordinates.tolist()):
        top, left, bottom, right = _corners(box, box_coordinate_mode)
        if bool(normalized_coordinates):
            top, bottom = top * (x.shape[-2] - 1), bottom * (x.shape[-2] - 1)
            left, right = left * (x.shape[-1] - 1), right * (x.shape[-1] - 1)
        rows = _crop_line(top, bottom, x.shape[-2], int(target_height), sampling_mode)
        columns = _crop_line(left, right, x.shape[-1], int(target_width), sampling_mode)
        if images is not None:
            sources = [int(images[number])]
        else:
            sources = [number] if roi is None else list(range(x.shape[0]))
        crops.append(torch.stack([_sample_box(x[i], rows, columns, float(pad_value)) for i in sources]))
    return torch.stack(crops) if roi is not None else torch.cat(crops)


def _affine(
    x: Tensor,
    transform_matrix: Tensor,
    output_height: Tensor,
    output_width: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor,
    coordinates_mode: str,
    align_corners: Tensor,
) -> Tensor:
    """torch's affine_grid and grid_sample in the one combination that Core ML's operation has."""
    given = (sampling_mode, padding_mode, float(padding_value), coordinates_mode, bool(align_corners))
    allowed = ("bilinear", "constant", 0.0, "normalized_minus_one_to_one", True)
    if given != allowed:
        raise UnsupportedOperation(f"settings {given} don't exist in Core ML; allowed: {allowed}")
    theta = transform_matrix.reshape(-1, 2, 3).expand(x.shape[0], 2, 3)
    size = [x.shape[0], x.shape[1], int(output_height), int(output_width)]
    grid = F.affine_grid(theta, size, align_corners=True)
    return F.grid_sample(x, grid, padding_mode="zeros", align_corners=True)


def _to_pixels(coordinates: Tensor, size: int, mode: str, align_corners: bool) -> Tensor:
    """Coordinates along one axis as pixel positions, 0 at the centre of the first pixel."""
    if mode == "unnormalized":
        return coordinates
    if mode == "normalized_minus_one_to_one":
        coordinates = (coordinates + 1) / 2
    elif mode != "normalized_zero_to_one":
        raise UnsupportedOperation(
            f"coordinates_mode '{mode}' is not emulated; allowed: unnormalized, normalized_minus_one_to_one, "
            "normalized_zero_to_one"
        )
    return coordinates * (size - 1) if align_corners else coordinates * size - 0.5


def _resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor | float,
    coordinates_mode: str,
    align_corners: Tensor | bool,
) -> Tensor:
    """Samples ``x`` (B, C, H, W) at ``coordinates`` (B, H2, W2, 2) in (x, y) order.

    torch ties the kind of reflection to ``align_corners``: True is MIL's ``reflection`` (about pixel
    centres), False its ``symmetric`` (about pixel edges). The coordinates are therefore brought to pixels
    first.
    """
    modes = {"constant": "zeros", "border": "border", "reflection": "reflection", "symmetric": "reflection"}
    if padding_mode not in modes or sampling_mode not in ("bilinear", "nearest"):
        raise UnsupportedOperation(
            f"sampling_mode '{sampling_mode}' with padding_mode '{padding_mode}' is not emulated; "
            f"allowed: bilinear, nearest with {', '.join(modes)}"
        )
    about_centres = padding_mode == "reflection"
    axes = []
    for axis, size in enumerate((x.shape[-1], x.shape[-2])):
        pixels = _to_pixels(coordinates[..., axis].double(), size, coordinates_mode, bool(align_corners))
        axes.append(2 * pixels / max(size - 1, 1) - 1 if about_centres else (2 * pixels + 1) / size - 1)
    grid = torch.stack(axes, dim=-1).float()
    value = float(padding_value) if padding_mode == "constant" else 0.0
    sampled = F.grid_sample(x - value, grid, sampling_mode, modes[padding_mode], align_corners=about_centres)
    return sampled + value


def _space_to_depth(x: Tensor, block_size: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, s*s*C, H/s, W/s); the place in the block varies slowest, not as in torch."""
    batch, channels, height, width = x.shape
    s = int(block_size)
    blocks = x.reshape(batch, channels, height // s, s, width // s, s)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(batch, s * s * channels, height // s, width // s)


def _depth_to_space(x: Tensor, block_size: Tensor) -> Tensor:
    """The inverse of space_to_depth: the place in the block varies slowest, unlike in pixel_shuffle."""
    batch, channels, height, width = x.shape
    s = int(block_size)
    blocks = x.reshape(batch, s, s, channels // (s * s), height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(batch, channels // (s * s), height * s, width * s)


def _space_to_batch(x: Tensor, block_shape: Tensor, paddings: Tensor) -> Tensor:
    """(n, C, H, W) -> (n * h * w, C, (H + pad) / h, (W + pad) / w); the place in the block varies slowest."""
    h, w = (int(size) for size in block_shape.tolist())
    (top, bottom), (left, right) = paddings.tolist()
    padded = F.pad(x, [left, right, top, bottom])
    n, channels, height, width = padded.shape
    blocks = padded.reshape(n, channels, height // h, h, width // w, w)
    return blocks.permute(3, 5, 0, 1, 2, 4).reshape(h * w * n, channels, height // h, width // w)


def _batch_to_space(x: Tensor, block_shape: Tensor, crops: Tensor) -> Tensor:
    """The inverse of space_to_batch, then cropped."""
    h, w = (int(size) for size in block_shape.tolist())
    n, channels, height, width = x.shape
    blocks = x.reshape(h, w, n // (h * w), channels, height, width)
    joined = blocks.permute(2, 3, 4, 0, 5, 1).reshape(n // (h * w), channels, height * h, width * w)
    (top, bottom), (left, right) = crops.tolist()
    return joined[..., top : joined.shape[-2] - bottom, left : joined.shape[-1] - right]


def _pixel_shuffle(x: Tensor, upscale_factor: Tensor) -> Tensor:
    return F.pixel_shuffle(x, int(upscale_factor))


def _pixel_unshuffle(x: Tensor, downscale_factor: Tensor) -> Tensor:
    return F.pixel_unshuffle(x, int(downscale_factor))


IMAGE_OPERATIONS: dict[str, Callable[..., Any]] = {
    "affine": _affine,
    "batch_to_space": _batch_to_space,
    "crop": _crop,
    "crop_resize": _crop_resize,
    "depth_to_space": _depth_to_space,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "resample": _resample,
    "resize": _resize,
    "resize_bilinear": _resize_bilinear,
    "resize_nearest_neighbor": _resize_nearest_neighbor,
    "space_to_batch": _space_to_batch,
    "space_to_depth": _space_to_depth,
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": _upsample_nearest_neighbor,
}
