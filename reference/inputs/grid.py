"""A network's grid of values, laid over the part of a picture that it saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.inputs.preprocess import Region


def resample(pixels: int, start: float, length: float, cells: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bilinear weights (pixels, cells) of a grid's cells for each pixel, and which pixels lie inside the grid."""
    place = (np.arange(pixels) + 0.5 - start) / length
    u = np.clip(place * cells - 0.5, 0, cells - 1)
    low = np.minimum(np.floor(u).astype(int), cells - 1)
    weights = np.zeros((pixels, cells), np.float32)
    weights[np.arange(pixels), low] = 1 - (u - low)
    weights[np.arange(pixels), np.minimum(low + 1, cells - 1)] += u - low
    return weights, (place >= 0) & (place <= 1)


def nearest(pixels: int, start: float, length: float, cells: int) -> NDArray[np.int64]:
    """The cell of each pixel, -1 outside the grid."""
    place = (np.arange(pixels) + 0.5 - start) / length
    return np.where((place >= 0) & (place < 1), np.floor(place * cells).astype(np.int64), -1)


def lay_over(values: NDArray[np.float32], region: Region, width: int, height: int) -> NDArray[np.float32]:
    """Values (h, w) of a grid for the pixels (height, width) of the picture, bilinear; NaN outside the region."""
    h, w = values.shape
    columns, across = resample(width, region.left, region.width, w)
    rows, down = resample(height, region.top, region.height, h)
    laid = np.asarray(rows @ values @ columns.T, np.float32)
    laid[~down] = np.nan
    laid[:, ~across] = np.nan
    return laid


def lay_classes_over(classes: NDArray[np.integer], region: Region, width: int, height: int) -> NDArray[np.int64]:
    """Class numbers (h, w) of a grid for the pixels (height, width) of the picture; -1 outside the region."""
    h, w = classes.shape
    rows, columns = nearest(height, region.top, region.height, h), nearest(width, region.left, region.width, w)
    laid = classes[np.clip(rows, 0, None)[:, None], np.clip(columns, 0, None)[None]].astype(np.int64)
    laid[(rows < 0)[:, None] | (columns < 0)[None]] = -1
    return laid
